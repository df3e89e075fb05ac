/**
 * @file Matrix products. The inner axis ends in them; rows and columns go on. Weights are constants, or computed from
 * constants; products of two activations (attention) join the axes of both.
 */
import type { Axis } from "../ids.ts";
import type { RuleContext, Rules } from "../rule.ts";
import { broadcastAxes } from "./elementwise.ts";

/** Y […, M, N] = A […, M, K] · B […, K, N]; without M where A is a vector, without N where B is one. */
const matmul = (c: RuleContext): void => {
  const [a, b] = [c.axes(0)!, c.axes(1)!];
  const [aRank, bRank] = [a.length, b.length];
  const inner = bRank === 1 ? 0 : bRank - 2;
  c.join(a[aRank - 1], b[inner]);
  sinkOf(c, aRank - 1, inner);
  const rows = aRank > 1 ? [a[aRank - 2]] : [];
  const columns = bRank > 1 ? [b[bRank - 1]] : [];
  const dims = c.outputDims();
  const own = rows.length + columns.length;
  const batch = batchAxes(c, dims.slice(0, dims.length - own));
  c.setOutput([...batch, ...rows, ...columns]);
  if (bRank > 1 && c.isWeight(1)) c.source(1, bRank - 1, dims.length - 1);
  if (aRank > 1 && c.isWeight(0)) c.source(0, aRank - 2, dims.length - 1 - columns.length);
};

/** Axes before the matrices broadcast. */
function batchAxes(c: RuleContext, dims: readonly number[]): Axis[] {
  const inputs = [0, 1].filter((index) => c.inputDims(index).length > 2);
  return broadcastAxes(c, dims, inputs, 2);
}

/** Channels are ended in the weight, where one is a weight. */
function sinkOf(c: RuleContext, aAxis: number, bAxis: number): void {
  if (c.isWeight(0) && !c.isWeight(1)) c.sink(0, aAxis);
  else c.sink(1, bAxis);
}

/** Y [M, N] = α · A' B' + β · C, with C broadcast to [M, N] */
const gemm = (c: RuleContext): void => {
  const a = c.node.int("transA", 0) === 0 ? [0, 1] : [1, 0];
  const b = c.node.int("transB", 0) === 0 ? [0, 1] : [1, 0];
  const [A, B] = [c.axes(0)!, c.axes(1)!];
  c.join(A[a[1]!], B[b[0]!]);
  sinkOf(c, a[1]!, b[0]!);
  const y = [A[a[0]!], B[b[1]!]];
  const dims = c.outputDims();
  const bias = c.axes(2);
  if (bias !== undefined) {
    const own = c.inputDims(2);
    own.forEach((size, axis) => {
      const at = axis + 2 - own.length;
      if (size === dims[at] && size > 1) y[at] = c.join(y[at], bias[axis]);
    });
  }
  c.setOutput(y);
  if (c.isWeight(1)) c.source(1, b[1]!, 1);
  if (c.isWeight(0)) c.source(0, a[0]!, 0);
};

/** Axes of one letter are one axis; a letter that is not in the result is summed over. */
const einsum = (c: RuleContext): void => {
  const equation = c.node.string("equation", "").replace(/\s+/g, "");
  const [left, right] = equation.split("->") as [string, string | undefined];
  const terms = left.split(",");
  const diagonal = terms.some((term) => new Set(term).size < term.length);
  if (right === undefined || equation.includes(".") || diagonal) {
    c.refuse("its equation has an ellipsis or a diagonal, or leaves the result to be guessed");
    return;
  }
  const letters = new Map<string, Axis>();
  terms.forEach((term, input) => {
    [...term].forEach((letter, axis) => {
      const ids = c.axes(input)![axis];
      letters.set(letter, letters.has(letter) ? c.join(letters.get(letter), ids) : ids);
    });
  });
  const weight = terms.findIndex((_term, input) => c.isWeight(input));
  for (const [letter, axis] of letters) {
    if (right.includes(letter)) continue;
    const preferred =
      weight >= 0 && terms[weight]!.includes(letter) ? weight : terms.findIndex((t) => t.includes(letter));
    if (axis !== undefined) c.sink(preferred, terms[preferred]!.indexOf(letter));
  }
  c.setOutput([...right].map((letter) => letters.get(letter)));
  if (weight < 0) return;
  [...right].forEach((letter, axis) => {
    const only = terms.every((term, input) => input === weight || !term.includes(letter));
    if (only) c.source(weight, terms[weight]!.indexOf(letter), axis);
  });
};

export const LINALG: Rules = { MatMul: matmul, Gemm: gemm, Einsum: einsum };
