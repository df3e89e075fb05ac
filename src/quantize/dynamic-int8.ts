/**
 * @file Scheme dynamic-int8: weights in 8 bits, activations quantized while the model runs, from each tensor's own range.
 * Needs no data. PyTorch's `quantize_dynamic`.
 *
 *   xq, xs, xz = DynamicQuantizeLinear(x)          uint8, per tensor
 *   y = Cast(MatMulInteger(xq, wq, xz, wz)) · (xs · ws)     ws per output channel
 *
 * Weights of MatMul and Gemm are int8 (zero point 0); those of Conv uint8 (zero point 128): ConvInteger with int8 weights
 * runs ten times slower. Per channel only the scale differs, so a scalar zero point serves.
 *
 * On x86 without VNNI u8×s8 sums saturate, and activations use all codes here: by default int8 weights get scales with
 * which that cannot happen (saturation/safe-scales.ts). uint8 weights would be exact, too, and keep all 8 bits, but ONNX
 * Runtime runs u8×u8 in 16-bit kernels on nearly all x86: 1.2–1.4 times slower than u8×s8 where there is no VNNI, and
 * without VNNI's help where there is.
 * Source: ONNX DynamicQuantizeLinear-11, MatMulInteger-10, ConvInteger-10.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { upgradeOpset } from "../passes/upgrade-opset.ts";
import { observeShapes } from "../runtime/collect.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type Candidate, findCandidates, refuseQuantized, slowReason } from "./candidates.ts";
import { firstFeeds } from "./first-feeds.ts";
import { type CommonOptions, computedOptions } from "./options.ts";
import { safeScalesOf } from "./saturation/check.ts";
import { type RangeMode, reduceRangeOption, saturatesSomewhere } from "./saturation/mode.ts";
import { storeRemaining } from "./store-remaining.ts";
import { quantizeWeight } from "./weight.ts";

/** DynamicQuantizeLinear came with opset 11; 13 is what runtimes test most. */
const OPSET = 13;

const FLOAT32 = 1;

export const dynamicInt8 = defineStep({
  name: "dynamic-int8",
  summary: "Compute Conv, MatMul and Gemm in 8 bits; activations are quantized while the model runs",
  options: z.object({
    ...computedOptions,
    reduceRange: reduceRangeOption("as little as makes saturation impossible"),
  }),
  needs: [],
  async run(model, options, context): Promise<StepReport> {
    refuseQuantized(model);
    upgradeOpset(model, OPSET);
    const { found, leftAlone: declined } = findCandidates(model, options);
    const leftAlone: LeftAlone[] = [...declined];
    const feeds = await firstFeeds(context.calibration);
    const shapes =
      context.runtime !== undefined && feeds !== undefined
        ? // Shapes only say how many rows a product has: without them the most common case counts.
          await observeShapes(model, context.runtime, feeds).catch(() => undefined)
        : undefined;
    const inputs = new Map<Value, QuantizedInput>();
    const weights = new Map<Value, Map<string, WeightValues>>();
    let changed = 0;
    for (const [index, candidate] of found.entries()) {
      context.progress?.("quantizing", index, found.length);
      context.signal?.throwIfAborted();
      const { node, weight, bias } = candidate;
      const slow = options.force ? undefined : slowReason(candidate, "dynamic", options.target, shapes);
      const reason = slow ?? obstacle(candidate);
      const quantized = reason ?? quantizeOnce(candidate, options, weights);
      if (typeof quantized === "string") {
        leftAlone.push({ subject: node.label, opType: node.opType, reason: quantized });
        continue;
      }
      rewrite(candidate, quantized, inputs);
      for (const value of [weight, bias]) {
        if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
      }
      changed++;
    }
    const stored = options.storeRest ? storeRemaining(model, options, leftAlone) : 0;
    return {
      changed: changed + stored,
      changes: [`${changed} computed in 8 bits`, ...(stored > 0 ? [`${stored} weights stored in 8 bits`] : [])],
      leftAlone,
    };
  },
});

function obstacle({ kind, weight }: Candidate): string | undefined {
  if (kind !== "conv" && kind !== "conv-depthwise") return undefined;
  return weight.initializer!.dims.length === 4 ? undefined : "ConvInteger runs in two dimensions only";
}

interface WeightValues {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** A weight that several nodes share is quantized and stored once. Two branches may have values of one name. */
function quantizeOnce(
  candidate: Candidate,
  options: CommonOptions & { readonly reduceRange: RangeMode },
  weights: Map<Value, Map<string, WeightValues>>,
): WeightValues | string {
  const { node, kind, weight, axis } = candidate;
  const { reduceRange, minSqnr, force } = options;
  const convolution = kind === "conv" || kind === "conv-depthwise";
  const dtype = convolution ? "uint8" : "int8";
  const safe = !convolution && reduceRange === "auto" && saturatesSomewhere(options.target);
  const transpose = kind === "gemm" && axis === 0;
  const factor = kind === "gemm" ? node.float("alpha", 1) : 1;
  const cache = weights.get(weight) ?? new Map<string, WeightValues>();
  const key = `${dtype} ${axis} ${factor}`;
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const quantized = quantizeWeight(weight, {
    dtype,
    granularity: { kind: "per-axis", axis },
    reduceRange: reduceRange === "on",
    minScale: safe ? safeScalesOf(candidate) : undefined,
    transpose,
    factor,
  });
  if (typeof quantized === "string") return quantized;
  if (quantized.sqnr < minSqnr && !force) {
    return `its SQNR would be ${quantized.sqnr.toFixed(1)} dB, under ${minSqnr} dB`;
  }
  const { graph, name } = weight;
  const channels = quantized.qparams.scale.length;
  const rank = weight.initializer!.dims.length;
  const scaleDims = convolution ? [1, channels, ...new Array<number>(rank - 2).fill(1)] : [channels];
  const values: WeightValues = {
    codes: graph.addInitializer(`${name}_${dtype}`, quantized.codes),
    scale: graph.addInitializer(`${name}_scale`, Tensor.float32(scaleDims, quantized.qparams.scale)),
    zeroPoint: graph.addInitializer(`${name}_zero_point`, Tensor.scalar(dtype, quantized.qparams.zeroPoint[0]!)),
  };
  cache.set(key, values);
  weights.set(weight, cache);
  return values;
}

interface QuantizedInput {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** DynamicQuantizeLinear behind a value, once for all its users in one graph. */
function quantizeInput(x: Value, user: Node, cache: Map<Value, QuantizedInput>): QuantizedInput {
  const graph = user.graph!;
  const cached = cache.get(x);
  // What a subgraph quantized is not visible outside of it.
  if (cached?.codes.graph === graph) return cached;
  const node = graph.add("DynamicQuantizeLinear", [x], {
    name: `${x.name}_quantize`,
    outputs: [`${x.name}_uint8`, `${x.name}_scale`, `${x.name}_zero_point`],
    ...placeAfter(graph, x, user),
  });
  const quantized = { codes: node.output(0), scale: node.output(1), zeroPoint: node.output(2) };
  cache.set(x, quantized);
  return quantized;
}

function placeAfter(graph: Graph, x: Value, user: Node): { readonly after: Node } | { readonly before: Node } {
  return x.producer !== undefined && x.producer.graph === graph ? { after: x.producer } : { before: user };
}

function rewrite({ node, kind, x, bias }: Candidate, weight: WeightValues, inputs: Map<Value, QuantizedInput>): void {
  const graph = node.graph!;
  const { label } = node;
  const quantized = quantizeInput(x, node, inputs);
  const convolution = kind === "conv" || kind === "conv-depthwise";
  const product = graph.add(
    convolution ? "ConvInteger" : "MatMulInteger",
    [quantized.codes, weight.codes, quantized.zeroPoint, weight.zeroPoint],
    { name: `${label}_integer`, before: node },
  );
  if (convolution) for (const [name, attribute] of node.attributes) product.attributes.set(name, attribute);
  const cast = graph.add("Cast", [product.output()], {
    name: `${label}_cast`,
    before: node,
    attributes: { to: { int: FLOAT32 } },
  });
  const scale = graph.add("Mul", [quantized.scale, weight.scale], { name: `${label}_scale`, before: node });
  let last = graph.add("Mul", [cast.output(), scale.output()], { name: `${label}_scaled`, before: node });
  const summand = kind === "gemm" ? scaledC(node, bias) : bias && perChannel(bias, weight);
  if (summand !== undefined) {
    last = graph.add("Add", [last.output(), summand], { name: `${label}_bias`, before: node });
  }
  takeOver(node, last);
}

/** The node's output is made by `last` from now on. */
function takeOver(node: Node, last: Node): void {
  const output = node.output();
  const graph = node.graph!;
  node.setOutputs([]);
  last.setOutputs([output]);
  graph.remove(node);
}

/** Conv's bias [O] as [1, O, 1, …]. */
function perChannel(bias: Value, weight: WeightValues): Value {
  const tensor = bias.constant!;
  return bias.graph.addInitializer(
    `${bias.name}_channels`,
    new Tensor(tensor.dtype, weight.scale.shape as number[], tensor.source),
  );
}

/** β · C of Gemm. */
function scaledC(node: Node, c: Value | undefined): Value | undefined {
  const beta = node.float("beta", 1);
  if (c === undefined || beta === 0) return undefined;
  if (beta === 1) return c;
  const graph = node.graph!;
  const factor = graph.addInitializer(`${node.label}_beta`, Tensor.scalar("float32", beta));
  return graph.add("Mul", [c, factor], { name: `${node.label}_c`, before: node }).output();
}
