/**
 * @file The platform-free API: the same in Node and in a browser, with no runtime installed. Runtimes come from
 * "tersor/node" and "tersor/web".
 */

export { compareLedgers, describeForm, type Ledger, type LedgerRow, ledgerEntries } from "./analyze/ledger.ts";
export { type Sensitivity, type SensitivityOptions, sensitivity } from "./analyze/sensitivity.ts";
export { openScheme } from "./analyze/sensitivity-schemes.ts";
export { type SparseFacts, type SparseVerdict, sparseFiles, sparseVerdict } from "./analyze/sparse-verdict.ts";
export { compareTensors, type TensorComparison, worstTensors } from "./analyze/tensor-errors.ts";
export { type ModelZeros, zerosOf } from "./analyze/zeros.ts";

export { type Augmentation, type Augmenter, augmentSource, createAugmenter } from "./data/augment.ts";
export { batch, limit, shuffle, skip, split } from "./data/combine.ts";

export { candidateFeeds, generateInputs } from "./data/generate.ts";
export { decodeIdx } from "./data/idx.ts";
export { fromIdx, type IdxFiles, type IdxOptions, type LabelledImages } from "./data/idx-source.ts";
export { decodeNpy, encodeNpy } from "./data/npy.ts";
export { decodeNpz, encodeNpz } from "./data/npz.ts";
export { createPreprocessor, type Preprocessor } from "./data/preprocess.ts";
export { type PreprocessSpec, parsePreprocess } from "./data/preprocess-spec.ts";
export type { Image } from "./data/resize.ts";
export { fromSamples, type PlainTensor } from "./data/source.ts";
export type { AttributeInput } from "./graph/attributes.ts";
export { fromOnnx } from "./graph/from-onnx.ts";
export { type AddOptions, Graph } from "./graph/graph.ts";
export { Model } from "./graph/model.ts";
export { loadModel, saveModel } from "./graph/model-file.ts";
export { Node } from "./graph/node.ts";
export { any, constant, type Match, match, op, type Pattern, scalar } from "./graph/pattern.ts";
export { applyRules, onlyInside, type Rule } from "./graph/rewrite.ts";
export { toOnnx } from "./graph/to-onnx.ts";
export { type Dim, Value } from "./graph/value.ts";
export { verifyModel } from "./graph/verify.ts";
export {
  bootstrapDifference,
  bootstrapValue,
  Contributions,
  type Estimate,
} from "./measure/bootstrap.ts";
export { type Budget, type BudgetVerdict, judgeBudget, parseBudget, withinBudget } from "./measure/budget.ts";
export { compareOutputs, createComparer, type OutputComparison } from "./measure/compare.ts";
export { type Interval, median, medianInterval, verdict } from "./measure/interval.ts";
export { compareLatency } from "./measure/latency.ts";
export { describeMachine, type Machine } from "./measure/machine.ts";
export { createMeter, type MetricResult, type MetricSpec } from "./measure/meter.ts";
export { findMetric, METRICS } from "./measure/metrics/list.ts";
export type { Metric } from "./measure/metrics/metric.ts";
export { type MetricOptions, metricOptions } from "./measure/metrics/options.ts";
export { compressedSizes } from "./measure/size.ts";
export { type SparseSizes, sparseSizes, sparseSizeTable } from "./measure/sparse-size.ts";
export { quantizeDynamic, quantizeStatic, quantizeWeights } from "./model-bytes.ts";
export { decodeModel } from "./onnx/decode.ts";
export { encodeModel, joinChunks } from "./onnx/encode.ts";
export { type ExternalData, externalDataFromMemory } from "./onnx/external-data.ts";
export type { ModelProto } from "./onnx/messages.ts";
export { isStoredSparse, storedByteLength, toDense, toSparse } from "./onnx/sparse-proto.ts";
export { parseModel } from "./onnx/text.ts";
export { CLEAN_UP, cleanUp } from "./passes/clean-up.ts";
export { inlineIf } from "./passes/inline-if.ts";
export { specialize } from "./passes/specialize.ts";
export { unrollRecurrent } from "./passes/unroll-recurrent.ts";
export { type UpgradeReport, upgradeOpset } from "./passes/upgrade-opset.ts";
export type { Amount } from "./prune/amount.ts";
export type { Criterion, ScoreFunction } from "./prune/criteria/criterion.ts";
export { lowRank } from "./prune/low-rank.ts";
export type { PruneEvent } from "./prune/masks.ts";
export { type PruneOptions, prune as pruneStep, pruneOptions } from "./prune/prune.ts";
export { type Sparsity, sparsity, type WeightSparsity } from "./prune/sparsity.ts";
export { storeSparse } from "./prune/store-sparse.ts";
export * as prune from "./prune/torch.ts";
export { findPrunable, type PrunableWeight, type Selection } from "./prune/weights.ts";
export { type BiasCorrectionOptions, correctBias } from "./quantize/corrections/bias-correction.ts";
export { batchNormStatistics, type ChannelStatistics } from "./quantize/corrections/channel-statistics.ts";
export { chooseObserver, type ObserverCandidate } from "./quantize/corrections/choose-observer.ts";
export { crossLayerEqualization } from "./quantize/corrections/cross-layer-equalization.ts";
export { keepFloat, type RankedNode } from "./quantize/corrections/keep-float.ts";
export { smoothQuant } from "./quantize/corrections/smooth-quant.ts";
export { dynamicInt8 } from "./quantize/dynamic-int8.ts";
export {
  createObserver,
  OBSERVER_NAMES,
  OBSERVERS,
  type ObserverName,
  restoreObserver,
} from "./quantize/observers/list.ts";
export type { Observer, ObserverOptions, ObserverState, Ranges } from "./quantize/observers/observer.ts";
export { decodeStatistics, encodeStatistics, type Statistics } from "./quantize/observers/statistics.ts";
export type { OpPlacement, Placement, Role } from "./quantize/placement/placement.ts";
export { checkRules, type RuleCheck } from "./quantize/placement/rules.ts";
export { PLACEMENTS, type PlacementName } from "./quantize/placement/tables.ts";
export { chooseQParams, type QParams, type QScheme } from "./quantize/qparams.ts";
export { type SaturationScan, saturationNote, scanSaturation } from "./quantize/saturation/scan.ts";
export { type CalibrateContext, calibrate } from "./quantize/static/calibrate.ts";
export { type ConvertOptions, convert } from "./quantize/static/convert.ts";
export { type PrepareContext, type Prepared, prepare } from "./quantize/static/prepare.ts";
export { adoptCalibration, takeStatistics, useStatistics } from "./quantize/static/statistics.ts";
export { staticInt8 } from "./quantize/static-int8.ts";
export { weightInt8 } from "./quantize/weight-int8.ts";
export { SCHEMES, type SchemeName, STEPS } from "./recipe/steps.ts";
export { collect, observeShapes } from "./runtime/collect.ts";
export type {
  GpuAdapter,
  Host,
  ModelSource,
  NodePlacement,
  Port,
  Runtime,
  Session,
  SessionOptions,
  Tensors,
} from "./runtime/runtime.ts";
export { TARGETS, type TargetName } from "./runtime/targets.ts";
export type { DataSource, Sample } from "./step/data.ts";
export { parseOptions, runStep } from "./step/run.ts";
export {
  defineStep,
  type LeftAlone,
  type SaturationFinding,
  type Step,
  type StepContext,
  type StepReport,
} from "./step/step.ts";
export { DTYPES, type DType } from "./tensor/dtype.ts";
export { Tensor } from "./tensor/tensor.ts";
export type { Augment, Batch, Position } from "./train/batches.ts";
export { type Checkpoint, type CheckpointStore, memoryCheckpoints } from "./train/checkpoint.ts";
export type { TrainContext, TrainResult } from "./train/context.ts";
export { DivergenceError } from "./train/divergence.ts";
export type { LogRecord, StepInfo, TrainHooks } from "./train/events.ts";
export { type GradientCriterion, type ImportanceOptions, importance } from "./train/importance.ts";
export { pruneAndTrain } from "./train/prune-and-train.ts";
export {
  type PruneAndTrainInput,
  type PruneAndTrainOptions,
  type PruneInput,
  type PruneOptions as TrainingPruneOptions,
  pruneAndTrainOptions,
  pruneOptions as trainingPruneOptions,
} from "./train/prune-options.ts";
export type { Pruning } from "./train/pruner.ts";
export { train } from "./train/trainer.ts";
export { type TrainerInput, type TrainerOptions, trainerOptions } from "./train/trainer-options.ts";
export type { Validation } from "./train/validate.ts";
export { type NamedConstant, namedConstants } from "./train/write-back.ts";
export {
  FormatError,
  GraphError,
  InputError,
  OptionError,
  TersorError,
  UnsupportedError,
  VerificationError,
} from "./util/errors.ts";
export type { Progress } from "./util/progress.ts";
export { createRandom, type Random } from "./util/random.ts";
export { VERSION } from "./version.ts";
