/**
 * @file A histogram whose bins are as wide as their values are large: so many to each power of two, over 16 powers of two
 * down from the largest magnitude, for each sign. Bins are bits of the float32 word, so that a growing range only shifts
 * them: nothing is smeared, and the order of samples does not matter. An outlier does not coarsen what lies far below it.
 */
import { countLogarithmic } from "./count-loops.ts";
import { damaged, savedFloats } from "./frame.ts";
import { type GroupHistogram, packCounts, unpackCounts } from "./group-histograms.ts";
import type { SavedFields } from "./observer.ts";

const OCTAVES = 16;
const MANTISSA_BITS = 23;

/** Values in `from … to`, taken as spread evenly. */
export interface Cells {
  readonly from: Float64Array;
  readonly to: Float64Array;
  readonly count: Float64Array;
}

export class LogHistogram implements GroupHistogram {
  /** Of either sign: first the bin of all that is too small for the others, zeros included, then by magnitude. */
  readonly counts: Float64Array;
  readonly #shift: number;
  /** Bins of one sign without the smallest. */
  readonly #side: number;
  /** The word, shifted, of the bin of the smallest; the next has the one after it. */
  #base = -1;

  constructor(bins: number, saved?: SavedFields) {
    const bits = Math.floor(Math.log2(bins / (2 * OCTAVES)));
    this.#shift = MANTISSA_BITS - bits;
    this.#side = OCTAVES << bits;
    const length = 2 * (this.#side + 1);
    this.counts = saved === undefined ? new Float64Array(length) : unpackCounts(saved, (found) => found === length);
    if (saved === undefined) return;
    this.#base = savedFloats(saved, "base", 1)[0]!;
    if (!Number.isInteger(this.#base) || this.#base < 0 || this.#base > 0x7f800000 >>> this.#shift) {
      throw damaged("base", `expected the first bits of a float32, got ${this.#base}`);
    }
  }

  grow(min: number, max: number): void {
    const base = Math.max((wordOf(Math.max(-min, max)) >>> this.#shift) - this.#side, 0);
    const by = base - this.#base;
    if (by <= 0) return;
    if (this.#base >= 0) for (const sign of [0, 1]) this.#shiftDown(sign * (this.#side + 1), by);
    this.#base = base;
  }

  count(data: Float32Array, start: number, end: number, step: number): void {
    const words = new Int32Array(data.buffer, data.byteOffset, data.length);
    countLogarithmic(words, start, end, step, this.#shift, this.#base, this.counts);
  }

  save(): SavedFields {
    return { counts: packCounts(this.counts), base: [this.#base] };
  }

  /** Bins with counts, ascending, cut to `min … max`; the smallest values are one cell at 0. */
  cells(min: number, max: number): Cells {
    const from: number[] = [];
    const to: number[] = [];
    const count: number[] = [];
    const add = (low: number, high: number, number: number): void => {
      if (number === 0) return;
      from.push(Math.max(low, Math.min(min, high)));
      to.push(Math.min(high, Math.max(max, low)));
      count.push(number);
    };
    const side = this.#side;
    const { counts } = this;
    for (let bin = side; bin > 0; bin--) add(-this.#edge(bin + 1), -this.#edge(bin), counts[side + 1 + bin]!);
    add(0, 0, counts[0]! + counts[side + 1]!);
    for (let bin = 1; bin <= side; bin++) add(this.#edge(bin), this.#edge(bin + 1), counts[bin]!);
    return { from: Float64Array.from(from), to: Float64Array.from(to), count: Float64Array.from(count) };
  }

  /** Lower end of a bin of positive numbers. */
  #edge(bin: number): number {
    words[0] = (this.#base + bin) << this.#shift;
    return floats[0]!;
  }

  #shiftDown(first: number, by: number): void {
    const { counts } = this;
    const side = this.#side;
    let small = counts[first]!;
    for (let bin = 1; bin <= Math.min(by, side); bin++) small += counts[first + bin]!;
    if (by < side) counts.copyWithin(first + 1, first + 1 + by, first + side + 1);
    counts.fill(0, first + 1 + Math.max(side - by, 0), first + side + 1);
    counts[first] = small;
  }
}

const floats = new Float32Array(1);
const words = new Int32Array(floats.buffer);

function wordOf(value: number): number {
  floats[0] = value;
  return words[0]!;
}
