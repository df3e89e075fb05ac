/**
 * @file `compress` against what a patient person would try by hand: single schemes with one option changed each, measured
 * with the same samples on the same targets. No file of the search may be worse in bytes and latency than the best of them.
 *
 *   npx tsx bench/compress.ts                        all models; writes bench/results/compress.json
 *   npx tsx bench/compress.ts --model silero         one of them, several times for several; writes nothing without --write
 *   npx tsx bench/compress.ts --quick                a minute and few samples: does it run?
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { verifyFiles } from "../src/analyze/isolated.ts";
import type { FileMeasurement } from "../src/analyze/job.ts";
import { judge } from "../src/analyze/judge.ts";
import { parseBudget } from "../src/measure/budget.ts";
import { compressFile } from "../src/recipe/compress/compress-file.ts";
import { proofOf } from "../src/recipe/compress/proof.ts";
import { quantizeFile } from "../src/recipe/quantize-file.ts";
import type { SchemeName } from "../src/recipe/steps.ts";
import type { TargetName } from "../src/runtime/targets.ts";
import { messageOf } from "../src/util/errors.ts";
import { sileroModel } from "./compress-data/silero.ts";
import { formatTable, machine } from "./report.ts";
import { detection, direction, recognition } from "./tasks/ocr.ts";

const { values: flags } = parseArgs({
  options: {
    /** May be given several times. Default: all. */
    model: { type: "string", multiple: true },
    /** Seconds of each search. */
    time: { type: "string", default: "600" },
    quick: { type: "boolean", default: false },
    /** Put the outcomes of --model among those of earlier runs. */
    write: { type: "boolean", default: false },
  },
});

const MODELS: Readonly<Record<string, string>> = {
  direction: direction.path,
  recognition: recognition.path,
  detection: detection.path,
  silero: sileroModel,
};
const TARGETS: readonly TargetName[] = ["node-cpu", "web-wasm"];
const BUDGET = parseBudget("1pt");
const SECONDS = flags.quick ? 60 : Number(flags.time);
/** Samples that the grid and the files of the search are judged by in the end at least: those that the search was judged by. */
const SAMPLES = flags.quick ? 30 : 300;
const WORK = fileURLToPath(new URL("../.bench/compress", import.meta.url));
/** A file counts as worse from that much more bytes or time on: timings are noisy. */
const TOLERANCE = 1.03;

interface GridEntry {
  readonly scheme: SchemeName;
  readonly step: Readonly<Record<string, unknown>>;
}

/** What one tries first: every scheme, every way to find ranges, types of weights' scales, one correction at a time. */
const GRID: readonly GridEntry[] = [
  { scheme: "weight-int8", step: {} },
  { scheme: "dynamic-int8", step: {} },
  { scheme: "static-int8", step: {} },
  { scheme: "static-int8", step: { observer: "mse" } },
  { scheme: "static-int8", step: { observer: "percentile" } },
  { scheme: "static-int8", step: { observer: "entropy" } },
  { scheme: "static-int8", step: { observer: "histogram" } },
  { scheme: "static-int8", step: { preset: "x86" } },
  { scheme: "static-int8", step: { preset: "qnnpack" } },
  { scheme: "static-int8", step: { equalize: true } },
  { scheme: "static-int8", step: { biasCorrection: "empirical" } },
  { scheme: "static-int8", step: { storeRest: false } },
];

interface Row {
  readonly name: string;
  readonly bytes: number;
  readonly target: TargetName;
  /** Time of the original ÷ time of the file. */
  readonly speed: number | undefined;
  /** Within the budget, usable and not slower. */
  readonly ok: boolean;
  /** What it may lose, at the bad end. */
  readonly bound: number | undefined;
  readonly error?: string;
}

interface Outcome {
  readonly model: string;
  readonly seconds: number;
  readonly timeUp: boolean;
  readonly tried: number;
  readonly evaluated: number | undefined;
  /** That the files below are judged by. */
  readonly samplesJudged: number;
  readonly ok: boolean;
  readonly compressed: readonly Row[];
  readonly grid: readonly Row[];
  /** One sentence per target. */
  readonly verdicts: readonly { readonly target: TargetName; readonly met: boolean; readonly text: string }[];
}

async function runModel(name: string): Promise<Outcome> {
  const path = MODELS[name];
  if (path === undefined) throw new Error(`bench: --model: expected ${Object.keys(MODELS).join(", ")}, got ${name}.`);
  const data = fileURLToPath(new URL(`./compress-data/${name}.ts`, import.meta.url));
  const folder = join(WORK, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const result = await compressFile(path, {
    output: join(folder, "search"),
    data,
    targets: TARGETS,
    maxDrop: BUDGET,
    timeMs: 1000 * SECONDS,
    fresh: true,
  });
  const files: { name: string; path: string; byteLength: number; targets: readonly TargetName[] }[] = [];
  for (const file of result.files) {
    files.push({
      name: `compress: ${file.candidate.name}`,
      path: file.path,
      byteLength: file.byteLength,
      targets: file.targets,
    });
  }
  const found = files.length;
  const grid = flags.quick ? GRID.slice(0, 3) : GRID;
  for (const [index, { scheme, step }] of grid.entries()) {
    const title = [scheme, ...Object.entries(step).map(([key, value]) => `${key} ${value}`)].join(" ");
    try {
      const output = join(folder, `grid-${index}.onnx`);
      const made = await quantizeFile(path, {
        scheme,
        step: { ...step },
        data,
        output,
        targets: TARGETS,
        check: false,
      });
      files.push({ name: title, path: output, byteLength: made.output.byteLength, targets: TARGETS });
    } catch (error) {
      console.log(`  ${name}: ${title}: ${messageOf(error)}`);
    }
  }
  const samples = Math.max(SAMPLES, flags.quick ? 0 : (result.evaluated ?? 0));
  const compressed: Row[] = [];
  const tried: Row[] = [];
  for (const target of TARGETS) {
    const own = files.filter(({ targets }) => targets.includes(target));
    const measured = await verifyFiles(
      {
        target,
        files: [{ name: "original", path }, ...own],
        data: { kind: "path", path: data, limit: samples, skip: 1 },
        threads: 1,
        budgetMs: (flags.quick ? 300 : 2500) * (own.length + 1),
        seed: 1,
        metrics: { fallback: true },
      },
      { memory: false },
    );
    for (const [index, file] of measured.files.slice(1).entries()) {
      const { ok, drops } = proofOf(measured, file, BUDGET);
      const entry = own[index]!;
      const row = rowOf(entry.name, entry.byteLength, target, file, ok, Math.max(...drops.map(({ bound }) => bound)));
      (files.indexOf(entry) < found ? compressed : tried).push(row);
      if (!judge(file, measured.files[0]).usable && files.indexOf(entry) < found)
        console.log(`  ! ${entry.name} is not usable`);
    }
  }
  const verdicts = TARGETS.map((target) => ({ target, ...compare(compressed, tried, target) }));
  const { seconds, timeUp, evaluated, ok } = result;
  return {
    model: name,
    seconds,
    timeUp,
    tried: result.tried.length,
    evaluated,
    samplesJudged: samples,
    ok,
    compressed,
    grid: tried,
    verdicts,
  };
}

function rowOf(
  name: string,
  bytes: number,
  target: TargetName,
  { error, latency }: FileMeasurement,
  ok: boolean,
  bound: number,
): Row {
  const speed = latency?.ratio?.median;
  const shared = { name, bytes, target, speed, ok, bound: Number.isFinite(bound) ? bound : undefined };
  return error === undefined ? shared : { ...shared, error: `does not ${error.stage}: ${error.message}` };
}

/** Against each file of the grid that keeps to the budget: worse in bytes and in latency than none of them. */
function compare(
  compressed: readonly Row[],
  grid: readonly Row[],
  target: TargetName,
): { readonly met: boolean; readonly text: string } {
  const own = compressed.find((row) => row.target === target);
  const rivals = grid.filter((row) => row.target === target && row.ok && row.speed !== undefined);
  if (own === undefined)
    return { met: rivals.length === 0, text: `no file; ${rivals.length} of the grid keep to the budget` };
  const time = (row: Row): number => 1 / (row.speed ?? Number.NaN);
  const better = rivals.filter((row) => own.bytes > TOLERANCE * row.bytes && time(own) > TOLERANCE * time(row));
  if (better.length > 0)
    return { met: false, text: `worse in bytes and latency than ${better.map((row) => row.name).join("; ")}` };
  const product = (row: Row): number => row.bytes * time(row);
  const best = rivals.toSorted((a, b) => product(a) - product(b))[0];
  const ratio = best === undefined ? undefined : product(own) / product(best);
  return {
    met: own.ok,
    text: own.ok
      ? best === undefined
        ? "nothing of the grid keeps to the budget"
        : `${ratio!.toFixed(2)} of bytes × time of the grid's best, ${best.name}`
      : "does not keep to the budget on these samples",
  };
}

/** Written after each model, so that a run that is stopped keeps what it measured. */
function save(name: string, outcome: Outcome): void {
  const file = fileURLToPath(new URL("./results/compress.json", import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const earlier = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { outcomes: object }).outcomes : {};
  const entry = { machine: machine(), secondsAllowed: SECONDS, ...outcome };
  writeFileSync(file, `${JSON.stringify({ bench: "compress", outcomes: { ...earlier, [name]: entry } }, null, 2)}\n`);
}

const names = flags.model ?? Object.keys(MODELS);
const outcomes: Outcome[] = [];
for (const name of names) {
  console.log(`\n${name}`);
  const outcome = await runModel(name);
  outcomes.push(outcome);
  if ((flags.write || flags.model === undefined) && !flags.quick) save(name, outcome);
  const cells = (row: Row): Readonly<Record<string, string | number>> => ({
    file: row.name,
    target: row.target,
    bytes: row.bytes,
    speed: row.speed?.toFixed(2) ?? "",
    "may lose (pt)": row.bound === undefined ? "" : (100 * row.bound).toFixed(2),
    budget: row.error ?? (row.ok ? "within" : "no"),
  });
  console.log(formatTable([...outcome.compressed, ...outcome.grid].map(cells)));
  for (const { target, met, text } of outcome.verdicts)
    console.log(`  ${met ? "met   " : "MISSED"} ${target}: ${text}`);
  console.log(
    `  ${outcome.tried} candidates in ${outcome.seconds.toFixed(0)} s, proofs on ${outcome.evaluated} samples`,
  );
}
process.exitCode = outcomes.every(({ verdicts }) => verdicts.every(({ met }) => met)) ? 0 : 1;
