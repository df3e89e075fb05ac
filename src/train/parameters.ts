/**
 * @file Which initializers of a model are parameters: found by what uses them, and by what they are. An initializer may as
 * well be a shape, a bound, an epsilon, a mask, a table of sines, an anchor, the mean of the training images: none of these
 * is to be trained.
 *
 * Parameters are: what layers take as weights and biases (the first table), also through reshapes, masks and fake
 * quantizers; terms and factors of per-channel arithmetic behind such a layer (biases, gains); rows that are joined to
 * values behind one (class tokens). Whatever looks so but was computed (fixed-tables.ts) is left alone, with the reason.
 * A full name in `train` is a wish, and overrides all of this.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { declaredState } from "../nn/state.ts";
import type { LeftAlone } from "../step/step.ts";
import { matchesName } from "../util/name-patterns.ts";
import { areCosineAndSine, describeFixed, isWholeNumbers } from "./fixed-tables.ts";

/** Inputs that are weights, by operator. */
const WEIGHTS: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  Einsum: [0, 1, 2, 3],
  Gather: [0],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  LayerNormalization: [1, 2],
  GroupNormalization: [1, 2],
  PRelu: [1],
  RNN: [1, 2, 3],
  GRU: [1, 2, 3],
  LSTM: [1, 2, 3, 7],
};

/** Operators that pass a weight on, and the inputs at which they take it. */
const PASSES: Readonly<Record<string, readonly number[]>> = {
  Identity: [0],
  Transpose: [0],
  Reshape: [0],
  Flatten: [0],
  Squeeze: [0],
  Unsqueeze: [0],
  Expand: [0],
  // The two biases of an unrolled recurrent cell.
  ReduceSum: [0],
  Tile: [0],
  Pad: [0],
  Slice: [0],
  Split: [0],
  Concat: [0, 1, 2, 3, 4, 5, 6, 7],
  Where: [1],
  QuantizeLinear: [0],
  DequantizeLinear: [0],
  Clip: [0],
  Max: [0],
  Min: [0],
};

/** A weight or bias written as arithmetic; only behind other weights: before them it prepares inputs. */
const ARITHMETIC: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div"]);

/** A constant with such values is a mask of attention, not a bias. */
const MASKING = 1e4;
/** Operators whose float constants are bounds, scales and fillings. */
const SETTINGS: ReadonlySet<string> = new Set(["Resize", "Upsample", "Clip", "Pad", "Range", "OneHot"]);

export interface ParameterChoice {
  readonly train: readonly string[];
  readonly freeze: readonly string[];
}

export interface FoundParameters {
  readonly parameters: readonly Value[];
  /** Float constants that look like parameters, and why they are not trained. */
  readonly leftAlone: readonly LeftAlone[];
}

/**
 * The main graph's float32 initializers that weights are made of, in the order of their first use. A model that was built
 * by layers says itself which these are.
 */
export function findParameters(model: Model, choice: ParameterChoice): FoundParameters {
  const places = placesOf(model);
  const declared = declaredState(model);
  const parameters: Value[] = [];
  const leftAlone: LeftAlone[] = [];
  const all = constants(model);
  const matches = (patterns: readonly string[], name: string): boolean =>
    patterns.some((pattern) => matchesName(pattern, { label: name }));
  for (const value of all) {
    const { name } = value;
    // A full name is a wish, whatever the constant looks like.
    const named = choice.train.includes(name);
    const kind = declared?.get(name);
    const leave = (reason: string): unknown => leftAlone.push({ subject: name, reason });
    const use = kind === undefined ? useOf(value, places) : kind === "parameter" ? "weight" : undefined;
    if (!named && use === undefined) {
      if (kind === undefined && mayMatter(value)) leave("no layer takes it as a weight, and no layer comes before it");
      continue;
    }
    const fixed = named || kind !== undefined ? undefined : fixedReason(value, use!, all);
    if (value.dtype !== "float32") leave(`it is ${value.dtype}: training is in float32`);
    else if (choice.train.length > 0 && !matches(choice.train, name)) leave("train does not name it");
    else if (matches(choice.freeze, name)) leave("freeze names it");
    else if (fixed !== undefined) leave(`it is ${fixed}; --train with its full name trains it all the same`);
    else parameters.push(value);
  }
  return { parameters, leftAlone };
}

/** Float initializers of the main graph in the order of their first use. */
function constants(model: Model): ReadonlySet<Value> {
  const found = new Set<Value>();
  const floats: readonly unknown[] = ["float32", "float16", "bfloat16", "float64"];
  for (const node of model.graph.nodes()) {
    for (const value of node.inputs) {
      if (value?.isConstant && model.graph.initializers.has(value) && floats.includes(value.dtype)) found.add(value);
    }
  }
  return found;
}

/** How a value is used: as a weight or bias of a layer, or in arithmetic or as rows behind one. */
type Use = "weight" | "term";

/** The use of the value, or of what passes it on; that of a weight where it has both. */
function useOf(value: Value, places: Places, depth = 0): Use | undefined {
  if (depth > 12) return undefined;
  let found: Use | undefined;
  for (const node of value.users) {
    if (node.domain !== "") continue;
    const at = (positions: readonly number[] | undefined): boolean =>
      positions?.some((position) => node.inputs[position] === value) ?? false;
    if (at(WEIGHTS[node.opType])) return "weight";
    if (ARITHMETIC.has(node.opType) && isTerm(value, node, places.behind)) found = "term";
    if (node.is("Concat") && isToken(value, node, places.behind)) found = "term";
    // Two biases of a recurrent cell are added before they are used; numbers in such sums are scales.
    const joined = ARITHMETIC.has(node.opType) && node.outputs.some((output) => output && places.made.has(output));
    if (!at(PASSES[node.opType]) && !(joined && value.constant?.size !== 1)) continue;
    for (const output of node.outputs) {
      const use = output && useOf(output, places, depth + 1);
      if (use === "weight") return use;
      found ??= use;
    }
  }
  return found;
}

function isTerm(value: Value, node: Node, behind: ReadonlySet<Value>): boolean {
  const other = node.inputs.find((input) => input !== value);
  const tensor = value.constant;
  if (other === undefined || !behind.has(other)) return false;
  // Through a reshape or a mask: what it is made of was looked at where the walk began.
  if (tensor === undefined) return true;
  if (tensor.size < 2) return tensor.dims.length > 0 && other.producer?.is("MatMul") === true;
  return tensor.dtype !== "float32" || tensor.floats().every((x) => Math.abs(x) < MASKING);
}

/** Rows joined to values behind a layer: a class token. What is all the same, zeros, pads. */
function isToken(value: Value, node: Node, behind: ReadonlySet<Value>): boolean {
  if (!node.inputs.some((input) => input !== undefined && behind.has(input))) return false;
  const values = value.constant?.dtype === "float32" ? value.constant.floats() : undefined;
  return values === undefined ? value.constant === undefined : values.some((x) => x !== values[0]);
}

/** Why a constant that is used like a parameter is none, by its values. */
function fixedReason(value: Value, use: Use, all: ReadonlySet<Value>): string | undefined {
  const tensor = value.constant;
  if (tensor === undefined || tensor.dtype !== "float32") return undefined;
  const fixed = describeFixed(tensor);
  if (fixed !== undefined) return fixed;
  if (use !== "term" && !gathered(value)) return undefined;
  if (use === "term" && isWholeNumbers(tensor)) return "whole numbers or halves: a grid, anchors, strides";
  for (const other of all) {
    if (other !== value && other.constant?.dtype === "float32" && areCosineAndSine(tensor, other.constant))
      return `a table of cosines or sines, with ${other.name}`;
  }
  return undefined;
}

const gathered = (value: Value): boolean => [...value.users].some((node) => node.is("Gather"));

/** Worth a line: more than a number, and neither what operators are set with nor running statistics. */
function mayMatter(value: Value): boolean {
  const sets = (node: Node): boolean =>
    SETTINGS.has(node.opType) || (node.is("BatchNormalization") && node.inputs.indexOf(value) > 2);
  return (value.constant?.size ?? 0) > 1 && ![...value.users].every(sets);
}

interface Places {
  /** Values that depend on a weight of the first table, and on an input. */
  readonly behind: ReadonlySet<Value>;
  /** Values that nodes make of constants alone. */
  readonly made: ReadonlySet<Value>;
}

function placesOf(model: Model): Places {
  const behind = new Set<Value>();
  const made = new Set<Value>();
  for (const node of model.graph.nodes()) {
    const fromConstants = node.inputs.every((value) => !value || value.isConstant || made.has(value));
    for (const output of node.outputs) {
      if (output === undefined) continue;
      if (fromConstants) made.add(output);
      const weighs = WEIGHTS[node.opType]?.some((position) => {
        const value = node.inputs[position];
        return value !== undefined && (value.isConstant || made.has(value));
      });
      if ((weighs && !fromConstants) || node.inputs.some((value) => value && behind.has(value))) behind.add(output);
    }
  }
  return { behind, made };
}
