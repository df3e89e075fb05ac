/**
 * @file Gradients of elementwise arithmetic, selection and conversion.
 * Source: ONNX operator specifications; formulas are the textbook's, choices where there is no derivative PyTorch's.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { DTYPES, type DType, dtypeFromCode } from "../../tensor/dtype.ts";
import { isFloatingPoint } from "../../tensor/tensor.ts";
import { areEqual, isPositive, signOf } from "../masks.ts";
import { defineGradients, type GradientContext, type InputGradients } from "../rule.ts";

export const ELEMENTWISE = defineGradients({
  // y = a + b: da = dy, db = dy
  Add: { broadcasts: true, rule: (c) => [c.dy(), c.dy()] },
  // y = a − b: da = dy, db = −dy
  Sub: { broadcasts: true, rule: (c) => [c.dy(), c.wants(1) ? c.b.neg(c.dy()) : undefined] },
  // y = a · b: da = dy · b, db = dy · a
  Mul: {
    broadcasts: true,
    rule: (c) => [c.wants(0) ? c.b.mul(c.dy(), c.x(1)) : undefined, c.wants(1) ? c.b.mul(c.dy(), c.x(0)) : undefined],
  },
  // y = a / b: da = dy / b, db = −dy · y / b
  Div: {
    broadcasts: true,
    rule: (c) => [
      c.wants(0) ? c.b.div(c.dy(), c.x(1)) : undefined,
      c.wants(1) ? c.b.neg(c.b.div(c.b.mul(c.dy(), c.y()), c.x(1))) : undefined,
    ],
  },
  // Of floats always y = a − b · n with n = trunc(a / b): da = dy, db = −dy · n
  Mod: {
    broadcasts: true,
    rule: (c) => {
      if (!c.wants(1)) return [c.dy()];
      const n = c.b.op("Round", [c.b.div(c.b.sub(c.x(0), c.y()), c.x(1))]);
      return [c.dy(), c.b.neg(c.b.mul(c.dy(), n))];
    },
  },
  // y = −x: dx = −dy
  Neg: { rule: (c) => [c.b.neg(c.dy())] },
  // y = |x|: dx = dy · sign(x), 0 at 0
  Abs: { rule: (c) => [c.b.mul(c.dy(), signOf(c.b, c.x(0)))] },
  // y = Σ xᵢ: dxᵢ = dy
  Sum: { broadcasts: true, rule: (c) => c.node.inputs.map(() => c.dy()) },
  // y = Σ xᵢ / n: dxᵢ = dy / n
  Mean: {
    broadcasts: true,
    rule: (c) => {
      const part = c.b.scale(c.dy(), 1 / c.node.inputs.length);
      return c.node.inputs.map(() => part);
    },
  },
  Max: { broadcasts: true, rule: (c) => extremum(c, 1) },
  Min: { broadcasts: true, rule: (c) => extremum(c, -1) },
  // y = min(max(x, low), high): dx = dy inside (low ≤ x ≤ high, so where y = x), dlow = Σ dy below, dhigh = Σ dy above
  Clip: {
    rule: (c) => {
      const { b, node } = c;
      const beyond = (i: number, compare: string): Value | undefined =>
        c.wants(i)
          ? b.reshape(b.sum(b.mul(c.dy(), b.indicator(b.op(compare, [c.x(0), c.x(i)])))), c.dims(c.x(i)))
          : undefined;
      const bounded = node.inputs[1] !== undefined || node.inputs[2] !== undefined;
      const inside = (): Value => (bounded ? b.mul(c.dy(), areEqual(b, c.x(0), c.y())) : c.dy());
      return [c.wants(0) ? inside() : undefined, beyond(1, "Less"), beyond(2, "Greater")];
    },
  },
  // y = condition ? a : b. By Where, not by masks: what is not chosen may be ∞.
  Where: {
    broadcasts: true,
    rule: (c) => [
      undefined,
      c.wants(1) ? c.b.keep(c.x(0), c.dy()) : undefined,
      c.wants(2) ? c.b.where(c.x(0), c.b.scalar(0), c.dy()) : undefined,
    ],
  },
  Identity: { rule: (c) => [c.dy()] },
  Cast: {
    zeroWhere: (node) => !isFloatingPoint(dtypeFromCode(node.int("to"))),
    rule: (c) => [castBack(c, dtypeFromCode(c.node.int("to")))],
  },
  CastLike: {
    zeroWhere: (node) => !isFloatingPoint(likeType(node) ?? "float32"),
    rule: (c) => [castBack(c, likeType(c.node))],
  },
});

/**
 * y = max(x₀, x₁, …), or min with `sign` −1: dxᵢ = dy · [xᵢ = y] / number of equal ones. Ties share evenly, as
 * torch.maximum's do.
 */
function extremum(c: GradientContext, sign: 1 | -1): InputGradients {
  const { b, node } = c;
  const count = node.inputs.length;
  if (count === 1) return [c.dy()];
  if (count === 2) {
    const [i, j] = c.wants(0) ? [0, 1] : [1, 0];
    const [mine, other] = sign === 1 ? [i, j] : [j, i];
    const gradient = b.mul(c.dy(), isPositive(b, b.sub(c.x(mine), c.x(other)), 0.5));
    if (!c.wants(j)) return i === 0 ? [gradient, undefined] : [undefined, gradient];
    return [gradient, b.sub(c.dy(), gradient)];
  }
  const masks = node.inputs.map((_, i) => areEqual(b, c.x(i), c.y()));
  const share = b.div(c.dy(), b.op("Sum", masks));
  return masks.map((mask, i) => (c.wants(i) ? b.mul(share, mask) : undefined));
}

const likeType = (node: Node): DType | undefined => node.input(1).dtype;

/** dy in the type of x; the file need not say which that is. */
function castBack(c: GradientContext, from: DType | undefined): Value {
  const to = c.x(0).dtype;
  if (to !== undefined && to === from) return c.dy();
  if (to === undefined && c.b.opset >= 15) return c.b.op("CastLike", [c.dy(), c.x(0)]);
  return c.b.op("Cast", [c.dy()], { to: { int: DTYPES[to ?? "float32"].code } });
}
