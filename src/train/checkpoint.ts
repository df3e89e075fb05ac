/**
 * @file Checkpoints: everything from which training goes on as if it had not been interrupted. Random numbers are drawn
 * from streams that the position names, so that they need no state.
 */
import type { Model } from "../graph/model.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import { hashBytes } from "../util/hash.ts";
import { createRandom } from "../util/random.ts";
import type { Position, SampleReader } from "./batches.ts";
import type { CurveHistory } from "./curve.ts";
import type { LossHistory } from "./divergence.ts";
import type { StateEntry } from "./program.ts";
import { type TrainerOptions, WITHOUT_EFFECT } from "./trainer-options.ts";
import type { Validation } from "./validate.ts";

export const CHECKPOINT_FORMAT = 2;

/** What a checkpoint belongs to: plain data. */
export interface Fingerprint {
  readonly model: { readonly graph: number; readonly weights: number };
  readonly options: Readonly<Record<string, unknown>>;
  readonly data: SourceFingerprint;
  readonly validation?: SourceFingerprint;
  readonly teacher?: { readonly graph: number; readonly weights: number };
  readonly augment?: string;
}

interface SourceFingerprint {
  readonly samples: number;
  /** Of a spread of samples, see {@link fingerprintData}. */
  readonly contents: number;
}

/** Plain data. */
export interface CheckpointRecord {
  readonly format: typeof CHECKPOINT_FORMAT;
  readonly belongsTo: Fingerprint;
  /** Updates that were made. */
  readonly step: number;
  /** Runs of the step and accumulation graphs: the number of the next one's noise. */
  readonly runs: number;
  readonly position: Position;
  /** Of the state: name, kind and parameter. */
  readonly entries: readonly Pick<StateEntry, "name" | "kind" | "parameter">[];
  readonly losses?: LossHistory;
  readonly curve?: CurveHistory;
  readonly validations: readonly Validation[];
  readonly best?: Validation;
  /** Validations since the best. */
  readonly stale: number;
  /** The last choice of masks. */
  readonly pruned?: { readonly step: number; readonly sparsity: number };
  /** How gradients are computed, where ways were timed. */
  readonly ways: readonly (readonly [string, unknown])[];
}

export interface Checkpoint {
  readonly record: CheckpointRecord;
  readonly state: ReadonlyMap<string, Tensor>;
  /** Parameters and statistics of the best validation. */
  readonly best?: ReadonlyMap<string, Tensor>;
  /** The model as it is now, ready to run; only when it is written. */
  readonly model?: () => Model;
}

/** Where checkpoints are kept. */
export interface CheckpointStore {
  /** For messages. */
  readonly name: string;
  /** Keeps it, whole or not at all; returns its name. */
  write(checkpoint: Checkpoint): Promise<string>;
  /** The last one, with its name. */
  latest(): Promise<{ readonly name: string; readonly checkpoint: Checkpoint } | undefined>;
}

/** Keeps the last checkpoint in memory: for pages, and tests. */
export function memoryCheckpoints(): CheckpointStore {
  let last: { readonly name: string; readonly checkpoint: Checkpoint } | undefined;
  return {
    name: "memory",
    async write({ model: _model, ...checkpoint }) {
      last = { name: `step ${checkpoint.record.step}`, checkpoint };
      return last.name;
    },
    latest: async () => last,
  };
}

export function fingerprintModel(model: Model): Fingerprint["model"] {
  const text = new TextEncoder();
  let graph = 0;
  let weights = 0;
  const mix = (hash: number, value: number): number => (Math.imul(hash ^ value, 0x9e3779b1) + 0x7f4a7c15) >>> 0;
  for (const part of model.graphs()) {
    for (const node of part.nodes()) {
      const names = [...node.inputs, ...node.outputs].map((value) => value?.name ?? "").join(" ");
      graph = mix(graph, hashBytes(text.encode(`${node.domain} ${node.opType} ${names}`)));
    }
    for (const value of part.initializers) {
      if (value.initializer === undefined) continue;
      graph = mix(graph, hashBytes(text.encode(`${value.name} ${value.initializer}`)));
      weights = mix(weights, hashBytes(Uint8Array.from(value.initializer.bytes())));
    }
  }
  return { graph, weights };
}

/** Samples whose contents a fingerprint has: all of small data. */
const FINGERPRINTED = 64;
const SPREAD_SEED = 0x5eed;

/**
 * The number of samples, and a hash of the first, the last and others between them, one at a random place in each of equal
 * stretches: the same places for the same number. Reading all would take as long as an epoch. With at most 64 samples
 * it is all of them.
 */
export async function fingerprintData(reader: SampleReader): Promise<SourceFingerprint> {
  const samples = reader.length;
  let contents = 0;
  for (const index of spread(samples)) {
    const hash = hashSample(await reader.at(index));
    contents = (Math.imul(contents ^ hash, 0x01000193) + index) >>> 0;
  }
  return { samples, contents };
}

/** At most {@link FINGERPRINTED} increasing places below `count`. */
function spread(count: number): number[] {
  const number = Math.min(count, FINGERPRINTED);
  const random = createRandom(SPREAD_SEED);
  return Array.from({ length: number }, (_, i) => {
    const [from, to] = [Math.floor((i * count) / number), Math.floor(((i + 1) * count) / number)];
    const inside = from + random.integer(to - from);
    return i === 0 ? 0 : i === number - 1 ? count - 1 : inside;
  });
}

function hashSample({ inputs, label }: Sample): number {
  const text = new TextEncoder().encode(`${describeInputs(inputs)} ${JSON.stringify(label, plain) ?? ""}`);
  let hash = hashBytes(text);
  for (const name of Object.keys(inputs).sort()) {
    hash = Math.imul(hash ^ hashBytes(Uint8Array.from(inputs[name]!.bytes())), 0x01000193) >>> 0;
  }
  return hash;
}

const describeInputs = (inputs: Tensors): string =>
  Object.keys(inputs)
    .sort()
    .map((name) => `${name}:${inputs[name]}`)
    .join(" ");

const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

/** Options as a fingerprint has them: without those that change nothing. */
export function fingerprintOptions(options: TrainerOptions): Readonly<Record<string, unknown>> {
  const entries = Object.entries(options).filter(([key, value]) => !WITHOUT_EFFECT.has(key) && value !== undefined);
  return JSON.parse(JSON.stringify(Object.fromEntries(entries))) as Record<string, unknown>;
}

/** @throws InputError naming what differs. */
export function checkFingerprint(
  name: string,
  { record, state }: Checkpoint,
  now: Fingerprint,
  entries: readonly StateEntry[],
): void {
  const fail = (what: string, was: unknown, is: unknown): never => {
    throw new InputError({
      area: "train",
      subject: name,
      problem: `expected a checkpoint of this training, got one of another: ${what} was ${show(was)}, is ${show(is)}`,
      help: "Give what it was begun with, or begin anew with another checkpoint folder.",
    });
  };
  const was = record.belongsTo;
  if (record.format !== CHECKPOINT_FORMAT) fail("the format", record.format, CHECKPOINT_FORMAT);
  for (const key of new Set([...Object.keys(was.options), ...Object.keys(now.options)])) {
    const [before, after] = [was.options[key], now.options[key]];
    if (JSON.stringify(before) !== JSON.stringify(after)) fail(`option ${key}`, before, after);
  }
  for (const { name: entry, initial } of entries) {
    const tensor = state.get(entry);
    if (String(tensor) !== String(initial)) fail(`the model's ${entry}`, tensor ?? "not there", initial);
  }
  if (was.model.graph !== now.model.graph) fail("the model's graph", was.model.graph, now.model.graph);
  if (was.data.samples !== now.data.samples) fail("the number of samples", was.data.samples, now.data.samples);
  if (was.data.contents !== now.data.contents) fail("the contents of the data", was.data.contents, now.data.contents);
  if (was.model.weights !== now.model.weights)
    fail("the model's weights before training", was.model.weights, now.model.weights);
  for (const key of ["validation", "teacher", "augment"] as const) {
    if (JSON.stringify(was[key]) !== JSON.stringify(now[key])) fail(`the ${NAMES[key]}`, was[key], now[key]);
  }
}

const NAMES = { validation: "validation data", teacher: "teacher", augment: "augmentation" } as const;

function show(value: unknown): string {
  if (value === undefined) return "not given";
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? JSON.stringify(value)
    : Array.isArray(value)
      ? JSON.stringify(value)
      : String(value);
}
