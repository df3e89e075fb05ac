/**
 * @file The inner loops of the histograms: `counts[bin of data[i]] += 1` for `i = start, start + step, … < end`.
 *
 * They count in integers, into two tables in turn: adding to a float64 in memory, or twice in a row to one place (the zeros
 * behind a Relu), waits for the store before. The counts that remain are float64: in float32 (PyTorch) a bin stops counting
 * at 2^24.
 */

/** Bins of the largest histogram, and the end of the last. */
const CELLS = 8192 + 8;

const scratch = new Int32Array(2 * CELLS);

/** Moves what was counted to the counts; a value at the very end belongs to the last bin. */
function collect(counts: Float64Array): void {
  const { length } = counts;
  scratch[length - 1]! += scratch[length]! + scratch[CELLS + length]!;
  for (let bin = 0; bin < length; bin++) counts[bin] = counts[bin]! + scratch[bin]! + scratch[CELLS + bin]!;
  scratch.fill(0, 0, length + 1);
  scratch.fill(0, CELLS, CELLS + length + 1);
}

/** Equal bins of width 1 / `factor` from `low` on, which hold all values. */
export function countLinear(
  data: Float32Array,
  start: number,
  end: number,
  step: number,
  low: number,
  factor: number,
  counts: Float64Array,
): void {
  let table = 0;
  for (let i = start; i < end; i += step) {
    const bin = table + (((data[i]! - low) * factor) | 0);
    scratch[bin] = scratch[bin]! + 1;
    table ^= CELLS;
  }
  collect(counts);
}

/**
 * Bin b holds `edges[b] <= x < edges[b + 1]`, exactly. `edges` ascend, with -Infinity first and Infinity last (one more than
 * bins); `low` and `factor` guess the bin, which is then corrected, as NumPy does.
 */
export function countByEdges(
  data: Float32Array,
  start: number,
  end: number,
  step: number,
  low: number,
  factor: number,
  edges: Float64Array,
  counts: Float64Array,
): void {
  const last = counts.length - 1;
  let table = 0;
  for (let i = start; i < end; i += step) {
    const x = data[i]!;
    let bin = ((x - low) * factor) | 0;
    if (bin > last) bin = last;
    if (bin < 0) bin = 0;
    while (x < edges[bin]!) bin--;
    while (x >= edges[bin + 1]!) bin++;
    bin += table;
    scratch[bin] = scratch[bin]! + 1;
    table ^= CELLS;
  }
  collect(counts);
}

/**
 * Bins by exponent and the first bits of the mantissa: the bin of a float32 word is `((word & 0x7fffffff) >>> shift) - base`,
 * at least 0; negative numbers count in the second half of `counts`.
 */
export function countLogarithmic(
  words: Int32Array,
  start: number,
  end: number,
  step: number,
  shift: number,
  base: number,
  counts: Float64Array,
): void {
  const negative = counts.length >> 1;
  let table = 0;
  for (let i = start; i < end; i += step) {
    const word = words[i]!;
    let bin = ((word & 0x7fffffff) >>> shift) - base;
    if (bin < 0) bin = 0;
    bin += table + ((word >> 31) & negative);
    scratch[bin] = scratch[bin]! + 1;
    table ^= CELLS;
  }
  collect(counts);
}
