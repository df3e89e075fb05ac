/**
 * @file The corrections that static quantization does on request: two on the float model before, one on the biases after.
 */
import type { Model } from "../../graph/model.ts";
import { runStep } from "../../step/run.ts";
import type { StepContext, StepReport } from "../../step/step.ts";
import { correctBias } from "../corrections/bias-correction.ts";
import { crossLayerEqualization } from "../corrections/cross-layer-equalization.ts";
import { smoothQuant } from "../corrections/smooth-quant.ts";
import type { StaticOptions } from "./options.ts";

type Corrections = Pick<StaticOptions, "equalize" | "smoothQuant" | "biasCorrection" | "budget">;

/** Changes the float model into one that computes the same and loses less. */
export async function correctBefore(model: Model, options: Corrections, context: StepContext): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  if (options.equalize) reports.push(await runStep(model, crossLayerEqualization, {}, context));
  if (options.smoothQuant !== 0) {
    const { smoothQuant: alpha, budget } = options;
    reports.push(await runStep(model, smoothQuant, { alpha, budget }, context));
  }
  return reports;
}

/** @param original The float model that was quantized. */
export async function correctAfter(
  quantized: Model,
  original: Model,
  { biasCorrection: form, budget }: Corrections,
  { runtime, calibration, progress, signal }: StepContext,
): Promise<StepReport | undefined> {
  if (form === "none") return undefined;
  return correctBias(quantized, original, { form, runtime, data: calibration, budget, progress, signal });
}

/**
 * One report of several. What is left alone by a correction is quantized all the same: only the quantization's own list
 * says what stays in float, so the lists of corrections become lines.
 */
export function joinReports(reports: readonly StepReport[]): StepReport {
  const main = reports.find(({ saturation }) => saturation !== undefined)!;
  const others = reports.filter((report) => report !== main);
  return {
    ...main,
    changes: reports.flatMap(({ changes }) => changes ?? []),
    corrections: others.length === 0 ? undefined : others,
  };
}
