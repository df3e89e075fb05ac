/**
 * @file Prunes a model while it is trained: masks that grow by a schedule, cycles of prune and fine-tune, regrowth. One
 * call, with checkpoints and resumption as `train` has them.
 */
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import { findPrunable } from "../prune/weights.ts";
import { parseOptions } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { TrainContext, TrainResult } from "./context.ts";
import { type PruneAndTrainInput, pruneAndTrainOptions, pruneEvent } from "./prune-options.ts";
import { Pruner } from "./pruner.ts";
import { runTraining } from "./trainer.ts";
import { namedConstants } from "./write-back.ts";
import { writeMasks } from "./write-masks.ts";

/**
 * Trains `model` and prunes it meanwhile; at the end trained values and masks are written into it, whatever happens
 * before it stays as it is. Masks that it has are where pruning begins. `best` is the best validation at the last sparsity.
 * @throws as `train` does; OptionError for pruning options that do not fit each other or the model.
 */
export async function pruneAndTrain(
  model: Model,
  input: PruneAndTrainInput,
  context: TrainContext,
): Promise<TrainResult> {
  const options = parseOptions({ name: "prune", options: pruneAndTrainOptions }, input);
  const work = cloneModel(model);
  const { select } = options.prune;
  const weights = findPrunable(work, select.length > 0 ? select : undefined);
  for (const { value, kept, tensor } of weights) {
    if (kept === undefined)
      mask.insert(work, value, Tensor.of("bool", tensor.dims, new Uint8Array(tensor.size).fill(1)));
  }
  const pruner = new Pruner(weights, options.prune, options.seed);
  const result = await runTraining(work, options, context, pruner);
  const constants = namedConstants(model);
  for (const [name, { tensor }] of namedConstants(work)) {
    const own = constants.get(name);
    if (own !== undefined && own.tensor !== tensor && String(own.tensor) === String(tensor) && tensor.dtype !== "bool")
      own.set(tensor);
  }
  const masks = findPrunable(work, select.length > 0 ? select : undefined).flatMap(({ name, kept, tensor }) =>
    pruner.names.has(name) ? [[name, Tensor.of("bool", tensor.dims, kept!)] as const] : [],
  );
  writeMasks(model, new Map(masks), pruneEvent(options.prune, result.steps));
  return result;
}
