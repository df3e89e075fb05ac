/**
 * @file Bias correction: rounding weights and activations shifts the mean of what a layer computes; its bias takes that back.
 *
 *   analytic    Δb = −(W̃ − W) · E[x]        what the rounding of the weights shifts, from the means of the inputs alone
 *   empirical   Δb = E[y] − E[ỹ]            measured on data, layer after layer, so that each sees inputs corrected before
 *
 * Source: Nagel et al. 2019, section 4.2 and appendix D.
 */
import { fromOnnx } from "../../graph/from-onnx.ts";
import type { Model } from "../../graph/model.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import type { Runtime, SessionOptions } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import type { LeftAlone, StepReport } from "../../step/step.ts";
import { InputError } from "../../util/errors.ts";
import type { Progress } from "../../util/progress.ts";
import { addToBias } from "./add-to-bias.ts";
import { type CorrectedLayer, findLayers, stagesOf } from "./bias-layers.ts";
import { ChannelMeans, type ChannelStatistics, expectedMeans } from "./channel-statistics.ts";
import { forEachBlock } from "./linear-layer.ts";
import { outputSqnr } from "./output-sqnr.ts";
import { storedFloats } from "./stored-weight.ts";

export const BIAS_CORRECTION_FORMS = ["analytic", "empirical"] as const;

export interface BiasCorrectionOptions {
  readonly form: (typeof BIAS_CORRECTION_FORMS)[number];
  /** With `data`: needed by the empirical form, and by the analytic one where statistics do not tell the means. */
  readonly runtime?: Runtime | undefined;
  readonly data?: DataSource | undefined;
  /** For the analytic form: what batch normalizations say, from `batchNormStatistics` before the clean-up. */
  readonly statistics?: ReadonlyMap<string, ChannelStatistics> | undefined;
  /** Samples that are looked at. Default 16: differences of means on the same inputs settle quickly. */
  readonly samples?: number;
  /** Runs through the data of the empirical form at most; with more layers one after another, neighbours share one. Default 64. */
  readonly passes?: number;
  /** Megabytes of activations held at once. Default 256. */
  readonly budget?: number;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Activations are measured in float arithmetic with rounding, as every target is meant to compute: no integer kernels. */
const SIMULATED: SessionOptions = { config: { "session.disable_quant_qdq": "1" } };

/**
 * Corrects the biases of a quantized model, in place. With data, the result is kept only where the outputs of these samples
 * come closer to the original's (SQNR, all outputs).
 * @param original The model in float with the same node names: what was quantized, as it was before.
 * @throws InputError for the empirical form without runtime or data.
 */
export async function correctBias(
  quantized: Model,
  original: Model,
  options: BiasCorrectionOptions,
): Promise<StepReport> {
  const { runtime, data } = options;
  if (options.form === "empirical" && (runtime === undefined || data === undefined)) {
    throw new InputError({
      area: "quantize",
      subject: "bias correction, form empirical",
      problem: `expected a runtime and data, got no ${runtime === undefined ? "runtime" : "data"}`,
      help: "Give samples with --data (API: data), or take the form analytic.",
    });
  }
  const source = data && firstOf(data, options.samples ?? 16);
  const context: Context = { ...options, data: source };
  const leftAlone: LeftAlone[] = [];
  const layers = findLayers(quantized, original, leftAlone);
  for (const graph of quantized.graphs()) graph.sort();
  // On a copy: what does not help leaves no trace.
  const copy = fromOnnx(toOnnx(quantized));
  const copied = findLayers(copy, original, []);
  const shifts =
    options.form === "analytic"
      ? await analyticShifts(layers, original, context)
      : await empiricalShifts(copied, copy, original, context);

  const failed = (index: number, reason: string): void => {
    const { node } = layers[index]!;
    leftAlone.push({ subject: node.label, opType: node.opType, reason });
  };
  if (options.form === "analytic") for (const [i, shift] of shifts.entries()) addShift(copied[i]!, shift);
  let change: string | undefined;
  if (runtime !== undefined && source !== undefined && shifts.some((shift) => typeof shift !== "string")) {
    const limits = { session: SIMULATED, progress: options.progress, signal: options.signal };
    const [before, after] = await outputSqnr(original, [quantized, copy], runtime, source, limits);
    change = `SQNR of the outputs ${before!.toFixed(1)} → ${after!.toFixed(1)} dB on these samples`;
    if (!(after! > before!)) {
      for (const index of layers.keys()) failed(index, `corrected, the model would be no closer: ${change}`);
      return { changed: 0, changes: [], leftAlone };
    }
  }
  let changed = 0;
  for (const [index, shift] of shifts.entries()) {
    const result = addShift(layers[index]!, shift);
    if (result === true) changed++;
    else failed(index, result);
  }
  return {
    changed,
    changes: [`${changed} biases corrected (${options.form})`, ...(change === undefined ? [] : [change])],
    leftAlone,
  };
}

type Context = Omit<BiasCorrectionOptions, "form">;

function addShift({ node }: CorrectedLayer, shift: Float64Array | string): true | string {
  return typeof shift === "string" ? shift : addToBias(node, shift);
}

/** −(W̃ − W) · E[x] of every layer, or the reason why it is not known. */
async function analyticShifts(
  layers: readonly CorrectedLayer[],
  original: Model,
  context: Context,
): Promise<(Float64Array | string)[]> {
  const { statistics = new Map(), runtime, data } = context;
  const means = new Map<CorrectedLayer, Float64Array>();
  for (const layer of layers) {
    const known = expectedMeans(layer.original.node.input(0), statistics);
    if (known?.length === layer.original.inputs) means.set(layer, known);
  }
  const unknown = layers.filter((layer) => !means.has(layer));
  if (runtime !== undefined && data !== undefined) {
    const points = unknown.map(({ original: { node, axis } }) => ({ value: node.input(0), axis }));
    const found = await meansOf(original, points, context, data, runtime);
    unknown.forEach((layer, i) => {
      const mean = found[i];
      if (mean?.length === layer.original.inputs) means.set(layer, mean);
    });
  }
  return layers.map((layer) => {
    const mean = means.get(layer);
    return mean === undefined
      ? "the means of its input are not known: neither batch normalizations nor data tell"
      : weightShift(layer, mean);
  });
}

/** Padding counts as if it had the mean of the inside (the paper does so, too). */
function weightShift({ node, original }: CorrectedLayer, means: Float64Array): Float64Array | string {
  const rounded = storedFloats(node.input(1));
  const weight = original.weight.constant!.floats();
  if (rounded?.length !== weight.length) return "its weight is stored in a form that is not known";
  const alpha = { before: original.node.float("alpha", 1), after: node.float("alpha", 1) };
  const shift = new Float64Array(original.outputs);
  const { inner } = original;
  forEachBlock(original, (block, output, input) => {
    let sum = 0;
    for (let k = block * inner; k < (block + 1) * inner; k++)
      sum += alpha.before * weight[k]! - alpha.after * rounded[k]!;
    shift[output]! += sum * means[input]!;
  });
  return shift;
}

/** E[y] − E[ỹ], stage by stage; every stage is corrected in `copy` before the next one is measured. */
async function empiricalShifts(
  layers: readonly CorrectedLayer[],
  copy: Model,
  original: Model,
  context: Context,
): Promise<(Float64Array | string)[]> {
  const { runtime, data, passes = 64, progress, ...rest } = context;
  const points = layers.map(({ original: { node, axis } }) => ({ value: node.output(), axis }));
  const wanted = await meansOf(original, points, context, data!, runtime!);
  const shifts: (Float64Array | string)[] = layers.map(() => "the data never reach it");
  const stages = stagesOf(layers, copy, passes);
  for (const [index, stage] of stages.entries()) {
    progress?.("correcting biases", index, stages.length);
    const own = stage.map((i) => ({ value: layers[i]!.node.output(), axis: layers[i]!.original.axis }));
    // Looking at sizes costs as much as measuring a few values.
    const limits = own.length <= FEW ? { ...rest, budget: Number.POSITIVE_INFINITY } : rest;
    const found = await meansOf(copy, own, limits, data!, runtime!);
    stage.forEach((i, position) => {
      const [before, after] = [wanted[i], found[position]];
      if (before === undefined || after?.length !== before.length) return;
      const shift = before.map((mean, c) => mean - after[c]!);
      if (!shift.every(Number.isFinite)) shifts[i] = "its output is not finite on the data";
      else {
        const added = addToBias(layers[i]!.node, shift);
        shifts[i] = added === true ? shift : added;
      }
    });
  }
  progress?.("correcting biases", stages.length, stages.length);
  return shifts;
}

/** Values that are measured together without looking at their sizes first. */
const FEW = 4;

/** Means per channel of values, by position. */
async function meansOf(
  model: Model,
  points: readonly { readonly value: Value; readonly axis: number }[],
  { budget = 256, progress, signal }: Pick<Context, "budget" | "progress" | "signal">,
  data: DataSource,
  runtime: Runtime,
): Promise<(Float64Array | undefined)[]> {
  const means = new Map(points.map(({ value, axis }) => [value, new ChannelMeans(axis)]));
  const observe = (value: Value, tensor: { floats(): Float32Array; readonly dims: readonly number[] }): void =>
    means.get(value)!.add(tensor.floats(), tensor.dims);
  const limits = { budget: budget * 1e6, session: SIMULATED, progress, signal };
  await collect(model, runtime, [...means.keys()], data, observe, limits);
  return points.map(({ value }) => means.get(value)!.means());
}

/** The first samples of a source. */
function firstOf(source: DataSource, count: number): DataSource {
  return {
    ...source,
    name: source.name,
    length: Math.min(source.length ?? count, count),
    async *samples() {
      let left = count;
      for await (const sample of source.samples()) {
        if (left-- <= 0) return;
        yield sample;
      }
    },
  };
}
