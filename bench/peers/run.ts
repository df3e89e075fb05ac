/**
 * @file Tersor against onnxruntime.quantization in the same run: time and memory to quantize, bytes, distance from float32,
 * task score, latency in onnxruntime-node and onnxruntime-web. Python is needed here only:
 *
 *   python3 -m venv /tmp/peerenv && /tmp/peerenv/bin/pip install -r bench/peers/requirements.txt
 *   TERSOR_PEER_PYTHON=/tmp/peerenv/bin/python npx tsx bench/peers/run.ts [--model recognition] [--repeats 3] [--only static]
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { verifyFiles } from "../../src/analyze/isolated.ts";
import type { FileMeasurement, TargetMeasurement } from "../../src/analyze/job.ts";
import { describeMachine } from "../../src/measure/machine.ts";
import type { TargetName } from "../../src/runtime/targets.ts";
import { type ChildFailure, type ChildRun, runChild, runTypeScript } from "../child-process.ts";
import { formatTable, machine, quantile } from "../report.ts";
import { SEED } from "../tasks/task.ts";
import { MODELS, type ModelName, type PeerModel, writeSamples } from "./models.ts";
import { NOTES } from "./notes.ts";
import { scoreFiles, type TaskScore } from "./score.ts";
import { VARIANTS, type Variant } from "./variants.ts";

const PYTHON = process.env["TERSOR_PEER_PYTHON"] ?? "python3";
const SCRIPT = fileURLToPath(new URL("./quantize.py", import.meta.url));
const WORK = fileURLToPath(new URL("../../.bench/peers", import.meta.url));

/** Samples on which outputs are compared on each target, before timing. */
const COMPARED = 24;
/** Runs that take longer are not repeated. */
const LONG_SECONDS = 8;

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    /** A part of the names of the variants to take. */
    only: { type: "string", default: "" },
    repeats: { type: "string", default: "3" },
    /** Seconds of timed rounds on node-cpu; on web-wasm twice that. */
    time: { type: "string", default: "20" },
  },
});
const repeats = Number(flags.repeats);
const budgetMs = 1000 * Number(flags.time);

interface Quantized {
  readonly runs: readonly (ChildRun | ChildFailure)[];
  readonly failed: ChildFailure | undefined;
  /** Medians of the runs. */
  readonly seconds: number;
  readonly wallSeconds: number;
  readonly baseBytes: number;
  readonly peakBytes: number;
  readonly notes: readonly string[];
}

async function quantize(variant: Variant, model: PeerModel, data: string, output: string): Promise<Quantized> {
  const runs: (ChildRun | ChildFailure)[] = [];
  for (let i = 0; i < repeats; i++) {
    rmSync(output, { force: true });
    const run =
      variant.by === "peer"
        ? await runChild(PYTHON, [SCRIPT, JSON.stringify({ ...variant.settings, model: model.path, output, data })])
        : await runTypeScript(new URL("../quantize-tersor.ts", import.meta.url), {
            model: model.path,
            options: {
              ...variant.settings,
              output,
              // Only static quantization is given data, on both sides.
              ...(variant.family === "static" && { data, calibrationSamples: model.calibration }),
            },
          });
    runs.push(run);
    if ("error" in run || run.wallSeconds > LONG_SECONDS) break;
  }
  const done = runs.filter((run): run is ChildRun => !("error" in run));
  const middle = (of: (run: ChildRun) => number): number => quantile(done.map(of));
  return {
    runs,
    failed: runs.find((run): run is ChildFailure => "error" in run),
    seconds: middle((run) => run.seconds),
    wallSeconds: middle((run) => run.wallSeconds),
    baseBytes: middle((run) => run.baseBytes),
    peakBytes: middle((run) => run.peakBytes),
    notes: done[0]?.notes ?? [],
  };
}

interface Row {
  readonly variant: Variant | undefined;
  readonly name: string;
  readonly bytes: number;
  readonly quantized: Quantized | undefined;
  readonly task: TaskScore;
  readonly node: FileMeasurement | undefined;
  readonly wasm: FileMeasurement | undefined;
}

const fixed = (value: number | undefined, digits: number, unit = 1): string =>
  value === undefined || Number.isNaN(value) ? "-" : (value * unit).toFixed(digits);

const speed = (measured: FileMeasurement | undefined): string => {
  const ratio = measured?.latency?.ratio;
  if (measured?.error !== undefined) return measured.error.stage === "load" ? "does not load" : "does not run";
  return ratio === undefined ? "-" : `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)})`;
};

function tableRow(row: Row, original: Row, model: PeerModel): Record<string, string | number> {
  const { quantized, task } = row;
  const scores: Record<string, string> =
    model.name === "recognition"
      ? {
          "CER %": fixed(task.cer, 2, 100),
          "exact %": fixed(task.exact, 1, 100),
          "agree %": fixed(task.agreement, 1, 100),
        }
      : model.name === "detection"
        ? { "overlap %": fixed(task.overlap, 1, 100) }
        : { "same %": fixed(task.same, 1, 100) };
  return {
    file: row.name,
    s: fixed(quantized?.seconds, 2),
    "s, all": fixed(quantized?.wallSeconds, 2),
    "MB peak": fixed(quantized?.peakBytes, 0, 1e-6),
    "of that start": fixed(quantized?.baseBytes, 0, 1e-6),
    KB: fixed(row.bytes, 0, 1e-3),
    "x bytes": fixed(row.bytes / original.bytes, 3),
    "SQNR dB": fixed(task.sqnr, 1),
    ...scores,
    "node ms": fixed(row.node?.latency?.p50, 2),
    "node x": speed(row.node),
    "wasm ms": fixed(row.wasm?.latency?.p50, 2),
    "wasm x": speed(row.wasm),
  };
}

interface Figure {
  readonly name: string;
  /** Higher is better. */
  of(row: Row): number | undefined;
  /** Differences that count. */
  readonly least: number;
  readonly relative: boolean;
}

const FIGURES: readonly Figure[] = [
  { name: "seconds to quantize", of: (row) => negative(row.quantized?.seconds), least: 0.05, relative: true },
  { name: "peak memory", of: (row) => negative(row.quantized?.peakBytes), least: 0.05, relative: true },
  { name: "bytes", of: (row) => -row.bytes, least: 0.005, relative: true },
  { name: "SQNR (dB)", of: (row) => row.task.sqnr, least: 0.3, relative: false },
  { name: "CER", of: (row) => negative(row.task.cer), least: 0.001, relative: false },
  { name: "exact", of: (row) => row.task.exact, least: 0.004, relative: false },
  { name: "overlap", of: (row) => row.task.overlap, least: 0.002, relative: false },
  { name: "same", of: (row) => row.task.same, least: 0.004, relative: false },
  { name: "node-cpu speed", of: (row) => row.node?.latency?.ratio?.median, least: 0.02, relative: true },
  { name: "web-wasm speed", of: (row) => row.wasm?.latency?.ratio?.median, least: 0.02, relative: true },
];

/** The commit, and whether the tree differs from it. */
function sourceState(): string {
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  return execFileSync("git", ["describe", "--always", "--dirty"], { cwd, encoding: "utf8" }).trim();
}

function negative(value: number | undefined): number | undefined {
  return value === undefined ? undefined : -value;
}

/** For each figure on which a peer of the same family is ahead: by how much, and what else that peer is. */
function behind(rows: readonly Row[]): string[] {
  const lines: string[] = [];
  for (const family of ["dynamic", "static"] as const) {
    const own = rows.find((row) => row.variant?.family === family && row.variant.by === "tersor");
    if (own === undefined) continue;
    for (const { name, of, least, relative } of FIGURES) {
      const mine = of(own);
      if (mine === undefined || Number.isNaN(mine)) continue;
      for (const row of rows) {
        if (row.variant?.family !== family || row.variant.by !== "peer") continue;
        const theirs = of(row);
        if (theirs === undefined || !(theirs - mine > (relative ? Math.abs(mine) * least : least))) continue;
        const shown = (value: number): string => Number(Math.abs(value).toPrecision(4)).toString();
        lines.push(
          `${own.name}: ${name} ${shown(mine)}, ${row.name} ${shown(theirs)} (which has SQNR ${fixed(row.task.sqnr, 1)} dB, node ${fixed(row.node?.latency?.ratio?.median, 2)}x, wasm ${fixed(row.wasm?.latency?.ratio?.median, 2)}x)`,
        );
      }
    }
  }
  return lines;
}

interface Result {
  readonly model: ModelName;
  readonly behind: readonly string[];
  readonly [key: string]: unknown;
}

async function measure(model: PeerModel): Promise<{ table: string; result: Result }> {
  const folder = join(WORK, model.name);
  mkdirSync(folder, { recursive: true });
  const data = writeSamples(model, WORK);
  const variants = VARIANTS.filter(({ name }) => name.includes(flags.only));
  const quantized: Quantized[] = [];
  const files: { name: string; path: string; variant: Variant | undefined; quantized: Quantized | undefined }[] = [
    { name: "original", path: model.path, variant: undefined, quantized: undefined },
  ];
  for (const variant of variants) {
    const path = join(folder, `${variant.name.replaceAll(/[^a-z0-9]+/gi, "-")}.onnx`);
    const result = await quantize(variant, model, data.calibration, path);
    quantized.push(result);
    console.error(`${model.name}: ${variant.name}: ${result.failed?.error ?? `${result.seconds.toFixed(2)} s`}`);
    if (result.failed === undefined) files.push({ name: variant.name, path, variant, quantized: result });
  }
  const tasks = await scoreFiles(
    model.name,
    files.map(({ path }) => path),
    data.evaluation,
    data.texts,
  );
  const verify = (target: TargetName, budget: number): Promise<TargetMeasurement> =>
    verifyFiles(
      {
        target,
        // A configuration of their own, if an empty one: nothing is tried again under another.
        files: files.map(({ name, path }) => ({ name, path, config: {} })),
        data: { kind: "path", path: data.evaluation, limit: COMPARED },
        threads: 1,
        budgetMs: budget,
        seed: SEED,
      },
      { memory: false },
    );
  const node = await verify("node-cpu", budgetMs);
  const wasm = await verify("web-wasm", 2 * budgetMs);
  const rows: Row[] = files.map((file, index) => ({
    ...file,
    bytes: statSync(file.path).size,
    task: tasks[index]!,
    node: node.files[index],
    wasm: wasm.files[index],
  }));
  const lines = behind(rows);
  const table = formatTable(rows.map((row) => tableRow(row, rows[0]!, model)));
  const failures = variants.flatMap((variant, index) => {
    const { failed } = quantized[index]!;
    return failed === undefined ? [] : [{ variant: variant.name, settings: variant.settings, ...failed }];
  });
  for (const { variant, error } of failures) console.error(`${variant} failed: ${error}`);
  return {
    table,
    result: {
      model: model.name,
      calibration: model.calibration,
      evaluation: model.evaluation,
      runtimes: [node.runtime, wasm.runtime],
      rows: rows.map(({ variant, quantized: run, ...row }) => ({
        ...row,
        path: undefined,
        family: variant?.family,
        defaults: variant?.defaults,
        settings: variant?.settings,
        quantize: run && { ...run, failed: undefined },
      })),
      failures,
      behind: lines,
      notes: NOTES[model.name],
    },
  };
}

const versions = await runChild(PYTHON, [SCRIPT, JSON.stringify({ kind: "versions" })]);
if ("error" in versions) {
  throw new Error(
    `peers: ${PYTHON}: expected a Python with bench/peers/requirements.txt, got: ${versions.error}. Set TERSOR_PEER_PYTHON.`,
  );
}
console.log(`${machine().cpu}, ${machine().cores} cores, ${process.version}; ${versions.notes.join(", ")}`);
const results: Result[] = [];
for (const model of MODELS) {
  if (flags.model !== undefined && flags.model !== model.name) continue;
  const { table, result } = await measure(model);
  const where = { ...machine(), vnni: (await describeMachine()).vnni };
  results.push({
    ...result,
    machine: where,
    source: process.env["TERSOR_SOURCE"] ?? sourceState(),
    peer: versions.notes,
  });
  const { load } = where;
  console.log(`\n${model.name}: ${model.calibration} calibration samples, ${model.evaluation} held out, load ${load}`);
  console.log(table);
  const lines = result.behind;
  if (lines.length > 0) console.log(`\nBehind:\n${lines.map((line) => `  ${line}`).join("\n")}`);
  for (const note of NOTES[model.name]) console.log(`  note: ${note}`);
}
if (flags.only === "") {
  const file = new URL("../results/peers.json", import.meta.url);
  // A run of one model takes that model's place among the others' results.
  const others = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: Result[] }).results : [];
  const all = MODELS.flatMap(({ name }) => [...results, ...others].find((result) => result.model === name) ?? []).map(
    (result) => ({ ...result, notes: NOTES[result.model] }),
  );
  const settings = {
    seed: SEED,
    threads: 1,
    timedSeconds: { "node-cpu": budgetMs / 1000, "web-wasm": (2 * budgetMs) / 1000 },
    variants: VARIANTS,
    units:
      "seconds: own time after imports, median of the repeats; wallSeconds: the whole process; peakBytes: VmHWM, baseBytes of it after imports; ratio: float32's time / the file's in the same round, median and 95 % interval; shares 0..1; SQNR in decibels",
  };
  writeFileSync(file, `${JSON.stringify({ bench: "peers", settings, results: all }, null, 2)}\n`);
  console.log("\nwritten: bench/results/peers.json");
}
