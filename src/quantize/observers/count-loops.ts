/**
 * @file The inner loops of the histograms: `counts[bin of data[i]] += 1` for `i = start, start + step, … < end`.
 *
 * Counts are float64: with float32 (PyTorch) or int32, a bin of zeros after a Relu stops counting at 2^24, or wraps at 2^31.
 */

/** Equal bins from `low` on, `factor` = 1 / width; what lies outside goes to the first or the last bin. */
export function countLinear(
  data: Float32Array,
  start: number,
  end: number,
  step: number,
  low: number,
  factor: number,
  counts: Float64Array,
): void {
  const last = counts.length - 1;
  for (let i = start; i < end; i += step) {
    let bin = ((data[i]! - low) * factor) | 0;
    if (bin > last) bin = last;
    if (bin < 0) bin = 0;
    counts[bin] = counts[bin]! + 1;
  }
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
  for (let i = start; i < end; i += step) {
    const x = data[i]!;
    let bin = ((x - low) * factor) | 0;
    if (bin > last) bin = last;
    if (bin < 0) bin = 0;
    while (x < edges[bin]!) bin--;
    while (x >= edges[bin + 1]!) bin++;
    counts[bin] = counts[bin]! + 1;
  }
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
  for (let i = start; i < end; i += step) {
    const word = words[i]!;
    let bin = ((word & 0x7fffffff) >>> shift) - base;
    if (bin < 0) bin = 0;
    bin += (word >> 31) & negative;
    counts[bin] = counts[bin]! + 1;
  }
}
