/**
 * @file What can divide its output channels by constants for free, because it has constants of its own per channel: layers,
 * normalizations, products with constants. A table by operator.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { dividedConstant, fitsChannels, fromEnd, type Position, type SourceChannels } from "./channel-route.ts";
import { dropUnused, isLinear, linearLayer, scaleLayer } from "./linear-layer.ts";

/** The channels that a node can divide; a reason where it could but for something; undefined where it is no such node. */
export function absorbsDivision(node: Node, position: Position): SourceChannels | string | undefined {
  if (isLinear(node)) {
    const layer = linearLayer(node);
    // A product of two activations has no constants, but passes factors on no better.
    return typeof layer === "string" ? layer : { channels: layer.outputs, axis: layer.axis };
  }
  if (node.domain !== "") return undefined;
  const parameters = PARAMETERS[node.opType];
  if (parameters !== undefined) return normalization(node, position, parameters);
  return factorOf(node) === undefined ? undefined : product(node, position);
}

/** Divides the output channels of a node that {@link absorbsDivision} accepted. `axis` is the channels', from the end. */
export function divideOutputs(node: Node, axis: number, factors: Float64Array): void {
  if (isLinear(node)) {
    const layer = linearLayer(node);
    if (typeof layer === "string") throw node.error(layer);
    scaleLayer(layer, { outputs: factors });
    return;
  }
  const factor = factorOf(node);
  if (factor === undefined) {
    for (const input of PARAMETERS[node.opType]!.inputs) divideInput(node, input, -1, factors);
  } else divideInput(node, factor, axis, node.is("Mul") ? factors : factors.map((s) => 1 / s));
}

function divideInput(node: Node, input: number, axis: number, factors: Float64Array): void {
  const value = node.inputs[input];
  if (value === undefined) return;
  node.setInput(input, node.graph!.addInitializer(value.name, dividedConstant(value.constant!, axis, factors)));
  dropUnused(value);
}

/** Inputs with one number per channel, and where the channels are. */
const PARAMETERS: Readonly<Record<string, { readonly inputs: readonly number[]; readonly last: boolean }>> = {
  LayerNormalization: { inputs: [1, 2], last: true },
  RMSNormalization: { inputs: [1], last: true },
  BatchNormalization: { inputs: [1, 2], last: false },
  InstanceNormalization: { inputs: [1, 2], last: false },
};

function normalization(
  node: Node,
  { rank }: Position,
  { inputs, last }: { readonly inputs: readonly number[]; readonly last: boolean },
): SourceChannels | string {
  const tensors = inputs.map((input) => node.inputs[input]).filter((value): value is Value => value !== undefined);
  const size = tensors[0]?.constant?.size ?? 0;
  if (tensors.some(({ constant }) => constant?.dtype !== "float32" || constant.dims.length !== 1)) {
    return "its parameters are not one constant number per channel";
  }
  if (tensors.some(({ constant }) => constant!.size !== size)) return "its parameters differ in size";
  if (node.int("training_mode", 0) !== 0) return "it is in training mode";
  if (last) return { channels: size, axis: -1 };
  return rank === undefined ? "its rank is not known" : { channels: size, axis: 1 - rank };
}

/**
 * The input that is a constant factor or divisor with more than one element. One number for all stays as it is: runtimes
 * look for it where they fuse GELU and attention.
 */
function factorOf(node: Node): number | undefined {
  const inputs = node.is("Mul") ? [0, 1] : node.is("Div") ? [1] : [];
  return inputs.find((input) => {
    const tensor = node.inputs[input]?.constant;
    return tensor !== undefined && tensor.size > 1 && !node.inputs[1 - input]?.isConstant;
  });
}

function product(node: Node, position: Position): SourceChannels | undefined {
  const tensor = node.input(factorOf(node)!).constant!;
  const axis = fromEnd(position);
  const { count } = position;
  if (axis === undefined || count === undefined || position.spread || !fitsChannels(tensor, axis, count)) {
    return undefined;
  }
  return { channels: count, axis };
}
