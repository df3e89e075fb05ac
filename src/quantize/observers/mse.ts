/**
 * @file Observer mse: the range whose quantizer has the least expected squared error on a histogram of the values, under the
 * scheme itself: its codes, its zero point as the runtime will have it, clipping included.
 *
 * The idea is Banner et al., "Post training 4-bit quantization of convolutional networks" (2019), section 3, and the MSE
 * observer of llm-compressor, which shrinks both ends by one factor. Here both ends are searched on their own (an asymmetric
 * scheme after GELU has a short negative end), over powers of two, as far as 2^-16 of the extremes.
 *
 * For u = x / scale, whose nearest code is c(u) = clamp(floor(u + 1/2), L, H), the error of values spread evenly over a … b is
 * scale² · (F(b) - F(a)) / (b - a), with F(u) = c / 12 + (u - c)³ / 3: an antiderivative of (u - c(u))² (continuous: at the
 * end of a code it goes from c / 12 + 1 / 24 to (c + 1) / 12 - 1 / 24).
 */
import { chooseQParams, codeRange, type QScheme } from "../qparams.ts";
import { checkBins, groupHistograms } from "./group-histograms.ts";
import { type Cells, LogHistogram } from "./log-histogram.ts";
import type { ObserverKind } from "./observer.ts";
import { searchRange } from "./range-search.ts";

const DEFAULT_BINS = 4096;

export const mseKind: ObserverKind = {
  summary: "the range with the least squared error under the scheme, both ends searched",
  check: checkBins,
  start: (groups, options, saved) =>
    groupHistograms(
      groups,
      options,
      DEFAULT_BINS,
      (bins, _limit, fields) => new LogHistogram(bins, fields),
      (histogram, min, max) => {
        const cells = histogram.cells(min, max);
        return searchRange(min, max, options.scheme, (low, high, limit) =>
          expectedError(cells, low, high, options.scheme, limit),
        );
      },
      saved,
    ),
};

/** Sum of squared errors of the quantizer for a range; something above `limit` as soon as it is above. */
export function expectedError(cells: Cells, min: number, max: number, scheme: QScheme, limit: number): number {
  const { scale, zeroPoint } = chooseQParams(min, max, scheme);
  const { qmin, qmax } = codeRange(scheme);
  const low = qmin - zeroPoint;
  const high = qmax - zeroPoint;
  const { from, to, count } = cells;
  const inverse = 1 / scale;
  const bound = limit / (scale * scale);
  let error = 0;
  // From both ends inwards: clipping, where an error is large, comes first.
  for (let i = 0, j = from.length - 1; i <= j; ) {
    const k = -from[i]! > to[j]! ? i++ : j--;
    const a = from[k]! * inverse;
    const b = to[k]! * inverse;
    const codeA = nearest(a, low, high);
    const codeB = nearest(b, low, high);
    const restA = a - codeA;
    const restB = b - codeB;
    // Very narrow cells would divide rounding errors.
    if (b - a < 1e-3) error += count[k]! * restA * restB;
    else error += (count[k]! * ((codeB - codeA) / 12 + (restB * restB * restB - restA * restA * restA) / 3)) / (b - a);
    if (error > bound) return Number.POSITIVE_INFINITY;
  }
  return error * scale * scale;
}

function nearest(u: number, low: number, high: number): number {
  const code = Math.floor(u + 0.5);
  return code < low ? low : code > high ? high : code;
}
