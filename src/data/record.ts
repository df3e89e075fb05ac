/**
 * @file Records what a running application feeds its model: no preprocessing has to be described again. The core, without
 * a place to save to.
 */
import type { Tensors } from "../runtime/runtime.ts";
import { bytesOf, Tensor, type TensorData } from "../tensor/tensor.ts";
import { InputError, messageOf, OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { encodeNpz } from "./npz.ts";
import { toTensor } from "./source.ts";

/** What is used of a value that an application feeds: onnxruntime's tensors have it. */
export interface FedTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
  /** "cpu" where the data can be read at once; elsewhere `getData` fetches them. */
  readonly location?: string;
  getData?(releaseData?: boolean): Promise<unknown>;
}

/** What is used of an InferenceSession: of onnxruntime-node, onnxruntime-web, or transformers.js' `model.sessions`. */
export interface RecordableSession {
  // The packages' own overloads are narrower than any type that both of them fit.
  // biome-ignore lint/suspicious/noExplicitAny: a method that is called with whatever the application gives.
  run(feeds: any, ...rest: any[]): Promise<any>;
}

export interface SamplingOptions {
  /** How many runs to keep. Default 200. */
  readonly samples?: number;
  /** Keep every k-th run only: neighbours in a video say little. Default 1. */
  readonly every?: number;
  /**
   * "first": the first runs, then the session is as it was. "reservoir": an even choice among all runs (Vitter 1985,
   * algorithm R), until `stop()`. Default "first".
   */
  readonly sampling?: "first" | "reservoir";
  /** Of the reservoir's choice. Default 0. */
  readonly seed?: number;
  /** Called when something cannot be saved; recording has ended then. Default: a warning on the console. */
  readonly onError?: (error: Error) => void;
}

/** A recording that goes on while the application runs. */
export interface Recording {
  /** Runs that are kept so far. */
  readonly count: number;
  /** Resolves when all samples are saved, or after `stop()`; rejects where saving failed. */
  readonly done: Promise<void>;
  /** Ends it: the session runs as before, and what is there stays. Resolves when everything is saved. */
  stop(): Promise<void>;
}

/**
 * Records the feeds of a session, in place: from now on `session.run` also keeps what it is fed. Options, results and
 * errors of runs are untouched; runs that fail are not kept; nothing that goes wrong here reaches the application.
 * @param save stores one run as number `slot` (from 0); in a reservoir a slot is overwritten.
 * @param have slots that are filled already.
 * @throws OptionError for options that are not allowed.
 */
export function recordRuns(
  session: RecordableSession,
  options: SamplingOptions,
  save: (slot: number, npz: Uint8Array) => Promise<void> | void,
  have = 0,
): Recording {
  const { samples = 200, every = 1, sampling = "first", seed = 0 } = options;
  checkCount("samples", samples);
  checkCount("every", every);
  const random = createRandom(seed);
  const original = session.run;
  const hadOwn = Object.hasOwn(session, "run");
  let runs = 0;
  let seen = have;
  let count = Math.min(have, samples);
  let open = true;
  let saving: Promise<void> = Promise.resolve();
  let settle: { resolve(): void; reject(error: Error): void };
  const done = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Nobody may be waiting for it: that is no unhandled rejection.
  done.catch(() => undefined);

  const close = (): void => {
    if (!open) return;
    open = false;
    // Somebody else may have wrapped it since: then ours stays beneath, and does nothing.
    if (session.run !== recorded) return;
    if (hadOwn) session.run = original;
    else Reflect.deleteProperty(session, "run");
  };
  const stop = (): Promise<void> => {
    close();
    saving.then(() => settle.resolve());
    return done;
  };
  const fail = (cause: unknown): void => {
    close();
    const error = cause instanceof Error ? cause : new Error(messageOf(cause));
    settle.reject(error);
    if (options.onError) options.onError(error);
    else console.warn(`tersor: recording ended: ${error.message}`);
  };

  /** Where the next run goes: a slot, "next" for one more, undefined for nowhere. */
  const choose = (): number | "next" | undefined => {
    if (!open || runs++ % every !== 0) return undefined;
    const nth = seen++;
    if (sampling === "first" || nth < samples) return "next";
    const slot = random.integer(nth + 1);
    return slot < samples ? slot : undefined;
  };

  /** After the run has succeeded: runs that fail leave no gap. */
  const keep = (chosen: number | "next", npz: Promise<Uint8Array>): void => {
    const slot = chosen === "next" || chosen > count ? count : chosen;
    // Runs at the same time may have filled it.
    if (!open || slot >= samples) return;
    if (slot === count) count++;
    saving = saving.then(async () => save(slot, await npz)).catch(fail);
    if (sampling === "first" && count >= samples) void stop();
  };

  async function recorded(this: unknown, feeds: unknown, ...rest: unknown[]): Promise<unknown> {
    const chosen = choose();
    if (chosen === undefined) return original.call(session, feeds, ...rest);
    // The application may write into its buffers as soon as run() has returned: they are copied now.
    const npz = copyFeeds(feeds).then((tensors) => encodeNpz(tensors));
    npz.catch(() => undefined);
    // Data on a GPU are fetched before the run may give them away.
    if (hasRemote(feeds)) await npz.catch(() => undefined);
    const results = await original.call(session, feeds, ...rest);
    keep(chosen, npz);
    return results;
  }
  if (sampling === "first" && have >= samples) void stop();
  else session.run = recorded;
  return {
    get count() {
      return count;
    },
    done,
    stop,
  };
}

function checkCount(subject: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  const problem = `expected a whole number from 1 up, got ${value}`;
  throw new OptionError({ area: "record", subject, problem });
}

const isRemote = (value: FedTensor): boolean =>
  value.location !== undefined && value.location !== "cpu" && value.location !== "cpu-pinned";

function hasRemote(feeds: unknown): boolean {
  return Object.values((feeds ?? {}) as Record<string, FedTensor>).some(isRemote);
}

/** Copies what is fed; what lies in this process' memory before the first await. */
async function copyFeeds(feeds: unknown): Promise<Tensors> {
  const copies = Object.entries((feeds ?? {}) as Record<string, FedTensor>).map(
    ([name, value]) => [name, isRemote(value) ? fetched(name, value) : copy(name, value, value.data)] as const,
  );
  const tensors: [string, Tensor][] = [];
  for (const [name, value] of copies) tensors.push([name, await value]);
  return Object.fromEntries(tensors);
}

async function fetched(name: string, value: FedTensor): Promise<Tensor> {
  if (value.getData === undefined) {
    const problem = `expected data that can be read, got a tensor at ${value.location}`;
    throw new InputError({ area: "record", subject: `input "${name}"`, problem });
  }
  return copy(name, value, await value.getData());
}

function copy(name: string, value: FedTensor, data: unknown): Tensor {
  const plain = { dims: value.dims, data, type: value.type };
  const tensor = toTensor(plain, undefined, `input "${name}"`);
  if (tensor.strings !== undefined) return Tensor.strings([...tensor.dims], [...tensor.strings]);
  return Tensor.of(tensor.dtype, [...tensor.dims], bytesOf(tensor.data()).slice() as TensorData);
}
