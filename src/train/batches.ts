/**
 * @file Batches of one epoch: samples in a seeded order, augmented, grouped by their shapes. Where an epoch is can be told
 * by three numbers and a list, so that it can be taken up again anywhere.
 */
import { concatenateTensors } from "../data/combine.ts";
import type { Model } from "../graph/model.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import { createRandom, type Random, streamSeed } from "../util/random.ts";

/** Changes a sample as often as it is seen: the same for the same seed, epoch and index. Dimensions may change, too. */
export type Augment = (
  sample: Sample,
  random: Random,
  at: { readonly epoch: number; readonly index: number },
) => Sample;

/** Where training is: epoch and place in its order, and places that were passed and are not in a batch yet. */
export interface Position {
  readonly epoch: number;
  readonly index: number;
  readonly waiting: readonly number[];
}

export interface Batch {
  readonly inputs: Tensors;
  /** One per sample. */
  readonly labels: readonly unknown[];
  /** Indices of the samples in the source. */
  readonly indices: readonly number[];
  /** Every sample stands in it this often, to fill a batch that the model fixes; it counts once. Default 1. */
  readonly copies?: number;
  /** Where training is after it. */
  readonly after: Position;
  /** The last of its epoch. */
  readonly last: boolean;
}

/** Streams of random numbers. */
export const STREAMS = { order: 1, augment: 2, noise: 3, scores: 4 } as const;

/** Samples of a source in any order. */
export interface SampleReader {
  readonly length: number;
  at(index: number): Promise<Sample>;
}

/** Bytes of samples that are kept after they were read once. */
const KEPT_BYTES = 1e9;

/**
 * Reads samples in any order; those that were read are kept up to 1 GB. Sources that can only be read from the front are
 * kept whole.
 * @throws InputError where there are none, or such a source has more.
 */
export async function openReader(source: DataSource): Promise<SampleReader> {
  const kept = new Map<number, Sample>();
  let room = KEPT_BYTES;
  const keep = (index: number, sample: Sample): boolean => {
    const bytes = Object.values(sample.inputs).reduce((sum, tensor) => sum + tensor.byteLength, 0);
    if (bytes > room) return false;
    room -= bytes;
    kept.set(index, sample);
    return true;
  };
  const { at } = source;
  let { length } = source;
  if (at === undefined || length === undefined) {
    length = 0;
    for await (const sample of source.samples()) {
      if (keep(length++, sample)) continue;
      throw new InputError({
        area: "train",
        subject: source.name,
        problem: `expected at most ${KEPT_BYTES / 1e9} GB of samples that can only be read from the front, got more`,
        help: "Save them as .npz files in a folder: these are read one by one.",
      });
    }
  }
  if (length === 0) {
    throw new InputError({ area: "train", subject: source.name, problem: "expected samples, got none" });
  }
  return {
    length,
    async at(index) {
      const known = kept.get(index);
      if (known !== undefined) return known;
      const sample = await at!(index);
      keep(index, sample);
      return sample;
    },
  };
}

export interface BatchOptions {
  readonly seed: number;
  readonly batchSize: number;
  readonly lastBatch: "drop" | "keep";
  readonly augment?: Augment | undefined;
  /** Default true. */
  readonly shuffle?: boolean;
  /** Axes of inputs along which samples are joined, where these are not the first. */
  readonly axes?: BatchAxes | undefined;
}

export type BatchAxes = ReadonlyMap<string, number>;

/**
 * The inputs whose samples are not joined along the first axis: the model fixes that one and leaves another open, of which a
 * sample has one. States of recurrent layers are so: [layers, batch, hidden].
 */
export function batchAxes(model: Model, { inputs }: Sample): BatchAxes {
  const axes = new Map<string, number>();
  for (const { name, shape, initializer } of model.graph.inputs) {
    const dims = inputs[name]?.dims;
    if (initializer !== undefined || shape === undefined || dims === undefined) continue;
    if (typeof shape[0] !== "number") continue;
    const axis = shape.findIndex((dim, at) => typeof dim !== "number" && dims[at] === 1);
    if (axis > 0) axes.set(name, axis);
  }
  return axes;
}

/** Batches of a position's epoch from there on. Samples of different shapes wait for others of their own. */
export async function* epochBatches(
  reader: SampleReader,
  start: Position,
  { seed, batchSize, lastBatch, augment, shuffle = true, axes }: BatchOptions,
): AsyncGenerator<Batch> {
  const { epoch } = start;
  const order = Array.from({ length: reader.length }, (_, i) => i);
  if (shuffle) createRandom(streamSeed(seed, STREAMS.order, epoch)).shuffle(order);
  const read = async (place: number): Promise<Sample> => {
    const index = order[place]!;
    const sample = await reader.at(index);
    if (augment === undefined) return sample;
    return augment(sample, createRandom(streamSeed(seed, STREAMS.augment, epoch, index)), { epoch, index });
  };
  const waiting = new Map<string, { readonly place: number; readonly sample: Sample }[]>();
  const put = async (place: number): Promise<string> => {
    const sample = await read(place);
    const key = shapesOf(sample, axes);
    const group = waiting.get(key);
    if (group === undefined) waiting.set(key, [{ place, sample }]);
    else group.push({ place, sample });
    return key;
  };
  let ready: Omit<Batch, "last"> | undefined;
  const take = (key: string, index: number): Omit<Batch, "last"> => {
    const group = waiting.get(key)!;
    waiting.delete(key);
    const left = [...waiting.values()].flatMap((items) => items.map(({ place }) => place));
    return {
      ...joinSamples(
        group.map(({ sample }) => sample),
        axes,
      ),
      indices: group.map(({ place }) => order[place]!),
      after: { epoch, index, waiting: left },
    };
  };
  for (const place of start.waiting) await put(place);
  for (let place = start.index; place < order.length; place++) {
    const key = await put(place);
    if (waiting.get(key)!.length < batchSize) continue;
    if (ready !== undefined) yield { ...ready, last: false };
    ready = take(key, place + 1);
  }
  if (lastBatch === "keep") {
    for (const key of [...waiting.keys()]) {
      if (ready !== undefined) yield { ...ready, last: false };
      ready = take(key, order.length);
    }
  }
  if (ready !== undefined) yield { ...ready, last: true };
}

/**
 * For models that fix their batch: what is less than one is spread over batches of one sample each, repeated until it fills
 * them. So every sample is measured exactly once, and its loss is its own.
 */
export async function* filledBatches(source: AsyncIterable<Batch>, batchSize: number): AsyncGenerator<Batch> {
  for await (const batch of source) {
    const count = batch.indices.length;
    if (count === batchSize) {
      yield batch;
      continue;
    }
    for (const [i, index] of batch.indices.entries()) {
      const sample = { inputs: rowsOf(batch.inputs, i, count), label: batch.labels[i] };
      yield {
        ...batch,
        ...joinSamples(Array<Sample>(batchSize).fill(sample)),
        indices: [index],
        copies: batchSize,
        last: batch.last && i === count - 1,
      };
    }
  }
}

/** The i-th of `count` samples of a batch; scalars are all samples'. */
function rowsOf(inputs: Tensors, i: number, count: number): Tensors {
  const part = (tensor: Tensor): Tensor => {
    if (tensor.dims.length === 0) return tensor;
    const rows = tensor.dims[0]! / count;
    const bytes = tensor.byteLength / count;
    const own = Uint8Array.from(tensor.bytes().subarray(i * bytes, (i + 1) * bytes));
    return Tensor.of(tensor.dtype, [rows, ...tensor.dims.slice(1)], own);
  };
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, part(tensor)]));
}

/** The same items, each made while its predecessor is in use. */
export async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  const ask = (): Promise<IteratorResult<T>> => {
    const next = source.next();
    // Whoever asks for it hears of the error; nobody may.
    next.catch(() => {});
    return next;
  };
  let next = ask();
  for (;;) {
    const { done, value } = await next;
    if (done) return;
    next = ask();
    yield value;
  }
}

/** Dimensions but for those of the batch. */
function shapesOf({ inputs }: Sample, axes: BatchAxes | undefined): string {
  const other = (name: string): readonly number[] =>
    inputs[name]!.dims.filter((_, at) => at !== (axes?.get(name) ?? 0));
  return Object.keys(inputs)
    .sort()
    .map((name) => `${name}:${inputs[name]!.dtype}[${other(name)}]`)
    .join(" ");
}

/** Samples along the batch's axis; scalars, a sample rate for example, must be equal in all. */
export function joinSamples(
  samples: readonly Sample[],
  axes?: BatchAxes,
): {
  readonly inputs: Tensors;
  readonly labels: readonly unknown[];
} {
  const [first] = samples;
  const inputs = Object.keys(first!.inputs).map((name): [string, Tensor] => {
    const tensors = samples.map((sample) => sample.inputs[name]!);
    const same =
      tensors[0]!.dims.length === 0 && tensors.every((one) => String(one.data()) === String(tensors[0]!.data()));
    return [name, same || tensors.length === 1 ? tensors[0]! : concatenateTensors(tensors, name, axes?.get(name))];
  });
  return { inputs: Object.fromEntries(inputs), labels: samples.map(({ label }) => label) };
}
