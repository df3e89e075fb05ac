/**
 * @file An interval for the difference of a metric between two models that answered the same samples.
 *
 * Every metric is a function of sums over samples: a mean of (Σ value, Σ 1), an F1 of (Σ true positives, Σ false
 * positives, Σ false negatives) of each class. Samples are drawn with replacement, the same ones for both models, so that
 * what is hard in a sample is hard for both and cancels; the interval is that of the percentiles of the differences.
 *
 * Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), §13.3 (percentile interval) and §8.3 (what is
 * drawn is the unit that was sampled: here a sample with both answers); Koehn, Statistical Significance Tests for Machine
 * Translation Evaluation (EMNLP 2004), §4, for the pairing.
 */
import { OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { percentileOfSorted } from "./interval.ts";

/** From the sums over samples to the metric: missing places count as 0. */
export type Aggregate = (sums: Float64Array) => number;

/** What each sample adds to the sums, stored without its zeros. */
export class Contributions {
  readonly #ends: number[] = [];
  readonly #places: number[] = [];
  readonly #amounts: number[] = [];
  #width = 0;

  /** Adds a sample. Vectors may differ in length: what is missing is 0. */
  add(amounts: ArrayLike<number>): void {
    for (let place = 0; place < amounts.length; place++) {
      const amount = amounts[place]!;
      if (amount === 0) continue;
      this.#places.push(place);
      this.#amounts.push(amount);
    }
    this.#width = Math.max(this.#width, amounts.length);
    this.#ends.push(this.#places.length);
  }

  /** Number of samples. */
  get length(): number {
    return this.#ends.length;
  }

  /** Places in the longest vector. */
  get width(): number {
    return this.#width;
  }

  /** The sums over all samples. */
  sums(): Float64Array {
    const sums = new Float64Array(this.#width);
    for (let i = 0; i < this.#places.length; i++) sums[this.#places[i]!]! += this.#amounts[i]!;
    return sums;
  }

  /** The same in typed arrays: sample `i` has the entries from `starts[i]` to `starts[i + 1]`. */
  packed(): { readonly starts: Int32Array; readonly places: Int32Array; readonly amounts: Float64Array } {
    return {
      starts: Int32Array.from([0, ...this.#ends]),
      places: Int32Array.from(this.#places),
      amounts: Float64Array.from(this.#amounts),
    };
  }

  /** Number of samples to which the two give different vectors. */
  differing(other: Contributions): number {
    const [a, b] = [this.packed(), other.packed()];
    let count = 0;
    for (let i = 0; i < this.length; i++) {
      const [from, to] = [a.starts[i]!, a.starts[i + 1]!];
      const shift = b.starts[i]! - from;
      let same = b.starts[i + 1]! === to + shift;
      for (let j = from; same && j < to; j++) {
        same = a.places[j] === b.places[j + shift] && Object.is(a.amounts[j], b.amounts[j + shift]);
      }
      if (!same) count++;
    }
    return count;
  }
}

/** A value and the interval in which it lies with the given confidence. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Default 1000; 0: an interval of no width. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * The metric of `result` less that of `original`, over the samples of both.
 * @throws OptionError where they do not have the same number of samples, or none.
 */
export function bootstrapDifference(
  original: Contributions,
  result: Contributions,
  aggregate: Aggregate,
  options: BootstrapOptions = {},
): Estimate {
  if (original.length !== result.length) {
    throw new OptionError({
      area: "measure",
      subject: "bootstrap",
      problem: `expected as many samples of the result as of the original (${original.length}), got ${result.length}`,
    });
  }
  const value = aggregate(result.sums()) - aggregate(original.sums());
  return interval([result, original], value, ([of, from]) => aggregate(of!) - aggregate(from!), options);
}

/** The metric of one model with its interval. @throws OptionError without samples. */
export function bootstrapValue(
  contributions: Contributions,
  aggregate: Aggregate,
  options: BootstrapOptions = {},
): Estimate {
  return interval([contributions], aggregate(contributions.sums()), ([sums]) => aggregate(sums!), options);
}

function interval(
  all: readonly Contributions[],
  value: number,
  statistic: (sums: readonly Float64Array[]) => number,
  options: BootstrapOptions,
): Estimate {
  const { seed = 0, resamples = 1000, confidence = 0.95 } = options;
  const samples = all[0]!.length;
  if (samples === 0) {
    throw new OptionError({ area: "measure", subject: "bootstrap", problem: "expected at least 1 sample, got none" });
  }
  if (resamples === 0) return { value, low: value, high: value };
  const random = createRandom(seed);
  const packed = all.map((contributions) => contributions.packed());
  const sums = all.map(({ width }) => new Float64Array(width));
  const drawn = new Int32Array(samples);
  const values: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    for (let i = 0; i < samples; i++) drawn[i] = random.integer(samples);
    for (let which = 0; which < packed.length; which++) addDrawn(packed[which]!, drawn, sums[which]!);
    const found = statistic(sums);
    // A resample may hold nothing that the metric is defined on: no reference characters, no positive at all.
    if (!Number.isNaN(found)) values.push(found);
  }
  const sorted = Float64Array.from(values).sort();
  const tail = ((1 - confidence) / 2) * 100;
  return { value, low: percentileOfSorted(sorted, tail), high: percentileOfSorted(sorted, 100 - tail) };
}

/** The sums over the drawn samples; the innermost loop of all. */
function addDrawn(
  { starts, places, amounts }: ReturnType<Contributions["packed"]>,
  drawn: Int32Array,
  sums: Float64Array,
): void {
  sums.fill(0);
  for (let i = 0; i < drawn.length; i++) {
    const sample = drawn[i]!;
    const end = starts[sample + 1]!;
    for (let j = starts[sample]!; j < end; j++) sums[places[j]!]! += amounts[j]!;
  }
}
