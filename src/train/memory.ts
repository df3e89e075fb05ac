/**
 * @file What training will take of memory, before anything runs.
 */
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { elementCount } from "../tensor/dtype.ts";
import { optimizerOf } from "./optimizers/optimizers.ts";
import type { TrainingOptions } from "./options.ts";
import type { FedTensor, MemoryEstimate } from "./program.ts";
import type { Trained } from "./update.ts";

const FLOAT_BYTES = 4;

/**
 * @param model With gradients, before the update is appended.
 * @param forward Values of the forward pass, with their dimensions.
 * @param targets What is fed for the losses.
 */
export function estimateMemory(
  model: Model,
  forward: ReadonlyMap<Value, readonly number[]>,
  trained: readonly Trained[],
  options: TrainingOptions,
  targets: readonly FedTensor[],
): MemoryEstimate {
  const bytes = (dims: readonly number[]): number => FLOAT_BYTES * elementCount(dims);
  const parameters = trained.reduce((sum, { dims }) => sum + bytes(dims), 0);
  const copies =
    optimizerOf(options.optimizer.kind).moments(options.optimizer) +
    (options.ema === undefined ? 0 : 1) +
    (options.accumulate ? 1 : 0);
  let activations = 0;
  let largest = 0;
  for (const node of model.graph.nodes()) {
    for (const value of node.outputs) {
      const dims = value && forward.get(value);
      if (value === undefined || dims === undefined) continue;
      largest = Math.max(largest, bytes(dims));
      // Users without known dimensions are those of the backward pass.
      if ([...value.users].some((user) => user.outputs.some((output) => output && !forward.has(output))))
        activations += bytes(dims);
    }
  }
  const optimizer = copies * parameters;
  // A teacher's values are there as it gives them and as they are fed.
  const fed = 2 * targets.reduce((sum, { dims }) => sum + bytes(dims), 0);
  // Old and new state, all gradients of parameters, what is kept, and a few values of the backward pass at its widest.
  const peak = 2 * (parameters + optimizer) + parameters + activations + fed + 3 * largest;
  return { parameters, optimizer, activations, peak };
}
