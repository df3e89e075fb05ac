/**
 * @file The inner loops of quantize and dequantize in affine.ts, which has the rule and says why the tricks change no
 * result.
 */

// affine.ts has its own: V8 reads an exported number from its module cell at every use.
const INFINITY_BITS = 0x7f800000;
const MAGIC = 12582912; // 1.5 · 2^23

const floats = new Float32Array(8);
const words = new Int32Array(floats.buffer);
/** Set to 1 by {@link saturate} where a word is NaN or infinite. */
export const seen = new Int32Array(1);

// The loops. Parameters that are constant in a loop are read from typed arrays before it (a plain number argument may be
// boxed, and is unboxed again at every use). Eight elements at a time go through the scratch words: with fewer, the loads
// wait for the stores (2.5 against 2.9 GB/s, and in one process of three 1.6). 8-bit stores have a loop of their own, since
// one that meets two array types is a fifth slower.

/** The rare end of the loops below: a word outside the bounds (as words). */
function saturate(word: number, low: number, high: number): number {
  if ((word & 0x7fffffff) >= INFINITY_BITS) seen[0] = 1;
  return word > high ? high : low;
}

export function quantizeRun(
  data: Float32Array,
  out: Uint8Array,
  start: number,
  end: number,
  group: number,
  inverse: Float64Array,
  zeroPoint: Int32Array,
  bounds: Int32Array,
): void {
  const inv = inverse[group]!;
  const zero = zeroPoint[group]!;
  const low = bounds[0]! - zero;
  const high = bounds[1]! - zero;
  let i = start;
  for (; i + 7 < end; i += 8) {
    floats[0] = Math.fround(data[i]! * inv) + MAGIC;
    floats[1] = Math.fround(data[i + 1]! * inv) + MAGIC;
    floats[2] = Math.fround(data[i + 2]! * inv) + MAGIC;
    floats[3] = Math.fround(data[i + 3]! * inv) + MAGIC;
    floats[4] = Math.fround(data[i + 4]! * inv) + MAGIC;
    floats[5] = Math.fround(data[i + 5]! * inv) + MAGIC;
    floats[6] = Math.fround(data[i + 6]! * inv) + MAGIC;
    floats[7] = Math.fround(data[i + 7]! * inv) + MAGIC;
    let word = words[0]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i] = word + zero;
    word = words[1]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 1] = word + zero;
    word = words[2]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 2] = word + zero;
    word = words[3]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 3] = word + zero;
    word = words[4]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 4] = word + zero;
    word = words[5]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 5] = word + zero;
    word = words[6]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 6] = word + zero;
    word = words[7]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i + 7] = word + zero;
  }
  for (; i < end; i++) {
    floats[0] = Math.fround(data[i]! * inv) + MAGIC;
    let word = words[0]!;
    if (word > high || word < low) word = saturate(word, low, high);
    out[i] = word + zero;
  }
}

export function quantizeTile(
  data: Float32Array,
  out: Uint8Array,
  start: number,
  rows: number,
  columns: number,
  stride: number,
  group: number,
  inverse: Float64Array,
  zeroPoint: Int32Array,
  bounds: Int32Array,
): void {
  const low = bounds[0]!;
  const high = bounds[1]!;
  for (let row = 0; row < rows; row += 4) {
    // Past the last row the last row again: it gets the same codes twice.
    const p0 = start + row * stride;
    const p1 = start + Math.min(row + 1, rows - 1) * stride;
    const p2 = start + Math.min(row + 2, rows - 1) * stride;
    const p3 = start + Math.min(row + 3, rows - 1) * stride;
    for (let c = 0; c < columns; c += 2) {
      const d = c + 1 < columns ? c + 1 : c;
      const inv = inverse[group + c]!;
      const zero = zeroPoint[group + c]!;
      const inv1 = inverse[group + d]!;
      const zero1 = zeroPoint[group + d]!;
      floats[0] = Math.fround(data[p0 + c]! * inv) + MAGIC;
      floats[1] = Math.fround(data[p1 + c]! * inv) + MAGIC;
      floats[2] = Math.fround(data[p2 + c]! * inv) + MAGIC;
      floats[3] = Math.fround(data[p3 + c]! * inv) + MAGIC;
      floats[4] = Math.fround(data[p0 + d]! * inv1) + MAGIC;
      floats[5] = Math.fround(data[p1 + d]! * inv1) + MAGIC;
      floats[6] = Math.fround(data[p2 + d]! * inv1) + MAGIC;
      floats[7] = Math.fround(data[p3 + d]! * inv1) + MAGIC;
      let word = (words[0]! + zero) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p0 + c] = word;
      word = (words[1]! + zero) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p1 + c] = word;
      word = (words[2]! + zero) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p2 + c] = word;
      word = (words[3]! + zero) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p3 + c] = word;
      word = (words[4]! + zero1) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p0 + d] = word;
      word = (words[5]! + zero1) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p1 + d] = word;
      word = (words[6]! + zero1) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p2 + d] = word;
      word = (words[7]! + zero1) | 0;
      if (word > high || word < low) word = saturate(word, low, high);
      out[p3 + d] = word;
    }
  }
}

/** 16-bit codes: the same arithmetic, one element at a time. */
export function quantizeWide(
  data: Float32Array,
  out: Uint16Array,
  start: number,
  count: number,
  group: number,
  step: number,
  inverse: Float64Array,
  zeroPoint: Int32Array,
  bounds: Int32Array,
): void {
  for (let i = 0; i < count; i++) {
    const g = group + i * step;
    floats[0] = Math.fround(data[start + i]! * inverse[g]!) + MAGIC;
    const low = bounds[0]! - zeroPoint[g]!;
    const high = bounds[1]! - zeroPoint[g]!;
    const word = words[0]!;
    out[start + i] = (word > high || word < low ? saturate(word, low, high) : word) + zeroPoint[g]!;
  }
}

export function dequantizeRow(
  raw: Uint8Array | Uint16Array,
  flip: number,
  out: Float32Array,
  start: number,
  count: number,
  group: number,
  step: number,
  scale: Float32Array,
  zeroPoint: Int32Array,
): void {
  for (let i = 0; i < count; i++) {
    const g = group + i * step;
    out[start + i] = ((raw[start + i]! ^ flip) - flip - zeroPoint[g]!) * scale[g]!;
  }
}
