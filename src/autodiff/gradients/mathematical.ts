/**
 * @file Gradients of powers, roots, exponentials, logarithms, trigonometric and hyperbolic functions.
 *
 * From y instead of x where that is cheaper. Where y is finite, so is the gradient: at a pole of the derivative (√x at 0) it is
 * large instead of ∞, since ∞ · 0 behind it would be NaN.
 */
import type { Builder } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";
import { isPositive } from "../masks.ts";
import { defineGradients, type GradientContext } from "../rule.ts";

/** Under the root of every positive float32, and large enough that its reciprocal can be multiplied. */
const TINY = 1e-30;

export const MATHEMATICAL = defineGradients({
  // y = eˣ: dx = dy · y
  Exp: { rule: (c) => [c.b.mul(c.dy(), c.y())] },
  // y = ln x: dx = dy / x
  Log: { rule: (c) => [c.b.div(c.dy(), c.x(0))] },
  // y = √x: dx = dy / 2y
  Sqrt: { rule: (c) => [rootGradient(c)] },
  // y = 1 / x: dx = −dy · y²
  Reciprocal: { rule: (c) => [c.b.neg(c.b.mul(c.dy(), c.b.square(c.y())))] },
  // y = aᵖ: da = dy · p · aᵖ⁻¹, dp = dy · y · ln a
  Pow: {
    broadcasts: true,
    rule: (c) => [c.wants(0) ? baseGradient(c) : undefined, c.wants(1) ? exponentGradient(c) : undefined],
  },
  // y = erf x: dx = dy · 2/√π · exp(−x²)
  Erf: {
    rule: (c) => {
      const bell = c.b.op("Exp", [c.b.neg(c.b.square(c.x(0)))]);
      return [c.b.mul(c.dy(), c.b.scale(bell, 2 / Math.sqrt(Math.PI)))];
    },
  },
  // y = sin x: dx = dy · cos x
  Sin: { rule: (c) => [c.b.mul(c.dy(), c.b.op("Cos", [c.x(0)]))] },
  // y = cos x: dx = −dy · sin x
  Cos: { rule: (c) => [c.b.neg(c.b.mul(c.dy(), c.b.op("Sin", [c.x(0)])))] },
  // y = tan x: dx = dy · (1 + y²)
  Tan: { rule: (c) => [c.b.mul(c.dy(), c.b.offset(c.b.square(c.y()), 1))] },
  // y = arcsin x: dx = dy / √(1 − x²)
  Asin: { rule: (c) => [c.b.div(c.dy(), root(c.b, oneMinusSquare(c)))] },
  // y = arccos x: dx = −dy / √(1 − x²)
  Acos: { rule: (c) => [c.b.neg(c.b.div(c.dy(), root(c.b, oneMinusSquare(c))))] },
  // y = arctan x: dx = dy / (1 + x²)
  Atan: { rule: (c) => [c.b.div(c.dy(), c.b.offset(c.b.square(c.x(0)), 1))] },
  // y = sinh x: dx = dy · cosh x
  Sinh: { rule: (c) => [c.b.mul(c.dy(), c.b.op("Cosh", [c.x(0)]))] },
  // y = cosh x: dx = dy · sinh x
  Cosh: { rule: (c) => [c.b.mul(c.dy(), c.b.op("Sinh", [c.x(0)]))] },
  // y = arsinh x: dx = dy / √(x² + 1)
  Asinh: { rule: (c) => [c.b.div(c.dy(), root(c.b, c.b.offset(c.b.square(c.x(0)), 1)))] },
  // y = arcosh x: dx = dy / √(x² − 1)
  Acosh: { rule: (c) => [c.b.div(c.dy(), root(c.b, c.b.offset(c.b.square(c.x(0)), -1)))] },
  // y = artanh x: dx = dy / (1 − x²)
  Atanh: { rule: (c) => [c.b.div(c.dy(), oneMinusSquare(c))] },
});

/** √v, not under {@link TINY}. */
const root = (b: Builder, v: Value): Value => b.op("Max", [b.op("Sqrt", [v]), b.scalar(TINY)]);

const oneMinusSquare = (c: GradientContext): Value => c.b.sub(c.b.scalar(1), c.b.square(c.x(0)));

const rootGradient = (c: GradientContext): Value =>
  c.b.div(c.b.scale(c.dy(), 0.5), c.b.op("Max", [c.y(), c.b.scalar(TINY)]));

function baseGradient(c: GradientContext): Value | undefined {
  const { b } = c;
  const [a, p] = [c.x(0), c.x(1)];
  // An exponent that is trained may be an initializer now and something else later.
  const tensor = c.wants(1)
    ? undefined
    : (p.constant ?? (p.producer?.is("Constant") ? p.producer.tensor("value") : undefined));
  const power = tensor?.size === 1 ? tensor.numbers()[0]! : undefined;
  if (power === undefined) {
    // At a = 0, p = 0 the formula is 0 · ∞.
    const slope = b.mul(b.op("Pow", [a, b.offset(p, -1)]), p);
    return b.mul(c.dy(), b.where(b.op("Equal", [p, b.scalar(0)]), b.scalar(0), slope));
  }
  if (power === 0) return undefined;
  if (power === 1) return c.dy();
  if (power === 2) return b.mul(c.dy(), b.scale(a, 2));
  if (power === 3) return b.mul(c.dy(), b.scale(b.square(a), 3));
  if (power === 0.5) return rootGradient(c);
  if (power === -1) return b.neg(b.mul(c.dy(), b.square(c.y())));
  // Only whole powers of negative numbers are defined.
  const base = Number.isInteger(power) ? a : b.op("Max", [a, b.scalar(TINY)]);
  return b.mul(c.dy(), b.scale(b.op("Pow", [base, b.scalar(power - 1)]), power));
}

/** 0 where the base is not positive. */
function exponentGradient(c: GradientContext): Value {
  const { b } = c;
  const logarithm = b.op("Log", [b.op("Max", [c.x(0), b.scalar(TINY)])]);
  return b.mul(b.mul(c.dy(), c.y()), b.mul(logarithm, isPositive(b, c.x(0))));
}
