/**
 * @file The forward graph as training needs it: a copy with fixed dimensions in which parameters are inputs.
 */
import { type Differentiable, makeDifferentiable } from "../autodiff/prepare-training.ts";
import { cloneModel } from "../graph/clone.ts";
import type { Graph } from "../graph/graph.ts";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { constantInputs } from "../passes/constant-inputs.ts";
import { maskedValue } from "../prune/masks.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { batchNormalizations } from "./batch-norm.ts";
import { dropoutsOff } from "./dropout.ts";
import type { TrainingOptions } from "./options.ts";
import { findParameters } from "./parameters.ts";
import type { BuildContext } from "./program.ts";
import { namedConstants } from "./write-back.ts";

/** A tensor of the model that is fed and given back: by its name in the model. */
export interface StateTensor {
  readonly name: string;
  readonly initial: Tensor;
}

export interface Prepared {
  readonly model: Model;
  readonly parameters: readonly StateTensor[];
  /** Running means and variances, where they are updated. */
  readonly statistics: readonly StateTensor[];
  /** Masks that may change, with the parameter that each is on. */
  readonly masks: readonly (StateTensor & { readonly parameter: string })[];
  /** The batch without targets. */
  readonly inputs: Tensors;
  /** Dimensions of all values by name. */
  readonly dims: ReadonlyMap<string, readonly number[]>;
  readonly notes: readonly string[];
}

/**
 * Leaves `model` as it is.
 * @throws InputError where the sample batch lacks an input; OptionError where nothing is left to train.
 */
export async function prepare(model: Model, options: TrainingOptions, context: BuildContext): Promise<Prepared> {
  const form = await trainingForm(model, options.constantInputs, context);
  const { model: copy } = form;
  const { graph } = copy;
  const notes = form.changes.filter((change) => !change.includes(": [")).map((change) => `prepared: ${change}`);
  for (const { subject, reason } of form.leftAlone) notes.push(`${subject} passes no gradients: ${reason}`);

  const frozen = options.groups.filter((group) => group.frozen).flatMap((group) => group.match);
  const found = findParameters(copy, { train: options.train, freeze: [...options.freeze, ...frozen] });
  const there = namedConstants(model);
  const trained = found.parameters.filter(
    (value) => String(there.get(value.name)?.tensor) === String(value.initializer),
  );
  for (const value of found.parameters) {
    if (!trained.includes(value)) notes.push(`${value.name} is not trained: it is made when the model is prepared`);
  }
  for (const { subject, reason } of found.leftAlone) notes.push(`${subject} is not trained: ${reason}`);
  if (trained.length === 0) {
    throw new OptionError({
      area: "train",
      subject: "parameters",
      problem: "expected some to train, found none",
      help: "See train, freeze and groups; constants count where a layer takes them as weights, in float32.",
    });
  }
  const updated = options.batchNorm === "batch-statistics" ? batchNormalizations(copy) : [];
  const running = new Set(updated.flatMap((node) => [node.input(3), node.input(4)]));
  const parameters = trained.map((value) => toInput(graph, value));
  const statistics = [...running].filter((value) => value.isConstant).map((value) => toInput(graph, value));

  const masks = options.masks.change ? trained.flatMap((value) => masksToInputs(copy, value)) : [];

  const dims = new Map([...form.shapes].map(([value, shape]) => [value.name, shape]));
  return { model: copy, parameters, statistics, masks, inputs: form.feeds, dims, notes };
}

/**
 * A copy as it can be differentiated, for inputs of the feeds' dimensions. Models of the same structure have the same names
 * in it.
 */
export async function trainingForm(
  model: Model,
  constant: readonly string[],
  { runtime, signal, feeds }: Pick<BuildContext, "runtime" | "signal" | "feeds">,
): Promise<Differentiable & { readonly model: Model }> {
  const copy = cloneModel(model);
  await runStep(copy, constantInputs, {});
  const form = await makeDifferentiable(copy, {
    feeds: ownFeeds(copy.graph, feeds),
    runtime,
    constant,
    ...(signal && { signal }),
  });
  return { ...form, model: copy };
}

/** The evaluation's form: nothing is dropped. */
export function forEvaluation({ model }: Prepared): Model {
  const copy = cloneModel(model);
  dropoutsOff(copy);
  return copy;
}

/** What of the batch the model takes. Defaults that are not fed are constant, those that are fed are gone. */
function ownFeeds(graph: Graph, feeds: Tensors): Tensors {
  const own: Record<string, Tensor> = {};
  for (const value of [...graph.inputs]) {
    const feed = feeds[value.name];
    if (feed !== undefined) {
      if (value.initializer !== undefined) graph.initializers.delete(value);
      value.initializer = undefined;
      own[value.name] = feed;
    } else if (value.initializer !== undefined) {
      graph.inputs.splice(graph.inputs.indexOf(value), 1);
    } else {
      throw new InputError({
        area: "train",
        subject: `input ${value}`,
        problem: `expected a tensor of the sample batch, got ${Object.keys(feeds).join(", ") || "none"}`,
      });
    }
  }
  return own;
}

/** A parameter's mask as an input of its own. */
function masksToInputs(model: Model, value: Value): Prepared["masks"] {
  const where = maskedValue(model, value)?.producer;
  const there = where?.input(0);
  if (where === undefined || there?.initializer === undefined) return [];
  const { graph } = model;
  let own = there;
  if (there.onlyUser === undefined) {
    own = graph.addInitializer(`${value.name}_mask`, there.initializer);
    where.setInput(0, own);
  }
  own.name = model.names.unique(`${value.name}/mask`);
  return [{ ...toInput(graph, own), parameter: value.name }];
}

function toInput(graph: Graph, value: Value): StateTensor {
  const initial = value.initializer!;
  graph.initializers.delete(value);
  value.initializer = undefined;
  value.setTensorType(initial.dtype, initial.dims);
  graph.inputs.push(value);
  return { name: value.name, initial };
}
