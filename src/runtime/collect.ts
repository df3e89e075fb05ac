/**
 * @file Looks at values inside a model while it runs: shapes of all of them, or contents of some, sample by sample.
 */
import type { Model } from "../graph/model.ts";
import { makesNoTensor } from "../graph/ops/sequences.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { type Chunk, encodeModel, joinChunks } from "../onnx/encode.ts";
import type { GraphProto, ModelProto, NodeProto } from "../onnx/messages.ts";
import { type DType, elementCount } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, messageOf, TersorError } from "../util/errors.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";
import type { Runtime, Session, SessionOptions, Tensors } from "./runtime.ts";

/** What is needed of a data source: feeds that can be read again in the same order. */
export interface FeedSource {
  readonly name: string;
  readonly length?: number;
  samples(): Iterable<{ readonly inputs: Tensors }> | AsyncIterable<{ readonly inputs: Tensors }>;
}

/** A copy of the message in which only `outputs` are outputs; types are left to the runtime's inference. */
function withOutputs(proto: ModelProto, outputs: readonly string[], extra: readonly NodeProto[] = []): Chunk[] {
  const graph: GraphProto = {
    ...proto.graph,
    node: [...(proto.graph?.node ?? []), ...extra],
    output: outputs.map((name) => proto.graph?.output?.find((info) => info.name === name) ?? { name }),
  };
  return encodeModel({ ...proto, graph });
}

/**
 * Dimensions of the values of the main graph for one set of inputs, found by running the model once with a Shape node
 * behind each. Values that are no tensors, or that optional outputs leave out, have no entry.
 */
export async function observeShapes(
  model: Model,
  runtime: Runtime,
  feeds: Tensors,
): Promise<ReadonlyMap<Value, readonly number[]>> {
  const values = tensorsOf(model);
  const proto = toOnnx(model);
  const options = branches(model) ? BRANCHING_SESSION : SHAPE_SESSION;
  const name = (index: number): string => `tersor_shape_${index}`;
  const observe = async (chosen: readonly Value[]): Promise<Map<Value, readonly number[]>> => {
    const shapes = new Map<Value, readonly number[]>();
    if (chosen.length === 0) return shapes;
    const nodes = chosen.map(
      (value, index): NodeProto => ({ input: [value.name], output: [name(index)], opType: "Shape", name: name(index) }),
    );
    const outputs = chosen.map((_value, index) => name(index));
    const session = await runtime.load({ bytes: joinChunks(withOutputs(proto, outputs, nodes)) }, options);
    try {
      const results = await runSample(session, feeds, undefined, "the first sample");
      chosen.forEach((value, index) => {
        shapes.set(value, results[name(index)]!.numbers());
      });
    } finally {
      await session.release();
    }
    return shapes;
  };
  const shapes = new Map(await observe(values));
  for (const value of model.graph.inputs) {
    const feed = feeds[value.name];
    if (feed !== undefined) shapes.set(value, feed.dims);
  }
  for (const value of model.graph.initializers) if (value.initializer) shapes.set(value, value.initializer.dims);
  return shapes;
}

/** Values of the main graph that nodes make and that are tensors, as far as the file says. */
function tensorsOf(model: Model): Value[] {
  const values: Value[] = [];
  const sequences = new Set<Value>();
  for (const node of model.graph.nodes()) {
    const [first] = node.inputs;
    const passesOn = node.is("Identity") && first !== undefined && sequences.has(first);
    for (const value of node.outputs) {
      if (value !== undefined && (passesOn || makesNoTensor(node))) sequences.add(value);
      else if (value !== undefined && mayBeTensor(value)) values.push(value);
    }
  }
  return values;
}

/** Some exporters write a type that says nothing. */
function mayBeTensor({ type }: Value): boolean {
  return type === undefined || type.tensorType !== undefined || Object.keys(type).length === 0;
}

/** Element types of values of the main graph for which the file gives none, as the runtime infers them. */
export async function inferTypes(model: Model, runtime: Runtime): Promise<ReadonlyMap<Value, DType>> {
  const types = new Map<Value, DType>();
  const unknown = tensorsOf(model).filter((value) => value.dtype === undefined);
  if (unknown.length === 0) return types;
  const names = unknown.map(({ name }) => name);
  const chunks = withOutputs(toOnnx(model), names);
  const session = await runtime.load({ bytes: joinChunks(chunks) }, { graphOptimization: "disabled" });
  try {
    const dtypes = new Map(session.outputs.map(({ name, dtype }) => [name, dtype] as const));
    for (const value of unknown) {
      const dtype = dtypes.get(value.name);
      if (dtype !== undefined) types.set(value, dtype);
    }
  } finally {
    await session.release();
  }
  return types;
}

/** Fusions would only have to be undone for values in the middle of them. */
const SHAPE_SESSION = { graphOptimization: "basic" } as const;

/** Even "basic" inlines an If whose condition is constant, and ONNX Runtime 1.30 crashes on some nested ones. */
const BRANCHING_SESSION = { graphOptimization: "disabled" } as const;

function branches(model: Model): boolean {
  for (const node of model.graph.nodes()) if (node.is("If")) return true;
  return false;
}

export interface CollectOptions {
  /**
   * Bytes of values that may be held at once; more values are collected in several passes over the data. Default 256 MB.
   * Infinity: all in one pass, without looking at their sizes first.
   */
  readonly budget?: number;
  /** How the model is loaded, for example without integer kernels. */
  readonly session?: SessionOptions;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Runs the model on all samples and shows the contents of `points` (float values of the main graph) to `observe`.
 * The data are read once per group of points that fits the budget.
 * @returns The number of samples; 0 without points, for which nothing is run.
 * @throws InputError where the source has no samples.
 */
export async function collect(
  model: Model,
  runtime: Runtime,
  points: readonly Value[],
  source: FeedSource,
  observe: (point: Value, tensor: Tensor) => void,
  options: CollectOptions = {},
): Promise<number> {
  if (points.length === 0) return 0;
  const proto = toOnnx(model);
  const groups = await groupPoints(model, runtime, points, source, options.budget ?? 256e6);
  let count = 0;
  for (const [index, group] of groups.entries()) {
    const outputs = group.filter((value) => !value.isInput).map((value) => value.name);
    const inputs = group.filter((value) => value.isInput);
    // A model without outputs does not load; the first real one costs nothing.
    const fetched = outputs.length > 0 ? outputs : [model.graph.outputs[0]!.name];
    const session = await runtime.load({ bytes: joinChunks(withOutputs(proto, fetched)) }, options.session);
    try {
      count = 0;
      for await (const sample of source.samples()) {
        checkCancelled(options.signal);
        for (const value of inputs) {
          const tensor = sample.inputs[value.name];
          if (tensor !== undefined) observe(value, tensor);
        }
        if (outputs.length > 0) {
          const results = await runSample(session, sample.inputs, outputs, `sample ${count + 1} of ${source.name}`);
          for (const value of group) {
            const tensor = results[value.name];
            if (tensor !== undefined && !value.isInput) observe(value, tensor);
          }
        }
        count++;
        const done = index * (source.length ?? count) + count;
        options.progress?.(
          "calibrating",
          done,
          source.length === undefined ? undefined : groups.length * source.length,
        );
      }
    } finally {
      await session.release();
    }
  }
  if (count === 0) {
    throw new InputError({
      area: "data",
      subject: source.name,
      problem: "expected samples, found none",
      help: "Give a folder of .npz files or a module that yields samples.",
    });
  }
  return count;
}

/**
 * What the runtime says of a sample is said of the sample: the model runs, on others.
 * @throws InputError where it does not run.
 */
async function runSample(
  session: Session,
  feeds: Tensors,
  outputs: readonly string[] | undefined,
  subject: string,
): Promise<Tensors> {
  try {
    return await session.run(feeds, outputs);
  } catch (cause) {
    if (cause instanceof TersorError) throw cause;
    throw new InputError({
      area: "data",
      subject,
      problem: `expected values that the model runs on, got: ${messageOf(cause).split("\n")[0]}`,
      help: "Do the samples have the shapes and values that it was trained with (and texts its own tokenizer)?",
      cause,
    });
  }
}

/** Points in groups whose tensors for the first sample take at most `budget` bytes together. */
async function groupPoints(
  model: Model,
  runtime: Runtime,
  points: readonly Value[],
  source: FeedSource,
  budget: number,
): Promise<Value[][]> {
  if (budget === Number.POSITIVE_INFINITY) return [[...points]];
  let shapes: ReadonlyMap<Value, readonly number[]> = new Map();
  for await (const sample of source.samples()) {
    shapes = await observeShapes(model, runtime, sample.inputs);
    break;
  }
  const groups: Value[][] = [];
  let room = 0;
  for (const point of points) {
    const bytes = 4 * elementCount(shapes.get(point) ?? []);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)!.push(point);
    room -= bytes;
  }
  return groups;
}
