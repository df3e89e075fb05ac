/**
 * @file The adjoint of broadcasting: a gradient summed over the axes along which its value was repeated.
 */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/value.ts";

/** Sums a gradient of dimensions `from` to dimensions `to`, which broadcast to `from`. */
export function sumTo(b: Builder, gradient: Value, from: readonly number[], to: readonly number[]): Value {
  const lead = from.length - to.length;
  const gone = Array.from({ length: lead }, (_, axis) => axis);
  const kept = to.flatMap((dim, axis) => (dim === 1 && from[lead + axis] !== 1 ? [lead + axis] : []));
  if (gone.length + kept.length === 0) return gradient;
  if (kept.length === 0) return b.sum(gradient, gone, false);
  const sum = b.sum(gradient, [...gone, ...kept]);
  return lead === 0 ? sum : b.reshape(sum, to);
}
