/**
 * @file The state of a model as PyTorch has it: which initializers are parameters and buffers, and a state_dict in and out.
 *
 * Layers keep PyTorch's layouts in the graph (a Linear's [out, in], an LSTM's gates i, f, g, o) and rearrange them with
 * nodes that runtimes fold when they load: so a state_dict is nothing but initializers by name.
 */
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, GraphError, InputError } from "../util/errors.ts";

/**
 * Trained by gradients; kept by the layer itself (running_mean); a number that no node uses; or what an operator wants in the
 * place of a weight where PyTorch has none, which is no part of a state_dict.
 */
export type StateKinds = "parameter" | "buffer" | "counter" | "constant";

/** Tensors by state_dict name. */
export type StateDict = Readonly<Record<string, Tensor>>;

/** The metadata entry in which a model remembers the names and kinds of its state. */
const KEY = "tersor.nn";

const KINDS: readonly string[] = ["parameter", "buffer", "counter", "constant"] satisfies StateKinds[];

/** Called once the model is built. */
export function writeState(model: Model, state: ReadonlyMap<string, { readonly kind: StateKinds }>): void {
  model.metadata.set(KEY, JSON.stringify(Object.fromEntries([...state].map(([name, { kind }]) => [name, kind]))));
}

/** What a model that was built here says about its initializers, by name; undefined for models from elsewhere. */
export function declaredState(model: Model): ReadonlyMap<string, StateKinds> | undefined {
  const text = model.metadata.get(KEY);
  if (text === undefined) return undefined;
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    entry = undefined;
  }
  const entries = entry !== null && typeof entry === "object" ? Object.entries(entry) : [];
  if (entries.length > 0 && entries.every(([, kind]) => KINDS.includes(kind))) return new Map(entries);
  if (text === "{}") return new Map();
  throw new FormatError({
    area: "nn",
    subject: `metadata "${KEY}"`,
    problem: `expected a kind (${KINDS.join(", ")}) per name, got something else`,
    help: "Another tool changed the model: remove this entry.",
  });
}

/** State by name. Of a model from elsewhere, every float initializer of the main graph counts as a parameter. */
function readState(model: Model): ReadonlyMap<string, StateKinds> {
  const declared = declaredState(model);
  if (declared !== undefined) return new Map([...declared].filter(([, kind]) => kind !== "constant"));
  const floats = [...model.graph.initializers].filter((value) => value.dtype === "float32");
  return new Map(floats.map(({ name }) => [name, "parameter"]));
}

function valuesByName(model: Model): ReadonlyMap<string, Value> {
  return new Map([...model.graph.initializers].map((value) => [value.name, value]));
}

function valuesOf(model: Model, kind: StateKinds): readonly Value[] {
  const values = valuesByName(model);
  return [...readState(model)].flatMap(([name, own]) => {
    const value = values.get(name);
    return own === kind && value !== undefined ? [value] : [];
  });
}

/** The initializers that gradients train, in the order of their layers. */
export function parametersOf(model: Model): readonly Value[] {
  return valuesOf(model, "parameter");
}

/** Running statistics: part of the state, not trained by gradients. */
export function buffersOf(model: Model): readonly Value[] {
  return valuesOf(model, "buffer");
}

/**
 * Parameters and buffers by PyTorch's names; counters (num_batches_tracked) are 0.
 * @throws GraphError where a step took one away (folded, quantized): take the state_dict before.
 */
export function stateDict(model: Model): StateDict {
  const values = valuesByName(model);
  const entries = [...readState(model)].map(([name, kind]) => {
    if (kind === "counter") return [name, Tensor.scalar("int64", 0)] as const;
    const tensor = values.get(name)?.initializer;
    if (tensor !== undefined) return [name, tensor] as const;
    throw new GraphError({
      area: "nn",
      subject: `state "${name}"`,
      problem: "expected an initializer of this name, found none",
      help: "A pass folded it or a quantizer replaced it: take the state_dict before.",
    });
  });
  return Object.fromEntries(entries);
}

export interface LoadStateOptions {
  /** Names must be the same on both sides. Default true; false: what is on both sides is taken. */
  readonly strict?: boolean;
}

/** What did not find its counterpart. */
export interface LoadStateReport {
  readonly loaded: readonly string[];
  /** In the model only. */
  readonly missing: readonly string[];
  /** In the tensors only. */
  readonly unexpected: readonly string[];
}

/**
 * Replaces parameters and buffers by tensors of the same names and shapes, as float32. Nothing is changed where it throws.
 * @throws InputError for a shape or an element type that does not fit, and, when strict, for names on one side only.
 */
export function loadStateDict(model: Model, tensors: StateDict, options: LoadStateOptions = {}): LoadStateReport {
  const { strict = true } = options;
  const state = readState(model);
  const values = valuesByName(model);
  // Counters have no place in the graph: they may come or not.
  const wanted = [...state].filter(([, kind]) => kind !== "counter").map(([name]) => name);
  const missing = wanted.filter((name) => !Object.hasOwn(tensors, name));
  const unexpected = Object.keys(tensors).filter((name) => !state.has(name));
  if (strict && missing.length + unexpected.length > 0) {
    const parts = [describe("missing", missing), describe("not in the model", unexpected)].filter(
      (part) => part !== "",
    );
    throw new InputError({
      area: "nn",
      subject: "state_dict",
      problem: `expected the model's ${wanted.length} names, got ${Object.keys(tensors).length}: ${parts.join("; ")}`,
      help: "With { strict: false }, what is on both sides is taken.",
    });
  }
  const loaded = wanted.filter((name) => Object.hasOwn(tensors, name));
  const fresh = loaded.map((name) => {
    const value = values.get(name);
    const tensor = tensors[name]!;
    const dims = value?.initializer?.dims;
    if (value === undefined || dims === undefined) {
      throw new GraphError({ area: "nn", subject: `state "${name}"`, problem: "expected an initializer, found none" });
    }
    if (dims.join() !== tensor.dims.join()) {
      const problem = `expected dimensions [${dims.join(", ")}], got [${tensor.dims.join(", ")}]`;
      throw new InputError({ area: "nn", subject: `state_dict "${name}"`, problem });
    }
    if (!["float32", "float16", "bfloat16", "float64"].includes(tensor.dtype)) {
      const problem = `expected a float type, got ${tensor.dtype}`;
      throw new InputError({ area: "nn", subject: `state_dict "${name}"`, problem });
    }
    return [value, tensor.dtype === "float32" ? tensor : Tensor.float32(dims, tensor.floats())] as const;
  });
  for (const [value, tensor] of fresh) value.initializer = tensor;
  return { loaded, missing, unexpected };
}

function describe(what: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  return `${what}: ${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}
