/**
 * @file Masks as floats to multiply with. Measured on ONNX Runtime, one thread, 1 M elements, with the multiplication:
 * HardSigmoid 0.8 ms, Greater + Cast 1.0 ms, Greater + Where 1.2 ms; Sign 1.3 ms, Mul + Clip 0.9 ms.
 *
 * Unlike Where, a product with 0 keeps ∞ and NaN. Rules therefore give finite gradients wherever the output is finite (see
 * Sqrt and Pow).
 */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/value.ts";

/** The largest float32: times any normal number it is at least 1. */
const LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** 1 where v > 0, 0 elsewhere; at 0 itself `atZero` (0 to 1). Subnormal numbers count as 0. */
export function isPositive(b: Builder, v: Value, atZero = 0): Value {
  return b.op("HardSigmoid", [v], { alpha: { float: LARGEST }, beta: { float: atZero } });
}

/** −1, 0 or 1. */
export function signOf(b: Builder, v: Value): Value {
  return switchAt0(b, v, -1, 1);
}

/** `high` where v > 0, `low` where v < 0, the one of both that is nearest to 0 at 0 (0 if it lies between). low ≤ high. */
export function switchAt0(b: Builder, v: Value, low: number, high: number): Value {
  return b.op("Clip", [b.mul(v, b.scalar(LARGEST)), b.scalar(low), b.scalar(high)]);
}

/** 1 where two values are equal, 0 elsewhere. */
export function areEqual(b: Builder, v: Value, w: Value): Value {
  return b.indicator(b.op("Equal", [v, w]));
}
