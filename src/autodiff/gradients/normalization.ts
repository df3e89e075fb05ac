/**
 * @file Gradients of normalizations.
 *
 * All have one form: with x̂ = (x − mean) · r, r = 1/√(variance + ε), and g the gradient of x̂, over the axes of the mean
 *
 *   dx = r · (g − mean(g) − x̂ · mean(g · x̂))
 *
 * Source: Ioffe & Szegedy 2015, "Batch Normalization", section 3; ONNX operator specifications.
 */
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { defineGradients, type GradientContext, type InputGradients } from "../rule.ts";
import { batchNormalizationBack } from "./batch-normalization.ts";
import { axisOf } from "./indexing.ts";

/** x̂ and r of x over some axes; the mean is 0 with `centered` false. */
export interface Normalized {
  readonly hat: Value;
  readonly r: Value;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

export function normalize(c: GradientContext, x: Value, axes: readonly number[], epsilon: number): Normalized {
  const { b } = c;
  const centered = b.sub(x, b.mean(x, axes));
  const variance = b.mean(b.square(centered), axes);
  const r = b.op("Reciprocal", [b.op("Sqrt", [b.offset(variance, epsilon)])]);
  return { hat: b.mul(centered, r), r };
}

// g − mean(g) − x̂ · mean(g · x̂)
function project(c: GradientContext, g: Value, hat: Value, axes: readonly number[]): Value {
  const { b } = c;
  const along = b.mul(hat, b.mean(b.mul(g, hat), axes));
  return b.sub(b.sub(g, b.mean(g, axes)), along);
}

// y = x̂ · scale + bias over the axes from `axis` on: g = dy · scale, dscale = dy · x̂, dbias = dy (summed by the driver)
function layerNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const rank = c.dims(c.x(0)).length;
  const axes = range(axisOf(node.int("axis", -1), rank), rank);
  const [, mean, inverse] = statistics(c);
  const hat = b.mul(b.sub(c.x(0), mean), inverse);
  return [
    c.wants(0) ? b.mul(inverse, project(c, b.mul(c.dy(), c.x(1)), hat, axes)) : undefined,
    c.wants(1) ? b.mul(c.dy(), hat) : undefined,
    c.wants(2) ? c.dy() : undefined,
  ];
}

/** Y, mean and 1/√(variance + ε) of a LayerNormalization: the node makes them anyway, it only has to give them. */
function statistics({ node }: GradientContext): readonly [Value, Value, Value] {
  const graph = node.graph!;
  const y = node.output();
  const mean = node.outputs[1] ?? graph.newValue(`${y.name}_mean`);
  const inverse = node.outputs[2] ?? graph.newValue(`${y.name}_inverse_deviation`);
  if (node.outputs[1] === undefined || node.outputs[2] === undefined) node.setOutputs([y, mean, inverse]);
  return [y, mean, inverse];
}

// y = x · r · scale with r = 1/√(mean(x²) + ε): dx = r · (g − x̂ · mean(g · x̂)). Source: Zhang & Sennrich 2019, RMSNorm.
function rmsNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const rank = c.dims(c.x(0)).length;
  const axes = range(axisOf(node.int("axis", -1), rank), rank);
  const square = b.mean(b.square(c.x(0)), axes);
  const r = b.op("Reciprocal", [b.op("Sqrt", [b.offset(square, node.float("epsilon", 1e-5))])]);
  const hat = b.mul(c.x(0), r);
  const dx = (): Value => {
    const g = b.mul(c.dy(), c.x(1));
    return b.mul(r, b.sub(g, b.mul(hat, b.mean(b.mul(g, hat), axes))));
  };
  return [c.wants(0) ? dx() : undefined, c.wants(1) ? b.mul(c.dy(), hat) : undefined];
}

// Per sample and channel, over the places: dscale = Σ dy · x̂, dbias = Σ dy, both of which dx needs as well.
function instanceNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const dims = c.dims(c.x(0));
  const axes = range(2, dims.length);
  const places = dims.slice(2).reduce((size, dim) => size * dim, 1);
  const { hat, r } = normalize(c, c.x(0), axes, node.float("epsilon", 1e-5));
  const along = b.mean(b.mul(c.dy(), hat), axes); // [N, C, 1, …]
  const mean = b.mean(c.dy(), axes);
  const perChannel = (value: Value): Value => b.scale(b.sum(value, [0, ...axes], false), places);
  const dx = (): Value => {
    const factor = b.mul(r, b.reshape(c.x(1), [dims[1]!, ...axes.map(() => 1)]));
    return b.mul(factor, b.sub(b.sub(c.dy(), mean), b.mul(hat, along)));
  };
  return [
    c.wants(0) ? dx() : undefined,
    c.wants(1) ? perChannel(along) : undefined,
    c.wants(2) ? perChannel(mean) : undefined,
  ];
}

// Over groups of channels: x as [N, G, C/G, places]. Scale and bias are per group (18) or per channel (21).
function groupNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const dims = c.dims(c.x(0));
  const groups = node.int("num_groups", 1);
  const [n, channels] = [dims[0]!, dims[1]!];
  const places = dims.slice(2).reduce((size, dim) => size * dim, 1);
  const grouped = [n, groups, channels / groups, places];
  const parameters = c.dims(c.x(1))[0] === channels ? [1, groups, channels / groups, 1] : [1, groups, 1, 1];
  const summed = parameters.flatMap((dim, axis) => (axis === 0 || (dim === 1 && grouped[axis] !== 1) ? [axis] : []));
  const { hat, r } = normalize(c, b.reshape(c.x(0), grouped), [2, 3], node.float("epsilon", 1e-5));
  const dy = b.reshape(c.dy(), grouped);
  const toParameter = (value: Value, parameter: Value): Value => b.reshape(b.sum(value, summed), c.dims(parameter));
  const dx = (): Value => {
    const g = b.mul(dy, b.reshape(c.x(1), parameters));
    return b.reshape(b.mul(r, project(c, g, hat, [2, 3])), dims);
  };
  return [
    c.wants(0) ? dx() : undefined,
    c.wants(1) ? toParameter(b.mul(dy, hat), c.x(1)) : undefined,
    c.wants(2) ? toParameter(dy, c.x(2)) : undefined,
  ];
}

/** Added to the deviation, not to the variance. Source: MeanVarianceNormalization-13, function body. */
const MVN_EPSILON = 1e-9;

// y = (x − mean) / (σ + ε)
function meanVarianceNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const rank = c.dims(c.x(0)).length;
  const axes = (node.ints("axes") ?? [0, 2, 3]).map((axis) => axisOf(axis, rank));
  const variance = b.mean(b.square(b.sub(c.x(0), b.mean(c.x(0), axes))), axes);
  const deviation = b.offset(b.op("Sqrt", [variance]), MVN_EPSILON);
  return [b.div(project(c, c.dy(), c.y(), axes), deviation)];
}

// y = x / ‖x‖ₚ along an axis. p = 2: dx = (dy − y · Σ dy · y) / ‖x‖; p = 1: dx = (dy − sign(x) · Σ dy · y) / ‖x‖.
// Where the norm is 0, y is 0, and so is dx.
function lpNormalizationBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const axis = axisOf(node.int("axis", -1), c.dims(c.x(0)).length);
  const square = node.int("p", 2) === 2;
  const norm = square ? b.reduce("ReduceL2", c.x(0), [axis]) : b.sum(b.op("Abs", [c.x(0)]), [axis]);
  const along = b.sum(b.mul(c.dy(), c.y()), [axis]);
  const direction = square ? c.y() : b.op("Sign", [c.x(0)]);
  const inverse = b.keep(b.op("Greater", [norm, b.scalar(0)]), b.op("Reciprocal", [norm]));
  return [b.mul(b.sub(c.dy(), b.mul(direction, along)), inverse)];
}

// y = x · d^−β, d = k + α/n · Σ x² over n channels around: dx = dy · d^−β − 2αβ/n · x · Σ (dy · y / d), over the channels
// for which x counts. The sums are a matrix product with a band of ones [C, C]. Source: Krizhevsky et al. 2012, 3.3.
function lrnBack(c: GradientContext): InputGradients {
  const { b, node } = c;
  const dims = c.dims(c.x(0));
  const channels = dims[1]!;
  const flat = [dims[0]!, channels, dims.slice(2).reduce((size, dim) => size * dim, 1)];
  const size = node.int("size", 1);
  const [alpha, beta, bias] = [node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1)];
  if (size % 2 === 0) throw c.unsupported(`expected an odd size, as ONNX Runtime does, got ${size}`);
  const band = new Float32Array(channels * channels);
  for (let i = 0; i < channels; i++) {
    for (let j = 0; j < channels; j++) if (2 * Math.abs(i - j) < size) band[i * channels + j] = 1;
  }
  const around = b.initializer(Tensor.float32([channels, channels], band), "channels_around");
  const x = b.reshape(c.x(0), flat);
  const dy = b.reshape(c.dy(), flat);
  const y = b.reshape(c.y(), flat);
  const d = b.offset(b.scale(b.matmul(around, b.square(x)), alpha / size), bias);
  const sums = b.matmul(around, b.div(b.mul(dy, y), d));
  const direct = b.mul(dy, b.op("Pow", [d, b.scalar(-beta)]));
  const dx = b.sub(direct, b.mul(b.scale(x, (2 * alpha * beta) / size), sums));
  return [b.reshape(dx, dims)];
}

function dropoutBack(c: GradientContext): InputGradients {
  const training = c.constants(c.node.inputs[2], "whether it trains")?.[0] ?? 0;
  if (training === 0) return [c.dy()];
  throw c.unsupported(
    "in training it is random, and no runtime lets anyone see or repeat the numbers",
    "Feed a mask in and multiply by it.",
  );
}

export const NORMALIZATION = defineGradients({
  BatchNormalization: { rule: batchNormalizationBack },
  LayerNormalization: { broadcasts: true, rule: layerNormalizationBack },
  RMSNormalization: { broadcasts: true, rule: rmsNormalizationBack },
  InstanceNormalization: { rule: instanceNormalizationBack },
  GroupNormalization: { rule: groupNormalizationBack },
  MeanVarianceNormalization: { rule: meanVarianceNormalizationBack },
  LpNormalization: { rule: lpNormalizationBack },
  LRN: { rule: lrnBack },
  // Not in training: y = x.
  Dropout: { rule: dropoutBack },
});
