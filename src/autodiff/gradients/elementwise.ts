/**
 * @file Gradients of elementwise arithmetic, comparisons and mathematical functions.
 * Source: ONNX operator specifications; formulas are the textbook's.
 */
import { defineGradients } from "../rule.ts";

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
  // y = −x: dx = −dy
  Neg: { rule: (c) => [c.b.neg(c.dy())] },
  // y = eˣ: dx = dy · y
  Exp: { rule: (c) => [c.b.mul(c.dy(), c.y())] },
  Equal: { zero: true },
});
