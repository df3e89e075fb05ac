/**
 * @file Dimensions of what nodes make, from those of their inputs: for the backward pass, which is not run before its memory
 * is estimated. Only what gradients, losses and optimizers are written in; its shapes, axes and bounds are constants.
 */
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";

export type Dims = readonly number[];

type Rule = (node: Node, dims: (index: number) => Dims) => readonly Dims[];

const constant = (node: Node, index: number, attribute: string): number[] | undefined =>
  node.inputs[index]?.constant?.numbers() ?? node.ints(attribute);

const from = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The larger of each pair of dimensions, from the last one on. */
function broadcast(shapes: readonly Dims[]): Dims {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, i) =>
    Math.max(1, ...shapes.map((dims) => dims[i - rank + dims.length] ?? 1)),
  );
}

const product = (dims: Dims): number => dims.reduce((all, dim) => all * dim, 1);

function matrices(a: Dims, b: Dims): Dims {
  const [rows, columns] = [a.length > 1 ? [a.at(-2)!] : [], b.length > 1 ? [b.at(-1)!] : []];
  return [...broadcast([a.slice(0, -2), b.slice(0, -2)]), ...rows, ...columns];
}

function reduced(node: Node, dims: Dims): Dims {
  const axes = constant(node, 1, "axes")?.map((axis) => from(axis, dims.length));
  const gone = (i: number): boolean => axes === undefined || axes.length === 0 || axes.includes(i);
  const kept = node.int("keepdims", 1) === 1;
  return dims.flatMap((dim, i) => (gone(i) ? (kept ? [1] : []) : [dim]));
}

function reshaped(node: Node, dims: Dims): Dims {
  const wanted = (constant(node, 1, "shape") ?? []).map((dim, i) => (dim === 0 ? dims[i]! : dim));
  const rest = product(wanted.filter((dim) => dim > 0));
  return wanted.map((dim) => (dim < 0 ? product(dims) / rest : dim));
}

function sliced(node: Node, dims: Dims): Dims {
  const [starts = [], ends = []] = [constant(node, 1, "starts"), constant(node, 2, "ends")];
  const axes = constant(node, 3, "axes") ?? starts.map((_, i) => i);
  const steps = constant(node, 4, "steps") ?? [];
  const result = [...dims];
  axes.forEach((axis, i) => {
    const at = from(axis, dims.length);
    const [size, step] = [dims[at]!, steps[i] ?? 1];
    const clamp = (place: number): number => {
      const whole = place < 0 ? place + size : place;
      return step > 0 ? Math.min(Math.max(whole, 0), size) : Math.min(Math.max(whole, -1), size - 1);
    };
    result[at] = Math.max(0, Math.ceil((clamp(ends[i]!) - clamp(starts[i]!)) / step));
  });
  return result;
}

/**
 * Conv and pools: out = (in + pads − d·(k − 1) − 1) / s + 1
 * ConvTranspose: out = s·(in − 1) + output_padding + d·(k − 1) + 1 − pads
 */
function windows(node: Node, x: Dims, kernel: readonly number[], channels: number): Dims {
  const list = (name: string, fallback: number, length = kernel.length): readonly number[] =>
    node.ints(name) ?? Array<number>(length).fill(fallback);
  const [strides, dilations, more] = [list("strides", 1), list("dilations", 1), list("output_padding", 0)];
  const pads = list("pads", 0, 2 * kernel.length);
  const sides = kernel.map((size, i) => {
    const [reach, pad] = [dilations[i]! * (size - 1) + 1, pads[i]! + pads[i + kernel.length]!];
    if (node.opType === "ConvTranspose") return strides[i]! * (x[i + 2]! - 1) + more[i]! + reach - pad;
    const steps = (x[i + 2]! + pad - reach) / strides[i]!;
    return (node.int("ceil_mode", 0) === 1 ? Math.ceil(steps) : Math.floor(steps)) + 1;
  });
  return [x[0]!, channels, ...sides];
}

function concatenated(node: Node, shapes: readonly Dims[]): Dims {
  const at = from(node.int("axis", 0), shapes[0]!.length);
  return shapes[0]!.map((dim, i) => (i === at ? shapes.reduce((sum, dims) => sum + dims[i]!, 0) : dim));
}

function parts(node: Node, dims: Dims): readonly Dims[] {
  const at = from(node.int("axis", 0), dims.length);
  const count = node.outputs.length;
  const sizes = constant(node, 1, "split") ?? Array<number>(count).fill(Math.ceil(dims[at]! / count));
  return sizes.map((size) => dims.map((dim, i) => (i === at ? size : dim)));
}

function unsqueezed(node: Node, dims: Dims): Dims {
  const axes = constant(node, 1, "axes") ?? [];
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((axis) => from(axis, rank)));
  const rest = [...dims];
  return Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : rest.shift()!));
}

function squeezed(node: Node, dims: Dims): Dims {
  const axes = constant(node, 1, "axes")?.map((axis) => from(axis, dims.length));
  return dims.filter((dim, i) => (axes === undefined ? dim !== 1 : !axes.includes(i)));
}

const reduce: Rule = (node, dims) => [reduced(node, dims(0))];
const pool: Rule = (node, dims) =>
  node.outputs.map(() => windows(node, dims(0), node.ints("kernel_shape") ?? [], dims(0)[1]!));
const like: Rule = (_node, dims) => [dims(0)];
const indices: Rule = (_node, dims) => [dims(1)];

const RULES: Readonly<Record<string, Rule>> = {
  MatMul: (_node, dims) => [matrices(dims(0), dims(1))],
  Gemm: (node, dims) => [
    [dims(0)[node.int("transA", 0) === 1 ? 1 : 0]!, dims(1)[node.int("transB", 0) === 1 ? 0 : 1]!],
  ],
  Transpose: (node, dims) => [
    (node.ints("perm") ?? dims(0).map((_, i) => dims(0).length - 1 - i)).map((axis) => dims(0)[axis]!),
  ],
  Reshape: (node, dims) => [reshaped(node, dims(0))],
  Flatten: (node, dims) => {
    const at = from(node.int("axis", 1), dims(0).length);
    return [[product(dims(0).slice(0, at)), product(dims(0).slice(at))]];
  },
  Expand: (node, dims) => [broadcast([dims(0), constant(node, 1, "shape") ?? []])],
  ConstantOfShape: (node) => [constant(node, 0, "shape") ?? []],
  Unsqueeze: (node, dims) => [unsqueezed(node, dims(0))],
  Squeeze: (node, dims) => [squeezed(node, dims(0))],
  Concat: (node, dims) => [
    concatenated(
      node,
      node.inputs.map((_, i) => dims(i)),
    ),
  ],
  Split: (node, dims) => parts(node, dims(0)),
  Slice: (node, dims) => [sliced(node, dims(0))],
  Pad: (node, dims) => {
    const pads = constant(node, 1, "pads") ?? [];
    const axes = constant(node, 3, "axes") ?? dims(0).map((_, i) => i);
    const more = (axis: number): number => {
      const i = axes.findIndex((own) => from(own, dims(0).length) === axis);
      return i < 0 ? 0 : pads[i]! + pads[i + axes.length]!;
    };
    return [dims(0).map((dim, axis) => dim + more(axis))];
  },
  Resize: (node, dims) => {
    const scales = node.inputs[2]?.constant?.numbers() ?? [];
    return [node.inputs[3]?.constant?.numbers() ?? dims(0).map((dim, i) => Math.floor(dim * (scales[i] ?? 1)))];
  },
  Conv: (node, dims) => [windows(node, dims(0), dims(1).slice(2), dims(1)[0]!)],
  ConvTranspose: (node, dims) => [windows(node, dims(0), dims(1).slice(2), dims(1)[1]! * node.int("group", 1))],
  MaxPool: pool,
  AveragePool: pool,
  BatchNormalization: (node, dims) => node.outputs.map((_, i) => (i === 0 ? dims(0) : dims(1))),
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  GatherElements: indices,
  ScatterElements: like,
  ScatterND: like,
  CumSum: like,
  Trilu: like,
  SpaceToDepth: like,
  DepthToSpace: like,
};

/**
 * Adds the dimensions of what is not known yet, in the graph's order; elementwise where no rule says otherwise. What comes
 * behind something unknown stays unknown. (SpaceToDepth and its inverse get their input's: the same size.)
 */
export function addBackwardDims(nodes: Iterable<Node>, known: Map<Value, Dims>): void {
  for (const node of nodes) {
    const outputs = node.outputs.filter((value) => value !== undefined);
    if (outputs.every((value) => known.has(value))) continue;
    const of = (value: Value | undefined): Dims | undefined =>
      value === undefined ? [] : (known.get(value) ?? value.initializer?.dims);
    const inputs = node.inputs.map(of);
    if (inputs.includes(undefined)) continue;
    const shapes = inputs as readonly Dims[];
    const results = RULES[node.opType]?.(node, (index) => shapes[index]!) ?? outputs.map(() => broadcast(shapes));
    node.outputs.forEach((value, i) => {
      if (value !== undefined && results[i] !== undefined && !known.has(value)) known.set(value, results[i]);
    });
  }
}
