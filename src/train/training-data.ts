/**
 * @file The data of one training: its samples in batches that the model takes, those of validation, and how many of them make
 * an update.
 */
import type { Model } from "../graph/model.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { InputError } from "../util/errors.ts";
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
import { checkConstant } from "./checks.ts";
import type { TrainContext } from "./context.ts";
import type { TrainerOptions } from "./trainer-options.ts";

type DataOptions = Pick<TrainerOptions, "batchSize" | "accumulate" | "lastBatch" | "seed" | "constantInputs">;
type DataContext = Pick<TrainContext, "data" | "validation" | "augment">;

const START: Position = { epoch: 0, index: 0, waiting: [] };

export class TrainingData {
  readonly training: SampleReader;
  readonly validation: SampleReader | undefined;
  /** Samples per batch, and batches per update. */
  batchSize: number;
  accumulate: number;
  /** What differs from the options, and why. */
  readonly notes: string[] = [];
  readonly #options: DataOptions;
  readonly #context: DataContext;
  #lastBatch: "drop" | "keep";
  /** The batch that the model fixes. */
  #fixed: number | undefined;
  #axes: BatchAxes | undefined;
  /** Inputs that must be the same in all batches. */
  #constant: Tensors = {};

  constructor(
    options: DataOptions,
    context: DataContext,
    readers: { readonly training: SampleReader; readonly validation: SampleReader | undefined },
  ) {
    this.#options = options;
    this.#context = context;
    this.training = readers.training;
    this.validation = readers.validation;
    this.batchSize = options.batchSize;
    this.accumulate = options.accumulate;
    this.#lastBatch = options.lastBatch;
  }

  /** Takes batches as the model does. @throws InputError for fewer samples than a batch that it fixes. */
  fit(model: Model, sample: Sample): void {
    this.#axes = batchAxes(model, sample);
    this.#fitBatch(model, sample);
    const { length } = this.training;
    if (length >= this.batchSize || this.#lastBatch === "keep") return;
    if (this.#fixed !== undefined) {
      const problem = `expected at least ${this.batchSize} samples for one batch, which the model fixes, got ${length}`;
      throw new InputError({ area: "train", subject: this.#context.data.name, problem });
    }
    this.notes.push(`${length} samples are less than a batch of ${this.batchSize}: all of them are one`);
    this.batchSize = length;
  }

  /** Models that fix their batch are trained with that, and several batches make an update. */
  #fitBatch(model: Model, { inputs: first }: Sample): void {
    const inputs = model.graph.inputs.filter((value) => value.initializer === undefined);
    const [fixed, ...others] = inputs.map(({ shape }) => shape?.[0]);
    if (typeof fixed !== "number" || fixed < 1 || others.some((dim) => dim !== fixed)) return;
    const rows = first[inputs[0]!.name]?.dims[0] ?? 1;
    const samples = Math.max(1, Math.floor(fixed / rows));
    if (fixed > 1) this.#lastBatch = "drop";
    this.#fixed = fixed;
    if (samples === this.batchSize) return;
    const batches = Math.max(1, Math.round((this.batchSize * this.accumulate) / fixed));
    this.notes.push(`the model fixes its batch at ${fixed}: ${batches} of them make an update`);
    this.batchSize = samples;
    this.accumulate = batches;
  }

  get batchOptions(): BatchOptions {
    const { seed } = this.#options;
    const [batchSize, lastBatch, axes] = [this.batchSize, this.#lastBatch, this.#axes];
    return { seed, batchSize, lastBatch, axes, augment: this.#context.augment };
  }

  get updatesPerEpoch(): number {
    const batches = this.training.length / this.batchSize;
    const whole = this.#lastBatch === "drop" ? Math.floor(batches) : Math.ceil(batches);
    return Math.max(1, Math.ceil(whole / this.accumulate));
  }

  /** The first batch; what is constant in it has to be in all others. @throws InputError where no batch can be made. */
  async first(): Promise<Batch> {
    const batch = await this.#firstOf(epochBatches(this.training, START, this.batchOptions));
    const { constantInputs } = this.#options;
    this.#constant = Object.fromEntries(
      constantInputs.flatMap((name) => (batch.inputs[name] ? [[name, batch.inputs[name]]] : [])),
    );
    return batch;
  }

  firstOfValidation(reader: SampleReader): Promise<Batch> {
    return this.#firstOf(this.validationPass(reader));
  }

  /** All validation samples, each once. */
  validationPass(reader: SampleReader): AsyncGenerator<Batch> {
    const options = {
      seed: 0,
      batchSize: this.batchSize,
      lastBatch: "keep",
      shuffle: false,
      axes: this.#axes,
    } as const;
    const batches = epochBatches(reader, START, options);
    return this.#fixed === undefined ? batches : filledBatches(batches, this.batchSize);
  }

  /** The batches of each update of the rest of an epoch, and whether they end it. */
  async *updates(position: Position): AsyncGenerator<readonly [readonly Batch[], boolean]> {
    let group: Batch[] = [];
    for await (const batch of ahead(epochBatches(this.training, position, this.batchOptions))) {
      checkConstant(this.#constant, batch);
      group.push(batch);
      if (group.length < this.accumulate && !batch.last) continue;
      yield [group, batch.last];
      group = [];
    }
  }

  async #firstOf(batches: AsyncIterable<Batch>): Promise<Batch> {
    for await (const batch of batches) return batch;
    throw new InputError({
      area: "train",
      subject: this.#context.data.name,
      problem: `expected ${this.batchSize} samples of the same dimensions for a batch, found no such group`,
      help: 'Give a smaller --batch-size, or lastBatch "keep".',
    });
  }
}

/** @throws InputError where a source has no samples, or fewer than a batch that the model fixes. */
export async function openTrainingData(
  model: Model,
  options: DataOptions,
  context: DataContext,
): Promise<TrainingData> {
  const training = await openReader(context.data);
  const validation = context.validation && (await openReader(context.validation));
  const data = new TrainingData(options, context, { training, validation });
  data.fit(model, await training.at(0));
  return data;
}
