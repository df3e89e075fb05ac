/**
 * @file Nets of the literature trained from nothing on MNIST and Fashion-MNIST, several seeds each, with a validation split:
 * the last 5,000 images of the shuffled training set choose the epoch; the test set is looked at once, at the end.
 *
 *   npx tsx bench/mnist-train.ts [--run lenet300 …] [--seeds 5] [--threads 1]     goes on where it was stopped
 *
 * Writes bench/results/mnist-train.json after each seed. Rates and epochs were written down before the first run.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildModel } from "../src/nn/build-model.ts";
import { lenet5, lenet300 } from "../src/nn/models/lenet.ts";
import { resnet20 } from "../src/nn/models/resnet.ts";
import type { Module } from "../src/nn/module.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { train } from "../src/train/trainer.ts";
import type { TrainerInput } from "../src/train/trainer-options.ts";
import { augmented, type Digits, errorOn, mnist } from "./mnist-data.ts";
import { machine } from "./report.ts";

const { values: flags } = parseArgs({
  options: {
    run: { type: "string", multiple: true },
    seeds: { type: "string", default: "5" },
    threads: { type: "string", default: "1" },
  },
});

interface Run {
  readonly module: Module;
  readonly data: Digits;
  readonly augment?: string;
  readonly options: TrainerInput;
  /** Test error in per cent that the mean over seeds must not exceed. */
  readonly goal: number;
}

const options = (epochs: number, learningRate: number, weightDecay: number): TrainerInput => ({
  losses: [{ kind: "cross-entropy" }],
  optimizer: { kind: "sgd", momentum: 0.9, nesterov: true, weightDecay },
  schedule: { kind: "one-cycle" },
  batchNorm: "batch-statistics",
  batchSize: 128,
  epochs,
  learningRate,
  metric: "top-1",
  timeWays: true,
});

const RUNS: Readonly<Record<string, Run>> = {
  lenet300: { module: lenet300(), data: "mnist", options: options(20, 0.1, 5e-5), goal: 1.7 },
  lenet5: { module: lenet5(), data: "mnist", options: options(10, 0.05, 5e-4), goal: 0.95 },
  "lenet5-shift": { module: lenet5(), data: "mnist", augment: "shift=1", options: options(14, 0.05, 5e-4), goal: 0.65 },
  "fashion-lenet5": { module: lenet5(), data: "fashion", options: options(14, 0.05, 1e-3), goal: 9.5 },
  "fashion-resnet20": {
    module: resnet20({ channels: 1 }),
    data: "fashion",
    augment: "shift=2,flip",
    options: options(15, 0.2, 5e-4),
    goal: 7,
  },
};

interface SeedResult {
  readonly seed: number;
  /** Per cent of 10,000 test images. */
  readonly testError: number;
  readonly validationError: number;
  readonly bestEpoch: number;
  readonly seconds: number;
  readonly samplesPerSecond: number;
}

interface RunResult {
  readonly seeds: readonly SeedResult[];
  readonly mean: number;
  readonly goal: number;
  readonly options: unknown;
  readonly augment?: string;
}

const file = fileURLToPath(new URL("./results/mnist-train.json", import.meta.url));

function results(): Record<string, RunResult> {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { runs: Record<string, RunResult> }).runs : {};
}

function save(name: string, run: Run, seeds: readonly SeedResult[]): void {
  const mean = seeds.reduce((sum, { testError }) => sum + testError, 0) / seeds.length;
  const { augment, goal } = run;
  const entry = { seeds, mean, goal, options: run.options, ...(augment && { augment }) };
  mkdirSync(dirname(file), { recursive: true });
  const runs = { ...results(), [name]: entry };
  writeFileSync(file, `${JSON.stringify({ bench: "mnist-train", machine: machine(), runs }, null, 2)}\n`);
}

async function trainSeed(run: Run, seed: number): Promise<SeedResult> {
  const runtime = await createNodeRuntime();
  const model = buildModel(run.module, { input: { name: "x", dims: ["N", 1, 28, 28] }, output: "logits", seed });
  const { train: data, validation, test } = await mnist(run.data);
  const start = performance.now();
  const result = await train(
    model,
    { ...run.options, seed, threads: Number(flags.threads) },
    {
      runtime,
      data,
      validation,
      ...augmented(run.augment, seed),
      hooks: {
        onValidation: ({ epoch, value }) =>
          console.error(`  seed ${seed}, epoch ${epoch}: validation error ${(100 * (1 - value)).toFixed(2)} %`),
      },
    },
  );
  const testError = await errorOn(model, test);
  return {
    seed,
    testError,
    validationError: 100 * (1 - result.best!.value),
    bestEpoch: result.best!.epoch,
    seconds: (performance.now() - start) / 1000,
    samplesPerSecond: result.samplesPerSecond,
  };
}

for (const name of flags.run ?? Object.keys(RUNS)) {
  const run = RUNS[name];
  if (run === undefined) throw new Error(`bench: --run: expected ${Object.keys(RUNS).join(", ")}, got ${name}.`);
  const done = [...(results()[name]?.seeds ?? [])];
  for (let seed = 1; seed <= Number(flags.seeds); seed++) {
    if (done.some((entry) => entry.seed === seed)) continue;
    const entry = await trainSeed(run, seed);
    done.push(entry);
    save(name, run, done);
    console.log(
      `${name}, seed ${seed}: test error ${entry.testError.toFixed(2)} %, ${entry.seconds.toFixed(0)} s, ${entry.samplesPerSecond.toFixed(0)} images/s`,
    );
  }
  const { mean, goal } = results()[name]!;
  console.log(`${name}: mean ${mean.toFixed(2)} %, ${mean <= goal ? "met" : "MISSED"} (${goal} %)`);
}
