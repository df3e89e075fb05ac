/** @file Scores and times model files in child processes: scoring on two cores, timing with nothing else running. */

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { SessionLatency } from "../../src/measure/latency.ts";
import type { TargetName } from "../../src/runtime/targets.ts";
import type { Progress } from "../../src/util/progress.ts";
import type { FileReadings, Reply, Request } from "./evaluate-child.ts";
import type { ModelFile } from "./models.ts";

/** What every file read on one target. */
export interface TargetReadings {
  readonly target: TargetName;
  /** "onnxruntime-node 1.30.0" */
  readonly runtime: string;
  /** Samples scored: fewer than asked for where time ran out. */
  readonly samples: number;
  /** In the order of the files. */
  readonly files: readonly FileReadings[];
}

export interface TargetTiming {
  readonly rounds: number;
  readonly sessions: readonly SessionLatency[];
}

export interface Evaluator {
  /** Scores the files on every target. Past `deadline` (performance.now) later samples are left out. */
  score(samples: number, deadline: number, progress: Progress): Promise<TargetReadings[]>;
  /** Times the files on one target; nothing else of the demo runs meanwhile. */
  time(target: TargetName, feeds: number, budgetMs: number): Promise<TargetTiming>;
  /** Ends the processes. */
  close(): void;
}

/** Samples per request: a multiple of the five categories, so that any number of requests has them equally often. */
const CHUNK = 10;
/** Samples that are scored however long they take: fewer say nothing. */
const LEAST = 20;
/** Processes that score at the same time; each takes one core. */
const PROCESSES = 2;

const CHILD = fileURLToPath(new URL("./evaluate-child.ts", import.meta.url));

export function openEvaluator(
  files: readonly ModelFile[],
  targets: readonly TargetName[],
  signal: AbortSignal,
): Evaluator {
  const workers = Array.from({ length: Math.min(PROCESSES, availableParallelism()) }, startWorker);
  const close = (): void => {
    for (const worker of workers.splice(0)) worker.end();
  };
  // A process that ends takes its children along, whatever ended it.
  process.once("exit", close);
  signal.addEventListener("abort", close, { once: true });

  return {
    async score(samples, deadline, progress) {
      const starts = Array.from({ length: Math.ceil(samples / CHUNK) }, (_, i) => i * CHUNK);
      const queues = targets.map((target) => ({ target, starts: [...starts] }));
      const done = new Map<string, Extract<Reply, { kind: "scored" }>>();
      let finished = 0;
      const work = async (worker: Worker, index: number): Promise<void> => {
        // Each process starts with another target, then helps where there is something left: both targets get on.
        const own = [...queues.slice(index), ...queues.slice(0, index)];
        for (const queue of own) {
          const { target } = queue;
          for (let start = queue.starts.shift(); start !== undefined; start = queue.starts.shift()) {
            signal.throwIfAborted();
            const count = Math.min(CHUNK, samples - start);
            if (performance.now() <= deadline || start < LEAST) {
              const reply = await worker.ask({ kind: "score", target, files, start, count });
              if (reply.kind === "scored") done.set(`${target} ${start}`, reply);
            }
            finished += count;
            progress("scoring", finished, samples * targets.length);
          }
        }
      };
      await Promise.all(workers.map(work));
      return targets.map((target) => {
        const chunks = [...done].filter(([key]) => key.startsWith(`${target} `)).sort(byStart);
        return joinChunks(
          target,
          chunks.map(([, reply]) => reply),
        );
      });
    },
    async time(target, feeds, budgetMs) {
      for (const other of workers.splice(1)) other.end();
      const reply = await workers[0]!.ask({ kind: "time", target, files, start: 0, count: feeds, budgetMs });
      if (reply.kind !== "timed") throw new Error(`demo: ${target}: expected times, got ${reply.kind}.`);
      return { rounds: reply.rounds, sessions: reply.sessions };
    },
    close() {
      process.off("exit", close);
      signal.removeEventListener("abort", close);
      close();
    },
  };
}

const byStart = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  Number(a.split(" ")[1]) - Number(b.split(" ")[1]);

/** Requests are given out in order, so that what is done is the first samples, without a gap. */
function joinChunks(target: TargetName, chunks: readonly Extract<Reply, { kind: "scored" }>[]): TargetReadings {
  const files = chunks[0]!.files.map((_, i): FileReadings => {
    const parts = chunks.map((chunk) => chunk.files[i]!);
    const failed = parts.find((part) => "error" in part);
    return failed ?? { texts: parts.flatMap((part) => ("texts" in part ? part.texts : [])) };
  });
  const samples = Math.max(...files.map((file) => ("texts" in file ? file.texts.length : 0)));
  return { target, runtime: chunks[0]!.runtime, samples, files };
}

interface Worker {
  /** One request at a time. */
  ask(request: Request): Promise<Reply>;
  end(): void;
}

function startWorker(): Worker {
  const child: ChildProcess = fork(CHILD, [], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: ["--import", import.meta.resolve("tsx")],
  });
  let errors = "";
  child.stderr?.on("data", (text: Buffer) => {
    errors = (errors + text.toString()).slice(-2000);
  });
  let settle: { resolve(reply: Reply): void; reject(error: Error): void } | undefined;
  let gone: Error | undefined;
  const fail = (error: Error): void => {
    gone ??= error;
    settle?.reject(gone);
  };
  child.on("message", (reply: Reply) => {
    if (reply.kind === "failed") settle?.reject(new Error(`demo: ${reply.message}`));
    else settle?.resolve(reply);
  });
  child.on("error", fail);
  child.on("exit", (code, killedBy) => {
    const how = killedBy === null ? `exit status ${code}` : killedBy;
    fail(new Error(`demo: runtime: its process ended (${how}). ${errors.trim().split("\n").at(-1) ?? ""}`.trim()));
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (gone !== undefined) return reject(gone);
        settle = { resolve, reject };
        child.send(request);
      }),
    end: () => void child.kill("SIGKILL"),
  };
}
