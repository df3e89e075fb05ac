/**
 * @file Medians, percentiles, and an interval for the median of ratios.
 * Source: percentile bootstrap, Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
 */
import { OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";

/** A median and the interval in which it lies with the given confidence. */
export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Number of values it comes from. */
  readonly count: number;
}

export type SpeedVerdict = "faster" | "same" | "slower";

/**
 * The value below which `percent` of the values lie, between neighbours linear (as NumPy's default). NaN for no values.
 * @param percent 0 to 100.
 */
export function percentile(values: ArrayLike<number>, percent: number): number {
  return percentileOfSorted(Float64Array.from(values).sort(), percent);
}

/** {@link percentile} of values that are in order already. */
export function percentileOfSorted(sorted: Float64Array, percent: number): number {
  if (sorted.length === 0) return Number.NaN;
  const position = ((sorted.length - 1) * Math.min(100, Math.max(0, percent))) / 100;
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  // Equal neighbours first: two infinities have no difference.
  return below === above ? below : below + (above - below) * (position - Math.floor(position));
}

/** NaN for no values. */
export function median(values: ArrayLike<number>): number {
  return percentile(values, 50);
}

/**
 * The median of the values with a bootstrap interval. For a speed, the values are the ratios of paired runs: time of
 * the original ÷ time of the result, round by round. One value gives an interval of no width, none NaN.
 * @param options.seed default 0. @param options.resamples default 1000. @param options.confidence default 0.95.
 */
export function medianInterval(
  values: ArrayLike<number>,
  options: { readonly seed?: number; readonly resamples?: number; readonly confidence?: number } = {},
): Interval {
  const { seed = 0, resamples = 1000, confidence = 0.95 } = options;
  const random = createRandom(seed);
  const count = values.length;
  const medians = new Float64Array(count === 0 ? 0 : resamples);
  const drawn = new Float64Array(count);
  for (let i = 0; i < medians.length; i++) {
    for (let j = 0; j < count; j++) drawn[j] = values[random.integer(count)]!;
    medians[i] = percentileOfSorted(drawn.sort(), 50);
  }
  medians.sort();
  const tail = ((1 - confidence) / 2) * 100;
  return {
    median: median(values),
    low: percentileOfSorted(medians, tail),
    high: percentileOfSorted(medians, 100 - tail),
    count,
  };
}

/**
 * What an interval of "time of the original ÷ time of the result" says about the result. Faster: the whole interval is
 * above 1 and the median at least `tolerance` above; slower: the whole interval is below 1 and the result takes at
 * least `tolerance` more time in the median. Same: neither was shown.
 * @param options.tolerance the smallest difference worth a word. Default 0.02.
 * @throws OptionError for a tolerance below 0.
 */
export function verdict(interval: Interval, options: { readonly tolerance?: number } = {}): SpeedVerdict {
  const { tolerance = 0.02 } = options;
  if (!(tolerance >= 0)) {
    const problem = `expected a tolerance from 0 up, got ${tolerance}`;
    throw new OptionError({ area: "measure", subject: "verdict", problem });
  }
  if (interval.low > 1 && interval.median >= 1 + tolerance) return "faster";
  if (interval.high < 1 && 1 / interval.median >= 1 + tolerance) return "slower";
  return "same";
}
