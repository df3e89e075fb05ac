/**
 * @file Writes operators that ONNX Runtime fuses into a model when it saves an optimized one as the ONNX operators that they
 * stand for: for what knows only those, gradients above all.
 *
 *   Gelu          y = x Φ(x)                      BiasGelu   the same of x + bias
 *   FastGelu      y = x (1 + tanh(√(2/π)(x + 0.044715 x³))) / 2, of x + bias where there is one
 *   QuickGelu     y = x σ(α x)
 *   FusedMatMul   y = α · A B, either transposed in its last two axes
 *   SkipLayerNormalization, SkipSimplifiedLayerNormalization, SimplifiedLayerNormalization (RMS)
 *
 * Source: onnxruntime, docs/ContribOperators.md.
 */
import { z } from "zod";
import { Builder, OLDEST_BUILDER_OPSET } from "../graph/builder.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";

const DOMAIN = "com.microsoft";

/** What stands for the node's outputs; a reason where it stays. */
type Expansion = (b: Builder, node: Node) => readonly (Value | undefined)[] | string;

const biased = (b: Builder, node: Node): Value => {
  const bias = node.inputs[1];
  return bias === undefined ? node.input(0) : b.add(node.input(0), bias);
};

function gelu(b: Builder, x: Value): Value {
  const cumulative = b.scale(b.offset(b.op("Erf", [b.scale(x, Math.SQRT1_2)]), 1), 0.5);
  return b.mul(x, cumulative);
}

function tanhGelu(b: Builder, x: Value): Value {
  const [a, k] = [0.044715, Math.sqrt(2 / Math.PI)];
  const t = b.op("Tanh", [b.mul(x, b.offset(b.scale(b.square(x), k * a), k))]);
  return b.scale(b.mul(x, b.offset(t, 1)), 0.5);
}

/** y = x / √(mean(x²) + ε) · scale over the last axis. */
function rootMeanSquare(b: Builder, node: Node, x: Value, scale: Value, fallback: number): Value {
  const root = b.op("Sqrt", [b.offset(b.mean(b.square(x), [-1]), node.float("epsilon", fallback))]);
  return b.mul(b.div(x, root), scale);
}

/** (input, skip, gamma, …) → y, and as the fourth output input + skip (+ bias). */
function skipped(b: Builder, node: Node, biasAt: number): Value {
  const sum = b.add(node.input(0), node.input(1));
  const bias = node.inputs[biasAt];
  return bias === undefined ? sum : b.add(sum, bias);
}

const asksStatistics = (node: Node): boolean => node.outputs.slice(1, 3).some((value) => value && !value.isUnused);

const EXPANSIONS: Readonly<Record<string, Expansion>> = {
  Gelu: (b, node) => [gelu(b, node.input(0))],
  BiasGelu: (b, node) => [gelu(b, biased(b, node))],
  FastGelu: (b, node) => [tanhGelu(b, biased(b, node))],
  QuickGelu: (b, node) => [b.mul(node.input(0), b.op("Sigmoid", [b.scale(node.input(0), node.float("alpha", 1.702))]))],
  FusedMatMul: (b, node) => {
    if (node.int("transBatchA", 0) === 1 || node.int("transBatchB", 0) === 1) return "it transposes its batch";
    const operands = (["transA", "transB"] as const).map((name, i) => {
      const value = node.input(i);
      if (node.int(name, 0) === 0) return value;
      const rank = value.shape?.length;
      if (rank === undefined) return undefined;
      // A vector's transpose is itself.
      const perm = Array.from({ length: rank }, (_, axis) => axis);
      return rank < 2 ? value : b.transpose(value, [...perm.slice(0, -2), rank - 1, rank - 2]);
    });
    if (operands.includes(undefined)) return "the rank of what it transposes is not known";
    const product = b.op("MatMul", operands as Value[]);
    const alpha = node.float("alpha", 1);
    return [alpha === 1 ? product : b.scale(product, alpha)];
  },
  SkipLayerNormalization: (b, node) => {
    if (asksStatistics(node)) return "its statistics are used";
    const sum = skipped(b, node, 4);
    const inputs = [sum, node.input(2), ...(node.inputs[3] ? [node.inputs[3]] : [])];
    const epsilon = { float: node.float("epsilon", 1e-12) };
    return [b.op("LayerNormalization", inputs, { axis: { int: -1 }, epsilon }), undefined, undefined, sum];
  },
  SkipSimplifiedLayerNormalization: (b, node) => {
    if (asksStatistics(node)) return "its statistics are used";
    const sum = skipped(b, node, 3);
    return [rootMeanSquare(b, node, sum, node.input(2), 1e-12), undefined, undefined, sum];
  },
};

/** In ONNX's own domain, but not of its specification. */
const SIMPLIFIED = "SimplifiedLayerNormalization";

export const expandFused = defineStep({
  name: "expand-fused",
  summary: "Write ONNX Runtime's fused operators as the ONNX operators that they stand for",
  options: z.object({}),
  needs: [],
  run(model: Model) {
    const changes: string[] = [];
    const leftAlone: LeftAlone[] = [];
    // LayerNormalization came with opset 17, and the builder writes no opset before 13.
    const nodes = model.opset < Math.max(OLDEST_BUILDER_OPSET, 17) ? [] : [...model.graph.nodes()];
    for (const node of nodes) {
      const own = node.domain === DOMAIN && Object.hasOwn(EXPANSIONS, node.opType);
      const simplified = node.is(SIMPLIFIED) && node.int("axis", -1) === -1 && !asksStatistics(node);
      if (!own && !simplified) continue;
      const b = new Builder(model.graph, `${node.label}/`);
      const results = own
        ? EXPANSIONS[node.opType]!(b, node)
        : [rootMeanSquare(b, node, node.input(0), node.input(1), 1e-5)];
      if (typeof results === "string") {
        leftAlone.push({ subject: node.label, opType: node.opType, reason: results });
        continue;
      }
      node.outputs.forEach((output, i) => {
        const result = results[i];
        if (output !== undefined && result !== undefined) model.graph.replaceAllUsesWith(output, result);
      });
      model.graph.remove(node);
      changes.push(`${node.label}: ${node.opType}`);
    }
    if (changes.length > 0) model.graph.sort();
    return { changed: changes.length, changes, leftAlone };
  },
});
