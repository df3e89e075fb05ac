/**
 * @file Gemm, MatMul and Conv with a constant weight as a matrix [outputs, inputs], and the two nodes that stand for it.
 *
 *   MatMul  x·W                     → (x·R')·L'
 *   Gemm    α·x·W + β·C             → h = x·R', α·h·L' + β·C
 *   Conv    k×k kernels, I → O      → k×k kernels, I → r, with strides, pads and dilations; then 1×1, r → O, with the bias
 *                                     (the channel decomposition of Zhang et al. 2016, §3.1, for k > 1)
 *
 * The second node is the original one, with its name, outputs and bias.
 */
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { transpose } from "../../tensor/linalg.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Factors } from "./factors.ts";

export interface FactorLayer {
  readonly node: Node;
  readonly weight: Value;
  readonly outputs: number;
  /** Inputs times the kernel's size. */
  readonly inputs: number;
  /** The weight stands as [inputs, outputs]. */
  readonly transposed: boolean;
  /** Of a convolution, without the first two dimensions. */
  readonly kernel: readonly number[] | undefined;
}

const OPS: ReadonlySet<string> = new Set(["MatMul", "Gemm", "Conv"]);

/** Whether the node is of a kind that can be split at all. */
export function hasFactors(node: Node): boolean {
  return node.domain === "" && OPS.has(node.opType) && node.inputs[1] !== undefined;
}

/** The node as a layer that can be split, or the reason why it is none. */
export function factorLayer(node: Node): FactorLayer | string {
  if (isBarrier(node)) return "it belongs to a parametrization";
  const weight = node.input(1);
  const found = weight.graph.model.parametrizations.get(weight)?.kind;
  if (found !== undefined) return `its weight is under a parametrization (${found})`;
  const tensor = weight.constant;
  if (tensor === undefined) return node.inputs[0]?.isConstant ? LEFT : "its weight is not constant";
  if (node.inputs[0]?.isConstant) return LEFT;
  if (tensor.dtype !== "float32") return `its weight is ${tensor.dtype}, not float32`;
  if (weight.onlyUser !== node) return "its weight is shared with another node";
  const { dims } = tensor;
  if (node.is("Conv")) {
    if (node.int("group", 1) !== 1) return `it has ${node.int("group", 1)} groups`;
    if (dims.length < 3) return "its weight has less than three dimensions";
    const [outputs, channels, ...kernel] = dims as [number, number, ...number[]];
    const inputs = channels * kernel.reduce((a, b) => a * b, 1);
    return { node, weight, outputs, inputs, transposed: false, kernel };
  }
  if (dims.length !== 2) return `its weight has ${dims.length} dimensions, not 2`;
  const [rows, columns] = dims as [number, number];
  const transposed = node.is("MatMul") || node.int("transB", 0) === 0;
  const [outputs, inputs] = transposed ? [columns, rows] : [rows, columns];
  return { node, weight, outputs, inputs, transposed, kernel: undefined };
}

const LEFT = "its left operand is the constant one";

/** The weight as [outputs, inputs]. */
export function matrixOf({ weight, outputs, inputs, transposed }: FactorLayer): Float32Array {
  const data = weight.constant!.floats();
  return transposed ? transpose(data, inputs, outputs) : data;
}

/** Whether one position of the input makes one of the output: then rows of inputs are what the matrix is multiplied with. */
export function isPointwise({ kernel }: FactorLayer): boolean {
  return kernel === undefined || kernel.every((size) => size === 1);
}

/** Attributes that say where a convolution looks: they go with the first of the two. */
const WINDOW = ["kernel_shape", "strides", "pads", "dilations", "auto_pad"] as const;

/** Puts the two factors in the place of the weight. */
export function splitLayer(layer: FactorLayer, { left, right }: Factors): void {
  const { node, weight, outputs, inputs, transposed, kernel } = layer;
  const rank = left.length / outputs;
  const graph = node.graph!;
  const channels = kernel && inputs / kernel.reduce((a, b) => a * b, 1);
  const first = kernel
    ? Tensor.float32([rank, channels!, ...kernel], right)
    : transposed
      ? Tensor.float32([inputs, rank], transpose(right, rank, inputs))
      : Tensor.float32([rank, inputs], right);
  const second = kernel
    ? Tensor.float32([outputs, rank, ...kernel.map(() => 1)], left)
    : transposed
      ? Tensor.float32([rank, outputs], transpose(left, outputs, rank))
      : Tensor.float32([outputs, rank], left);
  const operands = [node.input(0), graph.addInitializer(`${weight.name}_in`, first)];
  // C may be left out from opset 11 on.
  if (node.is("Gemm") && graph.model.opset < 11) {
    operands.push(graph.addInitializer(`${weight.name}_none`, Tensor.float32([1], [0])));
  }
  const reduced = graph.add(node.opType, operands, { name: `${node.label}_in`, before: node });
  const move = (name: string): void => {
    const attribute = node.attributes.get(name);
    if (attribute === undefined) return;
    reduced.attributes.set(name, attribute);
    node.attributes.delete(name);
  };
  if (kernel) {
    for (const name of WINDOW) move(name);
    node.set("kernel_shape", { ints: kernel.map(() => 1) });
  } else if (node.is("Gemm")) {
    move("transA");
    const orientation = node.attributes.get("transB");
    if (orientation !== undefined) reduced.attributes.set("transB", orientation);
  }
  node.setInput(0, reduced.output());
  node.setInput(1, graph.addInitializer(`${weight.name}_out`, second));
  weight.graph.removeInitializer(weight);
}
