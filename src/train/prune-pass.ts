/**
 * @file One pruning between two updates: gradients over batches of its own where they rank weights, then the pruner.
 */
import { type BatchOptions, epochBatches, type SampleReader } from "./batches.ts";
import { type GradientSums, scoreSeed, sumGradients } from "./importance.ts";
import type { TrainingProgram } from "./program.ts";
import type { Pruner, Pruning } from "./pruner.ts";
import type { TrainingSessions } from "./sessions.ts";
import type { Targets } from "./targets.ts";

export interface PrunePass {
  readonly step: number;
  readonly total: number;
  readonly data: SampleReader;
  readonly batches: BatchOptions;
  readonly program: TrainingProgram;
  readonly sessions: TrainingSessions;
  readonly targets: Targets;
  readonly signal?: AbortSignal | undefined;
}

/** Writes new masks into the state. Batches are drawn by the step, and not augmented. */
export function pruneNow(pruner: Pruner, pass: PrunePass): Promise<Pruning> {
  const { step, total, data, batches, program, sessions } = pass;
  const sums = (): Promise<GradientSums> => {
    const order = { ...batches, seed: scoreSeed(batches.seed, step), augment: undefined };
    const drawn = epochBatches(data, { epoch: 0, index: 0, waiting: [] }, order);
    return sumGradients(drawn, pruner.options.batches, pass);
  };
  return pruner.prune(step, total, sessions.state, program.state, sums);
}
