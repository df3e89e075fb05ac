/**
 * @file Conv, ConvTranspose, Gemm and MatMul as what they have in common: a constant weight whose elements each belong to
 * one input channel and one output channel. Dividing outputs and multiplying inputs by positive numbers is what
 * cross-layer equalization and SmoothQuant do to weights.
 */
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";

export interface LinearLayer {
  readonly node: Node;
  readonly weight: Value;
  readonly inputs: number;
  readonly outputs: number;
  /** Axis of the channels in operand and result, counted from the end (−1: the last one). */
  readonly axis: number;
  /** The weight as `[rows, columns, inner]`, row-major; `inner` is the kernel. */
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  outputOf(row: number, column: number): number;
  inputOf(row: number, column: number): number;
}

type Layout = Omit<LinearLayer, "node" | "weight" | "inner">;

const LAYOUTS: Readonly<Record<string, (node: Node, dims: readonly number[]) => Layout | string>> = {
  // W [O, I/g, k…]
  Conv: (node, dims) => {
    if (dims.length < 3) return "its weight has less than three dimensions";
    const [rows, columns] = dims as [number, number];
    const groups = node.int("group", 1);
    return {
      inputs: columns * groups,
      outputs: rows,
      axis: 1 - dims.length,
      rows,
      columns,
      outputOf: (row) => row,
      inputOf: (row, column) => Math.floor((row * groups) / rows) * columns + column,
    };
  },
  // W [I, O/g, k…]
  ConvTranspose: (node, dims) => {
    if (dims.length < 3) return "its weight has less than three dimensions";
    const [rows, columns] = dims as [number, number];
    const groups = node.int("group", 1);
    return {
      inputs: rows,
      outputs: columns * groups,
      axis: 1 - dims.length,
      rows,
      columns,
      outputOf: (row, column) => Math.floor((row * groups) / rows) * columns + column,
      inputOf: (row) => row,
    };
  },
  // B [K, N], or [N, K] with transB
  Gemm: (node, dims) =>
    node.int("transA", 0) !== 0 ? "its left operand is transposed" : matrix(dims, node.int("transB", 0) !== 0),
  // B [K, N]
  MatMul: (_node, dims) => matrix(dims, false),
};

function matrix(dims: readonly number[], transposed: boolean): Layout | string {
  if (dims.length !== 2) return `its weight has ${dims.length} dimensions, not 2`;
  const [rows, columns] = dims as [number, number];
  const first = (row: number): number => row;
  const second = (_row: number, column: number): number => column;
  return transposed
    ? { inputs: columns, outputs: rows, axis: -1, rows, columns, outputOf: first, inputOf: second }
    : { inputs: rows, outputs: columns, axis: -1, rows, columns, outputOf: second, inputOf: first };
}

/** Whether the node is of a kind that {@link linearLayer} knows. */
export function isLinear(node: Node): boolean {
  return node.domain === "" && Object.hasOwn(LAYOUTS, node.opType);
}

/** The node as a linear layer whose weight may be rewritten, or the reason why it is none. */
export function linearLayer(node: Node): LinearLayer | string {
  const layer = readLayer(node);
  if (typeof layer === "string") return layer;
  if (isBarrier(node)) return "it belongs to a parametrization";
  if (layer.weight.onlyUser !== node) return "its weight is shared with another node";
  const bias = biasOf(node, layer.outputs);
  return typeof bias === "string" ? bias : layer;
}

/** The node as a linear layer to be looked at only, or the reason why it is none. */
export function readLayer(node: Node): LinearLayer | string {
  if (!isLinear(node)) return `${node.opType} has no channels that could be scaled`;
  const weight = node.inputs[1];
  const tensor = weight?.constant;
  if (weight === undefined || tensor === undefined) return "its weight is not constant";
  if (tensor.dtype !== "float32") return `its weight is ${tensor.dtype}, not float32`;
  if (tensor.size === 0) return "its weight is empty";
  const layout = LAYOUTS[node.opType]!(node, tensor.dims);
  if (typeof layout === "string") return layout;
  return { node, weight, inner: tensor.size / (layout.rows * layout.columns), ...layout };
}

/** The node's own bias (input 2), one number per output channel or one for all; a reason where it is something else. */
function biasOf(node: Node, outputs: number): Tensor | undefined | string {
  const value = node.inputs[2];
  if (value === undefined) return undefined;
  const tensor = value.constant;
  if (tensor === undefined) return "its bias is not constant";
  if (tensor.dtype !== "float32") return `its bias is ${tensor.dtype}, not float32`;
  const perChannel = tensor.size === outputs && tensor.dims.at(-1) === outputs;
  return perChannel || tensor.size === 1 ? tensor : "its bias is not one number per channel";
}

/** `visit(block, output, input)` for every pair of channels that a weight connects; elements start at `block · inner`. */
export function forEachBlock(layer: LinearLayer, visit: (block: number, output: number, input: number) => void): void {
  const { rows, columns } = layer;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      visit(row * columns + column, layer.outputOf(row, column), layer.inputOf(row, column));
    }
  }
}

/** Largest |weight| of every block, `[rows, columns]`. */
export function blockMaxima(layer: LinearLayer): Float32Array {
  const { rows, columns, inner } = layer;
  const data = layer.weight.constant!.floats();
  if (inner === 1) return data.map(Math.abs);
  const maxima = new Float32Array(rows * columns);
  for (let block = 0; block < maxima.length; block++) {
    let largest = 0;
    for (let k = block * inner; k < (block + 1) * inner; k++) largest = Math.max(largest, Math.abs(data[k]!));
    maxima[block] = largest;
  }
  return maxima;
}

export interface LayerScale {
  /** Weights and bias of each output channel are divided by these. */
  readonly outputs?: Float64Array | undefined;
  /** Weights of each input channel are multiplied by these. */
  readonly inputs?: Float64Array | undefined;
}

/** Weights `W[o, i] · inputs[i] / outputs[o]`, rounded once. */
export function scaledWeight(layer: LinearLayer, { outputs, inputs }: LayerScale): Float32Array {
  const { inner } = layer;
  const data = layer.weight.constant!.floats().slice();
  forEachBlock(layer, (block, output, input) => {
    const factor = (inputs?.[input] ?? 1) / (outputs?.[output] ?? 1);
    for (let k = block * inner; k < (block + 1) * inner; k++) data[k]! *= factor;
  });
  return data;
}

/** Rewrites weight and bias of a layer. Old constants that nobody uses any more go. */
export function scaleLayer(layer: LinearLayer, scale: LayerScale): void {
  const { node, weight } = layer;
  const graph = node.graph!;
  const bias = node.inputs[2];
  const data = scaledWeight(layer, scale);
  node.setInput(1, graph.addInitializer(weight.name, Tensor.float32(weight.constant!.dims, data)));
  if (bias !== undefined && scale.outputs !== undefined) {
    const { dims } = bias.constant!;
    const old = bias.constant!.floats();
    const divided = Float32Array.from(scale.outputs, (s, o) => old[old.length === 1 ? 0 : o]! / s);
    const shape = old.length === 1 ? [layer.outputs] : dims;
    node.setInput(2, graph.addInitializer(bias.name, Tensor.float32(shape, divided)));
  }
  dropUnused(weight, bias);
}

/** Removes initializers that lost their last user. */
export function dropUnused(...values: readonly (Value | undefined)[]): void {
  for (const value of values) {
    if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
  }
}
