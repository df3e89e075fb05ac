/**
 * @file Weights disturbed until the outputs agree with the original's on fewer than 60 % of samples, then distillation from the
 * original without labels: how much of what was lost comes back.
 *
 *   npx tsx bench/recover.ts [--model direction …] [--steps 300] [--batch 32] [--lr 0.001] [--write]
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { verifyFiles } from "../src/analyze/isolated.ts";
import type { FileMeasurement } from "../src/analyze/job.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { writeModelFile } from "../src/onnx/file-node.ts";
import { finetuneFile } from "../src/recipe/finetune-file.ts";
import { openModel } from "../src/recipe/open.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { namedConstants } from "../src/train/write-back.ts";
import { createRandom } from "../src/util/random.ts";
import { formatTable, machine } from "./report.ts";
import { detection, direction, recognition } from "./tasks/ocr.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: ["direction", "recognition", "detection"] },
    steps: { type: "string", default: "300" },
    batch: { type: "string", default: "32" },
    lr: { type: "string", default: "0.001" },
    samples: { type: "string", default: "200" },
    write: { type: "boolean", default: false },
  },
});

const PATHS: Readonly<Record<string, string>> = {
  direction: direction.path,
  recognition: recognition.path,
  detection: detection.path,
};
/** Disturbed by normal numbers of this share of a weight's own standard deviation: the first that agrees on too few. */
const SHARES = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1] as const;
const MOST_AGREEMENT = 0.6;
/** Vectors (biases, normalizations) stay. */
const LEAST_ELEMENTS = 256;
const GOAL = 0.9;
const WORK = fileURLToPath(new URL("../.bench/recover", import.meta.url));

function disturb(path: string, share: number, output: string): void {
  const model = openModel(path).model();
  const random = createRandom(1);
  for (const { tensor, set } of namedConstants(model).values()) {
    if (tensor.dtype !== "float32" || tensor.size < LEAST_ELEMENTS || tensor.dims.length < 2) continue;
    const values = tensor.floats();
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    set(
      Tensor.float32(
        tensor.dims,
        values.map((x) => x + share * deviation * random.normal()),
      ),
    );
  }
  rmSync(output, { force: true });
  writeModelFile(output, toOnnx(model), {});
}

async function agreement(original: string, path: string, data: string): Promise<FileMeasurement> {
  const measured = await verifyFiles(
    {
      target: "node-cpu",
      files: [
        { name: "original", path: original },
        { name: "other", path },
      ],
      data: { kind: "path", path: data, limit: Number(flags.samples), skip: 1 },
      threads: 1,
      budgetMs: 1,
      seed: 1,
      metrics: { names: ["agreement"], fallback: true },
    },
    { memory: false },
  );
  return measured.files[1]!;
}

const shareOf = ({ metrics }: FileMeasurement): number =>
  metrics?.find(({ name }) => name === "agreement")?.value ?? Number.NaN;

const rows: Record<string, unknown>[] = [];
for (const name of flags.model) {
  const path = PATHS[name];
  if (path === undefined) throw new Error(`bench: --model: expected ${Object.keys(PATHS).join(", ")}, got ${name}.`);
  const data = fileURLToPath(new URL(`./recover-data/${name}.ts`, import.meta.url));
  const folder = join(WORK, name);
  mkdirSync(folder, { recursive: true });
  const disturbed = join(folder, "disturbed.onnx");
  let [share, before] = [0, 1];
  for (share of SHARES) {
    disturb(path, share, disturbed);
    before = shareOf(await agreement(path, disturbed, data));
    console.error(`${name}: ${share} of the standard deviation: agreement ${(100 * before).toFixed(1)} %`);
    if (before < MOST_AGREEMENT) break;
  }
  const output = join(folder, "recovered.onnx");
  rmSync(output, { force: true });
  const start = performance.now();
  const { training } = await finetuneFile(disturbed, {
    output,
    data,
    check: false,
    finetune: {
      loss: "distill",
      teacher: path,
      steps: Number(flags.steps),
      batchSize: Number(flags.batch),
      lr: Number(flags.lr),
      timeWays: true,
      batchNorm: "batch-statistics",
      optimizer: "adam",
      validateEvery: Math.max(1, Math.round(Number(flags.steps) / 10)),
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const after = shareOf(await agreement(path, output, data));
  const recovered = (after - before) / (1 - before);
  rows.push({
    model: name,
    share,
    before,
    after,
    recovered,
    goal: GOAL,
    steps: training.steps,
    batch: Number(flags.batch),
    learningRate: Number(flags.lr),
    seconds,
    evaluated: Number(flags.samples),
  });
}
const percent = (value: unknown): string => (100 * (value as number)).toFixed(1);
console.log(
  formatTable(
    rows.map((row) => ({
      model: row["model"] as string,
      "agreement %": percent(row["before"]),
      "after %": percent(row["after"]),
      "recovered %": percent(row["recovered"]),
      steps: row["steps"] as number,
      s: (row["seconds"] as number).toFixed(0),
    })),
  ),
);
if (flags.write) {
  const file = fileURLToPath(new URL("./results/recover.json", import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const earlier = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as { results: { model: string }[] }).results
    : [];
  const kept = earlier.filter(({ model }) => !rows.some((row) => row["model"] === model));
  writeFileSync(
    file,
    `${JSON.stringify({ bench: "recover", machine: machine(), results: [...kept, ...rows] }, null, 2)}\n`,
  );
}
