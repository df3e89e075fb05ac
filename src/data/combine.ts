/**
 * @file What can be made of a data source without knowing what is in it: parts, another order, batches. All of it streams,
 * and gives the same samples in the same order each time.
 */
import type { DataSource, Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";

const area = "data";

/** A source over items that can be read one by one: files, lines, entries of an archive. */
export function fromItems(name: string, length: number, at: (index: number) => Promise<Sample>): DataSource {
  return {
    name,
    length,
    at,
    async *samples() {
      for (let index = 0; index < length; index++) yield await at(index);
    },
  };
}

/** Items `order[0]`, `order[1]`, … of a source with `at`. */
function reordered(source: DataSource, length: number, from: (index: number) => number): DataSource {
  const at = source.at!;
  return { ...fromItems(source.name, length, (index) => at(from(index))), generated: source.generated };
}

/**
 * All but the first `count` samples. What is passed over is not read where the source can do without.
 * @throws OptionError where `count` is no whole number from 0 up.
 */
export function skip(source: DataSource, count: number): DataSource {
  checkWhole("skip", count, 0);
  if (count === 0) return source;
  const length = source.length === undefined ? undefined : Math.max(source.length - count, 0);
  if (source.at !== undefined && length !== undefined) return reordered(source, length, (index) => index + count);
  return {
    name: source.name,
    generated: source.generated,
    length,
    async *samples() {
      let index = 0;
      for await (const sample of source.samples()) if (index++ >= count) yield sample;
    },
  };
}

/**
 * The first `count` samples.
 * @throws OptionError where `count` is no whole number from 1 up.
 */
export function limit(source: DataSource, count: number): DataSource {
  checkWhole("limit", count, 1);
  if (source.length !== undefined && source.length <= count) return source;
  if (source.at !== undefined && source.length !== undefined) return reordered(source, count, (index) => index);
  return {
    name: source.name,
    generated: source.generated,
    length: source.length === undefined ? undefined : count,
    async *samples() {
      let index = 0;
      for await (const sample of source.samples()) {
        yield sample;
        // Asked here, not before the next one: that one may be dear to make.
        if (++index >= count) return;
      }
    },
  };
}

/**
 * The same samples in an order that depends on nothing but their number, the seed and the groups: nothing is read for it.
 * @param groupOf the class of a sample by its position: then every stretch of the order has all classes in their
 * proportions. Default: all in one.
 * @throws OptionError for sources that can only be read from the front.
 */
export function shuffle(source: DataSource, seed: number, groupOf: (index: number) => unknown = () => 0): DataSource {
  const { at, length } = source;
  if (at === undefined || length === undefined) {
    throw new OptionError({
      area,
      subject: "shuffle",
      problem: `expected data that can be read in any order, got ${source.name}`,
      help: "Give the samples of a module in the order that you want.",
    });
  }
  let order: readonly number[] | undefined;
  return reordered(source, length, (index) => {
    order ??= spread(length, seed, groupOf);
    return order[index]!;
  });
}

/**
 * Positions in a random order (Fisher–Yates); the k-th of a group of n stands at (k + u) / n of the whole, u being the
 * group's own in [0, 1).
 */
function spread(length: number, seed: number, groupOf: (index: number) => unknown): readonly number[] {
  const random = createRandom(seed);
  const order = random.shuffle(Array.from({ length }, (_, index) => index));
  const groups = new Map<unknown, number[]>();
  for (const index of order) {
    const group = groupOf(index);
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [index]);
    else members.push(index);
  }
  if (groups.size <= 1) return order;
  const places = [...groups.values()].flatMap((members) => {
    const shift = random.next();
    return members.map((index, k) => ({ index, place: (k + shift) / members.length }));
  });
  return places.sort((a, b) => a.place - b.place).map(({ index }) => index);
}

/** Fresh samples below which calibration's own are used again: fewer say little. */
export const LEAST_FRESH = 10;

export interface Split {
  readonly calibration: DataSource;
  readonly evaluation: DataSource;
  /** No sample is in both. False where too few are left, or where nobody knows how many there are. */
  readonly disjoint: boolean;
}

/**
 * The first `calibration` samples, and up to `evaluation` of those after them. Where fewer than {@link LEAST_FRESH} are
 * left (or their number is not known), evaluation starts from the front again, and `disjoint` says so.
 * @param counts.evaluation default: all that are left.
 */
export function split(
  source: DataSource,
  counts: { readonly calibration: number; readonly evaluation?: number },
): Split {
  const { calibration: first, evaluation = Number.MAX_SAFE_INTEGER } = counts;
  const disjoint = source.length !== undefined && source.length - first >= LEAST_FRESH;
  return {
    calibration: limit(source, first),
    evaluation: limit(disjoint ? skip(source, first) : source, evaluation),
    disjoint,
  };
}

/** Makes one sample of several. */
export type Collate = (samples: readonly Sample[]) => Sample;

/**
 * `size` samples at a time as one; the last may be smaller. Labels come as an array, one per sample.
 * @param collate how; default {@link concatenate}.
 * @param dropLast leave out a last batch that is not full, for models with a fixed batch dimension.
 */
export function batch(source: DataSource, size: number, collate: Collate = concatenate, dropLast = false): DataSource {
  checkWhole("batch", size, 1);
  if (size === 1) return source;
  const { length } = source;
  return {
    name: `${source.name}, ${size} to a sample`,
    generated: source.generated,
    length: length === undefined ? undefined : dropLast ? Math.floor(length / size) : Math.ceil(length / size),
    async *samples() {
      let waiting: Sample[] = [];
      for await (const sample of source.samples()) {
        waiting.push(sample);
        if (waiting.length < size) continue;
        yield collate(waiting);
        waiting = [];
      }
      if (waiting.length > 0 && !dropLast) yield collate(waiting);
    },
  };
}

/**
 * Samples of one shape, joined along the first axis.
 * @throws InputError where shapes or types differ, or an input is a scalar.
 */
export function concatenate(samples: readonly Sample[]): Sample {
  const [first] = samples;
  const inputs = Object.keys(first!.inputs).map((name) => {
    const tensors = samples.map((sample) => sample.inputs[name]!);
    return [name, concatenateTensors(tensors, name)] as const;
  });
  const labelled = samples.some(({ label }) => label !== undefined);
  return {
    inputs: Object.fromEntries(inputs),
    ...(labelled && { label: samples.map(({ label }) => label) }),
  };
}

/**
 * @param name what messages call the input.
 * @param axis along which they are joined; default the first.
 */
export function concatenateTensors(tensors: readonly Tensor[], name: string, axis = 0): Tensor {
  const first = tensors[0]!;
  const fits = (tensor: Tensor): boolean =>
    tensor.dtype === first.dtype &&
    tensor.dims.length === first.dims.length &&
    first.dims.every((dim, at) => at === axis || tensor.dims[at] === dim);
  const other = tensors.find((tensor) => !fits(tensor));
  if (other !== undefined || first.dims.length <= axis) {
    throw new InputError({
      area,
      subject: `input "${name}"`,
      problem:
        other === undefined
          ? "expected a batch dimension to join samples along, got a scalar"
          : `expected samples of one shape to make a batch of, got ${first} and ${other}`,
      help: "Leave --batch out: samples of different shapes run one by one.",
    });
  }
  const dims = first.dims.with(
    axis,
    tensors.reduce((sum, tensor) => sum + tensor.dims[axis]!, 0),
  );
  // All that stands before the axis, one after the other; of each the stretches of all tensors.
  const outer = first.dims.slice(0, axis).reduce((product, dim) => product * dim, 1);
  if (first.strings !== undefined) {
    return Tensor.strings(
      dims,
      Array.from({ length: outer }, (_, i) =>
        tensors.flatMap(({ strings = [] }) => {
          const each = strings.length / outer;
          return strings.slice(i * each, (i + 1) * each);
        }),
      ).flat(),
    );
  }
  const bytes = new Uint8Array(tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0));
  const sources = tensors.map((tensor) => tensor.bytes());
  let offset = 0;
  for (let i = 0; i < outer; i++) {
    for (const source of sources) {
      const each = source.length / outer;
      bytes.set(source.subarray(i * each, (i + 1) * each), offset);
      offset += each;
    }
  }
  return new Tensor(first.dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
}

function checkWhole(subject: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new OptionError({ area, subject, problem: `expected a whole number from ${least} up, got ${value}` });
}
