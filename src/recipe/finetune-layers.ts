/**
 * @file Whether distillation can go layer by layer, and by which values: what the layers of two models of the same structure
 * read. See train/layerwise.ts.
 */
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";
import { batchAxes, joinSamples } from "../train/batches.ts";
import { findParameters } from "../train/parameters.ts";
import { trainingForm } from "../train/prepare.ts";
import { OptionError } from "../util/errors.ts";

/** Layers, and the inputs that they read. */
const READS: Readonly<Record<string, readonly number[]>> = {
  Conv: [0],
  ConvTranspose: [0],
  Gemm: [0, 1],
  MatMul: [0, 1],
};

/** Each goes through memory a few times per batch: beyond these every second or third layer is compared. */
const MOST = 256;
/** Of what the model's layers read, the teacher must have this share: a net of another kind may share a name by chance. */
const LEAST_SHARE = 0.5;

interface Form {
  readonly model: Model;
  readonly shapes: ReadonlyMap<Value, readonly number[]>;
}

export interface LayerChoice {
  /** Of a batch of the model's inputs. */
  readonly feeds: Tensors;
  readonly runtime: Runtime;
  readonly constantInputs: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Of the usual size of weights, what an update may change at most. Adam's updates are of the learning rate's size, whatever
 * the gradient's; how many of them a weight is away from where it should be does not depend on the net then. Source: Shazeer &
 * Stern, Adafactor (2018), section 8 (relative step size), here one for all weights.
 */
const RELATIVE_RATE = 0.015;

export interface Layers {
  readonly values: readonly string[];
  /** {@link RELATIVE_RATE} of the middle one of the weights' root mean squares. */
  readonly learningRate: number;
}

/**
 * Names of values that layers read in both models, in the order of the graph; none where these are of different structure.
 * @param asked Layer by layer was asked for: then there must be some.
 * @throws OptionError
 */
export async function layersOf(
  model: Model,
  teacher: Model,
  { feeds, runtime, constantInputs, signal }: LayerChoice,
  asked: boolean,
): Promise<Layers> {
  const context = { feeds, runtime, ...(signal && { signal }) };
  const form = await trainingForm(model, constantInputs, context);
  const values = sharedReads(form, await trainingForm(teacher, constantInputs, context));
  if (values.length > 0 || !asked) return { values, learningRate: RELATIVE_RATE * usualSize(form.model) };
  throw new OptionError({
    area: "finetune",
    subject: "--layerwise",
    problem: "expected a teacher of the same structure, got one that has few of MODEL's values by name and dimensions",
    help: "Leave --layerwise out: the outputs are learned, and values inside by --hidden.",
  });
}

/** The middle one of the root mean squares of weights: matrices and kernels, not biases. */
export function usualSize(model: Model): number {
  const sizes = findParameters(model, { train: [], freeze: [] })
    .parameters.map((value) => value.initializer!)
    .filter(({ dims, size }) => dims.length >= 2 && size > 0)
    .map((tensor) => Math.sqrt(tensor.floats().reduce((sum, x) => sum + x * x, 0) / tensor.size))
    .sort((a, b) => a - b);
  return sizes[Math.floor(sizes.length / 2)] || USUAL;
}

/** Where there are no weights, or only zeros: those of a layer of a hundred inputs. */
const USUAL = 0.1;

/** At most {@link MOST}, spread evenly, the last one always among them. */
export function sharedReads(model: Form, teacher: Form, most: number = MOST): readonly string[] {
  const theirs = reads(teacher);
  const own = reads(model);
  const names = [...own.keys()].filter((name) => theirs.get(name) === own.get(name));
  if (names.length < LEAST_SHARE * own.size) return [];
  if (names.length <= most) return names;
  return Array.from({ length: most }, (_, i) => names[Math.ceil(((i + 1) * names.length) / most) - 1]!);
}

/** What layers read, where it depends on an input of the model, by name: the operator that makes it and the dimensions. */
function reads({ model, shapes }: Form): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const depends = new Set<Value>(model.graph.inputs);
  for (const node of model.graph.nodes()) {
    if (!node.inputs.some((input) => input !== undefined && depends.has(input))) continue;
    for (const value of node.outputs) {
      if (value === undefined) continue;
      depends.add(value);
      const dims = shapes.get(value);
      if (dims === undefined || !isRead(value) || !(value.dtype === undefined || isFloatingPoint(value.dtype)))
        continue;
      found.set(value.name, `${node.opType} [${dims.join(", ")}]`);
    }
  }
  return found;
}

/** By a layer, at once or behind a fake quantizer. */
const isRead = (value: Value): boolean =>
  [...value.users].some(
    (node) =>
      READS[node.opType]?.some((at) => node.inputs[at] === value) ||
      (QUANTIZERS.has(node.opType) && node.inputs[0] === value && isRead(node.output())),
  );

const QUANTIZERS: ReadonlySet<string> = new Set(["QuantizeLinear", "DequantizeLinear"]);

/** The first samples as one batch that the model takes: one sample, or as many as it fixes. */
export async function firstFeeds(model: Model, data: DataSource): Promise<Tensors> {
  const first = await data.at!(0);
  const axes = batchAxes(model, first);
  const input = model.graph.inputs.find((value) => value.initializer === undefined && first.inputs[value.name]);
  const [fixed, rows] = [input?.shape?.[axes.get(input.name) ?? 0], first.inputs[input?.name ?? ""]?.dims[0] ?? 1];
  const count = typeof fixed === "number" ? Math.min(Math.max(1, Math.floor(fixed / rows)), data.length ?? 1) : 1;
  const samples = [first];
  while (samples.length < count) samples.push(await data.at!(samples.length));
  return joinSamples(samples, axes).inputs;
}

/** Samples that are looked at. */
const LOOKED_AT = 64;

/**
 * Whole numbers and truths without dimensions that are the same in all samples: a sample rate, a switch. They choose between
 * branches, through which gradients pass only where the choice is made.
 */
export async function sameScalars(model: Model, data: DataSource): Promise<readonly string[]> {
  const first = await data.at!(0);
  const names = model.graph.inputs
    .filter(({ name, initializer }) => {
      const tensor = first.inputs[name];
      return initializer === undefined && tensor?.dims.length === 0 && !isFloatingPoint(tensor.dtype);
    })
    .map(({ name }) => name);
  if (names.length === 0) return [];
  const length = data.length ?? 1;
  const count = Math.min(LOOKED_AT, length);
  for (let i = 1; i < count; i++) {
    const { inputs } = await data.at!(Math.floor((i * length) / count));
    if (names.some((name) => String(inputs[name]?.data()) !== String(first.inputs[name]!.data()))) return [];
  }
  return names;
}
