/**
 * @file Appends the losses to a forward graph: their targets become inputs, their weighted sum one value.
 */
import { Builder } from "../graph/builder.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { matchesName } from "../util/name-patterns.ts";
import type { LossContext, Typed } from "./losses/loss.ts";
import { type LossOptions, lossOf } from "./losses/losses.ts";
import type { Penalty } from "./options.ts";
import type { FedTensor } from "./program.ts";

export interface LossGraph {
  /** The weighted sum, float32 []. */
  readonly loss: Value;
  readonly parts: ReadonlyMap<string, Value>;
  readonly targets: readonly FedTensor[];
  readonly notes: readonly string[];
}

/**
 * @param dims Dimensions of all values of the forward graph, by name.
 * @param feeds One batch, with targets.
 * @param forcing Whether what comes behind a forced value takes its target: in training, not in evaluation.
 */
export function appendLosses(
  model: Model,
  losses: readonly LossOptions[],
  dims: ReadonlyMap<string, readonly number[]>,
  feeds: Tensors,
  { forcing }: { readonly forcing: boolean },
): LossGraph {
  const { graph } = model;
  const forward = new Set(graph.nodes());
  const forced: { readonly value: Value; readonly target: Value }[] = [];
  const notes: string[] = [];
  const targets = new Map<string, Value>();
  const parts = new Map<string, Value>();
  const terms: Value[] = [];
  const taken = new Set(graph.inputs.map((value) => value.name));

  const target = (name: string): Typed => {
    const feed = feeds[name];
    if (feed === undefined || taken.has(name)) {
      const rest = Object.keys(feeds).filter((key) => !taken.has(key));
      throw new InputError({
        area: "train",
        subject: `target "${name}"`,
        problem: `expected it beside the model's inputs in each batch, got ${rest.join(", ") || "nothing"}`,
        help: "Name the targets as the loss does, and unlike the model's inputs.",
      });
    }
    let value = targets.get(name);
    if (value === undefined) {
      value = graph.newValue(name);
      if (value.name !== name)
        throw new InputError({
          area: "train",
          subject: `target "${name}"`,
          problem: "expected a name that no value of the model has",
        });
      value.setTensorType(feed.dtype, feed.dims);
      graph.inputs.push(value);
      targets.set(name, value);
    }
    return { value, dims: feed.dims, dtype: feed.dtype };
  };

  for (const options of losses) {
    const b = new Builder(graph, `loss/${options.kind}/`);
    const output = outputOf(model, options.output, dims);
    const context: LossContext = {
      b,
      output,
      target,
      has: (name) => feeds[name] !== undefined && !taken.has(name),
      note: (text) => notes.push(text),
      refuse: (problem, help) =>
        new OptionError({ area: "train", subject: `loss ${options.kind} of ${output.value}`, problem, help }),
    };
    const part = lossOf(options.kind).build(context, options);
    let name = options.name ?? options.kind;
    while (parts.has(name)) name += "'";
    parts.set(name, part);
    terms.push(b.scale(part, options.weight));
    if (forcing && options.kind === "mse" && options.forced) {
      forced.push({ value: output.value, target: targets.get(options.target)! });
    }
  }
  for (const { value, target } of forced) takeInstead(value, target, forward);
  const b = new Builder(graph, "loss/");
  return {
    loss: sum(b, terms),
    parts,
    targets: [...targets].map(([input]) => ({ input, dtype: feeds[input]!.dtype, dims: feeds[input]!.dims })),
    notes,
  };
}

/** Users among these nodes take another value. */
function takeInstead(value: Value, other: Value, users: ReadonlySet<Node>): void {
  for (const node of [...value.users]) {
    if (!users.has(node)) continue;
    node.inputs.forEach((input, at) => {
      if (input === value) node.setInput(at, other);
    });
  }
}

/**
 * Adds penalties to a loss.
 *   l1: w · Σ|θ|    l2: w · Σθ²
 * @param parameters By name; what a mask leaves of them.
 */
export function appendPenalties(
  model: Model,
  loss: Value,
  penalties: readonly Penalty[],
  parameters: ReadonlyMap<string, Value>,
): Value {
  const b = new Builder(model.graph, "loss/penalty/");
  const terms = [loss];
  for (const { kind, match, weight } of penalties) {
    for (const [name, value] of parameters) {
      if (!match.some((pattern) => matchesName(pattern, { label: name }))) continue;
      const sizes = kind === "l1" ? b.op("Abs", [value]) : b.square(value);
      terms.push(b.scale(b.sum(sizes, undefined, false), weight));
    }
  }
  return sum(b, terms);
}

function sum(b: Builder, terms: readonly Value[]): Value {
  return terms.length === 1 ? terms[0]! : b.op("Sum", terms);
}

function outputOf(model: Model, name: string | undefined, dims: ReadonlyMap<string, readonly number[]>): Typed {
  const fail = (problem: string, help: string): OptionError =>
    new OptionError({ area: "train", subject: "loss, output", problem, help });
  const outputs = model.graph.outputs.filter((value) => value.dtype === undefined || isFloatingPoint(value.dtype));
  let found: Value | undefined;
  if (name === undefined) {
    if (outputs.length !== 1) {
      throw fail(`expected a name, the model has ${outputs.length} float outputs`, `They are: ${outputs.join(", ")}.`);
    }
    found = outputs[0];
  } else {
    for (const node of model.graph.nodes()) found ??= node.outputs.find((value) => value?.name === name);
  }
  const shape = found && dims.get(found.name);
  if (found === undefined || shape === undefined) {
    throw fail(`expected a value of the model, found no "${name}"`, `Its outputs are: ${outputs.join(", ")}.`);
  }
  return { value: found, dims: shape, dtype: found.dtype ?? "float32" };
}
