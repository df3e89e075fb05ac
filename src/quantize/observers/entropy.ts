/**
 * @file Observer entropy: the threshold whose 128-bin version differs least from the values, by Kullback–Leibler divergence.
 * Source: onnxruntime's EntropyCalibrater (`get_entropy_threshold`, `smooth_distribution`), after Migacz, "8-bit inference
 * with TensorRT" (GTC 2017). Thresholds are symmetric around zero and then cut to the values seen, whatever the scheme.
 *
 * onnxruntime starts with 128 bins, which leave it one threshold to choose from: the extremes. Here 2,048 are the default.
 *
 * For P (outliers in its end bins, zeros smoothed to ε) and Q (means of blocks, in integers, smoothed too), with sums ΣP, ΣQ:
 *   KL = 1/ΣP · (Σ p · ln p - Σ_blocks (Σ p) · ln q) + ln(ΣQ / ΣP)
 * All but the logarithms of blocks comes from prefix sums, so a threshold costs 128 logarithms whatever its bins.
 */
import { CentredHistogram } from "./centred-histogram.ts";
import { checkBins, groupHistograms } from "./group-histograms.ts";
import type { ObserverKind } from "./observer.ts";
import { clip } from "./percentile.ts";

const DEFAULT_BINS = 2048;
/** Bins of Q, not codes: onnxruntime uses it for every type. */
const BLOCKS = 128;
/** What an empty bin counts. */
const EPSILON = 1e-4;

export const entropyKind: ObserverKind = {
  summary: "the threshold with the least Kullback-Leibler divergence",
  check: checkBins,
  start: (groups, options, saved) =>
    groupHistograms(
      groups,
      options,
      DEFAULT_BINS,
      (bins, limit, fields) => new CentredHistogram(bins, limit, fields),
      (histogram, min, max) => {
        const { start, end } = leastDivergence(histogram.counts);
        const edges = histogram.edges();
        return clip(edges[start]!, edges[end]!, min, max);
      },
      saved,
    ),
};

/** The bins `start … end - 1` around the centre that diverge least; the smallest threshold of equals. */
export function leastDivergence(counts: Float64Array): { readonly start: number; readonly end: number } {
  const bins = counts.length;
  const centre = bins >> 1;
  if (centre <= BLOCKS / 2) return { start: 0, end: bins };
  const sums = new PrefixSums(counts);
  let best = { start: 0, end: bins };
  let least = Number.POSITIVE_INFINITY;
  for (let i = BLOCKS / 2; i <= centre; i++) {
    const start = centre - i;
    const end = Math.min(centre + i + 1, bins);
    const divergence = divergenceOf(counts, sums, start, end);
    if (divergence < least) {
      least = divergence;
      best = { start, end };
    }
  }
  return best;
}

/** Sums over the bins before each, of the bins that are not empty. */
class PrefixSums {
  readonly count: Float64Array;
  readonly filled: Float64Array;
  /** p · ln p, ln p, 1 / p and 1 / p². */
  readonly entropy: Float64Array;
  readonly log: Float64Array;
  readonly inverse: Float64Array;
  readonly inverse2: Float64Array;

  constructor(counts: Float64Array) {
    const sum = (of: (count: number) => number): Float64Array => {
      const sums = new Float64Array(counts.length + 1);
      counts.forEach((count, bin) => {
        sums[bin + 1] = sums[bin]! + (count === 0 ? 0 : of(count));
      });
      return sums;
    };
    this.count = sum((count) => count);
    this.filled = sum(() => 1);
    this.entropy = sum((count) => count * Math.log(count));
    this.log = sum(Math.log);
    this.inverse = sum((count) => 1 / count);
    this.inverse2 = sum((count) => 1 / count ** 2);
  }
}

function divergenceOf(counts: Float64Array, sums: PrefixSums, start: number, end: number): number {
  const { count, filled } = sums;
  const bins = end - start;
  const width = Math.floor(bins / BLOCKS);
  // P has the outliers in its ends, which may be empty otherwise.
  const before = count[start]!;
  const after = count[counts.length]! - count[end]!;
  const first = counts[start]! + before;
  const last = counts[end - 1]! + after;
  const gainedFirst = counts[start] === 0 && before !== 0 ? 1 : 0;
  const gainedLast = counts[end - 1] === 0 && after !== 0 ? 1 : 0;
  const total = count[counts.length]!;
  const nonzero = filled[end]! - filled[start]! + gainedFirst + gainedLast;
  const taken = (EPSILON * (bins - nonzero)) / nonzero;

  // Bins that no block covers are empty in Q; their counts are in the last block.
  const covered = start + BLOCKS * width;
  let emptyOfQ = end - covered;
  let totalOfQ = 0;
  for (let block = 0; block < BLOCKS; block++) {
    const from = start + block * width;
    const to = from + width;
    const sum = count[to]! - count[from]!;
    let mass = sum;
    let norm = filled[to]! - filled[from]!;
    if (block === 0) {
      mass += before;
      norm += gainedFirst;
    }
    if (to === end) {
      mass += after;
      norm += gainedLast;
    }
    const sliced = block < BLOCKS - 1 ? sum : count[end]! - count[from]!;
    const q = norm === 0 ? 0 : Math.trunc(sliced / norm);
    means[block] = q;
    masses[block] = mass - taken * norm + EPSILON * (width - norm);
    if (q === 0) emptyOfQ += width;
    totalOfQ += q * width;
  }
  if (totalOfQ === 0) return Number.POSITIVE_INFINITY;
  const takenOfQ = (EPSILON * emptyOfQ) / (bins - emptyOfQ);

  let cross = 0;
  for (let block = 0; block < BLOCKS; block++) {
    const q = means[block]!;
    cross += masses[block]! * (q === 0 ? LOG_EPSILON : Math.log(q - takenOfQ));
  }
  if (covered < end) {
    const norm = filled[end]! - filled[covered]! + gainedLast;
    const mass = count[end]! - count[covered]! + after;
    cross += (mass - taken * norm + EPSILON * (end - covered - norm)) * LOG_EPSILON;
  }
  const own =
    innerEntropy(counts, sums, start + 1, end - 1, taken) +
    plogp(first === 0 ? 0 : first - taken) +
    plogp(last === 0 ? 0 : last - taken) +
    (bins - nonzero) * EPSILON * LOG_EPSILON;
  return (own - cross) / total + Math.log(totalOfQ / total);
}

const LOG_EPSILON = Math.log(EPSILON);
/** Of the blocks: the value of Q before smoothing, the sum of P after it. */
const means = new Float64Array(BLOCKS);
const masses = new Float64Array(BLOCKS);

function plogp(p: number): number {
  return p === 0 ? 0 : p * Math.log(p);
}

/** Σ (p - e) · ln(p - e) over the filled bins: a series in e, or where e is not small (few filled bins) term by term. */
function innerEntropy(counts: Float64Array, sums: PrefixSums, from: number, to: number, e: number): number {
  if (e < 0.01) {
    const over = (table: Float64Array): number => table[to]! - table[from]!;
    const { entropy, filled, log, inverse, inverse2 } = sums;
    return (
      over(entropy) - e * (over(log) + over(filled)) + (e ** 2 / 2) * over(inverse) + (e ** 3 / 6) * over(inverse2)
    );
  }
  let sum = 0;
  for (let bin = from; bin < to; bin++) if (counts[bin] !== 0) sum += plogp(counts[bin]! - e);
  return sum;
}
