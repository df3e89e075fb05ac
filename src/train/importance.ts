/**
 * @file How much each weight matters to the loss, by gradients over several batches.
 *
 * With g_b the gradient of batch b's loss by what the mask leaves of the weight w, over N batches:
 *
 *   taylor   1/N · Σ_b (w · g_b)²        the squared first-order change of the loss if w were 0
 *   snip     |w · 1/N · Σ_b g_b|         connection sensitivity, usually at initialization
 *
 * Squares of batches do not cancel where batches pull in different directions, the mean of snip does.
 * Source: Molchanov et al. 2019, equation 8 (taylor); Lee et al. 2019, equation 6 (snip).
 */
import type { Model } from "../graph/model.ts";
import { parseOptions } from "../step/run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkCancelled } from "../util/progress.ts";
import { streamSeed } from "../util/random.ts";
import { type Batch, epochBatches, openReader, STREAMS } from "./batches.ts";
import { programOptions } from "./checks.ts";
import type { TrainContext } from "./context.ts";
import { gradientName, type TrainingProgram } from "./program.ts";
import { TrainingSessions } from "./sessions.ts";
import { createTargets, type Targets } from "./targets.ts";
import { type TrainerInput, trainerOptions } from "./trainer-options.ts";

export type GradientCriterion = "taylor" | "snip";

/** Sums over batches, by parameter; one number per element. */
export interface GradientSums {
  readonly batches: number;
  /** Σ g */
  readonly sum: ReadonlyMap<string, Float64Array>;
  /** Σ g² */
  readonly squares: ReadonlyMap<string, Float64Array>;
}

/** Runs the graph of gradients over batches. The state stays as it is. */
export async function sumGradients(
  batches: AsyncIterable<Batch>,
  count: number,
  {
    program,
    sessions,
    targets,
    signal,
  }: {
    readonly program: TrainingProgram;
    readonly sessions: TrainingSessions;
    readonly targets: Targets;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<GradientSums> {
  const names = program.state.filter(({ kind }) => kind === "parameter").map(({ name }) => name);
  const sum = new Map<string, Float64Array>();
  const squares = new Map<string, Float64Array>();
  let done = 0;
  for await (const batch of batches) {
    checkCancelled(signal);
    const { feeds } = await targets.feeds(batch);
    const results = await sessions.run("gradients", feeds, {}, done);
    for (const name of names) {
      const gradient = results[gradientName(name)]!.floats();
      if (done === 0) {
        sum.set(name, new Float64Array(gradient.length));
        squares.set(name, new Float64Array(gradient.length));
      }
      const [first, second] = [sum.get(name)!, squares.get(name)!];
      for (let i = 0; i < gradient.length; i++) {
        const g = gradient[i]!;
        first[i]! += g;
        second[i]! += g * g;
      }
    }
    if (++done === count) break;
  }
  return { batches: done, sum, squares };
}

/** Scores of one parameter, not negative. */
export function gradientScores(
  criterion: GradientCriterion,
  weights: Float32Array,
  { batches, sum, squares }: GradientSums,
  name: string,
): Float32Array {
  const scores = new Float32Array(weights.length);
  const [first, second] = [sum.get(name)!, squares.get(name)!];
  for (let i = 0; i < scores.length; i++) {
    const w = weights[i]!;
    scores[i] = criterion === "taylor" ? (w * w * second[i]!) / batches : Math.abs((w * first[i]!) / batches);
  }
  return scores;
}

/** Batches in an order that the number of an update decides, not the trainer's. */
export const scoreSeed = (seed: number, update: number): number => streamSeed(seed, STREAMS.scores, update);

export interface ImportanceOptions {
  readonly criterion: GradientCriterion;
  /** How many batches. Default 8. */
  readonly batches?: number;
  /** Losses, batch size, seed, which parameters; what concerns updates has no effect. */
  readonly training: TrainerInput;
}

/**
 * Scores of all parameters by name, for selectGlobal and selectLocal of src/prune. The model stays as it is.
 * @throws as `train` does.
 */
export async function importance(
  model: Model,
  { criterion, batches = 8, training }: ImportanceOptions,
  {
    runtime,
    data,
    teacher,
    signal,
    progress,
  }: Pick<TrainContext, "runtime" | "data" | "teacher" | "signal" | "progress">,
): Promise<ReadonlyMap<string, Float32Array>> {
  const options = parseOptions({ name: "importance", options: trainerOptions }, training);
  const { losses, threads, seed, batchSize, maxShapes, lastBatch } = options;
  const targets = createTargets(model, losses, runtime, { teacher, threads });
  const sessions = new TrainingSessions({
    model,
    training: programOptions(options, false, { gradients: true }),
    runtime,
    threads,
    most: maxShapes,
    ways: undefined,
    seed,
    signal,
    progress,
  });
  try {
    const reader = await openReader(data);
    const size = Math.min(batchSize, reader.length);
    const order = { seed: scoreSeed(seed, 0), batchSize: size, lastBatch };
    const all = (): AsyncGenerator<Batch> => epochBatches(reader, { epoch: 0, index: 0, waiting: [] }, order);
    const first = await all().next();
    const program = await sessions.program((await targets.feeds(first.value as Batch)).feeds);
    const sums = await sumGradients(all(), batches, { program, sessions, targets, signal });
    const parameters: readonly (readonly [string, Tensor])[] = program.state.flatMap(({ kind, name, initial }) =>
      kind === "parameter" ? [[name, initial] as const] : [],
    );
    return new Map(parameters.map(([name, tensor]) => [name, gradientScores(criterion, tensor.floats(), sums, name)]));
  } finally {
    await targets.release();
    await sessions.release();
  }
}
