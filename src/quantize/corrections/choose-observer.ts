/**
 * @file Which of several quantizations of an activation loses least: judged by what a layer computes from it where rows of
 * operands were sampled, else by the activation itself.
 *
 *   Σ (W·x − W·q(x))² = Σ (W·(x − q(x)))²        or        Σ (x − q(x))²
 *
 * A range that clips outliers may lose much of the activation and little of the result, or the other way round.
 */
import { fakeQuantize } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { CODE_RANGES, type QParams } from "../qparams.ts";

/** What an observer proposes: per-tensor parameters. */
export interface ObserverCandidate {
  readonly name: string;
  readonly qparams: QParams;
}

/** Counts of values in bins of equal width from `min` to `max`. */
export interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly counts: ArrayLike<number>;
}

/** The layer that reads the activation, as a matrix product. */
export interface ReadingLayer {
  /** `[outputs, k]`, row-major. The sampled values are rows of `k`. */
  readonly weight: Float32Array;
  readonly k: number;
}

export interface ObserverChoice {
  /** Position among the candidates; the first of equals. */
  readonly index: number;
  /** Squared error by candidate, of the result or of the values. */
  readonly errors: readonly number[];
}

/** Products per candidate; rows and outputs beyond are left out, evenly. */
const PRODUCTS = 2e7;

/**
 * @param candidates at least one.
 * @param values sampled elements (rows of `layer.k` where a layer is given), or a histogram of all.
 */
export function chooseObserver(
  candidates: readonly ObserverCandidate[],
  values: Float32Array | Histogram,
  layer?: ReadingLayer,
): ObserverChoice {
  const errors = candidates.map(({ qparams }) => {
    if (!(values instanceof Float32Array)) return histogramError(values, qparams);
    const view = groupView([values.length], { kind: "per-tensor" }, "activation");
    const rounded = fakeQuantize(values, view, qparams);
    const lost = rounded.map((value, i) => values[i]! - value);
    return layer === undefined ? squares(lost) : productSquares(lost, layer);
  });
  let index = 0;
  errors.forEach((error, i) => {
    if (error < errors[index]!) index = i;
  });
  return { index, errors };
}

function squares(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}

/** Σ (W·d)² over all rows d, or an even part of them scaled up. */
function productSquares(lost: Float32Array, { weight, k }: ReadingLayer): number {
  const rows = Math.floor(lost.length / k);
  const outputs = weight.length / k;
  // Outputs first: their errors are alike, those of rows are not.
  const perRow = Math.min(outputs, Math.max(Math.floor(PRODUCTS / Math.max(rows * k, 1)), 8));
  const used = Math.min(rows, Math.max(Math.floor(PRODUCTS / (perRow * k)), 1));
  let sum = 0;
  for (let r = 0; r < used; r++) {
    const a = Math.floor((r * rows) / used) * k;
    for (let o = 0; o < perRow; o++) {
      const b = Math.floor((o * outputs) / perRow) * k;
      let product = 0;
      for (let i = 0; i < k; i++) product += lost[a + i]! * weight[b + i]!;
      sum += product * product;
    }
  }
  return used === 0 ? 0 : (sum * rows * outputs) / (used * perRow);
}

/**
 * Every bin as if its values lay evenly in it. Rounding inside the range: the error of an even spread over a step is
 * step² / 12 where bins are wider, else that of the bin's centre.
 */
function histogramError({ min, max, counts }: Histogram, qparams: QParams): number {
  const { dtype, qmin = CODE_RANGES[dtype].qmin, qmax = CODE_RANGES[dtype].qmax } = qparams;
  const scale = qparams.scale[0]!;
  const zero = qparams.zeroPoint[0]!;
  const width = (max - min) / Math.max(counts.length, 1);
  let sum = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin]!;
    if (count === 0) continue;
    const x = min + (bin + 0.5) * width;
    const code = Math.round(x / scale) + zero;
    const kept = (Math.min(Math.max(code, qmin), qmax) - zero) * scale;
    const inside = code >= qmin && code <= qmax;
    sum += count * (inside && width >= scale ? (scale * scale) / 12 : (x - kept) ** 2);
  }
  return sum;
}
