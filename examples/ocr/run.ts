/** @file The demo itself: makes the files, scores and times them on both targets, and reports. */

import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { describeMachine } from "../../src/measure/machine.ts";
import type { TargetName } from "../../src/runtime/targets.ts";
import type { Progress } from "../../src/util/progress.ts";
import { writeSheets } from "./contact-sheets.ts";
import { CALIBRATION_SAMPLES, SEED } from "./data.ts";
import { openEvaluator, type TargetTiming } from "./evaluate.ts";
import { makeModels } from "./models.ts";
import { checkBounds, passes, summarize } from "./report.ts";
import type { Report } from "./table.ts";
import { samples as textSamples } from "./text.ts";
import { verdictOf } from "./verdict.ts";

export interface RunOptions {
  /** Evaluation samples, at least 1. */
  readonly samples: number;
  /** Score all of them, however long it takes. */
  readonly all: boolean;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Called with what comes next. */
  readonly stage: (text: string) => void;
}

const TARGETS = ["node-cpu", "web-wasm"] as const satisfies readonly TargetName[];

/** Where everything is written: git ignores it. */
const FOLDER = fileURLToPath(new URL("../../.demo", import.meta.url));

/** Milliseconds after the start when scoring stops, so that the whole takes at most 90 seconds on a busy machine, too. */
const SCORING_ENDS = 56_000;
/** Lines of the timed runs: two of each category. */
const TIMED_SAMPLES = 10;
/** Milliseconds of timed rounds per target, where the rounds that suffice take that long. */
const TIMING_MS: Readonly<Record<(typeof TARGETS)[number], number>> = { "node-cpu": 5000, "web-wasm": 14_000 };

export async function runDemo({ samples, all, signal, progress, stage }: RunOptions): Promise<Report> {
  const start = performance.now();
  const load = loadavg()[0]!;
  const files = await makeModels(FOLDER, { stage, progress, signal });
  const evaluator = openEvaluator(files, TARGETS, signal);
  try {
    stage(`scoring ${files.length} files on ${samples} samples, ${TARGETS.join(" and ")}`);
    const readings = await evaluator.score(samples, all ? Number.POSITIVE_INFINITY : start + SCORING_ENDS, progress);
    const timings = new Map<TargetName, TargetTiming>();
    const timedSamples = Math.min(TIMED_SAMPLES, samples);
    for (const target of TARGETS) {
      stage(`timing on ${target}`);
      timings.set(target, await evaluator.time(target, timedSamples, TIMING_MS[target]));
    }
    evaluator.close();
    stage("drawing contact sheets");
    const references = [...textSamples({ seed: SEED, split: "evaluation", count: samples })].map(({ text }) => text);
    const reports = summarize(files, references, readings, timings);
    const sheets = await writeSheets(FOLDER, files, readings);
    const bounds = checkBounds(reports, samples);
    signal.throwIfAborted();
    return {
      files: reports.map((file, i) => (i === 0 ? file : { ...file, verdict: verdictOf(file) })),
      bounds,
      ok: passes(bounds),
      samples,
      seed: SEED,
      calibrationSamples: CALIBRATION_SAMPLES,
      targets: readings.map(({ target, runtime, samples }) => {
        return { target, runtime, samples, rounds: timings.get(target)?.rounds ?? 0 };
      }),
      timedSamples,
      machine: await describeMachine(),
      load,
      seconds: (performance.now() - start) / 1000,
      sheets,
    };
  } finally {
    evaluator.close();
  }
}
