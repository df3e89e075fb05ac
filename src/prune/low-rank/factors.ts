/**
 * @file A weight M [outputs, inputs] as a product of two smaller ones: M ≈ L·R with L [outputs, rank], R [rank, inputs].
 *
 * Without data this is the truncated SVD (Eckart & Young 1936), found from the eigenvectors U of M·Mᵀ, or V of Mᵀ·M where
 * that is smaller: L = U_r, R = U_rᵀ·M. Projections are exact whatever the small eigenvalues lost by squaring.
 *
 * With C = X·Xᵀ of the inputs X, what is least is the error of the outputs, ‖(M − L·R)·X‖, not that of the weight (Hsu et al.
 * 2022; the whitening is that of SVD-LLM, Wang et al. 2024, §3.1): with C = S·Sᵀ, the truncated SVD of M·S = U·Σ·Vᵀ gives
 * L·R = U_r·Σ_r·V_rᵀ·S⁻¹ = U_r·U_rᵀ·M, so that eigenvectors U of M·C·Mᵀ suffice where outputs are fewer.
 */
import { cholesky, gram, multiply, solveRight, symmetricEigen, transpose } from "../../tensor/linalg.ts";

export interface Factors {
  /** [outputs, rank] */
  readonly left: Float32Array;
  /** [rank, inputs] */
  readonly right: Float32Array;
}

export interface Spectrum {
  /** Squared singular values, falling; with moments those of what the outputs are made of. */
  readonly energies: Float64Array;
  /** Their sum. */
  readonly total: number;
  /** @param rank 1 to the number of energies. */
  factors(rank: number): Factors;
}

/** Share of the mean of C's diagonal that is added to it: inputs that never changed must not divide by zero. */
const DAMPING = 1e-6;

/**
 * @param matrix M [outputs, inputs], finite.
 * @param moments C = X·Xᵀ [inputs, inputs] of inputs that the weight gets; undefined: none are known.
 */
export function decompose(matrix: Float32Array, outputs: number, inputs: number, moments?: Float64Array): Spectrum {
  if (moments === undefined) {
    return outputs <= inputs ? byOutputs(matrix, outputs, inputs, matrix) : byInputs(matrix, outputs, inputs);
  }
  // M·C·Mᵀ may be as much smaller as there are outputs; else M·S with C = S·Sᵀ.
  const root = outputs > inputs ? rootOf(moments, inputs) : undefined;
  if (root !== undefined) return byInputs(matrix, outputs, inputs, root);
  return byOutputs(matrix, outputs, inputs, multiply(matrix, moments, outputs, inputs, inputs));
}

/** From the eigenvectors of `right`·Mᵀ, [outputs, outputs]. */
function byOutputs(
  matrix: Float32Array,
  outputs: number,
  inputs: number,
  right: Float32Array | Float64Array,
): Spectrum {
  const square =
    right === matrix
      ? gram(matrix, outputs, inputs)
      : symmetric(multiply(right, transpose(matrix, outputs, inputs), outputs, inputs, outputs), outputs);
  const { values, vectors } = symmetricEigen(square, outputs);
  return spectrum(values, (rank) => {
    const u = vectors.subarray(0, rank * outputs); // [rank, outputs]
    return [transpose(u, rank, outputs), multiply(u, matrix, rank, outputs, inputs)];
  });
}

/** From the eigenvectors of Sᵀ·Mᵀ·M·S, [inputs, inputs]; S is 1 where none is given. */
function byInputs(matrix: Float32Array, outputs: number, inputs: number, root?: Float64Array): Spectrum {
  const weighted = root === undefined ? matrix : multiply(matrix, root, outputs, inputs, inputs);
  const { values, vectors } = symmetricEigen(gram(transpose(weighted, outputs, inputs), inputs, outputs), inputs);
  return spectrum(values, (rank) => {
    const v = vectors.slice(0, rank * inputs); // [rank, inputs]
    const left = multiply(weighted, transpose(v, rank, inputs), outputs, inputs, rank);
    return [left, root === undefined ? v : solveRight(v, root, rank, inputs)];
  });
}

/** Lower S with S·Sᵀ = C, damped. */
function rootOf(moments: Float64Array, inputs: number): Float64Array | undefined {
  const damped = moments.slice();
  let mean = 0;
  for (let i = 0; i < inputs; i++) mean += moments[i * (inputs + 1)]! / inputs;
  for (let i = 0; i < inputs; i++) damped[i * (inputs + 1)]! += DAMPING * mean;
  return cholesky(damped, inputs);
}

/** Rounding makes a product that is symmetric only nearly so. */
function symmetric(a: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const mean = (a[i * n + j]! + a[j * n + i]!) / 2;
      a[i * n + j] = mean;
      a[j * n + i] = mean;
    }
  }
  return a;
}

function spectrum(
  values: Float64Array,
  at: (rank: number) => readonly [left: Float64Array, right: Float64Array],
): Spectrum {
  const energies = values.map((value) => Math.max(0, value));
  return {
    energies,
    total: energies.reduce((sum, value) => sum + value, 0),
    factors(rank) {
      const [left, right] = at(rank);
      balance(left, right, rank);
      return { left: Float32Array.from(left), right: Float32Array.from(right) };
    },
  };
}

/** Column i of L and row i of R get the same length: neither has a range of its own, and both train alike. */
function balance(left: Float64Array, right: Float64Array, rank: number): void {
  const [outputs, inputs] = [left.length / rank, right.length / rank];
  for (let i = 0; i < rank; i++) {
    let [l, r] = [0, 0];
    for (let o = 0; o < outputs; o++) l += left[o * rank + i]! ** 2;
    for (let k = 0; k < inputs; k++) r += right[i * inputs + k]! ** 2;
    if (l === 0 || r === 0) continue;
    const factor = (r / l) ** 0.25; // (√r / √l)^½
    for (let o = 0; o < outputs; o++) left[o * rank + i]! *= factor;
    for (let k = 0; k < inputs; k++) right[i * inputs + k]! /= factor;
  }
}

/** How much of a weight stays; at most one is given. */
export interface RankChoice {
  /** Below 1: share of the full rank, rounded; from 1 on: the number. */
  readonly rank?: number;
  /** Least share of the squared singular values that stays. */
  readonly energy?: number;
  /** Largest relative error, √(Σ of those that go ÷ Σ of all). */
  readonly maxError?: number;
}

/** Energy that stays where nothing is asked for: a relative error of 0.1. */
export const DEFAULT_ENERGY = 0.99;

/** The rank that a choice means, at least 1 and at most the full one. */
export function chooseRank({ energies, total }: Pick<Spectrum, "energies" | "total">, choice: RankChoice): number {
  const full = energies.length;
  const within = (rank: number): number => Math.min(full, Math.max(1, rank));
  if (choice.rank !== undefined) return within(choice.rank < 1 ? Math.round(choice.rank * full) : choice.rank);
  const allowed =
    choice.maxError === undefined ? (1 - (choice.energy ?? DEFAULT_ENERGY)) * total : choice.maxError ** 2 * total;
  let tail = 0;
  let rank = full;
  while (rank > 1 && tail + energies[rank - 1]! <= allowed) {
    rank--;
    tail += energies[rank]!;
  }
  return rank;
}

/** √(Σ energies from `rank` on ÷ total): the relative error that theory promises. */
export function tailError({ energies, total }: Pick<Spectrum, "energies" | "total">, rank: number): number {
  if (total === 0) return 0;
  let tail = 0;
  for (let i = energies.length - 1; i >= rank; i--) tail += energies[i]!;
  return Math.sqrt(tail / total);
}

/** ‖M − L·R‖ ÷ ‖M‖, of the factors as they are stored. */
export function relativeError(matrix: Float32Array, { left, right }: Factors, outputs: number, inputs: number): number {
  const product = multiply(left, right, outputs, left.length / outputs, inputs);
  let [error, norm] = [0, 0];
  for (let i = 0; i < matrix.length; i++) {
    error += (matrix[i]! - product[i]!) ** 2;
    norm += matrix[i]! ** 2;
  }
  return norm === 0 ? 0 : Math.sqrt(error / norm);
}
