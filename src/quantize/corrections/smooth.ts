/**
 * @file The arithmetic of SmoothQuant: factors that move outliers of activations into the weights that multiply them.
 *
 *   Y = X · W = (X / s) · (s · W)        s_j = max|X_j|^α / max|W_j|^(1 − α)
 *
 * j is an input channel; α = 1 moves all of the difficulty into the weights, 0 all into the activations, ½ shares it.
 * Source: Xiao et al. 2023, "SmoothQuant", section 4, equation 4.
 */
import { fakeQuantize, minMax } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { qparamsFromRanges } from "../qparams.ts";

/** Ranges are taken as at least this part of the largest, so that channels that are always zero get a factor, too. */
const FLOOR = 1e-5;

/**
 * s_j for every input channel, normalised to a geometric mean of 1 (a common factor changes no rounding).
 * @param activations max|X_j| over the calibration data; `weights` max|W_j| over all layers that read the activations.
 * @param alpha 0 … 1.
 */
export function smoothingFactors(activations: Float64Array, weights: Float64Array, alpha: number): Float64Array {
  const leastX = FLOOR * activations.reduce((a, b) => Math.max(a, b), 0) || 1;
  const leastW = FLOOR * weights.reduce((a, b) => Math.max(a, b), 0) || 1;
  const logs = Array.from(
    activations,
    (x, j) => alpha * Math.log(Math.max(x, leastX)) - (1 - alpha) * Math.log(Math.max(weights[j]!, leastW)),
  );
  const mean = logs.reduce((a, b) => a + b, 0) / Math.max(logs.length, 1);
  return Float64Array.from(logs, (log) => Math.exp(log - mean));
}

/** A layer as a matrix product, for judging factors. */
export interface ProductSample {
  /** Sampled operands of the product `[rows, K]`, row-major. */
  readonly x: Float32Array;
  readonly rows: number;
  /** Weights of some output channels `[columns, K]`, row-major. */
  readonly w: Float32Array;
  readonly columns: number;
  readonly k: number;
  /** The channel of each of the K entries (a convolution's patch has several entries per channel). */
  readonly channelOf: Uint32Array;
  /** Calibrated range of each channel. */
  readonly min: Float64Array;
  readonly max: Float64Array;
}

/**
 * Σ (X·Wᵀ − Q(X / s)·Q(s · W)ᵀ)² with activations in uint8 per tensor and weights in int8 per output channel, over the
 * sampled rows and columns. `factors` undefined: as it is.
 */
export function productError(sample: ProductSample, factors: Float64Array | undefined): number {
  const { x, w, rows, columns, k, channelOf, min, max } = sample;
  const s = (entry: number): number => factors?.[channelOf[entry]!] ?? 1;
  const scaledX = x.map((value, i) => value / s(i % k));
  const scaledW = w.map((value, i) => value * s(i % k));
  let low = 0;
  let high = 0;
  for (let j = 0; j < min.length; j++) {
    low = Math.min(low, min[j]! / (factors?.[j] ?? 1));
    high = Math.max(high, max[j]! / (factors?.[j] ?? 1));
  }
  const tensor = groupView([rows, k], { kind: "per-tensor" }, "activation");
  const range = { min: [low], max: [high] };
  const qx = fakeQuantize(scaledX, tensor, qparamsFromRanges(range, tensor, { dtype: "uint8", symmetric: false }));
  const perRow = groupView([columns, k], { kind: "per-axis", axis: 0 }, "weight");
  const scheme = { dtype: "int8", symmetric: true, narrowRange: true, eps: 2 ** -126 } as const;
  const qw = fakeQuantize(scaledW, perRow, qparamsFromRanges(minMax(scaledW, perRow), perRow, scheme));
  let error = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let difference = 0;
      const [a, b] = [row * k, column * k];
      for (let i = 0; i < k; i++) difference += scaledX[a + i]! * scaledW[b + i]! - qx[a + i]! * qw[b + i]!;
      error += difference * difference;
    }
  }
  return error;
}

/** Smoothing is worth its roundings where it leaves at most this part of the error: the samples are few. */
const WORTH = 0.9;

/** α that are tried. */
const GRID = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;

export interface Smoothing {
  readonly alpha: number;
  readonly factors: Float64Array;
  /** Error of the product with these factors ÷ error without; below 1 is better. */
  readonly ratio: number;
}

/**
 * The α with the smallest simulated error over all layers that share the activations, each relative to its own error without
 * smoothing. Undefined where nothing is clearly better than leaving them as they are.
 */
export function chooseAlpha(
  activations: Float64Array,
  weights: Float64Array,
  samples: readonly ProductSample[],
): Smoothing | undefined {
  const before = samples.map((sample) => productError(sample, undefined));
  let best: Smoothing | undefined;
  for (const alpha of GRID) {
    const factors = smoothingFactors(activations, weights, alpha);
    const ratios = samples.map((sample, i) => (before[i] === 0 ? 1 : productError(sample, factors) / before[i]!));
    const ratio = ratios.reduce((a, b) => a + b, 0) / Math.max(ratios.length, 1);
    if (ratio < (best?.ratio ?? WORTH)) best = { alpha, factors, ratio };
  }
  return best;
}
