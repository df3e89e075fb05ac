/**
 * @file A histogram of equal bins over `-threshold … threshold`. Where larger values come, bins of the same width are added
 * on both sides. Source: onnxruntime's HistogramCollector (`collect_value`, `merge_histogram`), whose bin edges (NumPy's, in
 * float32) are reproduced.
 *
 * One deviation: onnxruntime adds bins without bound (a first sample of zeros and noise makes millions); here, where there
 * would be more than the limit, pairs of bins are merged, from the centre outwards.
 */
import { countByEdges } from "./count-loops.ts";
import { damaged, savedFloats, shortest } from "./frame.ts";
import { type GroupHistogram, packCounts, unpackCounts } from "./group-histograms.ts";
import type { SavedFields } from "./observer.ts";

export class CentredHistogram implements GroupHistogram {
  counts: Float64Array;
  #threshold = -1;
  readonly #limit: number;

  /** @param limit bins up to which it grows, at least twice those it starts with. */
  constructor(bins: number, limit: number, saved?: SavedFields) {
    this.#limit = limit;
    if (saved === undefined) this.counts = new Float64Array(bins);
    else {
      this.counts = unpackCounts(saved, (length) => length > 0 && length % 2 === 0 && length <= limit);
      this.#threshold = savedFloats(saved, "threshold", 1)[0]!;
      if (this.#threshold < 0) throw damaged("threshold", `expected no negative number, got ${this.#threshold}`);
    }
  }

  grow(min: number, max: number): void {
    const wanted = Math.max(Math.abs(min), Math.abs(max));
    if (wanted <= this.#threshold) return;
    if (this.#threshold <= 0) {
      this.#threshold = wanted;
      return;
    }
    for (;;) {
      // In float32, as NumPy computes: 2 · threshold / bins.
      const width = Math.fround((2 * this.#threshold) / this.counts.length);
      const added = Math.floor(Math.fround(wanted - this.#threshold) / width) + 1;
      if (this.counts.length + 2 * added > this.#limit) {
        this.#mergePairs(width);
        continue;
      }
      const grown = new Float64Array(this.counts.length + 2 * added);
      grown.set(this.counts, added);
      this.counts = grown;
      this.#threshold = float32(float32(added * width) + this.#threshold);
      return;
    }
  }

  count(data: Float32Array, start: number, end: number, step: number): void {
    const reach = this.#reach();
    const factor = this.counts.length / (2 * reach);
    // Made again for each sample, rather than kept: as many bytes as the counts.
    const edges = this.edges();
    edges[0] = Number.NEGATIVE_INFINITY;
    edges[this.counts.length] = Number.POSITIVE_INFINITY;
    // Zeros, half of all values behind a Relu, are to be guessed right: a correction now and then is slow.
    const low = edges[this.counts.length / 2]! > 0 ? -reach * (1 - 2 ** -40) : -reach;
    countByEdges(data, start, end, step, low, factor, edges, this.counts);
  }

  /** The ends of the bins: one more than bins. */
  edges(): Float64Array {
    const reach = this.#reach();
    return linspace(-reach, reach, this.counts.length);
  }

  save(): SavedFields {
    return { counts: packCounts(this.counts), threshold: [shortest(this.#threshold)] };
  }

  /** All zeros: NumPy's range for a constant. */
  #reach(): number {
    return this.#threshold === 0 ? 0.5 : this.#threshold;
  }

  #mergePairs(width: number): void {
    const { counts } = this;
    const half = counts.length / 2;
    const odd = half % 2;
    const merged = new Float64Array(half + odd);
    // With an odd half, the outermost pairs are one bin and nothing.
    counts.forEach((count, bin) => {
      merged[(bin + odd) >> 1]! += count;
    });
    this.counts = merged;
    this.#threshold = float32(this.#threshold + odd * width);
  }
}

/** `numpy.linspace(low, high, bins + 1)` in float32. */
export function linspace(low: number, high: number, bins: number): Float64Array {
  const span = Math.fround(high - low);
  const step = Math.fround((Number.isFinite(span) ? span : high - low) / bins);
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => Math.fround(Math.fround(i * step) + low));
  edges[bins] = high;
  return edges;
}

/** Rounds to float32; what is too large becomes the largest finite one. */
export function float32(value: number): number {
  return Math.fround(Math.min(value, 3.4028234663852886e38));
}
