/**
 * @file What one training runs: the programs of the whole and, where it begins layer by layer, those of the layers before it,
 * on one state.
 */
import type { TimedWay } from "../autodiff/time-ways.ts";
import type { Model } from "../graph/model.ts";
import { formatCount } from "../util/format.ts";
import type { Batch } from "./batches.ts";
import { programOptions } from "./checks.ts";
import type { TrainContext } from "./context.ts";
import { layerwiseLosses, sameState } from "./layerwise.ts";
import { GRADIENT_SCALE, LEARNING_RATE, type MemoryEstimate, type StateKind, type TrainingProgram } from "./program.ts";
import type { Pruner } from "./pruner.ts";
import { TrainingSessions } from "./sessions.ts";
import { createTargets, type Targets } from "./targets.ts";
import type { TrainerOptions } from "./trainer-options.ts";

/** Programs and targets of one kind of update, and when it is made. */
export interface Phase {
  readonly targets: Targets;
  readonly sessions: TrainingSessions;
  readonly program: TrainingProgram;
  /** The first update and the one after the last, from 0. */
  readonly from: number;
  readonly to: number;
  readonly learningRate: number;
}

/** What an update gave: losses by output, means over its batches. */
export interface UpdateResult {
  readonly loss: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly gradientNorm: number | undefined;
  /** Runs of the graphs so far. */
  readonly runs: number;
}

export class Phases {
  readonly targets: Targets;
  readonly sessions: TrainingSessions;
  /** How gradients are computed, where ways are timed. */
  readonly ways = new Map<string, TimedWay>();
  /** Of the whole; there once a batch was opened. */
  program!: TrainingProgram;
  readonly #model: Model;
  readonly #options: TrainerOptions;
  readonly #context: TrainContext;
  readonly #accumulate: boolean;
  readonly #pruner: Pruner | undefined;
  #layers: Phase | undefined;

  constructor(
    model: Model,
    options: TrainerOptions,
    context: TrainContext,
    { accumulate, pruner }: { readonly accumulate: boolean; readonly pruner: Pruner | undefined },
  ) {
    this.#model = model;
    this.#options = pruner?.needs.straightThrough ? { ...options, updateMasked: true } : options;
    this.#context = context;
    this.#accumulate = accumulate;
    this.#pruner = pruner;
    [this.targets, this.sessions] = this.#programs(options.losses);
  }

  #programs(losses: TrainerOptions["losses"], shared?: TrainingSessions): [Targets, TrainingSessions] {
    const { runtime, teacher, signal, progress } = this.#context;
    const { threads, maxShapes, timeWays, seed, constantInputs: constant } = this.#options;
    const targets = createTargets(this.#model, losses, runtime, { teacher, threads, constant });
    const sessions = new TrainingSessions({
      model: this.#model,
      training: { ...programOptions(this.#options, this.#accumulate, this.#pruner?.needs), losses },
      runtime,
      shared,
      threads,
      most: maxShapes,
      ways: timeWays ? this.ways : undefined,
      seed,
      signal,
      progress,
    });
    return [targets, sessions];
  }

  /** Builds the whole's program for the first batch. */
  async open(batch: Batch): Promise<void> {
    const { feeds } = await this.targets.feeds(batch);
    this.#context.signal?.throwIfAborted();
    this.program = await this.sessions.program(feeds);
  }

  /**
   * The first updates go layer by layer, where that is asked for.
   * @param total Updates of the training.
   * @returns What was decided, for people.
   */
  async openLayers(batch: Batch, total: number): Promise<string | undefined> {
    const { layerwise, losses } = this.#options;
    const steps = layerwise === undefined ? 0 : Math.round(layerwise.share * total);
    if (layerwise === undefined || steps === 0) return undefined;
    const { values, learningRate } = layerwise;
    const [targets, sessions] = this.#programs(layerwiseLosses(losses, values), this.sessions);
    const program = await sessions.program((await targets.feeds(batch)).feeds);
    if (!sameState(program.state, this.program.state)) {
      await targets.release();
      return "no layer learns alone: some that the whole trains would be left out";
    }
    this.#layers = { targets, sessions, program, from: 0, to: steps, learningRate };
    const by = `${formatCount(values.length)} ${values.length === 1 ? "value" : "values"}`;
    return `${steps} of ${total} updates teach each layer alone, by ${by}${steps < total ? "; then all learn together" : ""}`;
  }

  /** Whether update `step` teaches each layer alone. */
  alone(step: number): boolean {
    return step < (this.#layers?.to ?? 0);
  }

  /** What update `step` of `total` belongs to. */
  at(step: number, total: number): Phase {
    if (this.#layers !== undefined && this.alone(step)) return this.#layers;
    const { targets, sessions, program } = this;
    const { learningRate } = this.#options;
    return { targets, sessions, program, from: this.#layers?.to ?? 0, to: total, learningRate };
  }

  /**
   * Whether the whole begins to learn with update `step`, after the last layer has learned alone. What was known of gradients
   * is of others then: moments and counters begin anew.
   */
  async beginsWhole(step: number): Promise<boolean> {
    if (step !== this.#layers?.to) return false;
    const kinds: readonly StateKind[] = ["optimizer", "counter"];
    const fresh = this.program.state.filter(({ kind }) => kinds.includes(kind));
    await this.sessions.state.restore(new Map(fresh.map(({ name, initial }) => [name, initial])));
    return true;
  }

  /** The larger one's. */
  get memory(): MemoryEstimate {
    const [whole, layers] = [this.program.memory, this.#layers?.program.memory];
    return layers === undefined || layers.peak < whole.peak ? whole : layers;
  }

  async release(): Promise<void> {
    await this.#layers?.targets.release();
    await this.targets.release();
    await this.sessions.release();
  }
}

/**
 * One update: gradients of all its batches added up, then the optimizer.
 * @param runs Of the graphs before: the number of the next one's noise.
 */
export async function runUpdate(
  { targets, sessions, program }: Phase,
  batches: readonly Batch[],
  { rate, runs }: { readonly rate: number; readonly runs: number },
): Promise<UpdateResult> {
  const scalars = { [LEARNING_RATE]: rate, [GRADIENT_SCALE]: 1 / batches.length };
  const { loss, parts, gradientNorm } = program.outputs;
  const sums = new Map<string, number>();
  let norm: number | undefined;
  for (const [i, batch] of batches.entries()) {
    const { feeds } = await targets.feeds(batch);
    const part = i < batches.length - 1 ? "accumulate" : "step";
    const results = await sessions.run(part, feeds, scalars, runs + i);
    for (const name of [loss, ...Object.values(parts)]) {
      sums.set(name, (sums.get(name) ?? 0) + results[name]!.numbers()[0]! / batches.length);
    }
    if (gradientNorm !== undefined && part === "step") norm = results[gradientNorm]!.numbers()[0]!;
  }
  return {
    loss: sums.get(loss)!,
    losses: Object.fromEntries(Object.entries(parts).map(([name, output]) => [name, sums.get(output)!])),
    gradientNorm: norm,
    runs: runs + batches.length,
  };
}
