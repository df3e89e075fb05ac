/**
 * @file Weights disturbed until a model agrees with the original on fewer than 60 %, then distillation from the original
 * without labels: how much of what was lost comes back. All options of the training but its length are the defaults of
 * `tersor finetune`, but where a case says otherwise.
 *
 *   npx tsx bench/recover.ts [--model direction …] [--steps 150] [--batch 16] [--write]
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { verifyFiles } from "../src/analyze/isolated.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { writeModelFile } from "../src/onnx/file-node.ts";
import { finetuneFile } from "../src/recipe/finetune-file.ts";
import { openModel } from "../src/recipe/open.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { namedConstants } from "../src/train/write-back.ts";
import { createRandom } from "../src/util/random.ts";
import { sileroModel } from "./compress-data/silero.ts";
import { formatTable, machine } from "./report.ts";
import { detection, direction, recognition } from "./tasks/ocr.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: ["direction", "silero", "detection", "recognition"] },
    steps: { type: "string" },
    batch: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

interface Case {
  readonly path: string;
  /** What agreement is: of the original's answers. */
  readonly metric: "agreement" | "dice";
  readonly threshold?: number;
  /** In words. */
  readonly means: string;
  readonly steps: number;
  readonly batch: number;
  /** Of the part in which all layers learn together. Default: the command's. */
  readonly lr?: number;
  /** Samples to compare on, which training has not seen. */
  readonly evaluated: number;
}

const CASES: Readonly<Record<string, Case>> = {
  direction: {
    path: direction.path,
    metric: "agreement",
    means: "lines with the same direction",
    steps: 150,
    batch: 16,
    evaluated: 300,
  },
  silero: {
    path: sileroModel,
    metric: "agreement",
    means: "frames with the same decision on speech, half of them speech",
    steps: 10_000,
    batch: 32,
    // Its layers alone stop at errors of some percent: magnitudes of a Fourier transform do not say all of their weights.
    lr: 1e-3,
    evaluated: 1000,
  },
  detection: {
    path: detection.path,
    metric: "dice",
    threshold: 0.3,
    means: "Dice coefficient of the pixels that are text",
    steps: 120,
    batch: 8,
    evaluated: 200,
  },
  recognition: {
    path: recognition.path,
    metric: "agreement",
    means: "time steps with the same character or blank",
    steps: 400,
    batch: 8,
    evaluated: 200,
  },
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

async function agreement(
  { path: original, metric, threshold, evaluated }: Case,
  path: string,
  data: string,
): Promise<number> {
  const measured = await verifyFiles(
    {
      target: "node-cpu",
      files: [
        { name: "original", path: original },
        { name: "other", path },
      ],
      data: { kind: "path", path: data, limit: evaluated, skip: 1 },
      threads: 1,
      budgetMs: 0,
      seed: 1,
      metrics: { names: [metric], fallback: true, ...(threshold && { options: { metricThreshold: threshold } }) },
    },
    { memory: false },
  );
  return measured.files[1]?.metrics?.find(({ name }) => name === metric)?.value ?? Number.NaN;
}

const rows: Record<string, unknown>[] = [];
for (const name of flags.model) {
  const given = CASES[name];
  if (given === undefined) throw new Error(`bench: --model: expected ${Object.keys(CASES).join(", ")}, got ${name}.`);
  const [steps, batch] = [Number(flags.steps ?? given.steps), Number(flags.batch ?? given.batch)];
  const data = fileURLToPath(new URL(`./recover-data/${name}.ts`, import.meta.url));
  const folder = join(WORK, name);
  mkdirSync(folder, { recursive: true });
  const disturbed = join(folder, "disturbed.onnx");
  let [share, before] = [0, 1];
  for (share of SHARES) {
    disturb(given.path, share, disturbed);
    before = await agreement(given, disturbed, data);
    console.error(`${name}: ${share} of the standard deviation: ${(100 * before).toFixed(1)} % ${given.means}`);
    if (before < MOST_AGREEMENT) break;
  }
  const output = join(folder, "recovered.onnx");
  const log = join(folder, "log.jsonl");
  for (const old of [output, log]) rmSync(old, { force: true });
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { training } = await finetuneFile(disturbed, {
    output,
    data,
    check: false,
    finetune: {
      loss: "distill",
      teacher: given.path,
      steps,
      batchSize: batch,
      ...(given.lr !== undefined && { lr: given.lr }),
      validation: "0.05",
      validateEvery: Math.max(1, Math.round(steps / 10)),
      log,
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const after = await agreement(given, output, data);
  rows.push({
    model: name,
    agreement: given.means,
    share,
    before,
    after,
    recovered: (after - before) / (1 - before),
    goal: GOAL,
    steps: training.steps,
    batch,
    ...(given.lr !== undefined && { lr: given.lr }),
    seconds,
    cpuSeconds: (user + system) / 1e6,
    evaluated: given.evaluated,
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
      batch: row["batch"] as number,
      s: (row["seconds"] as number).toFixed(0),
      "CPU s": (row["cpuSeconds"] as number).toFixed(0),
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
