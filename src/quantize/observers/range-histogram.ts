/**
 * @file A histogram of a fixed number of equal bins between the smallest and the largest value seen. Where the range grows,
 * the counts are spread over the new bins. Source: PyTorch's HistogramObserver (`forward`, `_combine_histograms`,
 * `_upscale_histogram`); counts are float64, there float32.
 */
import { countLinear } from "./count-loops.ts";
import { savedFloats, shortest } from "./frame.ts";
import { type GroupHistogram, packCounts, unpackCounts } from "./group-histograms.ts";
import type { SavedFields } from "./observer.ts";

/** Each old bin is cut into so many slices, each of which goes to the new bin that holds its middle. */
const SLICES = 16;

export class RangeHistogram implements GroupHistogram {
  readonly counts: Float64Array;
  #low = Number.POSITIVE_INFINITY;
  #high = Number.NEGATIVE_INFINITY;

  constructor(bins: number, saved?: SavedFields) {
    this.counts = saved === undefined ? new Float64Array(bins) : unpackCounts(saved, (length) => length === bins);
    if (saved !== undefined) [this.#low, this.#high] = savedFloats(saved, "range", 2) as unknown as [number, number];
  }

  /** Lower end of the first bin. */
  get low(): number {
    return this.#low;
  }

  /** Upper end of the last bin. */
  get high(): number {
    return this.#high;
  }

  grow(min: number, max: number): void {
    const low = Math.min(this.#low, min);
    const high = Math.max(this.#high, max);
    if (low === this.#low && high === this.#high) return;
    if (this.#low <= this.#high) this.#spread(low, high);
    this.#low = low;
    this.#high = high;
  }

  count(data: Float32Array, start: number, end: number, step: number): void {
    // All values equal: which bin they are in does not matter, the first growth moves them.
    const factor = this.#low < this.#high ? this.counts.length / (this.#high - this.#low) : 0;
    countLinear(data, start, end, step, this.#low, factor, this.counts);
  }

  save(): SavedFields {
    return { counts: packCounts(this.counts), range: [shortest(this.#low), shortest(this.#high)] };
  }

  #spread(low: number, high: number): void {
    const { counts } = this;
    const old = counts.slice();
    const bins = counts.length;
    const factor = bins / (high - low);
    // Also puts all counts of a constant into the bin of its value.
    const slice = (this.#high - this.#low) / (bins * SLICES);
    counts.fill(0);
    for (let bin = 0; bin < bins; bin++) {
      const part = old[bin]! / SLICES;
      if (part === 0) continue;
      for (let k = 0; k < SLICES; k++) {
        const middle = this.#low + (bin * SLICES + k + 0.5) * slice;
        const target = Math.min(Math.max(Math.floor((middle - low) * factor), 0), bins - 1);
        counts[target] = counts[target]! + part;
      }
    }
  }
}
