/**
 * @file Conversions of the 16-bit float types. Source: IEEE 754-2019 binary16; bfloat16 is the upper half of binary32.
 */

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** One binary16 bit pattern as a number. */
export function float16ToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A number as a binary16 bit pattern, rounded to nearest, ties to even; overflow gives infinity. */
export function numberToFloat16(value: number): number {
  word[0] = value;
  const x = bits[0]!;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to infinity
  if (magnitude < 0x38800000) {
    // Subnormal: the value in units of 2^-24, rounded to even by the addition of 1.5 · 2^23 in binary32.
    const scaled = Math.abs(word[0]!) * 2 ** 24;
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    return sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** One bfloat16 bit pattern as a number. */
export function bfloat16ToNumber(half: number): number {
  bits[0] = half << 16;
  return word[0]!;
}

/** A number as a bfloat16 bit pattern, rounded to nearest, ties to even. */
export function numberToBfloat16(value: number): number {
  word[0] = value;
  const x = bits[0]!;
  if ((x & 0x7fffffff) > 0x7f800000) return ((x >>> 16) | 0x40) & 0xffff; // NaN stays NaN
  return ((x + 0x7fff + ((x >>> 16) & 1)) >>> 16) & 0xffff;
}
