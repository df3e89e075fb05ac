/**
 * @file Rank and number of channels of activations `[N, C, …]`, as far as declared shapes and the nodes before them tell.
 * Most exporters declare no shapes but those of inputs and outputs.
 */
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";

export interface ChannelLayout {
  readonly rank: number;
  readonly channels: number;
}

/** Operators whose output has the rank and the channels of their first input. */
const KEEPING: ReadonlySet<string> = new Set([
  "Relu",
  "LeakyRelu",
  "PRelu",
  "Elu",
  "Clip",
  "Sigmoid",
  "HardSigmoid",
  "HardSwish",
  "Tanh",
  "Erf",
  "Identity",
  "Dropout",
  "BatchNormalization",
  "InstanceNormalization",
  "MaxPool",
  "AveragePool",
  "GlobalMaxPool",
  "GlobalAveragePool",
]);

const BROADCASTING: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div"]);

/** Nodes that are looked at before one gives up. */
const REACH = 32;

/** Undefined where it is not known. */
export function layoutOf(value: Value, reach = REACH): ChannelLayout | undefined {
  const { shape, producer } = value;
  const declared = shape?.[1];
  if (shape !== undefined && typeof declared === "number" && declared > 0) {
    return { rank: shape.length, channels: declared };
  }
  if (producer === undefined || producer.domain !== "" || reach === 0) return undefined;
  const [first, second] = producer.inputs;
  if (producer.is("Conv")) return outputOf(second?.constant?.dims, 0, 1);
  if (producer.is("ConvTranspose")) return outputOf(second?.constant?.dims, 1, producer.int("group", 1));
  if (KEEPING.has(producer.opType) && producer.output() === value && first !== undefined) {
    return layoutOf(first, reach - 1);
  }
  return BROADCASTING.has(producer.opType) ? broadcastOf(producer, reach - 1) : undefined;
}

function outputOf(dims: readonly number[] | undefined, axis: number, groups: number): ChannelLayout | undefined {
  return dims && { rank: dims.length, channels: dims[axis]! * groups };
}

/** An activation and a constant, or two activations of one rank. Ranks align at the end; 1 takes the other's size. */
function broadcastOf(node: Node, reach: number): ChannelLayout | undefined {
  const [left, right] = node.inputs;
  if (left === undefined || right === undefined) return undefined;
  const [x, other] = left.isConstant ? [right, left] : [left, right];
  const layout = layoutOf(x, reach);
  if (layout === undefined) return undefined;
  const { rank, channels } = layout;
  const dims = other.constant?.dims;
  if (dims === undefined) {
    const second = layoutOf(other, reach);
    return second?.rank === rank ? { rank, channels: Math.max(channels, second.channels) } : undefined;
  }
  if (dims.length > rank) return undefined;
  return { rank, channels: Math.max(channels, dims[1 - (rank - dims.length)] ?? 1) };
}
