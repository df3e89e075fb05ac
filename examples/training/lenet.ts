/**
 * @file Trains LeNet-5 on MNIST from nothing in Node (see lenet-shared.ts), and writes it as an ONNX file:
 * `npm run -s train:lenet -- --epochs 3`. The same in a browser: `npm run -s train:browser`.
 */
import { parseArgs } from "node:util";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { writeModelFile } from "../../src/onnx/file-node.ts";
import { startWorkerRuntime } from "../../src/runtime/worker.ts";
import { trainLenet } from "./lenet-shared.ts";
import { mnistFiles } from "./mnist-node.ts";

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

const runtime = await startWorkerRuntime("onnxruntime-node");
const { model, training, answers, testError } = await trainLenet(
  mnistFiles(),
  {
    epochs: Number(flags.epochs),
    seed: Number(flags.seed),
    threads: Number(flags.threads),
    shift: flags.shift,
    timeWays: true,
  },
  {
    runtime,
    hooks: {
      onValidation: ({ epoch, loss, value }, best) =>
        console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}, ${(100 * value).toFixed(2)} % right${best ? "  *" : ""}`),
    },
  },
);
await runtime.close();
writeModelFile(flags.output, toOnnx(model));
const speed = Math.round(training.samplesPerSecond).toLocaleString("en-US");
console.log(
  `${flags.output}: test error ${(100 * testError).toFixed(2)} % of ${answers.length} images, ${speed} images/s`,
);
