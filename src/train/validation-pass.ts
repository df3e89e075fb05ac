/**
 * @file One pass over the validation samples: losses and metric, with the parameters or with their moving averages.
 */
import type { StateStore } from "../runtime/stateful.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";
import type { Batch } from "./batches.ts";
import type { TrainingProgram } from "./program.ts";
import type { TrainingSessions } from "./sessions.ts";
import type { Targets } from "./targets.ts";
import { type Validation, type ValidationMetric, ValidationTally } from "./validate.ts";

export interface ValidationPass {
  readonly metric: ValidationMetric;
  /** Samples in all, for progress. */
  readonly count: number;
  /** With the moving averages in the place of the parameters. */
  readonly averages: boolean;
  readonly program: TrainingProgram;
  readonly sessions: TrainingSessions;
  readonly targets: Targets;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** The state is afterwards what it was before, whatever happens. */
export async function validateOn(
  batches: () => AsyncIterable<Batch>,
  pass: ValidationPass,
): Promise<Pick<Validation, "loss" | "metric" | "value">> {
  const { metric, program, sessions, targets, signal, progress } = pass;
  const tally = new ValidationTally(metric);
  const measure = async (): Promise<void> => {
    let done = 0;
    for await (const batch of batches()) {
      checkCancelled(signal);
      const { feeds, outputs } = await targets.feeds(batch);
      const results = await sessions.run("evaluate", feeds, {});
      const compares = metric.metric !== undefined;
      const asks = compares && (metric.metric?.needs === "reference" || batch.labels.includes(undefined));
      const reference = asks ? (outputs ?? (await targets.outputs(batch.inputs))) : undefined;
      const own = Object.fromEntries(program.outputs.predictions.map((name) => [name, results[name]!]));
      tally.add(batch, results[program.outputs.loss]!.numbers()[0]!, own, reference);
      done += batch.indices.length;
      progress?.("validating", done, pass.count);
    }
  };
  await (pass.averages ? withAverages(sessions.state, program, measure) : measure());
  return tally.result();
}

/** Calls with the moving averages in the place of the parameters. */
async function withAverages(state: StateStore, program: TrainingProgram, work: () => Promise<void>): Promise<void> {
  const averages = program.state.filter(({ kind }) => kind === "ema");
  const own = await state.snapshot(averages.map(({ parameter }) => parameter!));
  const swapped = await state.snapshot(averages.map(({ name }) => name));
  await state.restore(new Map(averages.map(({ name, parameter }) => [parameter!, swapped.get(name)!])));
  try {
    await work();
  } finally {
    await state.restore(own);
  }
}
