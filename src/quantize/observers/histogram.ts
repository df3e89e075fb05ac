/**
 * @file Observer histogram: starts at the extremes and moves whichever end loses fewer values inwards, as long as the squared
 * error falls. Source: PyTorch's HistogramObserver (`_non_linear_param_search`, `_compute_quantization_error`), after
 * caffe2/quantization/server/norm_minimization.cc.
 */
import { CODE_RANGES } from "../qparams.ts";
import { checkBins, groupHistograms } from "./group-histograms.ts";
import type { ObserverKind } from "./observer.ts";
import { RangeHistogram } from "./range-histogram.ts";

const DEFAULT_BINS = 2048;
/** The share of values by which an end may move at a time. */
const STEP = 1e-5;

export const histogramKind: ObserverKind = {
  summary: "PyTorch's search for the range with the least squared error",
  check: checkBins,
  start: (groups, options, saved) => {
    const { qmin, qmax } = CODE_RANGES[options.scheme.dtype];
    const codes = qmax - qmin + 1;
    return groupHistograms(
      groups,
      options,
      DEFAULT_BINS,
      (bins, _limit, fields) => new RangeHistogram(bins, fields),
      (histogram) => leastSquares(histogram, codes),
      saved,
    );
  },
};

/** @param codes of the whole type, whatever the scheme leaves out (as PyTorch has it). */
export function leastSquares(histogram: RangeHistogram, codes: number): { readonly min: number; readonly max: number } {
  const { counts, low, high } = histogram;
  const bins = counts.length;
  const width = Math.fround(Math.fround(high - low) / bins);
  const sums = new Float64Array(bins);
  let total = 0;
  counts.forEach((count, bin) => {
    total += count;
    sums[bin] = total;
  });

  let alpha = 0;
  let beta = 1;
  let start = 0;
  let end = bins - 1;
  let least = Number.POSITIVE_INFINITY;
  while (alpha < beta) {
    const nextAlpha = alpha + STEP;
    const nextBeta = beta - STEP;
    let left = start;
    let right = end;
    while (left < end && sums[left]! < nextAlpha * total) left++;
    while (right > start && sums[right]! > nextBeta * total) right--;
    let [nextStart, nextEnd] = [start, end];
    if (left - start > end - right) {
      nextStart = left;
      alpha = nextAlpha;
    } else {
      nextEnd = right;
      beta = nextBeta;
    }
    if (nextStart === start && nextEnd === end) continue;
    const error = quantizationError(counts, (high - low) / bins, nextStart, nextEnd, codes);
    if (error > least) break;
    least = error;
    start = nextStart;
    end = nextEnd;
  }
  return {
    min: Math.fround(low + Math.fround(width * start)),
    max: Math.fround(low + Math.fround(width * (end + 1))),
  };
}

/** The squared error with `codes` levels over the bins `start … end`; values are spread evenly in their bins. */
function quantizationError(counts: Float64Array, width: number, start: number, end: number, codes: number): number {
  const step = (width * (end - start + 1)) / codes;
  if (step === 0) return 0;
  const half = step / 2;
  const whole = (2 * half ** 3) / 3;
  let error = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin]!;
    if (count === 0) continue;
    const from = (bin - start) * width;
    const to = from + width;
    const first = Math.min(Math.max(Math.floor(from / step), 0), codes - 1);
    const last = Math.min(Math.max(Math.floor(to / step), 0), codes - 1);
    const before = from - (first + 0.5) * step;
    const after = to - (last + 0.5) * step;
    // From `from` to the end of its level, the whole levels between, from the start of the last level to `to`.
    error += count * ((half ** 3 - before ** 3) / 3 + (last - first - 1) * whole + (after ** 3 + half ** 3) / 3);
  }
  return error / width;
}
