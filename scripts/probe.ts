/**
 * @file Measures how fast the quantized patterns run on the installed runtimes, and writes src/runtime/speed-facts.ts.
 *
 *   npm run probe                  both targets, about four minutes
 *   npm run probe -- --dry-run     prints, writes nothing
 *
 * Each target has a process of its own. Float and quantized models run in turns, and their processor time counts, so
 * that other work on the machine disturbs little; it still takes its part of the caches. Run it twice and compare.
 */
import { execFileSync, fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compareLatency } from "../src/measure/latency.ts";
import { describeMachine } from "../src/measure/machine.ts";
import { createRuntime } from "../src/runtime/create-node.ts";
import type { Runtime } from "../src/runtime/runtime.ts";
import type { SpeedFact } from "../src/runtime/speed.ts";
import { TARGETS } from "../src/runtime/targets.ts";
import { CASES, describeShape, probeModels, type Shape } from "./probe-patterns.ts";

const PROBED: readonly SpeedFact["target"][] = ["node-cpu", "web-wasm"];

const FACTS_FILE = fileURLToPath(new URL("../src/runtime/speed-facts.ts", import.meta.url));

/** Time for one shape, in ms. */
const BUDGET_MS = 1500;

/** What a child process answers. */
interface Probed {
  readonly runtime: string;
  readonly facts: readonly SpeedFact[];
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
  const { float, quantized, sample } = await probeModels(pattern, shape, target, runtime);
  const original = await runtime.load({ bytes: float }, { threads: 1 });
  const result = await runtime.load({ bytes: quantized }, { threads: 1 });
  const latency = await compareLatency(
    [
      { name: "float", session: original },
      { name: "quantized", session: result },
    ],
    [sample.inputs],
    { budgetMs: BUDGET_MS, minRounds: 25, maxRounds: 3000, warmup: 5, now: processorTime },
  );
  await original.release();
  await result.release();
  const [before, after] = latency.sessions;
  const { median, low, high } = after!.ratio!;
  console.error(
    `${target} ${pattern.padEnd(22)} ${describeShape(shape).padEnd(26)} ${before!.p50.toFixed(3)} → ` +
      `${after!.p50.toFixed(3)} ms, ${median.toFixed(2)}× (${low.toFixed(2)} to ${high.toFixed(2)})`,
  );
  return median;
}

async function probe(target: SpeedFact["target"]): Promise<Probed> {
  const runtime = await createRuntime(TARGETS[target].runtime!);
  const facts: SpeedFact[] = [];
  for (const { pattern, rows, shapes } of CASES) {
    let logarithms = 0;
    for (const shape of shapes) logarithms += Math.log(await measure(pattern, shape, target, runtime));
    const ratio = Number(Math.exp(logarithms / shapes.length).toPrecision(2));
    facts.push({ target, pattern, ...(rows !== undefined && { rows }), ratio });
  }
  return { runtime: `${runtime.name} ${runtime.version}`, facts };
}

/**
 * WASM is compiled by V8's optimizing compiler from the start. Otherwise it begins in code that is four times slower, and
 * each kernel is replaced some time later: now and then only after minutes.
 */
const OPTIMIZED_WASM = "--no-liftoff";

/** Runs {@link probe} in a child process. */
function probeIsolated(target: SpeedFact["target"]): Promise<Probed> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ["--target", target], {
      execArgv: [...process.execArgv, OPTIMIZED_WASM],
    });
    child.on("message", (probed: Probed) => resolve(probed));
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(new Error(`${target}: the process ended with ${signal ?? code}`)));
  });
}

async function factsFile(probed: readonly Probed[]): Promise<string> {
  const machine = await describeMachine();
  const vnni = machine.vnni === undefined ? "" : machine.vnni ? " with VNNI" : " without VNNI";
  const facts = probed.flatMap(({ facts }) => facts);
  return `/**
 * @file Measured speeds by target and pattern. Written by \`npm run probe\` (scripts/probe.ts): not to be edited.
 * ${probed.map(({ runtime }) => runtime).join(", ")}; one thread.
 * ${machine.processor}${vnni}, ${machine.platform}, ${machine.host}; ${new Date().toISOString().slice(0, 10)}.
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

const [flag, value] = process.argv.slice(2);
if (flag === "--target") {
  process.send!(await probe(value as SpeedFact["target"]));
  process.disconnect();
} else {
  const probed: Probed[] = [];
  for (const target of PROBED) probed.push(await probeIsolated(target));
  for (const { facts } of probed) console.table(facts);
  if (flag !== "--dry-run") {
    writeFormatted(FACTS_FILE, await factsFile(probed));
    console.error(`wrote ${FACTS_FILE}`);
  }
}
