/**
 * @file What x86 processors without VNNI make of a product of uint8 activations and int8 weights, bit for bit.
 *
 * ONNX Runtime's kernels for AVX2 and AVX-512 without VNNI (MLAS: GemmU8S8KernelAvx2, ConvSymKernelAvx2 and their
 * AVX-512 forms) take two neighbours along K at once:
 *
 *   vpmaddubsw   s16 = clamp(x[2j] · w[2j] + x[2j+1] · w[2j+1], −32768, 32767)
 *   vpmaddwd, vpaddd   sum += s16                                       in int32
 *
 * 255 · 127 · 2 = 64,770 does not fit 16 bits: the sum is cut off, silently. With VNNI (vpdpbusd), on ARM and in
 * WebAssembly the sums are 32 bits wide. With weights of 7 bits (−64 … 63) the largest are 255 · 64 · 2 = 32,640: they fit.
 * Source: Intel SDM, PMADDUBSW; onnxruntime/core/mlas/lib/x86_64/QgemmU8S8KernelAvx2.S, ConvSymKernelAvx2.S.
 */

export const INT16_MIN = -32768;
export const INT16_MAX = 32767;

/** Operands of a product: rows of activation codes and one row of weight codes per output. */
export interface Product {
  /** `[rows, k]` */
  readonly x: Uint8Array;
  /** `[n, k]`: K in the order in which the kernel reads it. */
  readonly w: Int8Array;
  readonly rows: number;
  readonly k: number;
  readonly n: number;
}

/** `[rows, n]` as computed without VNNI: pair sums saturate in 16 bits. */
export function saturatingProduct({ x, w, rows, k, n }: Product): Int32Array {
  const result = new Int32Array(rows * n);
  const even = k - (k % 2);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < n; column++) {
      let a = row * k;
      let b = column * k;
      let sum = 0;
      for (const end = a + even; a < end; a += 2, b += 2) {
        const pair = x[a]! * w[b]! + x[a + 1]! * w[b + 1]!;
        sum += pair > INT16_MAX ? INT16_MAX : pair < INT16_MIN ? INT16_MIN : pair;
      }
      // The neighbour of the last one is padding: 255 · 128 fits.
      if (even < k) sum += x[a]! * w[b]!;
      result[row * n + column] = sum;
    }
  }
  return result;
}

/** `[rows, n]`: the product itself. |sums| < 2^31 for k < 65,793. */
export function exactProduct({ x, w, rows, k, n }: Product): Int32Array {
  const result = new Int32Array(rows * n);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let i = 0, a = row * k, b = column * k; i < k; i++) sum += x[a + i]! * w[b + i]!;
      result[row * n + column] = sum;
    }
  }
  return result;
}

/** Whether any activations can make a pair saturate: 255 times the positive, or the negative, weights of a pair. */
export function canSaturate(w: Int8Array, k: number): boolean {
  for (let start = 0; start < w.length; start += k) {
    for (let i = start; i + 1 < start + k; i += 2) {
      const first = w[i]!;
      const second = w[i + 1]!;
      const most = 255 * (Math.max(first, 0) + Math.max(second, 0));
      const least = 255 * (Math.min(first, 0) + Math.min(second, 0));
      if (most > INT16_MAX || least < INT16_MIN) return true;
    }
  }
  return false;
}

export interface Saturation {
  /** Sums of two products that were looked at. */
  readonly pairs: number;
  /** How many of them do not fit 16 bits. */
  readonly saturated: number;
  /** saturated ÷ pairs; 0 without pairs. */
  readonly share: number;
  /** Signal-to-noise ratio of the outputs as they are without VNNI against the exact ones, dB; Infinity where none saturates. */
  readonly sqnr: number;
}

/** A product whose outputs are worth `(sum − zeroPoint · Σ w) · scale`. */
export interface ScaledProduct extends Product {
  /** Code that stands for activation 0. */
  readonly zeroPoint: number;
  /** Of each output `[n]`. */
  readonly scale: ArrayLike<number>;
}

/** What saturation does to some products (groups of a convolution) that make one output together. */
export function saturationOf(products: readonly ScaledProduct[]): Saturation {
  let pairs = 0;
  let saturated = 0;
  let signal = 0;
  let noise = 0;
  for (const { x, w, rows, k, n, zeroPoint, scale } of products) {
    const even = k - (k % 2);
    pairs += rows * n * Math.ceil(k / 2);
    for (let column = 0; column < n; column++) {
      let zero = 0;
      for (let i = 0; i < k; i++) zero += w[column * k + i]!;
      zero *= zeroPoint;
      for (let row = 0; row < rows; row++) {
        let a = row * k;
        let b = column * k;
        let sum = 0;
        let cut = 0;
        for (const end = a + even; a < end; a += 2, b += 2) {
          const pair = x[a]! * w[b]! + x[a + 1]! * w[b + 1]!;
          sum += pair;
          if (pair > INT16_MAX) {
            cut += pair - INT16_MAX;
            saturated++;
          } else if (pair < INT16_MIN) {
            cut += pair - INT16_MIN;
            saturated++;
          }
        }
        if (even < k) sum += x[a]! * w[b]!;
        signal += ((sum - zero) * scale[column]!) ** 2;
        noise += (cut * scale[column]!) ** 2;
      }
    }
  }
  const sqnr = noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
  return { pairs, saturated, share: pairs === 0 ? 0 : saturated / pairs, sqnr };
}
