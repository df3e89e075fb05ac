/**
 * @file The shortest way through the API, for Node and browsers: one call per scheme; {@link loadModel} and
 * {@link saveModel} are before and after it.
 */
import type { Model } from "./graph/model.ts";
import { cleanUp } from "./passes/clean-up.ts";
import { dynamicInt8 } from "./quantize/dynamic-int8.ts";
import { staticInt8 } from "./quantize/static-int8.ts";
import { weightInt8 } from "./quantize/weight-int8.ts";
import { runStep } from "./step/run.ts";
import type { StepContext, StepReport } from "./step/step.ts";

type OptionsOf<Step extends { readonly options: unknown }> = Step extends {
  readonly options: { readonly _zod: { readonly input: infer Input } };
}
  ? Input
  : never;

/**
 * Weights and activations in 8 bits, activations quantized while the model runs: PyTorch's `quantize_dynamic`. Changes
 * the model in place, after cleaning it up. Needs no data.
 * @throws UnsupportedError where the model is quantized already, or its opset cannot be raised to 13.
 */
export async function quantizeDynamic(
  model: Model,
  options: OptionsOf<typeof dynamicInt8> = {},
  context: StepContext = {},
): Promise<StepReport> {
  await cleanUp(model, context);
  return runStep(model, dynamicInt8, options, context);
}

/**
 * Weights and activations in 8 bits, ranges of activations from `context.calibration`: PyTorch's post-training static
 * quantization in one call. Changes the model in place, after cleaning it up. Needs a runtime and calibration data.
 * @throws OptionError without runtime or data; UnsupportedError as {@link quantizeDynamic}.
 */
export async function quantizeStatic(
  model: Model,
  options: OptionsOf<typeof staticInt8>,
  context: StepContext,
): Promise<StepReport> {
  await cleanUp(model, context);
  return runStep(model, staticInt8, options, context);
}

/** Weights stored in 8 bits, computed in float as before. Changes the model in place, after cleaning it up. */
export async function quantizeWeights(
  model: Model,
  options: OptionsOf<typeof weightInt8> = {},
  context: StepContext = {},
): Promise<StepReport> {
  await cleanUp(model, context);
  return runStep(model, weightInt8, options, context);
}
