/**
 * @file Observer percentile: leaves out the outermost values. Asymmetric schemes lose half of `100 - percentile` percent at
 * each end, symmetric ones all of it among the largest magnitudes. Source: onnxruntime's PercentileCalibrater
 * (`compute_percentile`), which returns the lower edge of the bin where the percentile lies.
 *
 * Deviation: a range that would be empty (a constant) contains the smallest value.
 */
import { OptionError } from "../../util/errors.ts";
import { AbsoluteHistogram } from "./absolute-histogram.ts";
import { CentredHistogram } from "./centred-histogram.ts";
import { checkBins, groupHistograms } from "./group-histograms.ts";
import type { ObserverKind } from "./observer.ts";

const DEFAULT_PERCENTILE = 99.999;
const DEFAULT_BINS = 2048;

export const percentileKind: ObserverKind = {
  summary: "the range that holds 99.999 percent of the values",
  check(options) {
    checkBins(options);
    const { percentile = DEFAULT_PERCENTILE } = options;
    if (percentile > 0 && percentile <= 100) return;
    throw new OptionError({
      area: "quantize",
      subject: "percentile",
      problem: `expected a number above 0 and at most 100, got ${percentile}`,
    });
  },
  start(groups, options, saved) {
    const { percentile = DEFAULT_PERCENTILE } = options;
    if (options.scheme.symmetric) {
      return groupHistograms(
        groups,
        options,
        DEFAULT_BINS,
        (bins, limit, fields) => new AbsoluteHistogram(bins, limit, fields),
        ({ counts, edges }, min, max) => {
          const [index] = cumulative(counts, [percentile / 100]);
          const threshold = Math.fround(edges![index!]!);
          return clip(-threshold, threshold, min, max);
        },
        saved,
      );
    }
    const cut = (100 - percentile) / 200;
    return groupHistograms(
      groups,
      options,
      DEFAULT_BINS,
      (bins, limit, fields) => new CentredHistogram(bins, limit, fields),
      (histogram, min, max) => {
        const [right, left] = cumulative(histogram.counts, [1 - cut, cut]);
        const edges = histogram.edges();
        return clip(edges[left!]!, edges[right!]!, min, max);
      },
      saved,
    );
  },
};

/** For each share the first bin at which the bins up to it hold that share; the number of bins where none does. */
function cumulative(counts: Float64Array, shares: readonly number[]): number[] {
  let total = 0;
  for (const count of counts) total += count;
  const found = shares.map(() => counts.length);
  let sum = 0;
  counts.forEach((count, bin) => {
    sum += count / total;
    shares.forEach((share, i) => {
      if (sum >= share && bin < found[i]!) found[i] = bin;
    });
  });
  return found;
}

/** A range within the values seen. */
export function clip(low: number, high: number, min: number, max: number): { min: number; max: number } {
  const from = Math.max(low, min);
  return { min: from, max: Math.max(Math.min(high, max), from) };
}
