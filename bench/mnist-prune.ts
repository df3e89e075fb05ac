/**
 * @file Pruning during training on MNIST: criteria, schedules, layer amounts and regrowth compared by the validation split,
 * then the winner and baselines at several ratios, looked at on the test set once each.
 *
 *   npx tsx bench/mnist-prune.ts [--net lenet300 …] [--stage compare final] [--seeds 2] [--way NAME …]
 *
 * Ratios count parameters: all of the dense net ÷ those that are not masked, biases included (they are not pruned). Goes on
 * where it was stopped, within a run, too (.bench/mnist-prune); writes bench/results/mnist-prune.json after each run.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { writeModelFile } from "../src/onnx/file-node.ts";
import { sparsity } from "../src/prune/sparsity.ts";
import { openModel } from "../src/recipe/open.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { folderCheckpoints } from "../src/train/checkpoint-node.ts";
import type { TrainContext, TrainResult } from "../src/train/context.ts";
import { pruneAndTrain } from "../src/train/prune-and-train.ts";
import type { PruneInput } from "../src/train/prune-options.ts";
import { train } from "../src/train/trainer.ts";
import type { TrainerInput } from "../src/train/trainer-options.ts";
import { namedConstants } from "../src/train/write-back.ts";
import { augmented, errorOn, mnist } from "./mnist-data.ts";
import { BASELINES, build, DEEP_COMPRESSION, NETS, type Net, WAYS, type Way } from "./mnist-prune-runs.ts";
import { formatTable, machine, quantile } from "./report.ts";

const { values: flags } = parseArgs({
  options: {
    net: { type: "string", multiple: true, default: ["lenet300", "lenet5", "lenet300-shift", "lenet5-shift"] },
    stage: { type: "string", multiple: true, default: ["compare", "final"] },
    seeds: { type: "string" },
    way: { type: "string", multiple: true },
    ratio: { type: "string", multiple: true },
    threads: { type: "string", default: "1" },
  },
});
const threads = Number(flags.threads);
const SMALL = "small dense net";
const WORK = fileURLToPath(new URL("../.bench/mnist-prune", import.meta.url));
const FILE = fileURLToPath(new URL("./results/mnist-prune.json", import.meta.url));

/** Per cent of images; the test set only in final tables. */
interface SeedResult {
  readonly seed: number;
  readonly validationError: number;
  readonly validationLoss: number;
  readonly testError?: number;
  /** Not masked, biases included. */
  readonly parameters: number;
  readonly layers?: Readonly<Record<string, number>>;
  readonly seconds: number;
}

interface RunResult {
  readonly options: unknown;
  readonly seeds: readonly SeedResult[];
  readonly validationError: number;
  readonly testError?: { readonly median: number; readonly lowest: number; readonly highest: number };
}

type Tables = Record<string, Record<string, RunResult>>;

const tables = (): Tables =>
  existsSync(FILE) ? (JSON.parse(readFileSync(FILE, "utf8")) as { tables: Tables }).tables : {};

function save(table: string, run: string, options: unknown, seeds: readonly SeedResult[]): void {
  const errors = seeds.flatMap(({ testError }) => testError ?? []);
  const result: RunResult = {
    options,
    seeds: seeds.toSorted((a, b) => a.seed - b.seed),
    validationError: seeds.reduce((sum, { validationError }) => sum + validationError, 0) / seeds.length,
    ...(errors.length > 0 && {
      testError: { median: quantile(errors), lowest: Math.min(...errors), highest: Math.max(...errors) },
    }),
  };
  const all = tables();
  all[table] = { ...all[table], [run]: result };
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(FILE, `${JSON.stringify({ bench: "mnist-prune", machine: machine(), tables: all }, null, 2)}\n`);
}

const data = await mnist();
const runtime = await createNodeRuntime();

/** One training that goes on where it was stopped. */
async function run(
  name: string,
  net: Net,
  seed: number,
  work: (context: TrainContext) => Promise<TrainResult>,
): Promise<TrainResult & { readonly wall: number }> {
  const folder = join(WORK, name);
  const begun = performance.now();
  const result = await work({
    runtime,
    data: data.train,
    validation: data.validation,
    ...augmented(net.shift === 0 ? undefined : `shift=${net.shift}`, seed),
    checkpoints: folderCheckpoints(folder, { keep: 1 }),
    resume: true,
  });
  rmSync(folder, { recursive: true, force: true });
  return { ...result, wall: (performance.now() - begun) / 1000 };
}

function parametersOf(model: Model): number {
  const all = [...namedConstants(model).values()].filter(({ tensor }) => tensor.dtype === "float32" && tensor.size > 1);
  return all.reduce((sum, { tensor }) => sum + tensor.size, 0);
}

async function measure(
  model: Model,
  seed: number,
  result: TrainResult & { wall: number },
  test: boolean,
): Promise<SeedResult> {
  const { weights, zeros } = sparsity(model);
  const { best } = result;
  return {
    seed,
    validationError: 100 * (1 - best!.value),
    validationLoss: best!.loss,
    ...(test && { testError: await errorOn(model, data.test) }),
    parameters: parametersOf(model) - zeros,
    ...(zeros > 0 && { layers: Object.fromEntries(weights.map((one) => [one.name, Number(one.sparsity.toFixed(4))])) }),
    seconds: Math.round(result.wall),
  };
}

/** The dense net of a seed, trained once. */
async function denseNet(name: string, net: Net, seed: number): Promise<Model> {
  const path = join(WORK, `${name}-dense-${seed}.onnx`);
  if (!existsSync(path)) {
    const model = build(net.module, seed);
    const options = { ...net.dense, seed, threads };
    const result = await run(`${name}-dense-${seed}`, net, seed, (context) => train(model, options, context));
    mkdirSync(WORK, { recursive: true });
    writeModelFile(path, toOnnx(model));
    const seeds = (tables()[name]?.["dense"]?.seeds ?? []).filter((one) => one.seed !== seed);
    save(name, "dense", net.dense, [...seeds, await measure(model, seed, result, true)]);
  }
  return openModel(path).model();
}

/** The amount at which a net has a ratio's parameters. */
function pruneInput(way: Way, name: string, model: Model, ratio: number): PruneInput {
  const weights = sparsity(model);
  const biases = parametersOf(model) - weights.size;
  const left = (weights.size + biases) / ratio - biases;
  const amount = 1 - left / weights.size;
  const shares = way.table && DEEP_COMPRESSION[name.replace("-shift", "")];
  if (!shares) return { ...way.prune, amount };
  const kept = weights.weights.reduce((sum, one) => sum + one.size * shares[one.name]!, 0);
  const layers = Object.fromEntries(
    Object.entries(shares).map(([weight, share]) => [weight, 1 - Math.min(1, (share * left) / kept)]),
  );
  return { ...way.prune, amount, layers };
}

/** Where a run's figures go: what is compared has no test error. */
interface Place {
  readonly name: string;
  readonly net: Net;
  readonly table: string;
  readonly label: string;
}

/** Prunes one seed by one way and keeps the figures. */
async function prune(
  { name, net, table, label }: Place,
  way: Way,
  ratio: number,
  epochs: number,
  seed: number,
): Promise<void> {
  const known = (): readonly SeedResult[] => tables()[table]?.[label]?.seeds ?? [];
  if (known().some((one) => one.seed === seed)) return;
  const teacher = await denseNet(name, net, seed);
  const model = way.fresh ? build(net.module, seed) : await denseNet(name, net, seed);
  const options = {
    ...net.pruning,
    losses: lossesOf(way),
    epochs,
    prune: pruneInput(way, name, model, ratio),
  } satisfies TrainerInput & { prune: PruneInput };
  const id = `${table}-${label}-${seed}`.replaceAll(/[^\w-]/g, "_");
  const result = await run(id, net, seed, (context) =>
    pruneAndTrain(model, { ...options, seed, threads }, { ...context, ...(way.distill && { teacher }) }),
  );
  const entry = await measure(model, seed, result, table === name);
  save(table, label, options, [...known(), entry]);
  const tested = entry.testError === undefined ? "" : `, test ${entry.testError.toFixed(2)} %`;
  console.log(
    `${table}, ${label}, seed ${seed}: validation ${entry.validationError.toFixed(2)} %${tested}, ${entry.parameters} parameters, ${entry.seconds} s`,
  );
}

function lossesOf({ distill }: Way): TrainerInput["losses"] {
  if (!distill) return [{ kind: "cross-entropy" }];
  return [
    { kind: "cross-entropy", weight: 0.3 },
    { kind: "distillation", weight: 0.7, temperature: 3 },
  ];
}

/** What won on the validation split: fewest errors. Losses say nothing here, ways differ in what they minimize. */
function winner(name: string): string {
  const compared = Object.entries(tables()[`${name}, compared`] ?? {}).filter(([label]) => label in WAYS);
  if (compared.length === 0) throw new Error(`bench: ${name}: nothing was compared, run --stage compare first.`);
  return compared.toSorted(([, a], [, b]) => a.validationError - b.validationError)[0]![0];
}

/** A small net that is trained from nothing, as long as the dense net and the pruning together. */
async function smallDense(name: string, net: Net, ratio: number, seed: number): Promise<void> {
  const label = `${ratio}× small dense net`;
  const known = tables()[name]?.[label]?.seeds ?? [];
  if (known.some((one) => one.seed === seed)) return;
  const model = build(net.small(parametersOf(build(net.module, 1)) / ratio), seed);
  const options = { ...net.dense, epochs: net.dense.epochs! + net.finalEpochs };
  const result = await run(`${name}-small-${ratio}-${seed}`, net, seed, (context) =>
    train(model, { ...options, seed, threads }, context),
  );
  save(name, label, options, [...known, await measure(model, seed, result, true)]);
}

function show(table: string): void {
  const rows = Object.entries(tables()[table] ?? {}).map(([label, { seeds, validationError, testError }]) => ({
    run: label,
    seeds: seeds.length,
    parameters: Math.round(quantile(seeds.map(({ parameters }) => parameters))),
    "validation %": validationError.toFixed(2),
    "test %, median": testError?.median.toFixed(2) ?? "",
    "test %, range": testError ? `${testError.lowest.toFixed(2)}–${testError.highest.toFixed(2)}` : "",
  }));
  console.log(`${table}\n${formatTable(rows)}`);
}

const seeds = (standard: number): number[] =>
  Array.from({ length: Number(flags.seeds ?? standard) }, (_item, i) => i + 1);

async function compare(name: string, net: Net): Promise<void> {
  const table = `${name}, compared`;
  for (const seed of seeds(2)) {
    for (const label of flags.way ?? Object.keys(WAYS)) {
      await prune({ name, net, table, label }, WAYS[label]!, net.compareAt, net.compareEpochs, seed);
    }
  }
  show(table);
}

async function final(name: string, net: Net): Promise<void> {
  const ratios = flags.ratio?.map(Number) ?? net.ratios;
  const ways = flags.way ?? [winner(name), ...BASELINES, SMALL];
  // Every way once before any of them twice: what is stopped has something of all.
  for (const seed of seeds(5)) {
    for (const ratio of ratios) {
      for (const label of ways) {
        if (label === SMALL) await smallDense(name, net, ratio, seed);
        else {
          const place = { name, net, table: name, label: `${ratio}× ${label}` };
          await prune(place, WAYS[label]!, ratio, net.finalEpochs, seed);
        }
      }
    }
  }
  show(name);
}

for (const name of flags.net) {
  const net = NETS[name];
  if (net === undefined) throw new Error(`bench: --net: expected ${Object.keys(NETS).join(", ")}, got ${name}.`);
  if (flags.stage.includes("compare")) await compare(name, net);
  if (flags.stage.includes("final")) await final(name, net);
}
