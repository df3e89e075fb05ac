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
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Granularity } from "./granularity.ts";
import { type CommonOptions, commonOptions, leftOut } from "./options.ts";
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

/** Float constants with two or more real dimensions, of all graphs, each once (so tied weights stay tied). */
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
      if (users.length === 0 || users.some(isBarrier)) continue;
      const known = users.map((user) => ({ user, axis: axisFor(user, value) })).find((use) => use.axis !== undefined);
      const axis = known?.axis ?? 0;
      weights.push({ value, user: known?.user ?? users[0]!, granularity: { kind: "per-axis", axis } });
    }
  }
  return weights;
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
  { value, user, granularity }: StoredWeight,
  options: CommonOptions,
  storage: (typeof STORAGE_FORMS)[number],
): string | undefined {
  const out = leftOut({ label: user.label, opType: user.opType }, options);
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

/** Makes every user of the constant read codes times scale. */
function replaceByCodes(value: Value, quantized: QuantizedWeight, storage: (typeof STORAGE_FORMS)[number]): void {
  const { graph } = value;
  const { dtype, dims } = value.initializer!;
  const { scale, granularity } = quantized.qparams;
  const { name } = value;
  const codes = graph.addInitializer(`${name}_int8`, quantized.codes);
  const first = graph.nodes().next().value;
  const perAxis = granularity.kind === "per-axis" ? granularity : undefined;
  let scales = Tensor.float32(perAxis ? [scale.length] : [], scale);
  if (dtype === "float16") scales = scales.toFloat16();
  let result: Value;
  if (storage === "dequantize-linear") {
    const node = graph.add("DequantizeLinear", [codes, graph.addInitializer(`${name}_scale`, scales)], {
      name: `${name}_dequantize`,
      before: first,
      ...(perAxis && { attributes: { axis: { int: perAxis.axis } } }),
    });
    result = node.output();
  } else {
    // Dimensions of the scale: 1 everywhere but on the axis, so that it broadcasts.
    const shape = perAxis ? dims.map((dim, axis) => (axis === perAxis.axis ? dim : 1)) : [];
    const broadcast = new Tensor(scales.dtype, shape, scales.source);
    const to = dtype === "float16" ? 10 : 1;
    const cast = graph.add("Cast", [codes], { name: `${name}_cast`, before: first, attributes: { to: { int: to } } });
    const mul = graph.add("Mul", [cast.output(), graph.addInitializer(`${name}_scale`, broadcast)], {
      name: `${name}_unpack`,
      after: cast,
    });
    result = mul.output();
  }
  graph.replaceAllUsesWith(value, result);
  graph.removeInitializer(value);
}
