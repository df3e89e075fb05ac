/**
 * @file What is zero in a model's weights, masks applied.
 */
import type { Model } from "../graph/model.ts";
import { historyOf, type PruneEvent } from "./masks.ts";
import { findPrunable, type Selection } from "./weights.ts";

export interface Sparsity {
  readonly weights: readonly WeightSparsity[];
  /** Elements of all of them. */
  readonly size: number;
  readonly zeros: number;
  /** zeros ÷ size; 0 for a model without weights. */
  readonly sparsity: number;
}

export interface WeightSparsity {
  readonly name: string;
  readonly dims: readonly number[];
  readonly size: number;
  /** Elements that are zero for the model: by a mask, or by themselves. */
  readonly zeros: number;
  readonly sparsity: number;
  readonly masked: boolean;
  /** What was done to its mask. */
  readonly history: readonly PruneEvent[];
}

/** Zeros per weight and overall. @param selection Default: all weights that operators have. */
export function sparsity(model: Model, selection?: Selection): Sparsity {
  const weights = findPrunable(model, selection).map(({ name, value, tensor, kept }): WeightSparsity => {
    const { size, dims } = tensor;
    const values = tensor.floats();
    let zeros = 0;
    for (let i = 0; i < size; i++) if (values[i] === 0 || kept?.[i] === 0) zeros++;
    const history = historyOf(model, value);
    return { name, dims, size, zeros, sparsity: size === 0 ? 0 : zeros / size, masked: kept !== undefined, history };
  });
  const size = weights.reduce((sum, weight) => sum + weight.size, 0);
  const zeros = weights.reduce((sum, weight) => sum + weight.zeros, 0);
  return { weights, size, zeros, sparsity: size === 0 ? 0 : zeros / size };
}
