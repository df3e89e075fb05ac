/**
 * @file Trains a model on data: epochs of batches, validation, checkpoints. The same in Node and in browsers; with a
 * runtime in a worker the thread that calls stays free.
 */
import type { TimedWay } from "../autodiff/time-ways.ts";
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { type Cycle, cycleAt } from "../prune/schedule.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { StateStore } from "../runtime/stateful.ts";
import { parseOptions } from "../step/run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { ahead, type Batch, type Position } from "./batches.ts";
import {
  CHECKPOINT_FORMAT,
  type Checkpoint,
  type CheckpointRecord,
  checkFingerprint,
  type Fingerprint,
  fingerprintData,
  fingerprintModel,
  fingerprintOptions,
} from "./checkpoint.ts";
import { checkPatterns, limitMemory } from "./checks.ts";
import type { TrainContext, TrainResult } from "./context.ts";
import { LossCurve } from "./curve.ts";
import { DivergenceError, type LossHistory, type LossWatch, watchLoss } from "./divergence.ts";
import { type LogRecord, progressText, type StepInfo, type StopReason } from "./events.ts";
import { Phases, runUpdate } from "./phases.ts";
import type { StateKind, TrainingProgram } from "./program.ts";
import { pruneEvent } from "./prune-options.ts";
import { pruneNow } from "./prune-pass.ts";
import type { Pruner } from "./pruner.ts";
import { learningRateAt } from "./schedules.ts";
import { type TrainerInput, type TrainerOptions, trainerOptions } from "./trainer-options.ts";
import { openTrainingData, type TrainingData } from "./training-data.ts";
import { isBetter, type Validation, type ValidationMetric, validationMetric } from "./validate.ts";
import { validateOn } from "./validation-pass.ts";
import { writeBack } from "./write-back.ts";
import { masksOf, writeMasks } from "./write-masks.ts";

/** Milliseconds between two texts of progress. */
const REFRESH = 200;

/**
 * Trains `model` and writes the trained values into it at the end; whatever happens before, it stays as it is.
 * @throws OptionError, InputError for what does not fit; DivergenceError where the loss is no number or stays too high;
 * UnsupportedError naming a node without a gradient; the signal's reason.
 */
export async function train(model: Model, input: TrainerInput, context: TrainContext): Promise<TrainResult> {
  return runTraining(model, parseOptions({ name: "train", options: trainerOptions }, input), context);
}

/** The same with options that were parsed. @param pruner Chooses masks between updates; all its weights have one. */
export async function runTraining(
  model: Model,
  options: TrainerOptions,
  context: TrainContext,
  pruner?: Pruner,
): Promise<TrainResult> {
  const training = new Training(model, options, context, pruner);
  try {
    return await training.run();
  } finally {
    await training.release();
  }
}

class Training {
  readonly #model: Model;
  readonly #options: TrainerOptions;
  readonly #context: TrainContext;
  readonly #pruner: Pruner | undefined;
  readonly #start = performance.now();
  readonly #notes: string[] = [];

  #data!: TrainingData;
  #phases: Phases | undefined;
  #metric: ValidationMetric | undefined;
  #belongsTo!: Fingerprint;
  #watch!: LossWatch;
  #curve = new LossCurve();
  #total = 0;

  #step = 0;
  #runs = 0;
  #position: Position = { epoch: 0, index: 0, waiting: [] };
  #validations: Validation[] = [];
  #best: { readonly validation: Validation; readonly state: ReadonlyMap<string, Tensor> } | undefined;
  #stale = 0;
  /** The last pruning. */
  #pruned: CheckpointRecord["pruned"];
  #checkpoint: { readonly step: number; readonly name: string } | undefined;
  /** Milliseconds and samples of updates in this process. */
  #busy = 0;
  #seen = 0;
  #shown = 0;

  constructor(model: Model, options: TrainerOptions, context: TrainContext, pruner: Pruner | undefined) {
    this.#model = model;
    this.#pruner = pruner;
    this.#options = options;
    this.#context = context;
    checkPatterns(model, options);
  }

  async release(): Promise<void> {
    await this.#phases?.release();
  }

  async run(): Promise<TrainResult> {
    if (this.#context.planOnly) {
      await this.#open(undefined);
      return this.#result("planned");
    }
    const stored = await this.#stored();
    await this.#open(stored?.checkpoint);
    if (stored !== undefined) await this.#resume(stored.name, stored.checkpoint);
    this.#log({
      type: "start",
      step: this.#step,
      ...(stored && { from: stored.name }),
      totalSteps: this.#total,
      samples: this.#data.training.length,
      validationSamples: this.#data.validation?.length ?? 0,
      parameters: this.#parameters(),
      memory: this.#phases!.memory,
      notes: [...this.#notes, ...this.#program.notes],
    });
    try {
      if (stored === undefined) {
        await this.#validate();
        await this.#prune();
        await this.#save();
      }
      const stopped = await this.#train();
      if (this.#validations.at(-1)?.step !== this.#step) await this.#validate();
      await this.#save();
      await this.#finish();
      this.#log({ type: "end", step: this.#step, reason: stopped });
      return this.#result(stopped);
    } catch (error) {
      if (this.#context.signal?.aborted) {
        await this.#saveCancelled();
        this.#log({ type: "end", step: this.#step, reason: "cancelled" });
      } else if (error instanceof DivergenceError) {
        this.#log({ type: "end", step: error.step, reason: "diverged", problem: error.message });
      }
      throw error;
    }
  }

  /** Whether the state is that of #position: not while gradients are being added up, or masks are due. */
  #whole = true;

  async #saveCancelled(): Promise<void> {
    if (this.#whole && this.#step > 0) await this.#save();
  }

  async #stored(): Promise<{ readonly name: string; readonly checkpoint: Checkpoint } | undefined> {
    const { checkpoints, resume = false } = this.#context;
    const found = await checkpoints?.latest();
    if (found === undefined || resume) return found;
    throw new InputError({
      area: "train",
      subject: checkpoints!.name,
      problem: `expected a place without checkpoints, got one with those of an earlier training (${found.name})`,
      help: "Go on from there with --resume (API: resume), or choose another folder.",
    });
  }

  /** Data, the first program, the metric. */
  async #open(checkpoint: Checkpoint | undefined): Promise<void> {
    const { augmentName, augment, teacher } = this.#context;
    const options = this.#options;
    this.#data = await openTrainingData(this.#model, options, this.#context);
    const { training, validation, accumulate } = this.#data;
    const phases = new Phases(this.#model, options, this.#context, {
      accumulate: accumulate > 1,
      pruner: this.#pruner,
    });
    this.#phases = phases;
    for (const [key, way] of checkpoint?.record.ways ?? []) phases.ways.set(key, way as TimedWay);
    const first = await this.#data.first();
    await phases.open(first);
    this.#notes.push(...this.#data.notes, ...(this.#pruner?.fit(phases.program.state) ?? []));
    if (validation !== undefined) {
      const { labels, inputs } = await this.#data.firstOfValidation(validation);
      const outputs = (): Promise<Tensors> => phases.targets.outputs(inputs);
      this.#metric = await validationMetric(options.metric, options.metricOptions, labels, outputs);
    } else if (options.patience !== undefined) {
      throw new OptionError({
        area: "train",
        subject: "patience",
        problem: "expected validation data to stop by, got none",
        help: "Give some with --validation.",
      });
    }
    this.#watchAnew(checkpoint?.record.losses);
    this.#total = options.steps ?? options.epochs * this.#data.updatesPerEpoch;
    const layers = await phases.openLayers(first, this.#total);
    if (layers !== undefined) this.#notes.push(layers);
    limitMemory(phases.memory, options, this.#data.batchSize);
    this.#belongsTo = {
      model: fingerprintModel(this.#model),
      options: fingerprintOptions(options),
      data: await fingerprintData(training),
      ...(validation && { validation: await fingerprintData(validation) }),
      ...(teacher && { teacher: fingerprintModel(teacher) }),
      ...(augment && { augment: augmentName ?? "yes" }),
    };
  }

  /** Of the whole. */
  get #program(): TrainingProgram {
    return this.#phases!.program;
  }

  get #state(): StateStore {
    return this.#phases!.sessions.state;
  }

  /** The loss may jump: what it was before says nothing. */
  #watchAnew(history?: LossHistory): void {
    const { divergenceFactor: factor, divergenceSteps: steps } = this.#options;
    this.#watch = watchLoss({ factor, steps }, history);
  }

  async #resume(name: string, checkpoint: Checkpoint): Promise<void> {
    checkFingerprint(name, checkpoint, this.#belongsTo, this.#program.state);
    const { record, state, best } = checkpoint;
    await this.#state.restore(state);
    this.#step = record.step;
    this.#runs = record.runs;
    this.#position = record.position;
    this.#validations = [...record.validations];
    this.#stale = record.stale;
    this.#pruned = record.pruned;
    this.#curve = new LossCurve(record.curve);
    this.#best = record.best && best && { validation: record.best, state: best };
    this.#checkpoint = { step: record.step, name };
  }

  async #train(): Promise<StopReason> {
    const { epochs, steps, patience } = this.#options;
    const { signal, hooks } = this.#context;
    const done = (): boolean => (steps === undefined ? this.#position.epoch >= epochs : this.#step >= steps);
    while (!done()) {
      const { epoch } = this.#position;
      const before = this.#step;
      for await (const [batches, last] of this.#data.updates(this.#position)) {
        if (patience !== undefined && this.#stale >= patience && !this.#phases!.alone(this.#step)) return "patience";
        signal?.throwIfAborted();
        await this.#update(batches);
        const after = batches.at(-1)!.after;
        this.#position = last ? { epoch: epoch + 1, index: 0, waiting: [] } : after;
        await this.#prune();
        if (last) await hooks?.onEpoch?.({ epoch, step: this.#step });
        const { validateEvery, checkpointEvery } = this.#options;
        if (validateEvery === undefined ? last : this.#step % validateEvery === 0) await this.#validate();
        if (checkpointEvery === undefined ? last : this.#step % checkpointEvery === 0) await this.#save();
        if (done()) return "finished";
      }
      if (this.#step === before)
        throw await this.#data.first().then(() => new Error("train: an epoch without a batch"));
    }
    return "finished";
  }

  /** The stretch over which the learning rate's schedule runs. */
  #cycle(): Cycle {
    const { rate, schedule } = this.#pruner?.options ?? {};
    if (schedule === undefined || rate !== "restart") return { begin: 0, length: this.#total };
    return cycleAt(schedule, this.#step, this.#total);
  }

  /** Chooses masks anew where it is time to. */
  async #prune(): Promise<void> {
    const pruner = this.#pruner;
    if (pruner === undefined || !pruner.isDue(this.#step, this.#total)) return;
    const { kind } = pruner.options.schedule;
    // What a cycle has reached.
    const ends = this.#step > 0 && (kind === "iterative" || kind === "one-shot");
    if (ends && this.#validations.at(-1)?.step !== this.#step) await this.#validate();
    const pruning = await pruneNow(pruner, {
      step: this.#step,
      total: this.#total,
      data: this.#data.training,
      batches: this.#data.batchOptions,
      program: this.#program,
      sessions: this.#phases!.sessions,
      targets: this.#phases!.targets,
      signal: this.#context.signal,
    });
    this.#pruned = { step: this.#step, sparsity: pruning.sparsity };
    this.#whole = true;
    this.#watchAnew();
    this.#log({ type: "prune", step: this.#step, ...pruning });
    await this.#context.hooks?.onPrune?.({ step: this.#step, ...pruning });
  }

  async #update(batches: readonly Batch[]): Promise<void> {
    const begun = performance.now();
    const { schedule, logEvery } = this.#options;
    const phases = this.#phases!;
    if (await phases.beginsWhole(this.#step)) {
      this.#watchAnew();
      this.#stale = 0;
    }
    const phase = phases.at(this.#step, this.#total);
    const { from, to, learningRate } = phase;
    const { begin, length } = this.#pruner === undefined ? { begin: from, length: to - from } : this.#cycle();
    const rate = learningRateAt(schedule, learningRate, this.#step - begin, length);
    this.#whole = false;
    const { loss, losses, gradientNorm, runs } = await runUpdate(phase, batches, { rate, runs: this.#runs });
    this.#runs = runs;
    const alone = phases.alone(this.#step);
    this.#step++;
    this.#whole = this.#pruner?.isDue(this.#step, this.#total) !== true;
    const samples = batches.reduce((sum, { indices }) => sum + indices.length, 0);
    this.#busy += performance.now() - begun;
    this.#seen += samples;
    const info: StepInfo = {
      step: this.#step,
      epoch: this.#position.epoch,
      loss,
      losses,
      learningRate: rate,
      ...(gradientNorm !== undefined && { gradientNorm }),
      samples,
    };
    const problem = this.#watch.add(loss);
    this.#curve.add(this.#step, loss, alone);
    if (this.#step % logEvery === 0 || problem !== undefined) this.#logStep(info);
    if (problem !== undefined) {
      this.#whole = false;
      throw new DivergenceError(this.#step, loss, problem, this.#checkpoint?.name);
    }
    this.#show();
    await this.#context.hooks?.onStep?.(info);
  }

  /** Samples per second of updates in this process. */
  #speed(): number {
    return this.#busy === 0 ? 0 : (1000 * this.#seen) / this.#busy;
  }

  #show(): void {
    const { progress } = this.#context;
    const now = performance.now();
    if (progress === undefined || (now - this.#shown < REFRESH && this.#step !== this.#total)) return;
    this.#shown = now;
    const left = ((this.#total - this.#step) * this.#data.batchSize * this.#data.accumulate) / this.#speed();
    const loss = this.#watch.history?.average ?? Number.NaN;
    progress(
      progressText(
        this.#phases!.alone(this.#step) ? "training layer by layer" : "training",
        loss,
        this.#validations.at(-1),
        this.#speed(),
        left,
      ),
      this.#step,
      this.#total,
    );
  }

  async #validate(): Promise<void> {
    const reader = this.#data.validation;
    const metric = this.#metric;
    if (reader === undefined || metric === undefined) return;
    const { signal, progress, hooks } = this.#context;
    const batches = (): AsyncIterable<Batch> => ahead(this.#data.validationPass(reader));
    const measured = await validateOn(batches, {
      metric,
      count: reader.length,
      averages: this.#options.ema !== undefined,
      program: this.#program,
      sessions: this.#phases!.sessions,
      targets: this.#phases!.targets,
      signal,
      progress,
    });
    const validation: Validation = {
      step: this.#step,
      epoch: this.#position.epoch,
      ...measured,
      ...(this.#pruned && { sparsity: this.#pruned.sparsity }),
    };
    // Models that are to become sparser do not compete.
    const counts = this.#pruner === undefined || this.#pruner.isFinal(this.#pruned?.step, this.#total);
    const best =
      counts && (this.#best === undefined || isBetter(metric.direction, validation.value, this.#best.validation.value));
    this.#validations.push(validation);
    if (best) {
      this.#best = { validation, state: await this.#state.snapshot(this.#resultNames()) };
      this.#stale = 0;
    } else if (counts) this.#stale++;
    this.#log({ type: "validation", best, ...validation });
    await hooks?.onValidation?.(validation, best);
  }

  /** The state that makes the trained model. */
  #resultNames(): string[] {
    const kinds: readonly StateKind[] = [this.#options.ema === undefined ? "parameter" : "ema", "statistic", "mask"];
    return this.#program.state.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name);
  }

  async #save(): Promise<void> {
    const { checkpoints, hooks } = this.#context;
    if (checkpoints === undefined || this.#checkpoint?.step === this.#step) return;
    const state = await this.#state.snapshot();
    const losses = this.#watch.history;
    const name = await checkpoints.write({
      record: {
        format: CHECKPOINT_FORMAT,
        belongsTo: this.#belongsTo,
        step: this.#step,
        runs: this.#runs,
        position: this.#position,
        entries: this.#program.state.map(({ name, kind, parameter }) => ({
          name,
          kind,
          ...(parameter && { parameter }),
        })),
        ...(losses && { losses }),
        curve: this.#curve.history,
        validations: this.#validations,
        ...(this.#best && { best: this.#best.validation }),
        stale: this.#stale,
        ...(this.#pruned && { pruned: this.#pruned }),
        ways: [...this.#phases!.ways],
      },
      state,
      ...(this.#best && { best: this.#best.state }),
      model: () => {
        const copy = cloneModel(this.#model);
        this.#write(copy, state);
        return copy;
      },
    });
    this.#checkpoint = { step: this.#step, name };
    this.#log({ type: "checkpoint", step: this.#step, name });
    await hooks?.onCheckpoint?.({ step: this.#step, name });
  }

  async #finish(): Promise<void> {
    const keep = this.#options.keepBest ? this.#best?.state : undefined;
    const state = keep ?? (await this.#state.snapshot(this.#resultNames()));
    this.#write(this.#model, state);
  }

  #write(model: Model, state: ReadonlyMap<string, Tensor>): void {
    const { state: entries } = this.#program;
    writeBack(model, entries, state, { averages: this.#options.ema !== undefined });
    if (this.#pruner === undefined) return;
    const { names, options } = this.#pruner;
    const masks = [...masksOf(entries, state)].filter(([name]) => names.has(name));
    writeMasks(model, new Map(masks), pruneEvent(options, this.#step));
  }

  #parameters(): number {
    const own = this.#program.state.filter(({ kind }) => kind === "parameter");
    return own.reduce((sum, { initial }) => sum + initial.size, 0);
  }

  #result(stopped: StopReason): TrainResult {
    const metric = this.#metric && {
      name: this.#metric.name,
      direction: this.#metric.direction,
      unit: this.#metric.unit,
    };
    return {
      steps: this.#step,
      epochs: this.#position.epoch + (this.#position.index > 0 ? 1 : 0),
      stopped,
      loss: this.#watch.history?.average,
      curve: this.#curve.points(this.#step),
      metric,
      validations: this.#validations,
      best: this.#options.keepBest ? this.#best?.validation : undefined,
      seconds: this.#busy / 1000,
      samplesPerSecond: this.#speed(),
      memory: this.#phases!.memory,
      parameters: this.#parameters(),
      trained: this.#program.state
        .filter(({ kind }) => kind === "parameter")
        .map(({ name, initial }) => ({ name, dims: initial.dims })),
      notes: [...this.#notes, ...this.#program.notes],
    };
  }

  #logStep({ step, epoch, loss, losses, learningRate, gradientNorm }: StepInfo): void {
    this.#log({
      type: "step",
      step,
      epoch,
      loss,
      ...(Object.keys(losses).length > 1 && { losses }),
      learningRate,
      ...(gradientNorm !== undefined && { gradientNorm }),
      samplesPerSecond: Math.round(this.#speed()),
    });
  }

  #log(record: DistributiveOmit<LogRecord, "time">): void {
    const time = Math.round(performance.now() - this.#start) / 1000;
    this.#context.log?.({ time, ...record } as LogRecord);
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
