/**
 * @file Builds training programs: copies of the forward graph with losses, the backward pass and the update.
 */
import { blockConvolutions } from "../autodiff/block-convolutions.ts";
import { differentiate } from "../autodiff/differentiate.ts";
import { timeWays } from "../autodiff/time-ways.ts";
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { removeDead } from "../passes/eliminate-dead.ts";
import { channelBlock } from "../runtime/channel-block.ts";
import { observeShapes } from "../runtime/collect.ts";
import { parseOptions } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { useBatchStatistics } from "./batch-norm.ts";
import { feedDropout } from "./dropout.ts";
import { appendLosses, appendPenalties } from "./loss-graph.ts";
import { estimateMemory } from "./memory.ts";
import { type TrainingInput, type TrainingOptions, trainingOptions } from "./options.ts";
import { forEvaluation, type Prepared, prepare } from "./prepare.ts";
import {
  type BuildContext,
  type FedTensor,
  GRADIENT_NORM,
  LOSS,
  type StateEntry,
  type TrainingProgram,
} from "./program.ts";
import { appendUpdate, type Trained, type Update } from "./update.ts";

/**
 * Session options for the models of a program: without VNNI, 8-bit products of a fake-quantized graph would saturate in
 * the middle of training.
 */
export const TRAINING_SESSION = { config: { "session.disable_quant_qdq": "1" } } as const;

/**
 * The graphs that train a model on batches of the sample batch's dimensions. `model` stays as it is.
 * @throws OptionError for options that do not fit the model, UnsupportedError naming a node without a gradient,
 * InputError for a batch that lacks something.
 */
export async function buildTraining(
  model: Model,
  input: TrainingInput,
  context: BuildContext,
): Promise<TrainingProgram> {
  const options = parseOptions({ name: "train", options: trainingOptions }, input);
  const prepared = await prepare(model, options, context);
  const evaluate = evaluation(prepared, options, context);
  const step = await gradientGraph(prepared, options, context);
  const { trained, statistics, notes } = step;
  const memory = estimateMemory(step.model, step.forward, trained, options, step.targets);
  const initial = new Map([...prepared.parameters, ...prepared.statistics].map((own) => [own.name, own.initial]));
  const update = appendUpdate(step.model, trained, options, initial);
  const entries: Update["entries"] = [
    ...update.entries,
    ...[...statistics].map(([value, next]) => ({
      name: value.name,
      kind: "statistic" as const,
      input: value.name,
      next,
      initial: initial.get(value.name)!,
    })),
  ];
  const state: StateEntry[] = entries.map(({ next, ...entry }) => ({ ...entry, output: `${entry.name}/next` }));

  const predictions = step.model.graph.outputs.map((value) => value.name);
  const shown = options.predictions ? predictions : [];
  const results = resultNames(step.loss, step.parts);
  step.model.graph.setOutputs([]);
  let accumulate: Model | undefined;
  if (options.accumulate) {
    accumulate = cloneModel(step.model);
    const sums = [...update.accumulated].map(([name, value]) => [`${name}/next`, value.name] as const);
    const moved = [...statistics].map(([value, next]) => [`${value.name}/next`, next.name] as const);
    finish(accumulate, shown, new Map([...results, ...sums, ...moved]));
  }
  const next = entries.map((entry) => [`${entry.name}/next`, entry.next.name] as const);
  const norm = update.norm && ([GRADIENT_NORM, update.norm.name] as const);
  finish(step.model, shown, new Map([...results, ...(norm ? [norm] : []), ...next]));
  return {
    step: step.model,
    ...(accumulate && { accumulate }),
    evaluate,
    state,
    scalars: update.scalars,
    random: step.random,
    targets: step.targets,
    outputs: {
      loss: LOSS,
      parts: Object.fromEntries([...step.parts.keys()].map((name) => [name, `${LOSS}/${name}`])),
      ...(norm && { gradientNorm: GRADIENT_NORM }),
      predictions,
    },
    memory,
    notes: [...prepared.notes, ...notes],
  };
}

/** The values of losses by the names that they get. */
function resultNames(loss: Value, parts: ReadonlyMap<string, Value>): readonly (readonly [string, string])[] {
  return [[LOSS, loss.name], ...[...parts].map(([name, value]) => [`${LOSS}/${name}`, value.name] as const)];
}

interface GradientGraph {
  readonly model: Model;
  readonly loss: Value;
  readonly parts: ReadonlyMap<string, Value>;
  readonly targets: readonly FedTensor[];
  readonly random: readonly FedTensor[];
  readonly trained: readonly Trained[];
  readonly statistics: ReadonlyMap<Value, Value>;
  /** Values of the forward pass, with their dimensions. */
  readonly forward: ReadonlyMap<Value, readonly number[]>;
  readonly notes: readonly string[];
}

async function gradientGraph(
  prepared: Prepared,
  options: TrainingOptions,
  context: BuildContext,
): Promise<GradientGraph> {
  const { runtime, signal, feeds } = context;
  const model = cloneModel(prepared.model);
  const { graph } = model;
  const { dims } = prepared;
  const random = feedDropout(model, options.dropout, dims);
  const statistics = options.batchNorm === "batch-statistics" ? useBatchStatistics(model, dims) : new Map();
  const { loss: plain, parts, targets, notes } = appendLosses(model, options.losses, dims, feeds, { forcing: true });
  const values = prepared.parameters.map(({ name }) => graph.inputs.find((value) => value.name === name)!);
  const masked = new Map(values.map((value) => [value.name, maskOf(model, value)]));
  const loss = appendPenalties(
    model,
    plain,
    options.penalties,
    new Map(values.map((value) => [value.name, masked.get(value.name)?.result ?? value])),
  );
  graph.sort();
  const batch = {
    ...prepared.inputs,
    ...Object.fromEntries([...prepared.parameters, ...prepared.statistics].map((own) => [own.name, own.initial])),
    ...Object.fromEntries(targets.map((fed) => [fed.input, feeds[fed.input]!])),
    ...Object.fromEntries(random.map((fed) => [fed.input, sampleNoise(fed)])),
  };
  const forward = await observeShapes(model, runtime, batch);
  signal?.throwIfAborted();
  const path = { loss, wrt: values, shapes: forward };
  const { progress } = context;
  const block = context.timeWays && (await channelBlock(runtime));
  const timing = { ...path, block, runtime, session: TRAINING_SESSION, signal, progress, ...context.timeWays };
  const choose = context.choose ?? (context.timeWays && (await timeWays(model, timing)));
  const { gradients, unreached, frozen } = differentiate({ ...path, block, missing: options.missing, choose });
  if (block !== undefined) blockConvolutions(graph, forward, block);
  const trained = values
    .filter((value) => !unreached.includes(value))
    .map(
      (value): Trained => ({
        name: value.name,
        value,
        masked: masked.get(value.name)?.result ?? value,
        mask: masked.get(value.name)?.mask,
        dims: forward.get(value)!,
        gradient: gradients.get(value)!,
      }),
    );
  if (trained.length === 0) {
    throw new OptionError({
      area: "train",
      subject: "parameters",
      problem: "expected some that the loss depends on, found none",
      help: "Does the loss name the right output?",
    });
  }
  return {
    model,
    loss,
    parts,
    targets,
    random,
    trained,
    statistics,
    forward,
    notes: [
      ...notes,
      ...unreached.map((value) => `${value.name} is not trained: the loss does not depend on it`),
      ...frozen.map(({ node, reason }) => `nothing before ${node.label} is trained through it: ${reason}`),
    ],
  };
}

function evaluation(prepared: Prepared, options: TrainingOptions, { feeds }: BuildContext): Model {
  const model = forEvaluation(prepared);
  const { loss, parts } = appendLosses(model, options.losses, prepared.dims, feeds, { forcing: false });
  const outputs = model.graph.outputs.map((value) => value.name);
  model.graph.setOutputs([]);
  finish(model, outputs, new Map(resultNames(loss, parts)));
  return model;
}

/** The mask over a parameter and what it leaves. */
function maskOf(model: Model, value: Value): { readonly result: Value; readonly mask: Value } | undefined {
  for (const node of value.users) {
    const result = node.outputs[0];
    if (result === undefined || model.parametrizations.get(result)?.kind !== "mask") continue;
    if (node.inputs[1] === value) return { result, mask: node.input(0) };
  }
  return undefined;
}

const sampleNoise = ({ dims }: FedTensor): Tensor =>
  Tensor.float32(dims, new Float32Array(dims.reduce((size, dim) => size * dim, 1)).fill(0.5));

/**
 * Sets a model's outputs, and takes out what none of them needs; inputs without users, too.
 * @param kept Names of values that become outputs as they are.
 * @param renamed New names of values that become outputs, to the old ones.
 */
function finish(model: Model, kept: readonly string[], renamed: ReadonlyMap<string, string>): void {
  const { graph } = model;
  const byName = new Map<string, Value>();
  for (const value of graph.inputs) byName.set(value.name, value);
  for (const node of graph.nodes()) for (const value of node.outputs) if (value) byName.set(value.name, value);
  const outputs = new Set(kept.map((name) => byName.get(name)!));
  for (const [next, name] of renamed) {
    let value = byName.get(name)!;
    // A value has one name: what is an output already, or nothing that a node makes, gets a node of its own.
    if (outputs.has(value) || value.producer === undefined) value = graph.add("Identity", [value]).output();
    value.name = model.names.unique(next);
    outputs.add(value);
  }
  graph.setOutputs([...outputs]);
  model.parametrizations.clear();
  removeDead(model);
  for (const value of graph.inputs.filter((input) => input.isUnused)) {
    graph.inputs.splice(graph.inputs.indexOf(value), 1);
  }
  graph.sort();
}
