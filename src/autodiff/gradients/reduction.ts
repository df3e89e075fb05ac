/**
 * @file Gradients of reductions. Ties of ReduceMax and ReduceMin share evenly, as those of torch.amax and amin.
 * Source: ONNX operator specifications.
 */
import type { Value } from "../../graph/value.ts";
import { areEqual, signOf } from "../masks.ts";
import { defineGradients, type GradientContext, type GradientRow } from "../rule.ts";

/** Smaller than every norm that is not 0. */
const TINY = 1e-30;

/** What a rule of a reduction sees: dy and y in a form that broadcasts to x. */
interface Reduced {
  readonly c: GradientContext;
  readonly x: Value;
  readonly axes: readonly number[];
  /** Number of elements that make one of y. */
  readonly count: number;
  readonly dy: Value;
  y(): Value;
}

export const REDUCTION = defineGradients({
  // y = Σ x: dx = dy
  ReduceSum: reduction((r) => spread(r, r.dy)),
  // y = Σ x / n: dx = dy / n
  ReduceMean: reduction((r) => spread(r, r.c.b.scale(r.dy, 1 / r.count))),
  ReduceMax: reduction(extremum),
  ReduceMin: reduction(extremum),
  ReduceProd: reduction(product),
  // y = Σ |x|: dx = dy · sign(x)
  ReduceL1: reduction((r) => r.c.b.mul(r.dy, signOf(r.c.b, r.x))),
  // y = √(Σ x²): dx = x · dy / y, 0 at 0
  ReduceL2: reduction((r) => r.c.b.mul(r.x, r.c.b.div(r.dy, r.c.b.op("Max", [r.y(), r.c.b.scalar(TINY)])))),
  // y = ln Σ x: dx = dy · e⁻ʸ
  ReduceLogSum: reduction((r) => spread(r, r.c.b.mul(r.dy, r.c.b.op("Exp", [r.c.b.neg(r.y())])))),
  // y = ln Σ eˣ: dx = dy · eˣ⁻ʸ
  ReduceLogSumExp: reduction((r) => r.c.b.mul(r.dy, r.c.b.op("Exp", [r.c.b.sub(r.x, r.y())]))),
  // y = Σ x²: dx = 2 x · dy
  ReduceSumSquare: reduction((r) => r.c.b.mul(r.x, r.c.b.scale(r.dy, 2))),
});

function reduction(formula: (r: Reduced) => Value): GradientRow {
  return {
    rule: (c) => {
      const x = c.x(0);
      const dims = c.dims(x);
      const axes = reducedAxes(c, dims.length);
      const kept = dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
      const count = axes.reduce((product, axis) => product * dims[axis]!, 1);
      const keeps = c.node.int("keepdims", 1) !== 0 || axes.length === 0;
      // Without its leading axes a value still broadcasts to x.
      const leading = count > 1 && axes.every((axis) => axis < axes.length);
      const withAxes = (value: Value): Value => (keeps || leading ? value : c.b.reshape(value, kept));
      return [formula({ c, x, axes, count, dy: withAxes(c.dy()), y: () => withAxes(c.y()) })];
    },
  };
}

/**
 * Not negative, from the attribute or the input. None with `noop_with_empty_axes`: ONNX Runtime then still applies what is
 * not the sum (|x|, x²), and so do the formulas, with one element per sum.
 */
function reducedAxes(c: GradientContext, rank: number): readonly number[] {
  const axes = c.node.ints("axes") ?? c.constants(c.node.inputs[1], "the axes") ?? [];
  if (axes.length > 0) return axes.map((axis) => (axis < 0 ? axis + rank : axis));
  if (c.node.int("noop_with_empty_axes", 0) !== 0) return [];
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** A value as large as y, repeated to x's dimensions. */
function spread({ c, x, count }: Reduced, value: Value): Value {
  return count === 1 ? value : c.b.expand(value, c.dims(x));
}

/** y = max x: dx = dy · [x = y] / number of equal ones */
function extremum({ c, x, dy, y, axes }: Reduced): Value {
  const mask = areEqual(c.b, x, y());
  return c.b.mul(mask, c.b.div(dy, c.b.sum(mask, axes)));
}

/**
 * y = Π x: dxᵢ = dy · Π_{j≠i} xⱼ = dy · P / x'ᵢ where no other factor is 0, with x' = x with 1 for 0 and P = Π x'.
 */
function product({ c, x, dy, axes }: Reduced): Value {
  const { b } = c;
  const isZero = b.op("Equal", [x, b.scalar(0)]);
  const zero = b.indicator(isZero);
  const filled = b.where(isZero, b.scalar(1), x);
  const others = b.sub(b.sum(zero, axes), zero);
  const product = b.reduce("ReduceProd", filled, axes);
  return b.mul(b.div(b.mul(dy, product), filled), areEqual(b, others, b.scalar(0)));
}
