/**
 * @file In which order integer kernels read a weight along K, so that it is known which two elements form a pair.
 *
 * - MatMulInteger, MatMulIntegerToFloat, QGemm: B is packed column by column; K as it is.
 * - QLinearConv: channels last. Filters are reordered from O, I/g, k… to O, k…, I/g, and rows of the input are gathered to
 *   match (onnxruntime/core/providers/cpu/quantization/qlinearconv.cc: ReorderFilter; mlas/lib/convsym.cpp: MlasConvSymPackW).
 *   With an odd number of channels pairs reach from one tap to the next.
 * - Depthwise convolutions (one channel in, one out per group) have kernels of their own, which sum in 32 bits.
 */
import type { Candidate } from "../candidates.ts";

/** A weight as rows of K elements: element i of row n stands at `n · row + ⌊i / channels⌋ · tap + (i mod channels) · channel`. */
export interface KernelLayout {
  /** Rows: output channels of all groups, group after group. */
  readonly n: number;
  readonly k: number;
  readonly groups: number;
  readonly channels: number;
  readonly strides: { readonly row: number; readonly tap: number; readonly channel: number };
}

/** How the candidate's kernel reads its weight; undefined where its sums are 32 bits wide on every processor. */
export function kernelLayout({ node, kind, weight, axis }: Candidate): KernelLayout | undefined {
  const { dims } = weight.initializer!;
  return kind === "matmul" || kind === "gemm"
    ? matrixLayout(dims, axis === 0)
    : convolutionLayout(dims, node.int("group", 1));
}

/** Of a matrix `[K, N]`, or `[N, K]` where it is transposed. */
export function matrixLayout([rows = 0, columns = 0]: readonly number[], transposed: boolean): KernelLayout {
  const [n, k] = transposed ? [rows, columns] : [columns, rows];
  const strides = transposed ? { row: k, tap: 0, channel: 1 } : { row: 1, tap: 0, channel: n };
  return { n, k, groups: 1, channels: k, strides };
}

/** Of filters `[O, I/g, k…]`; undefined for depthwise ones. */
export function convolutionLayout(
  [n = 0, channels = 0, ...kernel]: readonly number[],
  groups: number,
): KernelLayout | undefined {
  if (groups > 1 && channels === 1 && n === groups) return undefined;
  const taps = kernel.reduce((a, b) => a * b, 1);
  return { n, k: channels * taps, groups, channels, strides: { row: channels * taps, tap: 1, channel: taps } };
}

/** A copy of a weight's elements, or codes, as `[n, k]` in the kernel's order. */
export function inKernelOrder<T extends Float32Array | Int8Array>(data: T, layout: KernelLayout): T {
  const { n, k, channels, strides } = layout;
  const result = new (data.constructor as new (length: number) => T)(n * k);
  for (let row = 0, to = 0; row < n; row++) {
    for (let tap = 0; tap * channels < k; tap++) {
      let from = row * strides.row + tap * strides.tap;
      for (let c = 0; c < channels; c++, from += strides.channel) result[to++] = data[from]!;
    }
  }
  return result;
}
