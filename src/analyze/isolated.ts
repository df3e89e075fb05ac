/**
 * @file Verification in child processes, in Node: a runtime that crashes takes its process down, not the user's, and
 * each file's peak memory is a process's own.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DType } from "../tensor/dtype.ts";
import { VerificationError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import type { FileMeasurement, JobFile, TargetMeasurement, VerifyJob } from "./job.ts";

/** Milliseconds that a child has to close its browser. */
const KILL_MS = 3000;

/** What goes to a child. */
export type Request =
  | { readonly kind: "verify"; readonly job: VerifyJob }
  /**
   * Load and run one file once; without one, only the runtime: the baseline. The inputs come along: decoding images would
   * take more memory than many a model.
   */
  | {
      readonly kind: "memory";
      readonly job: VerifyJob;
      readonly file: JobFile | undefined;
      readonly feeds: readonly PlainFeed[];
    };

/** A tensor that crosses processes. */
export type PlainFeed =
  | { readonly name: string; readonly dtype: DType; readonly dims: readonly number[]; readonly bytes: Uint8Array }
  | { readonly name: string; readonly strings: readonly string[]; readonly dims: readonly number[] };

/** What comes back. */
export type Reply =
  | { readonly kind: "progress"; readonly task: string; readonly done: number; readonly total?: number }
  | { readonly kind: "measured"; readonly result: TargetMeasurement; readonly feeds: readonly PlainFeed[] }
  | { readonly kind: "memory"; readonly bytes: number }
  | {
      readonly kind: "failed";
      readonly name: string;
      readonly message: string;
      readonly code?: string;
      readonly stack?: string;
    };

/** The worker script: TypeScript in a checkout, JavaScript in the package. */
const CHILD = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url));

export interface VerifyOptions {
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Measure each file's peak memory, at the cost of one process per file. Default true. */
  readonly memory?: boolean;
}

/**
 * Loads, runs, compares and times files on one target, the first being the original. Where the runtime crashes, the
 * files are tried one by one, so that only the one that crashes it is reported.
 * @throws VerificationError where the original does not load or run, or crashes the runtime.
 */
export async function verifyFiles(job: VerifyJob, options: VerifyOptions = {}): Promise<TargetMeasurement> {
  let measured: Measured;
  try {
    measured = await verifyOnce(job, options);
  } catch (error) {
    if (!(error instanceof CrashError) || job.files.length < 2) throw error;
    measured = await verifyEach(job, options);
  }
  const { result, feeds } = measured;
  if (result.notRunHere !== undefined || result.files[0]?.error || options.memory === false) return result;
  // A browser's memory is not a file's.
  if (result.host !== undefined) return result;
  const baseline = await memoryOf(job, undefined, feeds, options);
  const files: FileMeasurement[] = [];
  for (const [index, measured] of result.files.entries()) {
    options.progress?.(`measuring memory on ${job.target}`, index, result.files.length);
    const peak = measured.error
      ? undefined
      : await memoryOf(job, job.files[index]!, feeds, options).catch(() => undefined);
    files.push(peak === undefined || baseline === undefined ? measured : { ...measured, peakMemory: peak - baseline });
  }
  options.signal?.throwIfAborted();
  return { ...result, files };
}

type Measured = Omit<Extract<Reply, { kind: "measured" }>, "kind">;

async function verifyOnce(job: VerifyJob, options: VerifyOptions): Promise<Measured> {
  const reply = await ask({ kind: "verify", job }, options);
  if (reply.kind !== "measured") throw new Error(`expected a measurement, got ${reply.kind}`);
  return reply;
}

async function verifyEach(job: VerifyJob, options: VerifyOptions): Promise<Measured> {
  const [original, ...others] = job.files;
  let { result, feeds } = await verifyOnce({ ...job, files: [original!], budgetMs: job.budgetMs / 4 }, options);
  for (const file of others) {
    const measured = await verifyOnce({ ...job, files: [original!, file] }, options)
      .then((pair) => pair.result.files[1]!)
      .catch((error): FileMeasurement => {
        if (!(error instanceof CrashError)) throw error;
        return { name: file.name, error: { stage: "load", message: error.what } };
      });
    result = { ...result, files: [...result.files, measured] };
  }
  return { result, feeds };
}

async function memoryOf(
  job: VerifyJob,
  file: JobFile | undefined,
  feeds: readonly PlainFeed[],
  options: VerifyOptions,
): Promise<number | undefined> {
  const reply = await ask({ kind: "memory", job, file, feeds }, { signal: options.signal });
  return reply.kind === "memory" ? reply.bytes : undefined;
}

/** The child ended without an answer. */
export class CrashError extends VerificationError {
  override readonly name = "VerificationError";
  readonly what: string;
  constructor(job: VerifyJob, what: string) {
    super({
      area: "verify",
      subject: `${job.files.map((file) => file.name).join(", ")} on ${job.target}`,
      problem: what,
      help: "The runtime itself failed; nothing else is affected.",
    });
    this.what = what;
  }
}

function ask(request: Request, options: VerifyOptions): Promise<Reply> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child: ChildProcess = fork(CHILD, [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      // Only a checkout's TypeScript needs a loader.
      execArgv: CHILD.endsWith(".ts") ? ["--import", import.meta.resolve("tsx")] : [],
    });
    let errors = "";
    child.stderr?.on("data", (text: Buffer) => {
      errors = (errors + text.toString()).slice(-2000);
    });
    let answered = false;
    const abort = (): void => {
      // A browser is closed at its handler's hands; elsewhere the process just ends.
      child.kill("SIGTERM");
      setTimeout(() => child.kill("SIGKILL"), KILL_MS).unref();
      reject(options.signal?.reason);
    };
    options.signal?.addEventListener("abort", abort, { once: true });
    child.on("message", (reply: Reply) => {
      if (reply.kind === "progress") {
        options.progress?.(reply.task, reply.done, reply.total);
        return;
      }
      answered = true;
      child.kill();
      if (reply.kind === "failed") reject(new ChildFailure(reply));
      else resolve(reply);
    });
    child.on("error", reject);
    child.on("exit", (code, killedBy) => {
      options.signal?.removeEventListener("abort", abort);
      if (answered) return;
      const last = errors.trim().split("\n").at(-1);
      const how = killedBy === null ? `with exit status ${code}` : `by ${killedBy}`;
      reject(
        new CrashError(request.job, `the runtime's process ended ${how}${last ? ` (${last.slice(0, 200)})` : ""}`),
      );
    });
    child.send(request);
  });
}

/** An error that was thrown in the child, with its own text and class name. */
class ChildFailure extends Error {
  readonly code: string | undefined;
  constructor(reply: Extract<Reply, { kind: "failed" }>) {
    super(reply.message);
    this.name = reply.name;
    this.code = reply.code;
    if (reply.stack !== undefined) this.stack = reply.stack;
  }
}
