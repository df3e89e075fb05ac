/**
 * @file Normalization. Source: torch.nn.BatchNorm1d/2d, LayerNorm, GroupNorm.
 */
import { ones, zeros } from "../init.ts";
import type { Module } from "../module.ts";

export interface NormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Whether there are weight and bias. Default true. */
  readonly affine?: boolean;
}

export interface BatchNormOptions extends NormOptions {
  /** Share of the new batch in running statistics, as PyTorch counts it. Default 0.1. */
  readonly momentum?: number;
}

/**
 * (x − mean) / √(var + eps) · weight + bias per channel, by the running statistics: [N, C], [N, C, L] or [N, C, H, W].
 * Parameters: weight, bias [C]; buffers: running_mean, running_var [C].
 */
export function batchNorm(features: number, options: BatchNormOptions = {}): Module {
  const { eps = 1e-5, affine = true, momentum = 0.1 } = options;
  return (s, x) => {
    const got = x.shape?.[1];
    if (typeof got === "number" && got !== features) {
      throw s.error(`expected ${features} channels, got [${x.shape!.join(", ")}]`);
    }
    const [weight, bias] = affine
      ? [s.parameter("weight", [features], ones), s.parameter("bias", [features], zeros)]
      : [s.constant([features], 1), s.constant([features], 0)];
    const statistics = [s.buffer("running_mean", [features], 0), s.buffer("running_var", [features], 1)];
    s.counter("num_batches_tracked");
    // ONNX's momentum is the share of the old value.
    const attributes = { epsilon: { float: eps }, momentum: { float: 1 - momentum } };
    return s.typed(s.b.op("BatchNormalization", [x, weight, bias, ...statistics], attributes), x.shape);
  };
}

export interface LayerNormOptions {
  /** Default 1e-5. */
  readonly eps?: number;
  /** Whether there are weight and bias. Default true. */
  readonly elementwiseAffine?: boolean;
  /** Whether there is a bias beside the weight. Default true. */
  readonly bias?: boolean;
}

/** Normalizes over the last dimensions. Parameters: weight, bias of their shape. */
export function layerNorm(normalizedShape: number | readonly number[], options: LayerNormOptions = {}): Module {
  const dims = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
  const { eps = 1e-5, elementwiseAffine = true, bias = true } = options;
  return (s, x) => {
    const tail = x.shape?.slice(-dims.length);
    if (tail?.some((dim, i) => typeof dim === "number" && dim !== dims[i])) {
      throw s.error(`expected […, ${dims.join(", ")}], got [${x.shape!.join(", ")}]`);
    }
    const weight = elementwiseAffine ? s.parameter("weight", dims, ones) : s.constant(dims, 1);
    const inputs = [x, weight, elementwiseAffine && bias ? s.parameter("bias", dims, zeros) : undefined];
    const attributes = { axis: { int: -dims.length }, epsilon: { float: eps } };
    return s.typed(s.b.op("LayerNormalization", inputs, attributes), x.shape);
  };
}

/**
 * Normalizes over the channels of each group and all positions: [N, C, …]. Parameters: weight, bias [C].
 * GroupNormalization is young and its scale changed meaning in opset 21; this form runs everywhere.
 */
export function groupNorm(groups: number, channels: number, options: NormOptions = {}): Module {
  const { eps = 1e-5, affine = true } = options;
  return (s, x) => {
    const got = x.shape?.[1];
    if (channels % groups !== 0)
      throw s.error(`expected channels that are a multiple of ${groups} groups, got ${channels}`);
    if (typeof got === "number" && got !== channels) {
      throw s.error(`expected ${channels} channels, got [${x.shape!.join(", ")}]`);
    }
    const { b } = s;
    const grouped = b.reshape(x, [0, groups, -1]); // [N, G, C / G · positions]
    const normal = b.op("InstanceNormalization", [grouped, s.constant([groups], 1), s.constant([groups], 0)], {
      epsilon: { float: eps },
    });
    let flat = normal;
    if (affine) {
      const weight = s.parameter("weight", [channels], ones);
      const bias = s.parameter("bias", [channels], zeros);
      flat = b.add(b.mul(b.reshape(normal, [0, channels, -1]), b.unsqueeze(weight, [1])), b.unsqueeze(bias, [1]));
    }
    const positions = x.shape?.slice(2);
    const fixed = positions?.every((dim) => typeof dim === "number");
    const y = fixed
      ? b.reshape(flat, [0, channels, ...(positions as number[])])
      : b.op("Reshape", [flat, b.op("Shape", [x])]);
    return s.typed(y, x.shape);
  };
}
