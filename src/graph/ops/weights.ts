/**
 * @file Which inputs of which operators are weights, and along which axis their output channels lie.
 * Source: ONNX operator specifications (Conv-11, ConvTranspose-11, Gemm-13, MatMul-13, Gather-13, LSTM-14, GRU-14, RNN-14).
 */
import type { Node } from "../node.ts";

export interface WeightFact {
  /** Position of the weight among the inputs. */
  readonly input: number;
  /** Axis of the output channels in a weight of these dimensions; undefined: none, use one scale for all. */
  axis(node: Node, dims: readonly number[]): number | undefined;
}

export const WEIGHTS: Readonly<Record<string, readonly WeightFact[]>> = {
  // W [O, I/g, k…]
  Conv: [{ input: 1, axis: () => 0 }],
  // W [I, O/g, k…]: with groups, a row of O/g channels repeats, and one scale per channel does not fit an axis.
  ConvTranspose: [{ input: 1, axis: (node) => (node.int("group", 1) === 1 ? 1 : undefined) }],
  // B […, K, N], and A [M, K] where that is the constant one
  MatMul: [
    { input: 1, axis: (_node, dims) => (dims.length < 2 ? undefined : dims.length - 1) },
    { input: 0, axis: (_node, dims) => (dims.length < 2 ? undefined : dims.length - 2) },
  ],
  // B [K, N], or [N, K] with transB; A [M, K], or [K, M] with transA
  Gemm: [
    { input: 1, axis: (node) => (node.int("transB", 0) !== 0 ? 0 : 1) },
    { input: 0, axis: (node) => (node.int("transA", 0) !== 0 ? 1 : 0) },
  ],
  // rows of a table
  Gather: [{ input: 0, axis: (node, dims) => (dims.length < 2 ? undefined : node.int("axis", 0)) }],
  // W [D, 4·H, I], R [D, 4·H, H]
  LSTM: [
    { input: 1, axis: () => 1 },
    { input: 2, axis: () => 1 },
  ],
  GRU: [
    { input: 1, axis: () => 1 },
    { input: 2, axis: () => 1 },
  ],
  RNN: [
    { input: 1, axis: () => 1 },
    { input: 2, axis: () => 1 },
  ],
};

/** Whether a Conv has one input channel per group: little to compute per weight, and sensitive to rounding. */
export function isDepthwise(node: Node): boolean {
  if (!node.is("Conv") || node.int("group", 1) === 1) return false;
  return node.inputs[1]?.shape?.[1] === 1;
}
