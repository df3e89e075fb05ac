/**
 * @file Measures how fast the quantized patterns run on the installed runtimes, and writes src/runtime/speed-facts.ts.
 *
 *   npm run probe                          both targets, about ten minutes
 *   npm run probe -- --dry-run             prints, writes nothing
 *   npm run probe -- --only static-conv    these patterns (comma-separated); the others keep their figures
 *
 * Each target is measured in processes of its own. Float and quantized models run in turns, and their processor time
 * counts, so that other work on the machine disturbs little; it still takes its part of the caches.
 */
import { execFileSync, fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "../src/measure/interval.ts";
import { compareLatency } from "../src/measure/latency.ts";
import { describeMachine } from "../src/measure/machine.ts";
import { createRuntime } from "../src/runtime/create-node.ts";
import type { Runtime } from "../src/runtime/runtime.ts";
import type { SpeedFact } from "../src/runtime/speed.ts";
import { SPEED_FACTS } from "../src/runtime/speed-facts.ts";
import { TARGETS } from "../src/runtime/targets.ts";
import { CASES, describeShape, type ProbeCase, probeModels, type Shape } from "./probe-patterns.ts";

const PROBED: readonly SpeedFact["target"][] = ["node-cpu", "web-wasm"];

const FACTS_FILE = fileURLToPath(new URL("../src/runtime/speed-facts.ts", import.meta.url));

/** Time for one shape, in ms. */
const BUDGET_MS = 600;

/**
 * Processes per target. In one of a few, a kernel stays several times slower from beginning to end (WASM in V8), so one
 * process is no measurement.
 */
const PROCESSES = 3;

/** What a child process answers: the ratio of each shape of each case. */
interface Probed {
  readonly runtime: string;
  readonly ratios: readonly (readonly number[])[];
}

/** Time that this process has computed, in ms: with one thread that is the run's time without what others took. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Time of float ÷ time of quantized, the median over interleaved rounds. */
async function measure(
  pattern: SpeedFact["pattern"],
  shape: Shape,
  target: SpeedFact["target"],
  runtime: Runtime,
): Promise<number> {
  const { reference, quantized, sample } = await probeModels(pattern, shape, target, runtime);
  const original = await runtime.load({ bytes: reference }, { threads: 1 });
  const result = await runtime.load({ bytes: quantized }, { threads: 1 });
  const latency = await compareLatency(
    [
      { name: "reference", session: original },
      { name: "quantized", session: result },
    ],
    [sample.inputs],
    { budgetMs: BUDGET_MS, minRounds: 25, maxRounds: 3000, warmup: 5, now: processorTime },
  );
  await original.release();
  await result.release();
  const [before, after] = latency.sessions;
  const { median: ratio, low, high } = after!.ratio!;
  console.error(
    `${target} ${pattern.padEnd(22)} ${describeShape(shape).padEnd(26)} ${before!.p50.toFixed(3)} → ` +
      `${after!.p50.toFixed(3)} ms, ${ratio.toFixed(2)}× (${low.toFixed(2)} to ${high.toFixed(2)})`,
  );
  return ratio;
}

/** All cases in this process. */
async function probe(target: SpeedFact["target"], cases: readonly ProbeCase[]): Promise<Probed> {
  const runtime = await createRuntime(TARGETS[target].runtime!);
  const ratios: number[][] = [];
  for (const { pattern, shapes } of cases) {
    const own: number[] = [];
    for (const shape of shapes) own.push(await measure(pattern, shape, target, runtime));
    ratios.push(own);
  }
  return { runtime: `${runtime.name} ${runtime.version}`, ratios };
}

/** Of each shape the median over the processes, of each case the geometric mean over the shapes, in two digits. */
function toFacts(target: SpeedFact["target"], cases: readonly ProbeCase[], probed: readonly Probed[]): SpeedFact[] {
  return cases.map(({ pattern, size, shapes }, index) => {
    const logarithms = shapes.map((_shape, i) => Math.log(median(probed.map(({ ratios }) => ratios[index]![i]!))));
    const mean = logarithms.reduce((sum, value) => sum + value, 0) / shapes.length;
    return { target, pattern, ...(size !== undefined && { size }), ratio: Number(Math.exp(mean).toPrecision(2)) };
  });
}

/**
 * WASM is compiled by V8's optimizing compiler from the start. Otherwise it begins in code that is four times slower, and
 * each kernel is replaced some time later: now and then only after minutes.
 */
const OPTIMIZED_WASM = "--no-liftoff";

/** Runs {@link probe} in a child process. */
function probeIsolated(target: SpeedFact["target"], only: readonly string[] | undefined): Promise<Probed> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ["--target", target, ...(only ? ["--only", only.join()] : [])], {
      execArgv: [...process.execArgv, OPTIMIZED_WASM],
    });
    child.on("message", (probed: Probed) => resolve(probed));
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(new Error(`${target}: the process ended with ${signal ?? code}`)));
  });
}

/** @param before What the file says of where the figures that stay were measured. */
async function factsFile(
  runtimes: readonly string[],
  facts: readonly SpeedFact[],
  only: readonly string[] | undefined,
  before: readonly string[],
): Promise<string> {
  const machine = await describeMachine();
  const vnni = machine.vnni === undefined ? "" : machine.vnni ? " with VNNI" : " without VNNI";
  const where = `${machine.processor}${vnni}, ${machine.platform}, ${machine.host}; ${new Date().toISOString().slice(0, 10)}`;
  const run = `${only === undefined ? "All" : only.join(", ")}: ${runtimes.join(", ")}; one thread; ${where}.`;
  return `/**
 * @file Measured speeds by target and pattern. Written by \`npm run probe\` (scripts/probe.ts): not to be edited.
 ${[...before, run].map((line) => `* - ${line}`).join("\n ")}
 */
import type { SpeedFact } from "./speed.ts";

export const SPEED_FACTS: readonly SpeedFact[] = ${JSON.stringify(facts, null, 2)};
`;
}

/** Writes the file as \`biome check\` wants it. */
function writeFormatted(path: string, text: string): void {
  const biome = fileURLToPath(new URL("../node_modules/@biomejs/biome/bin/biome", import.meta.url));
  const formatted = execFileSync(process.execPath, [biome, "check", "--write", `--stdin-file-path=${path}`], {
    input: text,
    encoding: "utf8",
  });
  writeFileSync(path, formatted);
}

/** The runs that the facts file tells of. */
function earlierRuns(): string[] {
  return [...readFileSync(FACTS_FILE, "utf8").matchAll(/^ \* - (.*)$/gm)].map((match) => match[1]!);
}

const { values } = parseArgs({
  options: { target: { type: "string" }, only: { type: "string" }, "dry-run": { type: "boolean" } },
});
const only = values.only?.split(",");
const cases = CASES.filter(({ pattern }) => only?.includes(pattern) ?? true);
if (values.target !== undefined) {
  process.send!(await probe(values.target as SpeedFact["target"], cases));
  process.disconnect();
} else {
  const runtimes: string[] = [];
  const facts: SpeedFact[] = [];
  for (const target of PROBED) {
    const probed: Probed[] = [];
    for (let i = 0; i < PROCESSES; i++) probed.push(await probeIsolated(target, only));
    runtimes.push(probed[0]!.runtime);
    const kept = SPEED_FACTS.filter((fact) => fact.target === target && only?.includes(fact.pattern) === false);
    const order = CASES.map(({ pattern }) => pattern);
    const all = [...kept, ...toFacts(target, cases, probed)];
    facts.push(...all.sort((a, b) => order.indexOf(a.pattern) - order.indexOf(b.pattern)));
  }
  console.table(facts);
  if (!values["dry-run"]) {
    writeFormatted(FACTS_FILE, await factsFile(runtimes, facts, only, only === undefined ? [] : earlierRuns()));
    console.error(`wrote ${FACTS_FILE}`);
  }
}
