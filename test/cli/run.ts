/**
 * @file Runs the command in a process of its own, as a user does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const LOADER = import.meta.resolve("tsx");

export interface Finished {
  /** Null where a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `tersor ARGS` in a folder. */
export function startTersor(
  args: readonly string[],
  cwd: string,
): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, ["--import", LOADER, MAIN, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", NODE_OPTIONS: "" },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (text: Buffer) => {
    output.stdout += text.toString();
  });
  child.stderr?.on("data", (text: Buffer) => {
    output.stderr += text.toString();
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
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
