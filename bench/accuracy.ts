/**
 * @file What calibrated quantization costs in accuracy and gives in bytes and speed: each task's model is quantized with 200
 * samples, judged on others on node-cpu and web-wasm, and timed there. No Python is needed but for the models of bench/models.
 *
 *   npx tsx bench/accuracy.ts                          all models that are there; writes bench/results/accuracy.json
 *   npx tsx bench/accuracy.ts --model recognition --step '{"reduceRange":true}'      one model, options of the step; writes nothing
 *   npx tsx bench/accuracy.ts --quick                  few samples, short timing: does it run?
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "../src/measure/machine.ts";
import type { TargetName } from "../src/runtime/targets.ts";
import { type ChildRun, runTypeScript } from "./child-process.ts";
import { formatTable, machine } from "./report.ts";
import { type Estimate, estimate } from "./tasks/bootstrap.ts";
import { goalsMet } from "./tasks/goals.ts";
import { type FileLatency, timeFiles } from "./tasks/latency.ts";
import { WORK, writeSamples } from "./tasks/samples.ts";
import { type FileScore, scoreFiles } from "./tasks/score.ts";
import { SEED, type Task } from "./tasks/task.ts";
import { findTask, TASKS } from "./tasks/tasks.ts";

const { values: flags } = parseArgs({
  options: {
    /** May be given several times. Default: all whose file is there. */
    model: { type: "string", multiple: true },
    scheme: { type: "string", default: "static-int8" },
    /** JSON: options of the scheme's step. */
    step: { type: "string", default: "{}" },
    /** JSON: other options of quantizeFile. */
    options: { type: "string", default: "{}" },
    target: { type: "string", multiple: true, default: ["node-cpu", "web-wasm"] },
    /** Evaluation samples; default: what the task says. */
    samples: { type: "string" },
    /** Seconds of timed rounds on node-cpu; on web-wasm twice that. 0: no timing. */
    time: { type: "string", default: "10" },
    quick: { type: "boolean", default: false },
    /** Write the results, whatever the options. */
    write: { type: "boolean", default: false },
  },
});
const targets = flags.target as TargetName[];
const seconds = flags.quick ? 1 : Number(flags.time);
/** Samples on which outputs are compared: the SQNR. */
const COMPARED = flags.quick ? 10 : 100;

interface FigureResult {
  readonly name: string;
  readonly original: number;
  readonly value: Estimate;
  /** To the original, of the same samples; undefined for figures that are a distance to it. */
  readonly difference: Estimate | undefined;
}

export interface TargetResult {
  readonly target: TargetName;
  readonly runtime: string;
  readonly sqnr: number | undefined;
  readonly figures: readonly FigureResult[];
  readonly latency: FileLatency | undefined;
  readonly error: string | undefined;
}

interface Result {
  readonly model: string;
  readonly [key: string]: unknown;
}

async function quantize(task: Task, output: string): Promise<ChildRun> {
  rmSync(output, { force: true });
  const calibration = flags.quick ? 20 : task.calibration;
  const options = {
    scheme: flags.scheme,
    output,
    data: writeSamples(task, "calibration", calibration),
    calibrationSamples: calibration,
    step: JSON.parse(flags.step) as unknown,
    ...(JSON.parse(flags.options) as object),
  };
  const run = await runTypeScript(new URL("./quantize-tersor.ts", import.meta.url), { model: task.path, options });
  if ("error" in run) throw new Error(`bench: quantize ${task.name}: ${run.error}`);
  return run;
}

const missing = (score: FileScore): string | undefined => score.error;

async function measureTarget(task: Task, target: TargetName, output: string, samples: number): Promise<TargetResult> {
  const files = [task.path, output];
  const { runtime, files: scores } = await scoreFiles({ task: task.name, target, files, samples, compared: COMPARED });
  const [original, own] = scores as [FileScore, FileScore];
  const figures = missing(own)
    ? []
    : task.figures.map(({ name, against }, i): FigureResult => {
        const [base, parts] = [original.parts[i]!, own.parts[i]!];
        return {
          name,
          original: estimate(base).value,
          value: estimate(parts),
          difference: against === "label" ? estimate(parts, base) : undefined,
        };
      });
  return { target, runtime, sqnr: own.sqnr, figures, latency: undefined, error: missing(own) };
}

async function measure(task: Task): Promise<Result> {
  const folder = join(WORK, task.name);
  mkdirSync(folder, { recursive: true });
  // Runs side by side with different options do not meet.
  const settings = createHash("sha256")
    .update(flags.scheme + flags.step + flags.options)
    .digest("hex")
    .slice(0, 8);
  const output = join(folder, `accuracy-${flags.scheme}-${settings}.onnx`);
  const run = await quantize(task, output);
  const few = task.evaluation > 500 ? 100 : 40;
  const samples = Math.min(task.evaluation, Number(flags.samples ?? (flags.quick ? few : task.evaluation)));
  // Targets side by side: each process takes one core. Timing comes after, with nothing else of ours running.
  const scored = await Promise.all(targets.map((target) => measureTarget(task, target, output, samples)));
  const results: TargetResult[] = [];
  for (const result of scored) {
    const budget = 1000 * seconds * (result.target === "web-wasm" ? 2 : 1);
    const latency = await timeFiles(task, result.target, [task.path, output], budget);
    results.push({ ...result, latency: latency?.[1] });
  }
  const [before, bytes] = [statSync(task.path).size, statSync(output).size];
  const goals = goalsMet(task, bytes / before, results);
  printTask(task, run, before, bytes, samples, results);
  for (const { text, met } of goals) console.log(`  ${met ? "met   " : "MISSED"} ${text}`);
  return {
    model: task.name,
    heldOut: task.heldOut,
    scheme: flags.scheme,
    step: JSON.parse(flags.step) as unknown,
    calibration: flags.quick ? 20 : task.calibration,
    samples,
    unit: task.unit,
    bytes: { original: before, quantized: bytes, ratio: bytes / before },
    seconds: run.seconds,
    peakBytes: run.peakBytes,
    notes: run.notes,
    targets: results,
    goals,
    machine: { ...machine(), vnni: (await describeMachine()).vnni },
    source: execFileSync("git", ["describe", "--always", "--dirty"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    }).trim(),
  };
}

const percent = (value: number): string => (100 * value).toFixed(2);
const span = ({ value, low, high }: Estimate): string => `${percent(value)} (${percent(low)} … ${percent(high)})`;

function printTask(
  task: Task,
  run: ChildRun,
  before: number,
  bytes: number,
  samples: number,
  results: readonly TargetResult[],
): void {
  const where = `${task.name}${task.heldOut ? " (held out)" : ""}`;
  console.log(
    `\n${where}: ${samples} ${task.unit}; ${bytes} of ${before} bytes (${(bytes / before).toFixed(3)}x); ${run.seconds.toFixed(1)} s, peak ${(run.peakBytes / 1e6).toFixed(0)} MB`,
  );
  for (const note of run.notes) console.log(`  ${note}`);
  const rows = results.map((result) => ({
    target: result.target,
    "SQNR dB": result.sqnr?.toFixed(1) ?? "-",
    ...Object.fromEntries(
      task.figures.flatMap(({ name }, i) => {
        const figure = result.figures[i];
        if (figure === undefined) return [[name, result.error ?? "-"]];
        const own: [string, string] = [`${name} %`, span(figure.value)];
        if (figure.difference === undefined) return [own];
        return [own, [`${name} - original's`, span(figure.difference)]] as [string, string][];
      }),
    ),
    "ms, float": result.latency?.originalMs.toFixed(2) ?? "-",
    ms: result.latency?.ms.toFixed(2) ?? "-",
    "x speed": result.latency
      ? `${result.latency.ratio.median.toFixed(2)} (${result.latency.ratio.low.toFixed(2)}-${result.latency.ratio.high.toFixed(2)})`
      : "-",
  }));
  console.log(formatTable(rows));
}

function save(results: readonly Result[]): void {
  const file = new URL("./results/accuracy.json", import.meta.url);
  // A run of one model takes that model's place among the others' results.
  const others = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: Result[] }).results : [];
  const all = TASKS.flatMap(({ name }) => [...results, ...others].find((result) => result.model === name) ?? []);
  const settings = {
    seed: SEED,
    threads: 1,
    timedSeconds: { "node-cpu": seconds, "web-wasm": 2 * seconds },
    compared: COMPARED,
    units:
      "figures are shares; value and difference (this file's minus the original's, same samples, same target) with 95 % bootstrap intervals; latency ratio: float32's time / the file's in the same round, median and 95 % interval; SQNR in decibels",
  };
  writeFileSync(file, `${JSON.stringify({ bench: "accuracy", settings, results: all }, null, 2)}\n`);
  console.log(`\nwritten: ${fileURLToPath(file)}`);
}

const chosen = flags.model?.map(findTask) ?? TASKS.filter(({ path }) => existsSync(path));
for (const task of TASKS) if (!existsSync(task.path)) console.error(`${task.name}: no ${task.path}. ${task.help}`);
const { processor, vnni } = await describeMachine();
console.log(`${processor}, ${vnni ? "VNNI" : "no VNNI: u8×s8 products may saturate on node-cpu"}`);
const results: Result[] = [];
for (const task of chosen) results.push(await measure(task));
const plain = flags.step === "{}" && flags.options === "{}" && flags.samples === undefined && !flags.quick;
if (flags.write || plain) save(results);
