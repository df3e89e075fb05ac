/**
 * @file Tersor's calibrated quantization against onnxruntime's quantize_static and NNCF, each at its best, on every task: figures and
 * SQNR on both runtimes, bytes, latency, time to quantize and peak memory, in one table. Python is needed here only:
 *
 *   python3 -m venv /tmp/peerenv && /tmp/peerenv/bin/pip install -r bench/peers/requirements.txt
 *   TERSOR_PEER_PYTHON=/tmp/peerenv/bin/python npx tsx bench/peers/static.ts [--model recognition] [--only nncf] [--samples 200]
 *       [--tersor '{"mse": {"observer": "mse"}}']      more of Tersor's variants, by name: options of the step
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "../../src/measure/machine.ts";
import type { TargetName } from "../../src/runtime/targets.ts";
import { type ChildFailure, type ChildRun, runChild, runTypeScript } from "../child-process.ts";
import { formatTable, machine } from "../report.ts";
import { estimate } from "../tasks/bootstrap.ts";
import { type FileLatency, timeFiles } from "../tasks/latency.ts";
import { WORK, writeSamples } from "../tasks/samples.ts";
import { type FileScore, scoreFiles } from "../tasks/score.ts";
import { SEED, type Task } from "../tasks/task.ts";
import { findTask, TASKS } from "../tasks/tasks.ts";
import { compareWithPeers, type StaticRow, type TargetRow } from "./static-lead.ts";
import { PEERS, type StaticVariant, TERSOR, tersor } from "./static-variants.ts";

const PYTHON = process.env["TERSOR_PEER_PYTHON"] ?? "python3";
const SCRIPTS = {
  onnxruntime: fileURLToPath(new URL("./quantize.py", import.meta.url)),
  nncf: fileURLToPath(new URL("./quantize_nncf.py", import.meta.url)),
} as const;
const TARGETS = ["node-cpu", "web-wasm"] as const satisfies readonly TargetName[];
/** Samples on which outputs are compared: the SQNR. */
const COMPARED = 60;
/** Evaluation samples for a table of some twenty files. */
const SAMPLES: Readonly<Record<string, number>> = { recognition: 500, detection: 150, direction: 1000 };

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", multiple: true },
    /** A part of the names of the peers' variants to take. */
    only: { type: "string", default: "" },
    samples: { type: "string" },
    /** Seconds of timed rounds on node-cpu; on web-wasm twice that. 0: no timing. */
    time: { type: "string", default: "20" },
    /** Seconds that a peer may take for one file. */
    limit: { type: "string", default: "900" },
    tersor: { type: "string", default: "{}" },
    /** Take the peers' files of an earlier run, with the times that they took then. */
    keep: { type: "boolean", default: false },
  },
});

type Quantized = (ChildRun & { readonly leftAlone?: readonly string[] }) | ChildFailure;

const failed = (run: Quantized): run is ChildFailure => "error" in run;

async function quantize(
  variant: StaticVariant,
  task: Task,
  exclude: readonly string[],
  output: string,
): Promise<Quantized> {
  const { by, options, sameExclusions } = variant;
  const data = writeSamples(task, "calibration", task.calibration);
  const timeoutMs = 1000 * Number(flags.limit);
  if (by === "tersor") {
    rmSync(output, { force: true });
    const own = { scheme: "static-int8", step: options, output, data, calibrationSamples: task.calibration };
    const child = new URL("../quantize-tersor.ts", import.meta.url);
    return runTypeScript<ChildRun>(child, { model: task.path, options: own }, { timeoutMs });
  }
  const spec = {
    model: task.path,
    output,
    data,
    kind: "static",
    prepare: true,
    options: { ...options, ...(sameExclusions && { exclude }) },
  };
  const kept = `${output}.json`;
  const hash = createHash("sha256").update(JSON.stringify(spec)).update(readFileSync(task.path)).digest("hex");
  if (flags.keep && existsSync(kept) && existsSync(output)) {
    const { run, hash: of } = JSON.parse(readFileSync(kept, "utf8")) as { run: Quantized; hash: string };
    if (of === hash) return run;
  }
  rmSync(output, { force: true });
  const run = await runChild(PYTHON, [SCRIPTS[by], JSON.stringify(spec)], { timeoutMs });
  writeFileSync(kept, JSON.stringify({ run, hash }));
  return run;
}

interface Made {
  readonly variant: StaticVariant;
  readonly path: string;
  readonly run: Quantized;
}

async function quantizeAll(task: Task): Promise<Made[]> {
  const folder = join(WORK, task.name, "peers");
  mkdirSync(folder, { recursive: true });
  const more = Object.entries(JSON.parse(flags.tersor) as Record<string, Record<string, unknown>>);
  const variants = [
    ...TERSOR,
    ...more.map(([name, step]) => tersor(`tersor, ${name}`, step)),
    ...PEERS.filter(({ name, tasks }) => name.includes(flags.only) && (tasks?.includes(task.name) ?? true)),
  ];
  const made: Made[] = [];
  let exclude: readonly string[] = [];
  for (const variant of variants) {
    const path = join(folder, `${variant.name.replaceAll(/[^a-z0-9]+/gi, "-")}.onnx`);
    const run = await quantize(variant, task, exclude, path);
    if (made.length === 0 && !failed(run)) exclude = run.leftAlone ?? [];
    console.error(`${task.name}: ${variant.name}: ${failed(run) ? run.error : `${run.seconds.toFixed(1)} s`}`);
    made.push({ variant, path, run });
  }
  return made;
}

function targetRow(
  task: Task,
  target: TargetName,
  scores: readonly FileScore[],
  index: number,
  latency: FileLatency | undefined,
): TargetRow {
  const { sqnr, parts, error } = scores[index]!;
  return {
    target,
    sqnr,
    error,
    latency,
    figures: error
      ? []
      : task.figures.map(({ name, better, against }, i) => ({
          name,
          better,
          ...estimate(parts[i]!),
          difference: against === "label" ? estimate(parts[i]!, scores[0]!.parts[i]!) : undefined,
        })),
  };
}

async function measure(
  task: Task,
): Promise<{ rows: StaticRow[]; runtimes: string[]; samples: number; failures: object[] }> {
  const all = await quantizeAll(task);
  const made = all.filter(({ run }) => !failed(run));
  const files = [task.path, ...made.map(({ path }) => path)];
  const samples = Math.min(Number(flags.samples ?? SAMPLES[task.name] ?? task.evaluation), task.evaluation);
  const scored = await Promise.all(
    TARGETS.map((target) => scoreFiles({ task: task.name, target, files, samples, compared: COMPARED })),
  );
  const timed: Awaited<ReturnType<typeof timeFiles>>[] = [];
  for (const target of TARGETS) {
    timed.push(await timeFiles(task, target, files, 1000 * Number(flags.time) * (target === "web-wasm" ? 2 : 1)));
  }
  const rows = files.map((path, index): StaticRow => {
    const of = made[index - 1];
    return {
      name: of?.variant.name ?? "original",
      variant: of?.variant,
      bytes: statSync(path).size,
      run: of === undefined ? undefined : (of.run as ChildRun),
      targets: TARGETS.map((target, t) => targetRow(task, target, scored[t]!.files, index, timed[t]?.[index])),
    };
  });
  const failures = all
    .filter(({ run }) => failed(run))
    .map(({ variant, run }) => ({ variant: variant.name, options: variant.options, ...run }));
  return { rows, runtimes: scored.map(({ runtime }) => runtime), samples, failures };
}

function tableRow(task: Task, row: StaticRow, original: StaticRow): Record<string, string | number> {
  const fixed = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? "-";
  return {
    file: row.name,
    s: fixed(row.run?.seconds, 1),
    "MB peak": fixed(row.run && row.run.peakBytes / 1e6, 0),
    KB: fixed(row.bytes / 1e3, 0),
    "x bytes": fixed(row.bytes / original.bytes, 3),
    ...Object.fromEntries(
      row.targets.flatMap(({ target, sqnr, error, figures, latency }) => {
        const short = target === "node-cpu" ? "node" : "wasm";
        return [
          [`${short} dB`, error === undefined ? fixed(sqnr, 1) : "fails"],
          ...task.figures
            .map(({ name }, i) => [`${name} %`, fixed(figures[i] && 100 * figures[i].value, 2)] as const)
            .map(([name, value]) => [`${short} ${name}`, value]),
          [`${short} x`, fixed(latency?.ratio.median, 2)],
        ];
      }),
    ),
  };
}

async function versions(): Promise<string[]> {
  const notes: string[] = [];
  for (const script of Object.values(SCRIPTS)) {
    const reply = await runChild(PYTHON, [script, JSON.stringify({ kind: "versions" })]);
    if (failed(reply)) {
      throw new Error(
        `peers: ${PYTHON}: expected a Python with bench/peers/requirements.txt, got: ${reply.error}. Set TERSOR_PEER_PYTHON.`,
      );
    }
    notes.push(...reply.notes);
  }
  return notes;
}

interface Result {
  readonly model: string;
  readonly [key: string]: unknown;
}

const peer = await versions();
const { processor, vnni } = await describeMachine();
console.log(`${processor}, ${vnni ? "VNNI" : "no VNNI: u8×s8 products may saturate on node-cpu"}; ${peer.join(", ")}`);
const results: Result[] = [];
for (const task of flags.model?.map(findTask) ?? TASKS.filter(({ path }) => existsSync(path))) {
  const { rows, runtimes, samples, failures } = await measure(task);
  const lead = compareWithPeers(rows);
  console.log(
    `\n${task.name}${task.heldOut ? " (held out)" : ""}: ${task.calibration} calibration samples, ${samples} ${task.unit}`,
  );
  console.log(formatTable(rows.map((row) => tableRow(task, row, rows[0]!))));
  for (const line of lead.ahead) console.log(`  ahead: ${line}`);
  for (const line of lead.behind) console.log(`  BEHIND: ${line}`);
  for (const line of lead.behindLarger) console.log(`  behind a larger file: ${line}`);
  for (const failure of failures) console.log(`  failed: ${JSON.stringify(failure)}`);
  results.push({
    model: task.name,
    heldOut: task.heldOut,
    calibration: task.calibration,
    samples,
    unit: task.unit,
    runtimes,
    peer,
    rows: rows.map(({ variant, ...row }) => ({
      ...row,
      by: variant?.by,
      defaults: variant?.defaults,
      sameExclusions: variant?.sameExclusions,
      options: variant?.options,
    })),
    failures,
    ...lead,
    machine: { ...machine(), vnni },
    source: execFileSync("git", ["describe", "--always", "--dirty"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    }).trim(),
  });
}
if (flags.only === "") {
  const file = new URL("../results/peers-static.json", import.meta.url);
  // A run of one model takes that model's place among the others' results.
  const others = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: Result[] }).results : [];
  const all = TASKS.flatMap(({ name }) => [...results, ...others].find((result) => result.model === name) ?? []);
  const settings = {
    seed: SEED,
    threads: 1,
    compared: COMPARED,
    timedSeconds: { "node-cpu": Number(flags.time), "web-wasm": 2 * Number(flags.time) },
    units:
      "seconds: own time after imports; peakBytes: VmHWM; figures are shares with 95 % bootstrap intervals, difference: to the original on the same samples and target; latency ratio: float32's time / the file's in the same round, median and 95 % interval; SQNR in decibels",
  };
  writeFileSync(file, `${JSON.stringify({ bench: "peers-static", settings, results: all }, null, 1)}\n`);
  console.log("\nwritten: bench/results/peers-static.json");
}
