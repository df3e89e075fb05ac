/**
 * @file Trains a model on data: epochs of batches, validation, checkpoints. The same in Node and in browsers; with a
 * runtime in a worker the thread that calls stays free.
 */
import type { TimedWay } from "../autodiff/time-ways.ts";
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { type Cycle, cycleAt } from "../prune/schedule.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { parseOptions } from "../step/run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { formatCount } from "../util/format.ts";
import {
  ahead,
  type Batch,
  type BatchAxes,
  type BatchOptions,
  batchAxes,
  epochBatches,
  filledBatches,
  openReader,
  type Position,
  type SampleReader,
} from "./batches.ts";
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
import { checkConstant, checkPatterns, limitMemory, programOptions } from "./checks.ts";
import type { TrainContext, TrainResult } from "./context.ts";
import { LossCurve } from "./curve.ts";
import { DivergenceError, type LossWatch, watchLoss } from "./divergence.ts";
import { type LogRecord, progressText, type StepInfo, type StopReason } from "./events.ts";
import { layerwiseLosses, sameState } from "./layerwise.ts";
import { GRADIENT_SCALE, LEARNING_RATE, type MemoryEstimate, type StateKind, type TrainingProgram } from "./program.ts";
import { pruneEvent } from "./prune-options.ts";
import { pruneNow } from "./prune-pass.ts";
import type { Pruner } from "./pruner.ts";
import { learningRateAt } from "./schedules.ts";
import { TrainingSessions } from "./sessions.ts";
import { createTargets, type Targets } from "./targets.ts";
import { type TrainerInput, type TrainerOptions, trainerOptions } from "./trainer-options.ts";
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

/** Programs and targets of one kind of update, and when it is made. */
interface Phase {
  readonly targets: Targets;
  readonly sessions: TrainingSessions;
  readonly program: TrainingProgram;
  /** The first update and the one after the last, from 0. */
  readonly from: number;
  readonly to: number;
  readonly learningRate: number;
}

class Training {
  readonly #model: Model;
  readonly #options: TrainerOptions;
  readonly #context: TrainContext;
  readonly #pruner: Pruner | undefined;
  #targets!: Targets;
  #sessions!: TrainingSessions;
  readonly #ways = new Map<string, TimedWay>();
  readonly #start = performance.now();
  /** Samples per batch, batches per update, and whether a smaller batch can run. */
  #batchSize: number;
  #accumulate: number;
  #lastBatch: "drop" | "keep";
  /** The batch that the model fixes. */
  #fixed: number | undefined;
  readonly #notes: string[] = [];

  #data!: SampleReader;
  #axes: BatchAxes | undefined;
  /** Inputs that must be the same in all batches. */
  #constant: Tensors = {};
  #validation: SampleReader | undefined;
  #metric: ValidationMetric | undefined;
  #program!: TrainingProgram;
  /** Layer by layer, before the whole. */
  #layers: Phase | undefined;
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
    this.#batchSize = options.batchSize;
    this.#accumulate = options.accumulate;
    this.#lastBatch = options.lastBatch;
    checkPatterns(model, options);
  }

  async release(): Promise<void> {
    await this.#layers?.targets.release();
    await this.#targets?.release();
    await this.#sessions?.release();
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
      samples: this.#data.length,
      validationSamples: this.#validation?.length ?? 0,
      parameters: this.#parameters(),
      memory: this.#memory(),
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

  #connect(): void {
    [this.#targets, this.#sessions] = this.#programs(this.#options.losses);
  }

  #programs(losses: TrainerOptions["losses"], shared?: TrainingSessions): [Targets, TrainingSessions] {
    const { runtime, teacher, signal, progress } = this.#context;
    const { threads, maxShapes, timeWays, seed, constantInputs: constant } = this.#options;
    const targets = createTargets(this.#model, losses, runtime, { teacher, threads, constant });
    const sessions = new TrainingSessions({
      model: this.#model,
      training: {
        ...programOptions(this.#programOptions(), this.#accumulate > 1, this.#pruner?.needs),
        losses,
      },
      runtime,
      shared,
      threads,
      most: maxShapes,
      ways: timeWays ? this.#ways : undefined,
      seed,
      signal,
      progress,
    });
    return [targets, sessions];
  }

  /** The first updates go layer by layer, where that is asked for. */
  async #openLayers(batch: Batch): Promise<void> {
    const { layerwise, losses } = this.#options;
    const steps = layerwise === undefined ? 0 : Math.round(layerwise.share * this.#total);
    if (layerwise === undefined || steps === 0) return;
    const { values, learningRate } = layerwise;
    const [targets, sessions] = this.#programs(layerwiseLosses(losses, values), this.#sessions);
    const program = await sessions.program((await targets.feeds(batch)).feeds);
    if (!sameState(program.state, this.#program.state)) {
      await targets.release();
      this.#notes.push("no layer learns alone: some that the whole trains would be left out");
      return;
    }
    this.#layers = { targets, sessions, program, from: 0, to: steps, learningRate };
    this.#notes.push(
      `${steps} of ${this.#total} updates teach each layer alone, by ${formatCount(values.length)} ${values.length === 1 ? "value" : "values"}${steps < this.#total ? "; then all learn together" : ""}`,
    );
  }

  /** Whether the next update teaches each layer alone. */
  #alone(): boolean {
    return this.#step < (this.#layers?.to ?? 0);
  }

  /** What the next update belongs to. */
  #phase(): Phase {
    const layers = this.#layers;
    if (layers !== undefined && this.#alone()) return layers;
    const { learningRate } = this.#options;
    const [targets, sessions, program] = [this.#targets, this.#sessions, this.#program];
    return { targets, sessions, program, from: layers?.to ?? 0, to: this.#total, learningRate };
  }

  /** After the last layer has learned alone: what was known of gradients and losses is of others. */
  async #beginWhole(): Promise<void> {
    const kinds: readonly StateKind[] = ["optimizer", "counter"];
    const fresh = this.#program.state.filter(({ kind }) => kinds.includes(kind));
    await this.#sessions.state.restore(new Map(fresh.map(({ name, initial }) => [name, initial])));
    this.#watch = watchLoss({ factor: this.#options.divergenceFactor, steps: this.#options.divergenceSteps });
    this.#stale = 0;
  }

  #memory(): MemoryEstimate {
    const [whole, layers] = [this.#program.memory, this.#layers?.program.memory];
    return layers === undefined || layers.peak < whole.peak ? whole : layers;
  }

  #programOptions(): TrainerOptions {
    return this.#pruner?.needs.straightThrough ? { ...this.#options, updateMasked: true } : this.#options;
  }

  /** Models that fix their batch are trained with that, and several batches make an update. */
  #fitBatch({ inputs: first }: Sample): void {
    const inputs = this.#model.graph.inputs.filter((value) => value.initializer === undefined);
    const [fixed, ...others] = inputs.map(({ shape }) => shape?.[0]);
    if (typeof fixed !== "number" || fixed < 1 || others.some((dim) => dim !== fixed)) return;
    const rows = first[inputs[0]!.name]?.dims[0] ?? 1;
    const samples = Math.max(1, Math.floor(fixed / rows));
    if (fixed > 1) this.#lastBatch = "drop";
    this.#fixed = fixed;
    if (samples === this.#batchSize) return;
    const batches = Math.max(1, Math.round((this.#batchSize * this.#accumulate) / fixed));
    this.#notes.push(`the model fixes its batch at ${fixed}: ${batches} of them make an update`);
    this.#batchSize = samples;
    this.#accumulate = batches;
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
    const { data, validation, signal, augmentName, augment, teacher } = this.#context;
    const options = this.#options;
    this.#data = await openReader(data);
    this.#validation = validation && (await openReader(validation));
    const sample = await this.#data.at(0);
    this.#axes = batchAxes(this.#model, sample);
    this.#fitBatch(sample);
    if (this.#data.length < this.#batchSize && this.#lastBatch === "drop") this.#shrink();
    this.#connect();
    for (const [key, way] of checkpoint?.record.ways ?? []) this.#ways.set(key, way as TimedWay);
    const first = await this.#firstBatch();
    this.#constant = Object.fromEntries(
      options.constantInputs.flatMap((name) => (first.inputs[name] ? [[name, first.inputs[name]]] : [])),
    );
    const { feeds } = await this.#targets.feeds(first);
    signal?.throwIfAborted();
    this.#program = await this.#sessions.program(feeds);
    this.#notes.push(...(this.#pruner?.fit(this.#program.state) ?? []));
    if (this.#validation !== undefined) {
      const { labels, inputs } = await this.#firstBatch(this.#validation);
      const outputs = (): Promise<Tensors> => this.#targets.outputs(inputs);
      this.#metric = await validationMetric(options.metric, options.metricOptions, labels, outputs);
    } else if (options.patience !== undefined) {
      throw new OptionError({
        area: "train",
        subject: "patience",
        problem: "expected validation data to stop by, got none",
        help: "Give some with --validation.",
      });
    }
    const limits = { factor: options.divergenceFactor, steps: options.divergenceSteps };
    this.#watch = watchLoss(limits, checkpoint?.record.losses);
    const batches = this.#data.length / this.#batchSize;
    const perEpoch = Math.ceil(
      (this.#lastBatch === "drop" ? Math.floor(batches) : Math.ceil(batches)) / this.#accumulate,
    );
    this.#total = options.steps ?? options.epochs * Math.max(1, perEpoch);
    await this.#openLayers(first);
    limitMemory(this.#memory(), options, this.#batchSize);
    this.#belongsTo = {
      model: fingerprintModel(this.#model),
      options: fingerprintOptions(options),
      data: await fingerprintData(this.#data),
      ...(this.#validation && { validation: await fingerprintData(this.#validation) }),
      ...(teacher && { teacher: fingerprintModel(teacher) }),
      ...(augment && { augment: augmentName ?? "yes" }),
    };
  }

  /** Fewer samples than one batch takes. */
  #shrink(): void {
    if (this.#fixed !== undefined) {
      throw new InputError({
        area: "train",
        subject: this.#context.data.name,
        problem: `expected at least ${this.#batchSize} samples for one batch, which the model fixes, got ${this.#data.length}`,
      });
    }
    this.#notes.push(`${this.#data.length} samples are less than a batch of ${this.#batchSize}: all of them are one`);
    this.#batchSize = this.#data.length;
  }

  async #firstBatch(reader: SampleReader = this.#data): Promise<Batch> {
    const start = { epoch: 0, index: 0, waiting: [] };
    const batches =
      reader === this.#data ? epochBatches(reader, start, this.#batchOptions()) : this.#validationPass(reader);
    for await (const batch of batches) return batch;
    return this.#refuseEmpty();
  }

  #refuseEmpty(): never {
    throw new InputError({
      area: "train",
      subject: this.#context.data.name,
      problem: `expected ${this.#batchSize} samples of the same dimensions for a batch, found no such group`,
      help: 'Give a smaller --batch-size, or lastBatch "keep".',
    });
  }

  #batchOptions(): BatchOptions {
    const { seed } = this.#options;
    const [batchSize, lastBatch, axes] = [this.#batchSize, this.#lastBatch, this.#axes];
    return { seed, batchSize, lastBatch, axes, augment: this.#context.augment };
  }

  #validationBatches(): BatchOptions {
    return { seed: 0, batchSize: this.#batchSize, lastBatch: "keep", shuffle: false, axes: this.#axes };
  }

  /** All validation samples, each once. */
  #validationPass(reader: SampleReader): AsyncGenerator<Batch> {
    const batches = epochBatches(reader, { epoch: 0, index: 0, waiting: [] }, this.#validationBatches());
    return this.#fixed === undefined ? batches : filledBatches(batches, this.#batchSize);
  }

  async #resume(name: string, checkpoint: Checkpoint): Promise<void> {
    checkFingerprint(name, checkpoint, this.#belongsTo, this.#program.state);
    const { record, state, best } = checkpoint;
    await this.#sessions.state.restore(state);
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
      for await (const [batches, last] of this.#updates()) {
        if (patience !== undefined && this.#stale >= patience && !this.#alone()) return "patience";
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
        throw await this.#firstBatch().then(() => new Error("train: an epoch without a batch"));
    }
    return "finished";
  }

  /** The batches of each update of the rest of an epoch, and whether they end it. */
  async *#updates(): AsyncGenerator<readonly [readonly Batch[], boolean]> {
    let group: Batch[] = [];
    for await (const batch of ahead(epochBatches(this.#data, this.#position, this.#batchOptions()))) {
      group.push(batch);
      if (group.length < this.#accumulate && !batch.last) continue;
      yield [group, batch.last];
      group = [];
    }
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
      data: this.#data,
      batches: this.#batchOptions(),
      program: this.#program,
      sessions: this.#sessions,
      targets: this.#targets,
      signal: this.#context.signal,
    });
    this.#pruned = { step: this.#step, sparsity: pruning.sparsity };
    this.#whole = true;
    // The loss may jump: what it was before says nothing.
    const { divergenceFactor: factor, divergenceSteps: steps } = this.#options;
    this.#watch = watchLoss({ factor, steps });
    this.#log({ type: "prune", step: this.#step, ...pruning });
    await this.#context.hooks?.onPrune?.({ step: this.#step, ...pruning });
  }

  async #update(batches: readonly Batch[]): Promise<void> {
    const begun = performance.now();
    const { schedule, logEvery } = this.#options;
    if (this.#step === this.#layers?.to) await this.#beginWhole();
    const { targets, sessions, program, from, to, learningRate } = this.#phase();
    const { begin, length } = this.#pruner === undefined ? { begin: from, length: to - from } : this.#cycle();
    const rate = learningRateAt(schedule, learningRate, this.#step - begin, length);
    const scalars = { [LEARNING_RATE]: rate, [GRADIENT_SCALE]: 1 / batches.length };
    const sums = new Map<string, number>();
    let norm: number | undefined;
    this.#whole = false;
    for (const [i, batch] of batches.entries()) {
      checkConstant(this.#constant, batch);
      const { feeds } = await targets.feeds(batch);
      const part = i < batches.length - 1 ? "accumulate" : "step";
      const results = await sessions.run(part, feeds, scalars, this.#runs++);
      const { loss, parts, gradientNorm } = program.outputs;
      for (const name of [loss, ...Object.values(parts)]) {
        sums.set(name, (sums.get(name) ?? 0) + results[name]!.numbers()[0]! / batches.length);
      }
      if (gradientNorm !== undefined && part === "step") norm = results[gradientNorm]!.numbers()[0]!;
    }
    this.#step++;
    this.#whole = this.#pruner?.isDue(this.#step, this.#total) !== true;
    const { outputs } = program;
    const loss = sums.get(outputs.loss)!;
    const samples = batches.reduce((sum, { indices }) => sum + indices.length, 0);
    this.#busy += performance.now() - begun;
    this.#seen += samples;
    const info: StepInfo = {
      step: this.#step,
      epoch: this.#position.epoch,
      loss,
      losses: Object.fromEntries(Object.entries(outputs.parts).map(([name, output]) => [name, sums.get(output)!])),
      learningRate: rate,
      ...(norm !== undefined && { gradientNorm: norm }),
      samples,
    };
    const problem = this.#watch.add(loss);
    this.#curve.add(this.#step, loss, program === this.#layers?.program);
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
    const left = ((this.#total - this.#step) * this.#batchSize * this.#accumulate) / this.#speed();
    const loss = this.#watch.history?.average ?? Number.NaN;
    progress(
      progressText(
        this.#alone() ? "training layer by layer" : "training",
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
    const reader = this.#validation;
    const metric = this.#metric;
    if (reader === undefined || metric === undefined) return;
    const { signal, progress, hooks } = this.#context;
    const batches = (): AsyncIterable<Batch> => ahead(this.#validationPass(reader));
    const measured = await validateOn(batches, {
      metric,
      count: reader.length,
      averages: this.#options.ema !== undefined,
      program: this.#program,
      sessions: this.#sessions,
      targets: this.#targets,
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
      this.#best = { validation, state: await this.#sessions.state.snapshot(this.#resultNames()) };
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
    const state = await this.#sessions.state.snapshot();
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
        ways: [...this.#ways],
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
    const state = keep ?? (await this.#sessions.state.snapshot(this.#resultNames()));
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
      memory: this.#memory(),
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
