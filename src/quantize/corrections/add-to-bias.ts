/**
 * @file Adds one number per output channel to what a layer of a quantized model computes: to its float bias, to the codes of
 * its int32 bias, or as a bias where there is none, in the form that still fuses to integer kernels.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { dropUnused } from "./linear-layer.ts";
import { dequantizeOf } from "./stored-weight.ts";

/** Half of int32, so that adding the products does not overflow. */
const MAX_CODE = 2 ** 30;

/** @returns True, or the reason why it cannot be added. */
export function addToBias(node: Node, shift: Float64Array): true | string {
  const place = placeOf(node, shift.length);
  if (place !== undefined) return change(place, shift);
  if (node.inputs[2] !== undefined) return "its bias is not one constant number per channel";
  const bias = newBias(node, shift);
  if (node.is("MatMul")) addBehind(node, bias);
  else {
    node.setInput(2, bias);
    if (node.has("beta")) node.set("beta", { float: 1 });
  }
  return true;
}

interface Place {
  readonly user: Node;
  readonly input: number;
  /** What the user multiplies the bias by. */
  readonly factor: number;
}

/** Where the layer's bias is added: its own third input, or the Add behind it. */
function placeOf(node: Node, channels: number): Place | undefined {
  if (!node.is("MatMul") && node.inputs[2] !== undefined) {
    const factor = node.is("Gemm") ? node.float("beta", 1) : 1;
    const fits = factor !== 0 && isBias(node.input(2), channels);
    return fits ? { user: node, input: 2, factor } : undefined;
  }
  const add = node.output().onlyUser;
  // A convolution's Add would have the channels elsewhere.
  if (add === undefined || !add.is("Add") || add.graph !== node.graph || node.is("Conv")) return undefined;
  const input = add.inputs[0] === node.output() ? 1 : 0;
  const value = add.inputs[input];
  return value !== undefined && isBias(value, channels) ? { user: add, input, factor: 1 } : undefined;
}

function isBias(value: Value, channels: number): boolean {
  const dequantize = dequantizeOf(value);
  const codes = dequantize?.input(0).constant;
  if (codes !== undefined && (codes.dtype !== "int32" || dequantize?.inputs[1]?.constant === undefined)) return false;
  const tensor = codes ?? value.constant;
  if (tensor === undefined || (codes === undefined && tensor.dtype !== "float32")) return false;
  return tensor.size === channels && (tensor.dims.at(-1) ?? 1) === channels;
}

function change({ user, input, factor }: Place, shift: Float64Array): true {
  const value = user.input(input);
  const graph = user.graph!;
  const producer = dequantizeOf(value);
  if (producer === undefined) {
    const { dims } = value.constant!;
    const sum = value.constant!.floats().map((number, c) => number + shift[c]! / factor);
    user.setInput(input, graph.addInitializer(value.name, Tensor.float32(dims, sum)));
    dropUnused(value);
    return true;
  }
  const [codes, scale] = producer.inputs as [Value, Value];
  const scales = scale.constant!.floats();
  const old = codes.constant!.data() as Int32Array;
  const sum = old.map((code, c) => clampCode(code + shift[c]! / factor / scales[scales.length === 1 ? 0 : c]!));
  const changed = graph.addInitializer(codes.name, Tensor.of("int32", codes.constant!.dims, sum));
  if (value.onlyUser === user) producer.setInput(0, changed);
  else {
    const own = graph.add("DequantizeLinear", [changed, ...producer.inputs.slice(1)], {
      name: `${value.name}_corrected`,
      before: user,
      attributes: { axis: { int: producer.int("axis", 1) } },
    });
    user.setInput(input, own.output());
  }
  dropUnused(codes);
  return true;
}

function clampCode(code: number): number {
  return Math.min(Math.max(Math.round(code), -MAX_CODE), MAX_CODE);
}

/** int32 codes with the product of the scales of operand and weight where both are codes, else floats. */
function newBias(node: Node, shift: Float64Array): Value {
  const graph = node.graph!;
  const channels = shift.length;
  const name = `${node.label}_correction`;
  const [x, w] = [node.input(0), node.input(1)].map((value) => dequantizeOf(value)?.inputs[1]?.constant?.floats());
  const integer = x?.length === 1 && (w?.length === 1 || w?.length === channels);
  if (!integer) return graph.addInitializer(name, Tensor.float32([channels], Float32Array.from(shift)));
  const scale = Float32Array.from(shift, (_, c) => x[0]! * w[w.length === 1 ? 0 : c]!);
  const codes = Int32Array.from(shift, (number, c) => clampCode(number / scale[c]!));
  const inputs = [
    graph.addInitializer(`${name}_int32`, Tensor.of("int32", [channels], codes)),
    graph.addInitializer(`${name}_scale`, Tensor.float32([channels], scale)),
  ];
  return graph
    .add("DequantizeLinear", inputs, { name: `${name}_dequantize`, before: node, attributes: { axis: { int: 0 } } })
    .output();
}

/** A MatMul has no bias of its own. */
function addBehind(node: Node, bias: Value): void {
  const graph = node.graph!;
  const output = node.output();
  const product = graph.newValue(`${output.name}_product`);
  node.setOutputs([product]);
  graph.add("Add", [product, bias], { name: `${node.label}_correction`, outputs: [output], after: node });
}
