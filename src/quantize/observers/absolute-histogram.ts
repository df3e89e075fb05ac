/**
 * @file A histogram of magnitudes |x| with equal bins from the first sample's smallest magnitude on. Where larger ones come,
 * bins of the same width are added. Source: onnxruntime's HistogramCollector (`collect_absolute_value`).
 *
 * Deviations: magnitudes below the first bin, which onnxruntime drops from the second sample on, count in it; beyond
 * the limit, pairs of bins are merged.
 */
import { float32, linspace } from "./centred-histogram.ts";
import { countByEdges } from "./count-loops.ts";
import { damaged, savedFloats, shortest } from "./frame.ts";
import { type GroupHistogram, packCounts, unpackCounts } from "./group-histograms.ts";
import type { SavedFields } from "./observer.ts";

/** Magnitudes on their way into the loop. */
const scratch = new Float32Array(4096);

export class AbsoluteHistogram implements GroupHistogram {
  counts: Float64Array;
  /** Ends of the bins; undefined before the first sample. New ones are rounded to float32 only after the sample. */
  edges: Float64Array | undefined;
  readonly #limit: number;
  #wanted = 0;

  /** @param limit bins up to which it grows, at least twice those it starts with. */
  constructor(bins: number, limit: number, saved?: SavedFields) {
    this.#limit = limit;
    if (saved === undefined) this.counts = new Float64Array(bins);
    else {
      this.counts = unpackCounts(saved, (length) => length > 0 && length <= limit);
      this.edges = savedFloats(saved, "edges", this.counts.length + 1);
      if (this.edges.some((edge, i, all) => i > 0 && edge < all[i - 1]!))
        throw damaged("edges", "expected them to ascend");
    }
  }

  grow(min: number, max: number): void {
    this.#wanted = Math.max(Math.abs(min), Math.abs(max));
    this.edges = this.edges?.map(Math.fround);
    while (this.edges !== undefined && this.#wanted > this.edges.at(-1)!) {
      const { counts, edges } = this;
      const bins = counts.length;
      // numpy.arange(last + width, wanted + width, width): steps in float64 between ends in float32.
      const width = Math.fround(edges[1]! - edges[0]!);
      const start = float32(edges[bins]! + width);
      const added = Math.max(Math.ceil(float32(float32(this.#wanted + width) - start) / width), 1);
      if (!(bins + added <= this.#limit)) {
        this.#mergePairs();
        continue;
      }
      const delta = float32(start + width) - start;
      this.counts = new Float64Array(bins + added);
      this.counts.set(counts);
      this.edges = Float64Array.from({ length: bins + added + 1 }, (_, i) =>
        i <= bins ? edges[i]! : start + (i - bins - 1) * delta,
      );
      // Rounding may leave the last edge just below.
      if (this.edges[bins + added]! < this.#wanted) this.edges[bins + added] = this.#wanted;
    }
  }

  count(data: Float32Array, start: number, end: number, step: number): void {
    this.edges ??= this.#firstEdges(data, start, end, step);
    const { counts, edges } = this;
    const loopEdges = edges.slice();
    loopEdges[0] = Number.NEGATIVE_INFINITY;
    loopEdges[counts.length] = Number.POSITIVE_INFINITY;
    const factor = counts.length / (edges.at(-1)! - edges[0]!);
    for (let from = start; from < end; from += scratch.length * step) {
      const length = Math.min(scratch.length, Math.ceil((end - from) / step));
      for (let k = 0, i = from; k < length; k++, i += step) scratch[k] = Math.abs(data[i]!);
      countByEdges(scratch, 0, length, 1, edges[0]!, factor, loopEdges, counts);
    }
  }

  save(): SavedFields {
    return { counts: packCounts(this.counts), ...(this.edges && { edges: Array.from(this.edges, shortest) }) };
  }

  #firstEdges(data: Float32Array, start: number, end: number, step: number): Float64Array {
    let low = this.#wanted;
    for (let i = start; i < end; i += step) low = Math.min(low, Math.abs(data[i]!));
    // NumPy's range for a constant: ±0.5.
    const [from, to] = low === this.#wanted ? [Math.fround(low - 0.5), Math.fround(low + 0.5)] : [low, this.#wanted];
    return linspace(from, to, this.counts.length);
  }

  #mergePairs(): void {
    const bins = Math.ceil(this.counts.length / 2);
    const counts = new Float64Array(bins);
    this.counts.forEach((count, bin) => {
      counts[bin >> 1]! += count;
    });
    const old = this.edges!;
    const edges = Float64Array.from({ length: bins + 1 }, (_, i) => old[2 * i] ?? 0);
    // With an odd number of bins, the last one becomes as wide as the others.
    if (bins * 2 > this.counts.length) {
      edges[bins] = Math.max(float32(edges[bins - 1]! + 2 * (old[1]! - old[0]!)), old.at(-1)!);
    }
    this.counts = counts;
    this.edges = edges;
  }
}
