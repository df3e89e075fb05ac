/**
 * @file Scheme static-int8: weights and activations in 8 bits, ranges of activations from calibration data. PyTorch's
 * post-training static quantization, in the QDQ form that ONNX Runtime fuses into integer kernels when it loads.
 *
 *   Conv:        DQ(Q(x)), DQ(w), DQ(b) → Conv → [Relu] → Q → DQ      becomes QLinearConv
 *   MatMul/Gemm: DQ(Q(x)), DQ(w) → MatMul                            becomes MatMulIntegerToFloat, QGemm
 *   between:     DQ(Q(a)), DQ(Q(b)) → Add → Q → DQ                   becomes QLinearAdd (see placement/)
 *
 * Activations: uint8, asymmetric, per tensor. Weights: int8, symmetric, per output channel. Biases: int32 with the
 * product of both scales. Source: ONNX QuantizeLinear-13, DequantizeLinear-13; Jacob et al. 2018, section 2.
 */
import { z } from "zod";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { defineStep, type StepContext, type StepReport } from "../step/step.ts";
import { OptionError } from "../util/errors.ts";
import { firstFeeds } from "./first-feeds.ts";
import { decodeStatistics, encodeStatistics } from "./observers/statistics.ts";
import { calibrate } from "./static/calibrate.ts";
import { convert } from "./static/convert.ts";
import { correctAfter, correctBefore, joinReports } from "./static/corrections.ts";
import { type StaticOptions, staticOptions } from "./static/options.ts";
import { type Prepared, prepare } from "./static/prepare.ts";
import { takeStatistics, useStatistics } from "./static/statistics.ts";

export const staticInt8 = defineStep({
  name: "static-int8",
  summary: "Compute Conv, MatMul and Gemm in 8 bits with ranges from calibration data",
  options: z.object(staticOptions),
  needs: ["runtime", "calibration"],
  async run(model, options, context): Promise<StepReport> {
    const before = await correctBefore(model, options, context);
    // The biases are compared with the float model that was quantized; its weights are the file's own bytes.
    const original = options.biasCorrection === "none" ? undefined : fromOnnx(toOnnx(model), model.external);
    const report = await calibrateAndConvert(model, options, context);
    const after = original && (await correctAfter(model, original, options, context));
    return joinReports([...before, report, ...(after === undefined ? [] : [after])]);
  },
});

/** With statistics from a file where they are kept. */
async function calibrateAndConvert(
  model: Model,
  options: StaticOptions,
  { runtime, calibration, progress, signal, statistics }: StepContext,
): Promise<StepReport> {
  const feeds = await firstFeeds(calibration);
  const prepared = await prepare(model, options, { runtime, feeds });
  const run = async (fresh: Prepared): Promise<StepReport> => {
    await calibrate(fresh, calibration!, { runtime: runtime!, progress, signal });
    return convert(fresh, { unseen: "float" });
  };
  if (statistics === undefined) return run(prepared);
  if (prepared.auto.size > 0) {
    throw new OptionError({
      area: "quantize",
      subject: statistics.name,
      problem: "expected one observer for each value, got observer auto, whose statistics are not kept",
      help: "Leave --statistics out, or name an observer.",
    });
  }
  // What corrections made of the model has other values.
  const hash = `${statistics.model}${options.equalize ? "-equalized" : ""}${options.smoothQuant === 0 ? "" : `-smooth-${options.smoothQuant}`}`;
  const known = statistics.read();
  if (known !== undefined) {
    const saved = decodeStatistics(known, statistics.name);
    if (useStatistics(prepared, saved, hash, statistics.name).length === 0) {
      const report = convert(prepared, { unseen: "float" });
      return {
        ...report,
        changes: [
          ...(report.changes ?? []),
          `statistics taken from ${statistics.name}${saved.data ? `, made with ${saved.data}` : ""}`,
        ],
      };
    }
  }
  // Observers that went on from statistics would count the same samples twice.
  const fresh = known === undefined ? prepared : await prepare(model, options, { runtime, feeds });
  await calibrate(fresh, calibration!, { runtime: runtime!, progress, signal });
  statistics.write(encodeStatistics(takeStatistics(fresh, hash, calibration!.name)));
  return convert(fresh, { unseen: "float" });
}
