/** @file The process that runs model files for evaluate.ts: one request at a time, until its parent ends it. */

import { compareLatency, type SessionLatency } from "../../src/measure/latency.ts";
import { createRuntime } from "../../src/runtime/create-node.ts";
import type { Runtime, Session, Tensors } from "../../src/runtime/runtime.ts";
import { TARGETS, type TargetName } from "../../src/runtime/targets.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { messageOf } from "../../src/util/errors.ts";
import { read, SEED } from "./data.ts";
import type { ModelFile } from "./models.ts";
import { samples, type Sample as TextSample } from "./text.ts";

/** Evaluation samples `start` … `start + count − 1`, read by or timed with every file; the same files each time. */
export interface Request {
  readonly kind: "score" | "time";
  readonly target: TargetName;
  readonly files: readonly ModelFile[];
  readonly start: number;
  readonly count: number;
  /** Milliseconds of timed rounds. */
  readonly budgetMs?: number;
}

/** What a file read, in the order of the samples, or the runtime's message where it did not load or run. */
export type FileReadings = { readonly texts: readonly string[] } | { readonly error: string };

export type Reply =
  /** One entry per file. */
  | { readonly kind: "scored"; readonly runtime: string; readonly files: readonly FileReadings[] }
  /** By the file's name; files that do not load are left out. */
  | { readonly kind: "timed"; readonly sessions: readonly SessionLatency[]; readonly rounds: number }
  | { readonly kind: "failed"; readonly message: string };

/** Timed rounds that suffice: on an idle machine the interval of a ratio is then some 2 % wide. */
const ROUNDS = 50;

interface Loaded {
  readonly file: ModelFile;
  session: Session | undefined;
  error: string;
}

interface Open {
  readonly runtime: Runtime;
  readonly loaded: readonly Loaded[];
}

const open = new Map<TargetName, Promise<Open>>();

async function openTarget({ target, files }: Request): Promise<Open> {
  const name = TARGETS[target].runtime;
  if (name === undefined) throw new Error(`${target}: expected a target that runs here.`);
  const runtime = await createRuntime(name);
  const loaded: Loaded[] = [];
  for (const file of files) {
    const entry: Loaded = { file, session: undefined, error: "" };
    try {
      entry.session = await runtime.load({ path: file.path }, { threads: 1 });
    } catch (error) {
      entry.error = `does not load: ${messageOf(error).split("\n")[0]}`;
    }
    loaded.push(entry);
  }
  return { runtime, loaded };
}

const feedsOf = ({ dims, input }: TextSample): Tensors => ({ x: Tensor.float32(dims, input) });

async function answer(request: Request): Promise<Reply> {
  const { target, start, count, budgetMs } = request;
  if (!open.has(target)) open.set(target, openTarget(request));
  const { runtime, loaded } = await open.get(target)!;
  const feeds = [...samples({ seed: SEED, split: "evaluation", start, count })].map(feedsOf);
  if (request.kind === "time") {
    const sessions = loaded.flatMap(({ file, session }) => (session ? [{ name: file.name, session }] : []));
    const result = await compareLatency(sessions, feeds, { budgetMs, maxRounds: ROUNDS });
    return { kind: "timed", sessions: result.sessions, rounds: result.rounds };
  }
  const readings: FileReadings[] = [];
  for (const entry of loaded) readings.push(await readAll(entry, feeds));
  return { kind: "scored", runtime: `${runtime.name} ${runtime.version}`, files: readings };
}

async function readAll(entry: Loaded, feeds: readonly Tensors[]): Promise<FileReadings> {
  const texts: string[] = [];
  try {
    for (const feed of entry.session === undefined ? [] : feeds) texts.push(read(await entry.session!.run(feed)));
  } catch (error) {
    entry.error = `does not run: ${messageOf(error).split("\n")[0]}`;
    entry.session = undefined;
  }
  return entry.session === undefined ? { error: entry.error } : { texts };
}

process.on("message", (request: Request) => {
  answer(request)
    .catch((error: unknown): Reply => ({ kind: "failed", message: messageOf(error) }))
    .then((reply) => process.send?.(reply));
});
// Ctrl-C reaches the whole group: the parent ends its children, in order. A parent that was killed cannot.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
