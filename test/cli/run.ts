/**
 * @file Runs the command in a process of its own, as a user does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { compileSources } from "./compiled.ts";

let main: string | undefined;

export interface Finished {
  /** Null where a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `tersor ARGS` in a folder. */
export function startTersor(
  args: readonly string[],
  cwd: string,
): { readonly child: ChildProcess; readonly finished: Promise<Finished> } {
  main ??= join(compileSources(), "cli/main.js");
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    // Vitest's own settings are not a user's.
    env: { ...process.env, NO_COLOR: "1", NODE_OPTIONS: "" },
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, ...output }));
  });
  return { child, finished };
}

/** Runs `tersor ARGS` in a folder to its end. */
export function tersor(args: readonly string[], cwd: string): Promise<Finished> {
  return startTersor(args, cwd).finished;
}

/** Calls `work` for each item, a few at a time: most of a run is its start. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const next = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: limit }, next));
}
