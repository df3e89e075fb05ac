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
import { defineStep, type StepReport } from "../step/step.ts";
import { firstFeeds } from "./first-feeds.ts";
import { decodeStatistics, encodeStatistics } from "./observers/statistics.ts";
import { calibrate } from "./static/calibrate.ts";
import { convert } from "./static/convert.ts";
import { staticOptions } from "./static/options.ts";
import { prepare } from "./static/prepare.ts";
import { takeStatistics, useStatistics } from "./static/statistics.ts";

export const staticInt8 = defineStep({
  name: "static-int8",
  summary: "Compute Conv, MatMul and Gemm in 8 bits with ranges from calibration data",
  options: z.object(staticOptions),
  needs: ["runtime", "calibration"],
  async run(model, options, context): Promise<StepReport> {
    const { runtime, calibration, progress, signal, statistics } = context;
    const feeds = await firstFeeds(calibration);
    const prepared = await prepare(model, options, { runtime, feeds });
    const known = statistics?.read();
    const missing =
      statistics === undefined || known === undefined
        ? undefined
        : useStatistics(prepared, decodeStatistics(known, statistics.name), statistics.model, statistics.name);
    if (missing === undefined || missing.length > 0) {
      // Observers that went on from statistics would count the same samples twice.
      const fresh = missing === undefined ? prepared : await prepare(model, options, { runtime, feeds });
      await calibrate(fresh, calibration!, { runtime: runtime!, progress, signal });
      statistics?.write(encodeStatistics(takeStatistics(fresh, statistics.model)));
      return convert(fresh, { unseen: "float" });
    }
    const report = convert(prepared, { unseen: "float" });
    return { ...report, changes: [...(report.changes ?? []), `statistics taken from ${statistics!.name}`] };
  },
});
