/**
 * @file From a value backwards to what sets the size of its channels, through operators that pass positive factors on.
 *
 *   f(s · x) = s · f(x)   for s > 0, per channel: "positively homogeneous" (Nagel et al. 2019, section 4.1)
 *
 * Constants that are added on the way have to be divided along with the channels.
 */
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { passBack } from "./homogeneous.ts";
import { dropUnused } from "./linear-layer.ts";

/** Where the channels of a value lie. */
export interface Position {
  /** From the start where ≥ 0, from the end where negative. */
  readonly axis: number;
  readonly rank: number | undefined;
  /** Size of the axis, where it is known. */
  readonly count: number | undefined;
  /** The channels were flattened with what is behind them: each is a run of entries of the axis in the value. */
  readonly spread: boolean;
}

/** Something added to the channels on the way: the node, which input is the constant, and the channels' axis from the end. */
interface Summand {
  readonly node: Node;
  readonly input: number;
  readonly axis: number;
}

/** Channels that a source makes, and their axis from the end. */
export interface SourceChannels {
  readonly channels: number;
  readonly axis: number;
}

/** What a node offers as a source: channels, a reason why it cannot be one, or undefined: look further. */
export type StartsAt = (node: Node, position: Position) => SourceChannels | string | undefined;

export interface Route {
  readonly source: Node;
  readonly channels: number;
  /** Entries of the value's channel axis that belong to one channel of the source (Flatten makes them more than one). */
  readonly repeat: number;
  /** Axis from the end at the source's output. */
  readonly axis: number;
  readonly summands: readonly Summand[];
  /** Operators between source and value, the last one first. */
  readonly between: readonly Node[];
}

/** Nodes that are looked at before one gives up. */
const REACH = 16;

/**
 * The route from a value back to its source.
 * @param users the nodes that will undo the factor: nobody else may see the value.
 * @returns The route, or the reason why there is none.
 */
export function findRoute(
  value: Value,
  users: ReadonlySet<Node>,
  position: Position,
  startsAt: StartsAt,
  reach = REACH,
): Route | string {
  const seen = seenByOthers(value, users);
  if (seen !== undefined) return seen;
  const node = value.producer;
  if (node === undefined) return value.isInput ? `${value} is an input of the model` : `${value} comes from outside`;
  if (isBarrier(node)) return `${node.opType} "${node.label}" belongs to a parametrization`;
  if (node.output() !== value) return `${value} is not the first output of ${node.opType} "${node.label}"`;
  if (reach === 0) return "nothing that could take the factor is near";
  const offered = startsAt(node, position);
  if (typeof offered === "string") return `${node.opType} "${node.label}" before it: ${offered}`;
  if (offered !== undefined) return arrive(node, offered, position);

  const summand = constantSummand(node);
  if (summand !== undefined) return throughSummand(node, summand, position, startsAt, reach);
  const passed = passBack(node, position);
  if (typeof passed === "string") return passed;
  let reason = "";
  // A product is homogeneous in either factor: the first that leads somewhere.
  for (const { input, position: before } of passed) {
    const found = findRoute(node.input(input), new Set([node]), before, startsAt, reach - 1);
    if (typeof found !== "string") return { ...found, between: [node, ...found.between] };
    reason ||= found;
  }
  return reason;
}

/** Divides the constants that are added on the way. The source itself is the caller's. */
export function divideSummands({ summands }: Route, factors: Float64Array): void {
  for (const { node, input, axis } of summands) {
    const value = node.input(input);
    const divided = dividedConstant(value.constant!, axis, factors);
    node.setInput(input, node.graph!.addInitializer(value.name, divided));
    dropUnused(value);
  }
}

/** `c / factors` along an axis from the end; a constant of one element becomes one per channel. */
export function dividedConstant(constant: Tensor, axis: number, factors: Float64Array): Tensor {
  const data = constant.floats();
  const channels = factors.length;
  if (data.length === 1 && channels !== 1) {
    const dims = [channels, ...new Array<number>(-axis - 1).fill(1)];
    return Tensor.float32(
      dims,
      Float32Array.from(factors, (factor) => data[0]! / factor),
    );
  }
  const inner = constant.dims.slice(constant.dims.length + axis + 1).reduce((a, b) => a * b, 1);
  return Tensor.float32(
    constant.dims,
    data.map((number, index) => number / factors[Math.floor(index / inner) % channels]!),
  );
}

/** Whether a constant has one number per channel along the axis (whatever its other dimensions), or one for all. */
export function fitsChannels(constant: Tensor, axis: number, channels: number): boolean {
  if (constant.dtype !== "float32") return false;
  if (constant.size === 1) return constant.dims.length <= 1;
  return constant.dims[constant.dims.length + axis] === channels;
}

function seenByOthers(value: Value, users: ReadonlySet<Node>): string | undefined {
  if (value.isOutput) return `${value} is an output of the graph`;
  const others = [...value.users].filter((user) => !users.has(user));
  if (others.length > 0) return `${value} goes to ${listed([...users])} and ${listed(others)}`;
  const [inside] = [...users].filter((user) => user.graph !== value.graph);
  return inside && `${value} is used in a subgraph`;
}

function listed(nodes: readonly Node[]): string {
  return [...new Set(nodes.map(({ opType }) => opType))].join(", ");
}

function arrive(source: Node, { channels, axis }: SourceChannels, position: Position): Route | string {
  const what = `${source.opType} "${source.label}" before it`;
  const at = fromEnd(position);
  const same = at === undefined ? position.axis === 1 && channelsFirst(source) : at === axis;
  if (!same) return `the channels of ${what} are not those of its input, or may not be`;
  const count = position.count ?? channels;
  if (position.spread ? count % channels !== 0 : count !== channels) {
    return `${what} has ${channels} channels, not ${count}`;
  }
  return { source, channels, repeat: count / channels, axis, summands: [], between: [] };
}

/** Operators whose channels are dimension 1 of `[N, C, …]`. */
function channelsFirst(node: Node): boolean {
  return (
    node.domain === "" &&
    ["Conv", "ConvTranspose", "Gemm", "BatchNormalization", "InstanceNormalization"].includes(node.opType)
  );
}

/** The axis counted from the end, where it is known. */
export function fromEnd({ axis, rank }: Position): number | undefined {
  if (axis < 0) return axis;
  return rank === undefined ? undefined : axis - rank;
}

const SUMS: ReadonlySet<string> = new Set(["Add", "Sub"]);

function constantSummand(node: Node): number | undefined {
  if (node.domain !== "" || !SUMS.has(node.opType)) return undefined;
  const index = node.inputs.findIndex((value) => value?.isConstant);
  return index < 0 || node.input(1 - index).isConstant ? undefined : index;
}

function throughSummand(
  node: Node,
  input: number,
  position: Position,
  startsAt: StartsAt,
  reach: number,
): Route | string {
  const what = `${node.opType} "${node.label}" before it`;
  const found = findRoute(node.input(1 - input), new Set([node]), position, startsAt, reach - 1);
  if (typeof found === "string") return found;
  if (!position.spread && found.repeat !== 1) return `${what} adds to flattened channels`;
  // Counted from the start, the axis is the source's own as long as no dimension came or went.
  const axis = fromEnd(position) ?? (found.between.some(changesRank) ? undefined : found.axis);
  const tensor = node.input(input).constant!;
  if (axis === undefined || !fitsChannels(tensor, axis, found.channels)) {
    return `${what} adds something that is not one number per channel, or may not be`;
  }
  return { ...found, summands: [{ node, input, axis }, ...found.summands], between: [node, ...found.between] };
}

function changesRank(node: Node): boolean {
  return ["Reshape", "Flatten", "Squeeze", "ReduceMean", "ReduceMax"].includes(node.opType);
}
