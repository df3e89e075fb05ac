/**
 * @file Scales with which no pair of weights can saturate, whatever the activations: as many bits as each channel allows.
 *
 * A pair saturates only where its codes of one sign sum to more than 128 (255 · 128 = 32,640 fits 16 bits, 255 · 129 does
 * not). Seven bits make sure of that by halving every code. It is enough to make the largest such sum of a channel 127:
 * rounding the two adds at most 1. The largest sum is nearer to the largest single weight than to twice that, so this
 * costs about 3 dB where seven bits cost 6, and never more.
 */

/** Least scale of each of `n` rows of `[n, k]` weights in the kernel's order. Rows of zeros, or odd ones out, get what fits. */
export function safeScales(weights: Float32Array, n: number, k: number): Float32Array {
  const scales = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    let largest = 0;
    const end = (row + 1) * k;
    for (let i = row * k; i < end; i += 2) {
      const first = weights[i]!;
      const second = i + 1 < end ? weights[i + 1]! : 0;
      const positive = Math.max(first, 0) + Math.max(second, 0);
      const negative = Math.max(-first, 0) + Math.max(-second, 0);
      largest = Math.max(largest, positive, negative);
    }
    scales[row] = largest / MOST;
  }
  return scales;
}

/** 128, less what rounding two codes to the nearest may add. */
const MOST = 127;
