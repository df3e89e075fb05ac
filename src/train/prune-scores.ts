/**
 * @file Scores by which pruning during training ranks weights: the lowest go.
 *
 *   magnitude  |w|
 *   lamp       w² / Σ of the squares of all weights of the tensor that are not smaller: comparable between layers
 *   random     fixed by seed and weight, so that masks of rising sparsity lie within each other
 *   movement   S = −Σ γ · w · ∂L/∂w, as the training program adds it up: weights that move away from 0 have high ones
 *   taylor, snip: importance.ts
 *
 * Source: Han et al. 2015; Lee et al. 2021 (LAMP), equation 4; Sanh et al. 2020, section 4 (movement).
 */
import { createRandom, streamSeed } from "../util/random.ts";

export function magnitudes(weights: Float32Array): Float32Array {
  return weights.map(Math.abs);
}

/** Layer-adaptive magnitude scores, in (0, 1]; of weights whose squares are all 0 they are 0. */
export function lampScores(weights: Float32Array): Float32Array {
  const order = Float32Array.from(weights, (w) => w * w).sort();
  // Σ of the squares from each place of the ascending order on.
  const rest = new Float64Array(order.length + 1);
  for (let i = order.length - 1; i >= 0; i--) rest[i] = rest[i + 1]! + order[i]!;
  const firstAt = (square: number): number => {
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order[middle]! < square) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return weights.map((w) => {
    const square = Math.fround(w * w);
    return square === 0 ? 0 : square / rest[firstAt(square)]!;
  });
}

/** @param index Of the weight. */
export function randomScores(size: number, seed: number, index: number): Float32Array {
  const random = createRandom(streamSeed(seed, index));
  return Float32Array.from({ length: size }, () => random.next());
}
