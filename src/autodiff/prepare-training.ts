/**
 * @file Brings a model as exporters write it into the form that {@link differentiate} takes: fixed dimensions, nothing
 * computed that is constant, no control flow and no recurrent operators, a recent opset. Weights stay the initializers
 * that they are: tied ones stay tied, and what is computed from them is computed when the model runs.
 */
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { removeDead } from "../passes/eliminate-dead.ts";
import { expandFused } from "../passes/expand-fused.ts";
import { foldConstants } from "../passes/fold-constants.ts";
import { fuseBatchNorm } from "../passes/fuse-batch-norm.ts";
import { hoistConstants } from "../passes/hoist-constants.ts";
import { inlineIf } from "../passes/inline-if.ts";
import { declareShapes, fixInput, fixInputs } from "../passes/specialize.ts";
import { unrollRecurrent } from "../passes/unroll-recurrent.ts";
import { upgradeOpset } from "../passes/upgrade-opset.ts";
import { inferTypes, observeShapes } from "../runtime/collect.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import type { LeftAlone } from "../step/step.ts";
import { OptionError } from "../util/errors.ts";
import { checkCancelled } from "../util/progress.ts";

/** The opset that gradients are written in; models of newer ones stay as they are. */
export const TRAINING_OPSET = 17;

export interface MakeDifferentiableOptions {
  /** One tensor per input of the model. The model will take inputs of these dimensions only. */
  readonly feeds: Tensors;
  readonly runtime: Runtime;
  /** Inputs that always have the contents that `feeds` gives them (a sample rate, for example): they become constant. */
  readonly constant?: readonly string[];
  /**
   * Fuses batch normalizations into convolutions: the fused weights are trained then. Default false: scales and biases of
   * normalizations stay parameters.
   */
  readonly fuseBatchNorm?: boolean;
  readonly signal?: AbortSignal;
}

export interface Differentiable {
  /** Dimensions of all values of the main graph, as {@link differentiate} wants them. */
  readonly shapes: ReadonlyMap<Value, readonly number[]>;
  /** The feeds of the inputs that are left. */
  readonly feeds: Tensors;
  /** What changed, one line each. */
  readonly changes: readonly string[];
  /** Control flow and recurrent operators that stayed, with the reasons: no gradient passes them. */
  readonly leftAlone: readonly LeftAlone[];
}

/**
 * Prepares a model for {@link differentiate}, in place. It computes the same for inputs of the feeds' dimensions.
 * @throws OptionError for feeds that do not fit the inputs; UnsupportedError where the opset cannot be raised.
 */
export async function makeDifferentiable(model: Model, options: MakeDifferentiableOptions): Promise<Differentiable> {
  const { runtime, signal } = options;
  const context = { runtime, ...(signal && { signal }) };
  const changes: string[] = [];
  await runStep(model, hoistConstants, {}, context);
  if (model.opset < TRAINING_OPSET) {
    changes.push(`opset ${model.opset} to ${TRAINING_OPSET}`);
    upgradeOpset(model, TRAINING_OPSET);
  }
  const feeds: Record<string, Tensors[string]> = { ...options.feeds };
  for (const name of options.constant ?? []) {
    const tensor = feeds[name];
    if (tensor === undefined) {
      throw new OptionError({
        area: "autodiff",
        subject: `constant input "${name}"`,
        problem: "expected a feed, got none",
      });
    }
    fixInput(model, name, tensor);
    delete feeds[name];
    changes.push(`${name} is constant`);
  }
  changes.push(...fixInputs(model, Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]))));
  if (options.fuseBatchNorm) await runStep(model, fuseBatchNorm, {}, context);

  // Shapes become constant by folding, conditions by that, and what is in the branches taken has shapes only then.
  for (;;) {
    checkCancelled(signal);
    await runStep(model, hoistConstants, {}, context);
    for (const [value, dtype] of await inferTypes(model, runtime)) value.setTensorType(dtype);
    declareShapes(await observeShapes(model, runtime, feeds));
    await runStep(model, foldConstants, { weights: false }, context);
    const expanded = await runStep(model, expandFused, {}, context);
    const inlined = await runStep(model, inlineIf, {}, context);
    const unrolled = await runStep(model, unrollRecurrent, {}, context);
    changes.push(...(expanded.changes ?? []), ...(inlined.changes ?? []), ...(unrolled.changes ?? []));
    if (expanded.changed + inlined.changed + unrolled.changed > 0) continue;
    removeDead(model);
    const shapes = await observeShapes(model, runtime, feeds);
    return {
      shapes,
      feeds,
      changes,
      leftAlone: [...(expanded.leftAlone ?? []), ...(inlined.leftAlone ?? []), ...(unrolled.leftAlone ?? [])],
    };
  }
}
