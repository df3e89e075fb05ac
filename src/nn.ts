/**
 * @file The API of layers: modules that build graphs, under PyTorch's names. `import * as nn from "tersor/nn"`.
 */
export { type BuildOptions, buildModel, type InputSpec } from "./nn/build-model.ts";
export { residual, sequential } from "./nn/containers.ts";
export * as init from "./nn/init.ts";
export * from "./nn/layers/activation.ts";
export { type AttentionMasks, type AttentionOptions, multiheadAttention } from "./nn/layers/attention.ts";
export {
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  convTranspose2d,
} from "./nn/layers/convolution.ts";
export { embedding, linear, type WeightOptions } from "./nn/layers/linear.ts";
export {
  type BatchNormOptions,
  batchNorm,
  groupNorm,
  type LayerNormOptions,
  layerNorm,
  type NormOptions,
} from "./nn/layers/normalization.ts";
export {
  type AvgPoolOptions,
  adaptiveAvgPool2d,
  avgPool2d,
  type MaxPoolOptions,
  maxPool2d,
} from "./nn/layers/pooling.ts";
export {
  type FirstStates,
  type GruResult,
  gru,
  type LstmResult,
  lstm,
  type RecurrentOptions,
} from "./nn/layers/recurrent.ts";
export {
  type EncoderLayerOptions,
  type EncoderModule,
  transformerEncoder,
  transformerEncoderLayer,
} from "./nn/layers/transformer.ts";
export { type Lenet5Options, lenet5, lenet300 } from "./nn/models/lenet.ts";
export { MOBILENET_V2, MOBILENET_V2_SMALL, type MobilenetOptions, mobilenetV2 } from "./nn/models/mobilenet-v2.ts";
export { type ResnetOptions, resnet20 } from "./nn/models/resnet.ts";
export { type TransformerOptions, transformerClassifier } from "./nn/models/transformer-classifier.ts";
export { type Module, pick, type Scope } from "./nn/module.ts";
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from "./nn/safetensors.ts";
export {
  buffersOf,
  type LoadStateOptions,
  type LoadStateReport,
  loadStateDict,
  parametersOf,
  type StateDict,
  stateDict,
} from "./nn/state.ts";
