/**
 * @file Which initializers of a model are parameters: found by what uses them. An initializer may as well be a shape, a
 * bound, an epsilon, a mask, the mean of the training images: none of these is to be trained.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { declaredState } from "../nn/state.ts";
import type { LeftAlone } from "../step/step.ts";
import { matchesName } from "../util/name-patterns.ts";

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
  const behind = behindWeights(model);
  const declared = declaredState(model);
  const parameters: Value[] = [];
  const leftAlone: LeftAlone[] = [];
  const matches = (patterns: readonly string[], name: string): boolean =>
    patterns.some((pattern) => matchesName(pattern, { label: name }));
  for (const value of constants(model)) {
    const { name } = value;
    // A full name is a wish, whatever the constant looks like.
    const named = choice.train.includes(name);
    const kind = declared?.get(name);
    if (!named && !(kind === undefined ? isWeight(value, behind) : kind === "parameter")) continue;
    const leave = (reason: string): unknown => leftAlone.push({ subject: name, reason });
    if (value.dtype !== "float32") leave(`it is ${value.dtype}: training is in float32`);
    else if (choice.train.length > 0 && !matches(choice.train, name)) leave("train does not name it");
    else if (matches(choice.freeze, name)) leave("freeze names it");
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

/** Whether any use of the value, or of what passes it on, is that of a weight. */
function isWeight(value: Value, behind: ReadonlySet<Value>, depth = 0): boolean {
  if (depth > 8) return false;
  for (const node of value.users) {
    if (node.domain !== "") continue;
    const at = (positions: readonly number[] | undefined): boolean =>
      positions?.some((position) => node.inputs[position] === value) ?? false;
    if (at(WEIGHTS[node.opType])) return true;
    if (ARITHMETIC.has(node.opType) && isTerm(value, node, behind)) return true;
    if (at(PASSES[node.opType]) && node.outputs.some((output) => output && isWeight(output, behind, depth + 1)))
      return true;
  }
  return false;
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

/** Values that depend on a weight of the first table. */
function behindWeights(model: Model): ReadonlySet<Value> {
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
  return behind;
}
