/** @file Times files of a task side by side on one target, in a process of its own. */
import { verifyFiles } from "../../src/analyze/isolated.ts";
import type { Interval } from "../../src/measure/interval.ts";
import type { TargetName } from "../../src/runtime/targets.ts";
import { writeSamples } from "./samples.ts";
import { SEED, type Task } from "./task.ts";

export interface FileLatency {
  /** Milliseconds per run, medians. */
  readonly originalMs: number;
  readonly ms: number;
  /** The original's time ÷ this file's, in the same round. */
  readonly ratio: Interval;
}

/** Feeds that take turns: samples to calibrate on, which are single ones where evaluation takes many at once. */
const FEEDS = 8;

/**
 * One entry per file, undefined for the original (the first) and for files that do not run; undefined where nothing was timed.
 * @param budgetMs milliseconds of timed rounds; 0: nothing is timed.
 */
export async function timeFiles(
  task: Task,
  target: TargetName,
  files: readonly string[],
  budgetMs: number,
): Promise<(FileLatency | undefined)[] | undefined> {
  if (budgetMs <= 0) return undefined;
  const path = writeSamples(task, "calibration", FEEDS);
  const job = {
    target,
    // A configuration of their own, if an empty one: nothing is tried again under another.
    files: files.map((file, i) => ({ name: String(i), path: file, config: {} })),
    data: { kind: "path", path, limit: FEEDS },
    threads: 1,
    budgetMs,
    seed: SEED,
  } as const;
  const measured = await verifyFiles(job, { memory: false });
  const originalMs = measured.files[0]?.latency?.p50;
  return measured.files.map(({ latency }) =>
    originalMs === undefined || latency?.ratio === undefined
      ? undefined
      : { originalMs, ms: latency.p50, ratio: latency.ratio },
  );
}
