/**
 * @file Scheme weight-int8: weights are stored in 8 bits, everything is computed in float as before.
 *
 * Two forms, both valid ONNX:
 * - `cast`: `Mul(Cast(codes), scale)`. ONNX Runtime computes constants once, at load: the model then runs exactly as fast
 *   as the original on every target, and needs no session option. Works from opset 7 on.
 * - `dequantize-linear`: `DequantizeLinear(codes, scale)`, the form other tools know. ONNX Runtime keeps it when loading
 *   and rewrites MatMuls to integer kernels: much faster with few rows on node-cpu, many times slower on web-wasm unless
 *   the session has the option `disable_quant_qdq`. Needs opset 13.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { WEIGHTS } from "../graph/ops/weights.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import { upgradeOpset } from "../passes/upgrade-opset.ts";
import { leftOut } from "../step/choice.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Granularity } from "./granularity.ts";
import { type CommonOptions, commonOptions } from "./options.ts";
import { type QuantizedWeight, quantizeWeight } from "./weight.ts";

export const STORAGE_FORMS = ["cast", "dequantize-linear"] as const;

export const weightInt8 = defineStep({
  name: "weight-int8",
  summary: "Store weights in 8 bits, one scale per channel; compute in float",
  options: z.object({
    ...commonOptions,
    storage: z
      .enum(STORAGE_FORMS)
      .default("cast")
      .describe("cast: unfolded at load, float speed everywhere; dequantize-linear: the form other tools know"),
  }),
  needs: [],
  run(model, options, context): StepReport {
    if (options.storage === "dequantize-linear") upgradeOpset(model, 13);
    const found = findWeights(model);
    const leftAlone: LeftAlone[] = [];
    let changed = 0;
    for (const [index, weight] of found.entries()) {
      context.progress?.("quantizing weights", index, found.length);
      context.signal?.throwIfAborted();
      const reason = storeWeight(weight, options, options.storage);
      if (reason === undefined) changed++;
      else leftAlone.push(describe(weight, reason));
    }
    context.progress?.("quantizing weights", found.length, found.length);
    return { changed, leftAlone };
  },
});

/** A constant that is worth storing in fewer bits, and the axis that gets one scale per index. */
export interface StoredWeight {
  readonly value: Value;
  /** The operator that has it as a weight; any user where no table knows one. */
  readonly user: Node;
  readonly granularity: Granularity;
}

/** Float weights with two or more real dimensions, of all graphs, each once (so tied weights stay tied). */
export function findWeights(model: Model): StoredWeight[] {
  const weights: StoredWeight[] = [];
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      const tensor = value.constant;
      if (tensor === undefined || tensor.dims.length < 2 || value.isOutput) continue;
      if (tensor.dtype !== "float32" && tensor.dtype !== "float16") continue;
      // One number per channel in any layout ([1, C, 1, 1]) is a scale or a bias, no weight.
      if (tensor.dims.filter((dim) => dim > 1).length < 2) continue;
      const users = [...value.users];
      if (users.length === 0 || users.some(isBarrier) || !becomesWeight(value)) continue;
      const known = users.map((user) => ({ user, axis: axisFor(user, value) })).find((use) => use.axis !== undefined);
      const axis = known?.axis ?? 0;
      weights.push({ value, user: known?.user ?? users[0]!, granularity: { kind: "per-axis", axis } });
    }
  }
  return weights;
}

/** Operators that pass parts of a constant on: exporters slice and join the weights of recurrent layers with them. */
const MOVES: ReadonlySet<string> = new Set([
  "Concat",
  "Expand",
  "Flatten",
  "Identity",
  "Reshape",
  "Slice",
  "Split",
  "Squeeze",
  "Transpose",
  "Unsqueeze",
]);

/** Steps from a constant to the operator that has it as a weight; real chains have four. */
const LONGEST_CHAIN = 8;

/** Whether the value is a weight of some operator, directly or moved about. Tables of coordinates are none, and stay. */
function becomesWeight(value: Value, steps = LONGEST_CHAIN): boolean {
  for (const user of value.users) {
    if (user.domain !== "") continue;
    if (WEIGHTS[user.opType]?.some(({ input }) => user.inputs[input] === value)) return true;
    if (steps === 0 || !MOVES.has(user.opType)) continue;
    if (user.outputs.some((output) => output !== undefined && becomesWeight(output, steps - 1))) return true;
  }
  return false;
}

function axisFor(user: Node, value: Value): number | undefined {
  const facts = user.domain === "" ? WEIGHTS[user.opType] : undefined;
  const fact = facts?.find(({ input }) => user.inputs[input] === value);
  return fact?.axis(user, value.initializer!.dims);
}

/** How reports name a weight that was left alone. */
export function describe(weight: StoredWeight, reason: string): LeftAlone {
  return { subject: weight.value.name, opType: weight.user.opType, reason };
}

/** Stores one weight in 8 bits. Returns the reason where it is left alone. */
export function storeWeight(
  { value, granularity }: StoredWeight,
  options: CommonOptions,
  storage: (typeof STORAGE_FORMS)[number],
): string | undefined {
  // Several nodes may have it (tied weights): one that must not change is enough, one that should is needed.
  const users = [...value.users];
  const out =
    users.map((node) => leftOut(node, { ...options, include: [], ops: [] })).find((reason) => reason !== undefined) ??
    firstOfAll(users.map((node) => leftOut(node, options)));
  if (out !== undefined) return out;
  const tensor = value.constant!;
  if (tensor.size < options.minElements) return `it has ${tensor.size} elements, fewer than ${options.minElements}`;
  const quantized = quantizeWeight(value, { dtype: "int8", granularity });
  if (typeof quantized === "string") return quantized;
  const overhead = 4 * quantized.qparams.scale.length;
  if (quantized.codes.byteLength + overhead >= tensor.byteLength * 0.75) return "its scales would take what it saves";
  if (quantized.sqnr < options.minSqnr && !options.force) {
    return `its SQNR would be ${quantized.sqnr.toFixed(1)} dB, under ${options.minSqnr} dB`;
  }
  replaceByCodes(value, quantized, storage);
  return undefined;
}

/** The first reason where all have one. */
function firstOfAll(reasons: readonly (string | undefined)[]): string | undefined {
  return reasons.includes(undefined) ? undefined : reasons[0];
}

/**
 * Makes every user of the constant read codes times scale. The product is a float32 one for float16 weights as well:
 * float16 scales of small weights would lose what 8 bits keep, and DequantizeLinear has none before opset 19.
 */
function replaceByCodes(value: Value, quantized: QuantizedWeight, storage: (typeof STORAGE_FORMS)[number]): void {
  const { graph, name } = value;
  const { dtype, dims } = value.initializer!;
  const { scale, granularity } = quantized.qparams;
  const axis = granularity.kind === "per-axis" ? granularity.axis : undefined;
  const codes = graph.addInitializer(`${name}_int8`, quantized.codes);
  const before = { before: graph.nodes().next().value };
  const scaleDims = axis === undefined ? [] : [scale.length];
  let last: Node;
  if (storage === "dequantize-linear") {
    // Without a zero point, ONNX Runtime's transpose optimizer takes the codes for uint8 (onnxruntime#28716).
    const parameters = [
      graph.addInitializer(`${name}_scale`, Tensor.float32(scaleDims, scale)),
      graph.addInitializer(`${name}_zero_point`, Tensor.of("int8", scaleDims, new Int8Array(scale.length))),
    ];
    last = graph.add("DequantizeLinear", [codes, ...parameters], { name: `${name}_dequantize`, ...before });
    if (axis !== undefined) last.set("axis", { int: axis });
  } else {
    // Dimensions of the scale: 1 everywhere but on the axis, so that it broadcasts.
    const broadcast = axis === undefined ? [] : dims.map((dim, index) => (index === axis ? dim : 1));
    const scales = graph.addInitializer(`${name}_scale`, Tensor.float32(broadcast, scale));
    const to = { to: { int: DTYPES.float32.code } };
    const cast = graph.add("Cast", [codes], { name: `${name}_cast`, attributes: to, ...before });
    last = graph.add("Mul", [cast.output(), scales], { name: `${name}_unpack`, after: cast });
  }
  if (dtype === "float16") {
    const to = { to: { int: DTYPES.float16.code } };
    last = graph.add("Cast", [last.output()], { name: `${name}_half`, attributes: to, after: last });
  }
  graph.replaceAllUsesWith(value, last.output());
  graph.removeInitializer(value);
  if (storage === "dequantize-linear") {
    // ONNX Runtime 1.30 aborts the process on a Transpose without perm behind a DequantizeLinear with an axis.
    const perm = dims.map((_dim, index) => dims.length - 1 - index);
    for (const user of last.output().users) {
      if (user.is("Transpose") && !user.has("perm")) user.set("perm", { ints: perm });
    }
  }
}
