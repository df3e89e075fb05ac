/**
 * @file What corrections do to real models: SQNR of the outputs against float32 on held-out samples, for static-int8 with
 * weights per channel and per tensor, before and after each correction and some together.
 *
 *   npx tsx bench/corrections.ts [--model detection] [--samples 0.5]
 *
 * Measured in onnxruntime-web, whose integer products do not saturate on any processor.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import type { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { decodeModel } from "../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { cleanUp } from "../src/passes/clean-up.ts";
import { type BiasCorrectionOptions, correctBias } from "../src/quantize/corrections/bias-correction.ts";
import { crossLayerEqualization } from "../src/quantize/corrections/cross-layer-equalization.ts";
import { outputSqnr } from "../src/quantize/corrections/output-sqnr.ts";
import { smoothQuant } from "../src/quantize/corrections/smooth-quant.ts";
import { staticInt8 } from "../src/quantize/static-int8.ts";
import { createRuntime } from "../src/runtime/create-node.ts";
import type { DataSource } from "../src/step/data.ts";
import { runStep } from "../src/step/run.ts";
import type { StepReport } from "../src/step/step.ts";
import { MODELS, type PeerModel } from "./peers/models.ts";
import { report } from "./report.ts";
import { SEED } from "./tasks/task.ts";

const { values: flags } = parseArgs({
  options: { model: { type: "string" }, samples: { type: "string", default: "1" } },
});
const share = Number(flags.samples);

/** Samples to calibrate with and to judge by. */
const COUNTS = {
  recognition: { calibration: 12, evaluation: 24 },
  detection: { calibration: 6, evaluation: 8 },
  direction: { calibration: 16, evaluation: 48 },
} as const;

type Before = "cross-layer-equalization" | "smooth-quant 0.5" | "smooth-quant auto";

interface Variant {
  readonly name: string;
  readonly before: readonly Before[];
  readonly bias?: BiasCorrectionOptions["form"];
}

const VARIANTS: readonly Variant[] = [
  { name: "nothing", before: [] },
  { name: "cross-layer equalization", before: ["cross-layer-equalization"] },
  { name: "SmoothQuant, α 0.5", before: ["smooth-quant 0.5"] },
  { name: "SmoothQuant, α auto", before: ["smooth-quant auto"] },
  { name: "bias correction, analytic", before: [], bias: "analytic" },
  { name: "bias correction, empirical", before: [], bias: "empirical" },
  { name: "equalization + empirical", before: ["cross-layer-equalization"], bias: "empirical" },
  { name: "SmoothQuant auto + empirical", before: ["smooth-quant auto"], bias: "empirical" },
];

/** Bias correction looks at fewer samples than calibration: each layer costs a run through them. */
const BIAS = { samples: 6, passes: 24 } as const;

const [node, web] = await Promise.all([createRuntime("onnxruntime-node"), createRuntime("onnxruntime-web")]);

function sourceOf(model: PeerModel, split: "calibration" | "evaluation", count: number): DataSource {
  const samples = Array.from({ length: count }, (_, index) => ({ inputs: { x: model.sample(split, index).x } }));
  return { name: `${model.name}, ${split}`, length: count, samples: () => samples };
}

function clone(model: Model): Model {
  return fromOnnx(decodeModel(joinChunks(encodeModel(toOnnx(model)))));
}

async function applyBefore(model: Model, step: Before, calibration: DataSource): Promise<StepReport> {
  const context = { runtime: node, calibration };
  if (step === "cross-layer-equalization") return runStep(model, crossLayerEqualization, {}, context);
  return runStep(model, smoothQuant, { alpha: step.endsWith("auto") ? "auto" : 0.5 }, context);
}

const rows: Record<string, string | number>[] = [];
const results: unknown[] = [];
for (const model of MODELS) {
  if (flags.model !== undefined && flags.model !== model.name) continue;
  const counts = COUNTS[model.name];
  const calibration = sourceOf(model, "calibration", Math.max(Math.round(counts.calibration * share), 1));
  const evaluation = sourceOf(model, "evaluation", Math.max(Math.round(counts.evaluation * share), 1));
  const original = fromOnnx(decodeModel(readFileSync(model.path)));
  await cleanUp(original, { runtime: node });
  const reference = clone(original);
  for (const perChannel of [true, false]) {
    let baseline = Number.NaN;
    for (const variant of VARIANTS) {
      // Equalization is what is for weights with one scale; SmoothQuant counts on one per channel.
      if (!perChannel && !["nothing", "cross-layer equalization"].includes(variant.name)) continue;
      const start = performance.now();
      const quantized = clone(original);
      const notes: string[] = [];
      const note = (done: StepReport): void => {
        notes.push(...(done.changes ?? []));
      };
      for (const step of variant.before) note(await applyBefore(quantized, step, calibration));
      const floatModel = clone(quantized);
      // Float against float: what rounding alone does to the outputs.
      const [lossless] = variant.before.length > 0 ? await outputSqnr(reference, [floatModel], node, evaluation) : [];
      const options = { target: ["node-cpu" as const, "web-wasm" as const], perChannel, minSqnr: perChannel ? 20 : 0 };
      note(await runStep(quantized, staticInt8, options, { runtime: node, calibration }));
      if (variant.bias !== undefined) {
        note(
          await correctBias(quantized, floatModel, { form: variant.bias, runtime: node, data: calibration, ...BIAS }),
        );
      }
      const seconds = (performance.now() - start) / 1000;
      const [sqnr] = await outputSqnr(reference, [quantized], web, evaluation);
      if (variant.name === "nothing") baseline = sqnr!;
      const weights = perChannel ? "per channel" : "per tensor";
      rows.push({
        model: model.name,
        weights,
        correction: variant.name,
        "SQNR dB": sqnr!.toFixed(2),
        "gain dB": (sqnr! - baseline).toFixed(2),
        "in float dB": lossless === undefined ? "" : lossless.toFixed(0),
        seconds: seconds.toFixed(1),
      });
      results.push({
        model: model.name,
        weights,
        correction: variant.name,
        sqnr,
        gain: sqnr! - baseline,
        sqnrInFloat: lossless ?? null,
        seconds,
        notes,
      });
      console.error(Object.values(rows.at(-1)!).join("  "), notes.join("; "));
    }
  }
  save();
}

/** After every model, so that what is done is not lost. */
function save(): void {
  report(
    "corrections",
    {
      seed: SEED,
      share,
      counts: COUNTS,
      runtime: `${web.name} ${web.version}`,
      placement: "auto, node-cpu and web-wasm",
    },
    rows,
    results,
  );
}
