/**
 * @file Operators that pass positive factors per channel on, as a table: from the channels' position behind the operator to
 * their position before it, or the reason why it does not. Source: ONNX operator specifications.
 */
import type { Node } from "../../graph/node.ts";
import type { Position } from "./channel-route.ts";

/** An input that carries the channels, and where they lie in it. */
export interface Passed {
  readonly input: number;
  readonly position: Position;
}

type Rule = (node: Node, position: Position) => Position | string;

/** The inputs through which a factor on the channels of the output can come, or the reason why there is none. */
export function passBack(node: Node, position: Position): readonly Passed[] | string {
  const rule = node.domain === "" ? RULES[node.opType] : undefined;
  if (node.domain === "" && (node.opType === "Mul" || node.opType === "Div")) return factors(node, position);
  if (rule === undefined) return `${node.opType} "${node.label}" before it does not pass factors on`;
  const passed = rule(node, position);
  return typeof passed === "string" ? passed : [{ input: 0, position: passed }];
}

/** s · a · b: through either factor; of a / b through a only. */
function factors(node: Node, position: Position): readonly Passed[] | string {
  const inputs = node.is("Mul") ? [0, 1] : [0];
  const passed = inputs.filter((input) => !node.input(input).isConstant).map((input) => ({ input, position }));
  if (passed.length === 0) return `${node.opType} "${node.label}" before it divides by its input`;
  // Counted from the start, an axis moves where the other factor has more dimensions.
  const other = node.inputs.find((value) => value?.isConstant)?.constant?.dims.length;
  const safe = position.axis < 0 || (other !== undefined && other <= (position.rank ?? 1));
  return safe ? passed : `${node.opType} "${node.label}" before it may move channels`;
}

const keep: Rule = (_node, position) => position;

/** max(0, x) where there is no upper bound, and what has no bounds at all. */
const clip: Rule = (node, position) => {
  const { min, max } = clipBounds(node);
  if ((min === 0 || min === undefined) && max === undefined) return position;
  const bounds = `${min ?? "none"}, ${max ?? "none"}`;
  return `Clip "${node.label}" (${bounds}) before it does not pass factors on`;
};

/** Constant bounds of a Clip, as attributes or inputs; NaN where one is not constant, undefined where there is none. */
export function clipBounds(node: Node): { readonly min: number | undefined; readonly max: number | undefined } {
  const bound = (input: number, attribute: string): number | undefined => {
    const value = node.inputs[input];
    if (value !== undefined) return value.constant?.numbers()[0] ?? Number.NaN;
    const number = node.float(attribute);
    // Opset 6 wrote the ends of float32 for "none".
    return number === undefined || Math.abs(number) > 3e38 ? undefined : number;
  };
  return { min: bound(1, "min"), max: bound(2, "max") };
}

/** Whether the channels are dimension 1, so that what works on those behind it leaves them apart. */
function isSecond({ axis, rank, spread }: Position): boolean {
  return !spread && (axis === 1 || (rank !== undefined && axis + rank === 1));
}

const pooling: Rule = (node, position) => {
  if (!isSecond(position)) return `${node.opType} "${node.label}" before it may mix channels`;
  return node.outputs.slice(1).some((value) => value !== undefined && !value.isUnused)
    ? `the indices of ${node.opType} "${node.label}" are used`
    : position;
};

const transpose: Rule = (node, position) => {
  const perm = node.ints("perm");
  if (perm === undefined) return `Transpose "${node.label}" before it has no perm`;
  const before = perm[position.axis < 0 ? position.axis + perm.length : position.axis];
  if (before === undefined || position.spread) return `Transpose "${node.label}" before it moves flattened channels`;
  return { ...position, axis: before - perm.length, rank: perm.length };
};

/** [N, C, …] → [N, C · …] */
const flatten: Rule = (node, position) => {
  if (node.int("axis", 1) !== 1) return `Flatten "${node.label}" before it has the axis ${node.int("axis", 1)}`;
  return flattened(position, node);
};

function flattened(position: Position, node: Node): Position | string {
  const last = position.axis === -1 || (position.axis === 1 && (position.rank ?? 2) === 2);
  if (!last || position.spread) return `${node.opType} "${node.label}" before it mixes channels`;
  return { axis: 1, rank: undefined, count: position.count, spread: true };
}

const POOLED: ReadonlySet<string> = new Set(["GlobalAveragePool", "GlobalMaxPool"]);

const reshape: Rule = (node, position) => {
  const mixes = `Reshape "${node.label}" before it mixes channels, or may do so`;
  const shape = node.inputs[1]?.constant?.numbers();
  if (shape === undefined || node.int("allowzero", 0) !== 0) return mixes;
  const rank = shape.length;
  const index = position.axis < 0 ? position.axis + rank : position.axis;
  const { count } = position;
  const x = node.input(0);
  // [N, C, rest] → [N, C, other rest]
  if (shape[0] === 0 && index === 1 && rank > 2 && (shape[1] === 0 || shape[1] === count)) {
    return position.spread ? mixes : { ...position, axis: 1, rank: undefined };
  }
  if (rank === 2 && index === 1) {
    if (shape[0] === 0) return flattened(position, node);
    // Without knowing N: every row holds as many numbers as one sample has.
    const dims = x.shape?.slice(1);
    const known = dims?.every((dim) => typeof dim === "number") ? dims.reduce<number>((a, b) => a * Number(b), 1) : 0;
    if (known > 0 && known === count) return flattened(position, node);
    if (x.producer?.domain === "" && POOLED.has(x.producer.opType) && shape[1] === count) {
      return { ...position, axis: 1, rank: undefined };
    }
  }
  // [other, C] → [others, C]
  if (index === rank - 1 && shape[index] === count && !position.spread) {
    return { ...position, axis: -1, rank: x.shape?.length };
  }
  return mixes;
};

/** [N, C, 1, …] → [N, C]: all dimensions behind the channels go. */
const squeeze: Rule = (node, position) => {
  const axes = axesOf(node);
  if (axes === undefined || position.spread || !(position.axis === -1 || isSecond(position))) {
    return `${node.opType} "${node.label}" before it may move channels`;
  }
  return { ...position, axis: 1, rank: axes.length + 2 };
};

const mean: Rule = (node, position) => {
  if (node.int("keepdims", 1) === 0) return squeeze(node, position);
  return axesOf(node) === undefined || !isSecond(position)
    ? `${node.opType} "${node.label}" before it may reduce channels`
    : position;
};

/** Constant axes where they are 2 and those that follow it; undefined where they are anything else. */
function axesOf(node: Node): readonly number[] | undefined {
  const axes = node.inputs[1] === undefined ? node.ints("axes") : node.inputs[1].constant?.numbers();
  if (axes === undefined || axes.length === 0) return undefined;
  return axes.toSorted((a, b) => a - b).every((axis, index) => axis === index + 2) ? axes : undefined;
}

const pad: Rule = (node, position) => {
  const fails = `Pad "${node.label}" before it does not pad with zeros behind the channels, or may not`;
  const pads = node.inputs[1] === undefined ? node.ints("pads") : node.inputs[1].constant?.numbers();
  if (pads === undefined || node.inputs[3] !== undefined) return fails;
  const rank = pads.length / 2;
  const index = position.axis < 0 ? position.axis + rank : position.axis;
  if (pads[index] !== 0 || pads[index + rank] !== 0 || position.spread) return fails;
  const fill = node.inputs[2] === undefined ? node.float("value", 0) : node.inputs[2].constant?.numbers()[0];
  return node.string("mode", "constant") === "constant" && fill !== 0 ? fails : { ...position, rank };
};

const resize: Rule = (node, position) => {
  const fails = `${node.opType} "${node.label}" before it may resize channels`;
  if (node.string("coordinate_transformation_mode") === "tf_crop_and_resize") return fails;
  const scales = (node.is("Upsample") ? node.inputs[1] : node.inputs[2])?.constant?.numbers() ?? node.floats("scales");
  if (scales === undefined || scales.length === 0 || node.has("axes")) return fails;
  const index = position.axis < 0 ? position.axis + scales.length : position.axis;
  return scales[index] === 1 && !position.spread ? { ...position, rank: scales.length } : fails;
};

const RULES: Readonly<Record<string, Rule>> = {
  Relu: keep,
  LeakyRelu: keep,
  PRelu: keep,
  Abs: keep,
  Identity: keep,
  Dropout: keep,
  Clip: clip,
  MaxPool: pooling,
  AveragePool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,
  ReduceMean: mean,
  ReduceMax: mean,
  Pad: pad,
  Resize: resize,
  Upsample: resize,
  Transpose: transpose,
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
};
