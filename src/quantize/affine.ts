/**
 * @file Affine (scale and zero point) quantization of float32 arrays: ranges, codes and back.
 * Source: ONNX QuantizeLinear-21 and DequantizeLinear-21.
 *
 * **The rule.** `code = saturate(roundHalfEven(x / scale) + zeroPoint)`, with the quotient rounded to float32 first: what ONNX
 * Runtime's float32 kernels compute, bit for bit. Two tricks make it fast and change no result:
 * - `fround(x · (1 / scale))` in float64 *is* the float32 quotient. A quotient of two 24-bit significands lies at least 2^-49
 *   (relative) off every float32 rounding boundary, and the reciprocal and the product err by less than 2^-51.
 * - Storing `q + 1.5 · 2^23` as float32 rounds q to an integer, ties to even, and leaves it in the low bits of the word. The
 *   words of larger sums, up to ±infinity, are ordered like the sums, so saturation compares integers.
 *
 * **The bound.** Unsaturated, `|x - dequantize(quantize(x))| <= scale / 2 + (|x| + scale) · 2^-23`; for every element of a range
 * `min <= 0 <= max` whose parameters `chooseQParams` made, `scale / 2 + (max - min + scale) · 2^-22`. The terms after scale / 2
 * are the float32 roundings of quotient, product, scale and span: for int8 at most 6e-5 of a step. A rule without them would
 * give other codes than the runtime does.
 */
import { dequantizeRow, quantizeRun, quantizeTile, quantizeWide, seen } from "./affine-loops.ts";
import { checkFinite, checkSize, forEachSpan, type GroupView } from "./granularity.ts";
import { CODE_RANGES, checkQParams, type QParams } from "./qparams.ts";

/** One code per element; 4-bit codes are one to a byte (packing is for the writer). */
export type CodeArray = Int8Array | Uint8Array | Int16Array | Uint16Array;

const CODE_ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int4: Int8Array,
  uint4: Uint8Array,
} as const satisfies Record<QParams["dtype"], unknown>;

const INFINITY_BITS = 0x7f800000;
const SIGN = 0x80000000 | 0;
const MAGIC_BITS = 0x4b400000; // 1.5 · 2^23 as float32; its low 22 bits are 0

/**
 * Smallest and largest value of every group, in the order of `scale`; 0 and 0 for a group without elements.
 * @param data float32, row-major, with the view's dimensions.
 * @throws GraphError naming the first NaN or infinite element; for a wrong length.
 */
export function minMax(data: Float32Array, view: GroupView): { min: Float32Array; max: Float32Array } {
  checkSize(view, data.length);
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  // Extremes as ordered words (see {@link ordered}) until the end.
  const min = new Int32Array(view.groups).fill(0x7fffffff);
  const max = new Int32Array(view.groups).fill(SIGN);
  forEachSpan(
    view,
    (start, end, group) => scanRun(bits, start, end, group, min, max),
    (start, rows, columns, stride, group) => scanTile(bits, start, rows, columns, stride, group, min, max),
  );
  let finite = true;
  for (let group = 0; group < view.groups; group++) {
    if (min[group]! > max[group]!) {
      min[group] = max[group] = 0;
      continue;
    }
    finite &&= max[group]! < INFINITY_BITS && min[group]! > ordered(INFINITY_BITS | SIGN);
    min[group] = ordered(min[group]!);
    max[group] = ordered(max[group]!);
  }
  if (!finite) checkFinite(view, data);
  return { min: new Float32Array(min.buffer), max: new Float32Array(max.buffer) };
}

/**
 * `saturate(roundHalfEven(x / scale) + zeroPoint)` of every element, within the parameters' `qmin … qmax`.
 * @param data float32, row-major, with the view's dimensions.
 * @returns one code per element: Int8Array for int8 and int4, Uint8Array for uint8 and uint4, Int16Array, Uint16Array.
 * @throws GraphError naming the first NaN or infinite element; for a wrong length or parameters that do not fit.
 */
export function quantize(data: Float32Array, view: GroupView, qparams: QParams): CodeArray {
  checkSize(view, data.length);
  checkQParams(view, qparams);
  const { zeroPoint } = qparams;
  const codes = new CODE_ARRAYS[qparams.dtype](data.length);
  const inverse = Float64Array.from(qparams.scale, (scale) => 1 / scale);
  const { qmin = CODE_RANGES[qparams.dtype].qmin, qmax = CODE_RANGES[qparams.dtype].qmax } = qparams;
  const bounds = Int32Array.of(MAGIC_BITS + qmin, MAGIC_BITS + qmax);
  seen[0] = 0;
  if (codes.BYTES_PER_ELEMENT === 1) {
    const out = new Uint8Array(codes.buffer);
    forEachSpan(
      view,
      (start, end, group) => quantizeRun(data, out, start, end, group, inverse, zeroPoint, bounds),
      (start, rows, columns, stride, group) =>
        quantizeTile(data, out, start, rows, columns, stride, group, inverse, zeroPoint, bounds),
    );
  } else {
    const out = new Uint16Array(codes.buffer);
    forEachSpan(
      view,
      (start, end, group) => quantizeWide(data, out, start, end - start, group, 0, inverse, zeroPoint, bounds),
      (start, rows, columns, stride, group) => {
        for (let row = 0; row < rows; row++) {
          quantizeWide(data, out, start + row * stride, columns, group, 1, inverse, zeroPoint, bounds);
        }
      },
    );
  }
  // A finite element may overflow against a tiny scale; only an element that is not finite itself is refused.
  if (seen[0] !== 0) checkFinite(view, data);
  return codes;
}

/**
 * `(code - zeroPoint) · scale` of every element, rounded to float32.
 * @throws GraphError for a wrong length or parameters that do not fit.
 */
export function dequantize(codes: CodeArray, view: GroupView, qparams: QParams): Float32Array {
  checkSize(view, codes.length);
  checkQParams(view, qparams);
  const { scale, zeroPoint } = qparams;
  const out = new Float32Array(codes.length);
  const { raw, flip } = rawCodes(codes);
  forEachSpan(
    view,
    (start, end, group) => dequantizeRow(raw, flip, out, start, end - start, group, 0, scale, zeroPoint),
    (start, rows, columns, stride, group) => {
      for (let row = 0; row < rows; row++) {
        dequantizeRow(raw, flip, out, start + row * stride, columns, group, 1, scale, zeroPoint);
      }
    },
  );
  return out;
}

/** The values that survive quantization: `dequantize(quantize(data))`. Errors as {@link quantize}. */
export function fakeQuantize(data: Float32Array, view: GroupView, qparams: QParams): Float32Array {
  return dequantize(quantize(data, view, qparams), view, qparams);
}

/**
 * The codes' bytes as unsigned numbers with the sign bit to flip: `(raw ^ flip) - flip` is the code. So that loops over all
 * four code types see two array types (JavaScript engines compile a loop per array type they meet).
 */
export function rawCodes(codes: CodeArray): { readonly raw: Uint8Array | Uint16Array; readonly flip: number } {
  const { buffer, byteOffset, length } = codes;
  if (codes.BYTES_PER_ELEMENT === 1) {
    return { raw: new Uint8Array(buffer, byteOffset, length), flip: codes instanceof Int8Array ? 0x80 : 0 };
  }
  return { raw: new Uint16Array(buffer, byteOffset, length), flip: codes instanceof Int16Array ? 0x8000 : 0 };
}

// The loops of minMax stay beside it: from another module, V8 makes scanRun a fifth slower (4.0 against 5.0 GB/s).

/** Float words so that signed comparison orders them as the floats (-0 below 0; NaN beyond infinity). Its own inverse. */
function ordered(word: number): number {
  return word ^ ((word >> 31) >>> 1);
}

function scanRun(bits: Int32Array, start: number, end: number, group: number, min: Int32Array, max: Int32Array): void {
  let high = SIGN; // largest word: the largest positive float, if there is one
  let low = SIGN; // largest word with the sign flipped: the most negative float, if there is one
  let i = start;
  for (; i + 3 < end; i += 4) {
    let word = bits[i]!;
    if (word > high) high = word;
    word ^= SIGN;
    if (word > low) low = word;
    word = bits[i + 1]!;
    if (word > high) high = word;
    word ^= SIGN;
    if (word > low) low = word;
    word = bits[i + 2]!;
    if (word > high) high = word;
    word ^= SIGN;
    if (word > low) low = word;
    word = bits[i + 3]!;
    if (word > high) high = word;
    word ^= SIGN;
    if (word > low) low = word;
  }
  for (; i < end; i++) {
    const word = bits[i]!;
    if (word > high) high = word;
    if ((word ^ SIGN) > low) low = word ^ SIGN;
  }
  let lowest = low ^ SIGN;
  if (high < 0 || low < 0) {
    // One sign only (after a Relu): the extreme next to 0 is the smallest word, of either sign.
    const least = leastWord(bits, start, end);
    if (high < 0) high = least;
    else lowest = least;
  }
  if (ordered(high) > max[group]!) max[group] = ordered(high);
  if (ordered(lowest) < min[group]!) min[group] = ordered(lowest);
}

function leastWord(bits: Int32Array, start: number, end: number): number {
  let least = 0x7fffffff;
  let other = 0x7fffffff;
  let i = start;
  for (; i + 3 < end; i += 4) {
    if (bits[i]! < least) least = bits[i]!;
    if (bits[i + 1]! < other) other = bits[i + 1]!;
    if (bits[i + 2]! < least) least = bits[i + 2]!;
    if (bits[i + 3]! < other) other = bits[i + 3]!;
  }
  for (; i < end; i++) if (bits[i]! < least) least = bits[i]!;
  return other < least ? other : least;
}

/** Four rows at a time, so that each column's extremes are loaded and stored once for four elements. */
function scanTile(
  bits: Int32Array,
  start: number,
  rows: number,
  columns: number,
  stride: number,
  group: number,
  min: Int32Array,
  max: Int32Array,
): void {
  const high = new Int32Array(columns).fill(SIGN);
  const low = new Int32Array(columns).fill(SIGN);
  for (let row = 0; row < rows; row += 4) {
    // Past the last row the last row again: that changes no extreme.
    const p0 = start + row * stride;
    const p1 = start + Math.min(row + 1, rows - 1) * stride;
    const p2 = start + Math.min(row + 2, rows - 1) * stride;
    const p3 = start + Math.min(row + 3, rows - 1) * stride;
    for (let c = 0; c < columns; c++) {
      const a = bits[p0 + c]!;
      const b = bits[p1 + c]!;
      const d = bits[p2 + c]!;
      const e = bits[p3 + c]!;
      let h = high[c]!;
      if (a > h) h = a;
      if (b > h) h = b;
      if (d > h) h = d;
      if (e > h) h = e;
      high[c] = h;
      let l = low[c]!;
      if ((a ^ SIGN) > l) l = a ^ SIGN;
      if ((b ^ SIGN) > l) l = b ^ SIGN;
      if ((d ^ SIGN) > l) l = d ^ SIGN;
      if ((e ^ SIGN) > l) l = e ^ SIGN;
      low[c] = l;
    }
  }
  let both = 0;
  for (let c = 0; c < columns; c++) both |= high[c]! | low[c]!;
  if (both < 0) {
    scanOrdered(bits, start, rows, columns, stride, group, 1, min, max);
    return;
  }
  max.set(high, group);
  for (let c = 0; c < columns; c++) min[group + c] = ordered(low[c]! ^ SIGN);
}

/** The plain version, for spans in which a group has one sign only. `step` is 1 where each column is a group, else 0. */
function scanOrdered(
  bits: Int32Array,
  start: number,
  rows: number,
  columns: number,
  stride: number,
  group: number,
  step: number,
  min: Int32Array,
  max: Int32Array,
): void {
  for (let row = 0; row < rows; row++) {
    const from = start + row * stride;
    for (let c = 0; c < columns; c++) {
      const word = ordered(bits[from + c]!);
      const g = group + c * step;
      if (word < min[g]!) min[g] = word;
      if (word > max[g]!) max[g] = word;
    }
  }
}
