/**
 * @file Operators whose outputs do not change when their inputs change a little: gradients are zero, and nothing before
 * them is reached through them. A straight-through gradient of roundings is what QuantizeLinear is for.
 */
import { defineGradients } from "../rule.ts";

const zero = { zero: true } as const;

export const CONSTANT = defineGradients({
  Equal: zero,
  Greater: zero,
  GreaterOrEqual: zero,
  Less: zero,
  LessOrEqual: zero,
  And: zero,
  Or: zero,
  Xor: zero,
  Not: zero,
  IsNaN: zero,
  IsInf: zero,
  Sign: zero,
  Floor: zero,
  Ceil: zero,
  Round: zero,
  Hardmax: zero,
  BitShift: zero,
  BitwiseAnd: zero,
  BitwiseOr: zero,
  BitwiseXor: zero,
  BitwiseNot: zero,
  Shape: zero,
  Size: zero,
  ArgMax: zero,
  ArgMin: zero,
  NonZero: zero,
  NonMaxSuppression: zero,
  RandomNormalLike: zero,
  RandomUniformLike: zero,
  Bernoulli: zero,
  Multinomial: zero,
});
