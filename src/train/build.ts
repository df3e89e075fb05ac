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
import { maskedValue } from "../prune/masks.ts";
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
  gradientName,
  LOSS,
  type StateEntry,
  type TrainingProgram,
} from "./program.ts";
import { appendUpdate, type Trained, type Update } from "./update.ts";

/**
 * Session options for the models of a program: without VNNI, 8-bit products of a fake-quantized graph would saturate in
 * the middle of training. A plan of memory doubles what a step takes (PP-OCRv4 recognition, batch 8: 2.0 GB instead of
 * 1.1), and makes it no faster. Threads that wait sleep: spinning, they take the processor from whoever prepares the next
 * batch, and where other programs run, too, steps take up to twice as long.
 */
export const TRAINING_SESSION = {
  config: { "session.disable_quant_qdq": "1", "session.intra_op.allow_spinning": "0" },
  memoryPlan: false,
} as const;

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
  const gradients = options.masks.gradients ? gradientsOf(step) : undefined;
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
  for (const { name, initial, parameter } of prepared.masks) {
    state.push({ name, kind: "mask", parameter, input: name, output: `${name}/next`, initial });
  }

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
  const memory = estimateMemory(step.model, step.forward, trained, options, step.targets);
  return {
    step: step.model,
    ...(accumulate && { accumulate }),
    evaluate,
    ...(gradients && { gradients }),
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

/**
 * Only what `evaluate` of the program for batches of these dimensions is: nothing is differentiated, so a batch that is
 * only validated on costs little, and operators may lack gradients.
 */
export async function buildEvaluation(model: Model, input: TrainingInput, context: BuildContext): Promise<Model> {
  const options = parseOptions({ name: "train", options: trainingOptions }, input);
  return evaluation(await prepare(model, options, context), options, context);
}

/** The values of losses by the names that they get. */
function resultNames(loss: Value, parts: ReadonlyMap<string, Value>): readonly (readonly [string, string])[] {
  return [[LOSS, loss.name], ...[...parts].map(([name, value]) => [`${LOSS}/${name}`, value.name] as const)];
}

/** The graph as it is before the update is appended, with the gradients as outputs. */
function gradientsOf({ model, loss, parts, trained }: GradientGraph): Model {
  const copy = cloneModel(model);
  copy.graph.setOutputs([]);
  const gradients = trained.map(({ name, dense }) => [gradientName(name), dense.name] as const);
  finish(copy, [], new Map([...resultNames(loss, parts), ...gradients]));
  return copy;
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
    ...Object.fromEntries(
      [...prepared.parameters, ...prepared.statistics, ...prepared.masks].map((own) => [own.name, own.initial]),
    ),
    ...Object.fromEntries(targets.map((fed) => [fed.input, feeds[fed.input]!])),
    ...Object.fromEntries(random.map((fed) => [fed.input, sampleNoise(fed)])),
  };
  const forward = await observeShapes(model, runtime, batch);
  signal?.throwIfAborted();
  const { straightThrough, movement, gradients: shown } = options.masks;
  const results = straightThrough || movement || shown ? [...masked.values()].flatMap((own) => own?.result ?? []) : [];
  const path = { loss, wrt: [...values, ...results], shapes: forward };
  const { progress } = context;
  const block = context.timeWays && (await channelBlock(runtime));
  const timing = { ...path, block, runtime, session: TRAINING_SESSION, signal, progress, ...context.timeWays };
  const choose = context.choose ?? (context.timeWays && (await timeWays(model, timing)));
  const { gradients, unreached, frozen } = differentiate({ ...path, block, missing: options.missing, choose });
  if (block !== undefined) blockConvolutions(graph, forward, block);
  const trained = values
    .filter((value) => !unreached.includes(value))
    .map((value): Trained => {
      const own = masked.get(value.name);
      const gradient = gradients.get(value)!;
      return {
        name: value.name,
        value,
        masked: own?.result ?? value,
        mask: own?.mask,
        dims: forward.get(value)!,
        gradient,
        dense: (own && gradients.get(own.result)) ?? gradient,
      };
    });
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
      ...values
        .filter((value) => unreached.includes(value))
        .map((value) => `${value.name} is not trained: the loss does not depend on it`),
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

/** The mask over a parameter, or over a fake quantizer on it, and what it leaves. */
function maskOf(model: Model, value: Value): { readonly result: Value; readonly mask: Value } | undefined {
  const result = maskedValue(model, value);
  return result && { result, mask: result.producer!.input(0) };
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
