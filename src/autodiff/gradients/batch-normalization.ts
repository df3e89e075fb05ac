/**
 * @file Gradient of BatchNormalization, with statistics given and with those of the batch.
 *
 *   y = a · (x − μ) + bias,  a = scale · r,  r = 1/√(v + ε)      per channel
 *
 * Two sums over all but the channels: s₀ = Σ dy and s₁ = Σ dy · (x − μ). Then dbias = s₀, dscale = r · s₁.
 * Given statistics: dx = a · dy. Those of the batch (the variance divided by the number of elements m, not m − 1):
 *
 *   dx = a · (dy − s₀/m − (x − μ) · r² · s₁/m)
 *
 * What counts is how often all elements are read and written. So s₁ = Σ dy · x − μ · s₀, and dx is the sum of two affine
 * functions per channel, of dy and of x, each of which BatchNormalization itself computes in one pass.
 * Source: Ioffe & Szegedy 2015, section 3; ONNX operator BatchNormalization, version 15.
 */
import type { Value } from "../../graph/value.ts";
import type { GradientContext, InputGradients } from "../rule.ts";

export function batchNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const dims = c.dims(c.x(0));
  const channels = dims[1] ?? 1;
  const rest = dims.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
  const ones = dims.slice(2).map(() => 1);
  const training = node.int("training_mode", 0) === 1;
  if (training && (c.has(1) || c.has(2))) throw c.unsupported("its running statistics pass no gradient on");
  // [C, 1, …]
  const wide = (perChannel: Value): Value => b.reshape(perChannel, [channels, ...ones]);
  const m = dims.reduce((size, dim) => size * dim, 1) / channels;
  const epsilon = node.float("epsilon", 1e-5);

  const { mean, variance } = training ? batchStatistics(c, rest) : { mean: c.x(3), variance: c.x(4) }; // [C]
  const r = b.op("Reciprocal", [b.op("Sqrt", [b.offset(variance, epsilon)])]); // [C]
  const a = b.mul(c.x(1), r);
  const needsSums = training && c.wants(0);
  const needsProducts = needsSums || c.wants(1) || c.wants(4);
  const s0 = needsProducts || c.wants(2) || c.wants(3) ? b.sum(c.dy(), rest, false) : undefined;
  const s1 = needsProducts ? b.sub(b.sum(b.mul(c.dy(), c.x(0)), rest, false), b.mul(mean, s0!)) : undefined;

  /** scale · (value − center) + shift per channel. */
  const affine = (value: Value, scale: Value, center: Value, shift: Value): Value =>
    b.op("BatchNormalization", [value, scale, shift, center, full(1)], { epsilon: { float: 0 } });
  const full = (value: number): Value => b.expand(b.scalar(value), [channels]);
  const dx = (): Value => {
    if (!training) return b.mul(c.dy(), wide(a));
    // dx = (a · dy − k₀) + (−k₁ · (x − μ)) with k₁ = a · r² · s₁/m, k₀ = a · s₀/m
    const k1 = b.scale(b.mul(b.mul(a, b.square(r)), s1!), -1 / m);
    const k0 = b.scale(b.mul(a, s0!), -1 / m);
    return b.add(affine(c.dy(), a, full(0), k0), affine(c.x(0), k1, mean, full(0)));
  };
  return [
    c.wants(0) ? dx() : undefined,
    c.wants(1) ? b.mul(r, s1!) : undefined,
    c.wants(2) ? s0 : undefined,
    // Statistics that are given are inputs like others: dμ = −a · s₀, dv = −½ · a · r² · s₁.
    !training && c.wants(3) ? b.neg(b.mul(a, s0!)) : undefined,
    !training && c.wants(4) ? b.scale(b.mul(b.mul(a, b.square(r)), s1!), -0.5) : undefined,
  ];
}

/** Mean and variance [C] of the batch: what the node gives where its momentum is 0, else computed. */
function batchStatistics(c: GradientContext, rest: readonly number[]): { mean: Value; variance: Value } {
  const { b, node } = c;
  const [, mean, variance] = node.outputs;
  if (mean !== undefined && variance !== undefined && node.float("momentum", 0.9) === 0) return { mean, variance };
  const own = b.mean(c.x(0), rest);
  const flat = (value: Value): Value => b.reshape(value, [c.dims(c.x(0))[1] ?? 1]);
  return { mean: flat(own), variance: flat(b.mean(b.square(b.sub(c.x(0), own)), rest)) };
}
