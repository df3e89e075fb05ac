/**
 * @file Builds graphs node by node: one method for any operator, short names for what is written again and again, and
 * constants that are there once. Emits operators of the model's own opset, which must be 13 or newer.
 */
import { Tensor } from "../tensor/tensor.ts";
import { GraphError } from "../util/errors.ts";
import type { AttributeInput } from "./attributes.ts";
import type { Graph } from "./graph.ts";
import type { Node } from "./node.ts";
import type { Value } from "./value.ts";

export type Attributes = Readonly<Record<string, AttributeInput>>;

/** Reductions whose axes became an input in opset 18, as ReduceSum's did in 13. */
const AXES_AS_INPUT_SINCE: Readonly<Record<string, number>> = {
  ReduceSum: 13,
  ReduceMean: 18,
  ReduceMax: 18,
  ReduceMin: 18,
  ReduceProd: 18,
  ReduceL2: 18,
  ReduceLogSumExp: 18,
  ReduceSumSquare: 18,
};

export type Reduction = keyof typeof AXES_AS_INPUT_SINCE;

/** The oldest opset that it writes: axes of Squeeze, Unsqueeze, ReduceSum and Split as inputs. */
export const OLDEST_BUILDER_OPSET = 13;

export class Builder {
  readonly graph: Graph;
  readonly opset: number;
  readonly #prefix: string;
  #constants: Map<string, Value> = new Map();

  /**
   * @param prefix Of the names of nodes and values, for example "grad/".
   * @throws GraphError for a model of an opset before 13.
   */
  constructor(graph: Graph, prefix = "") {
    this.graph = graph;
    this.opset = graph.model.opset;
    this.#prefix = prefix;
    if (this.opset >= OLDEST_BUILDER_OPSET) return;
    throw new GraphError({
      area: "graph",
      subject: "builder",
      problem: `expected opset ${OLDEST_BUILDER_OPSET} or newer, got ${this.opset}`,
      help: "Run upgradeOpset(model, 17) first.",
    });
  }

  /** The same graph and the same shared constants, with names under another prefix. */
  under(prefix: string): Builder {
    const builder = new Builder(this.graph, prefix);
    builder.#constants = this.#constants;
    return builder;
  }

  /**
   * Adds a node at the end of the graph; returns its first output. Operators of other domains are written with it:
   * "com.microsoft.nchwc.Conv". `wish`: names it; default the operator.
   */
  op(opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}, wish?: string): Value {
    return this.node(opType, inputs, attributes, 1, wish).output();
  }

  /** The same with several outputs. */
  node(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    outputs = 1,
    wish?: string,
  ): Node {
    const dot = opType.lastIndexOf(".");
    const domain = dot < 0 ? undefined : opType.slice(0, dot);
    if (domain !== undefined) this.graph.model.requireDomain(domain, 1);
    const type = opType.slice(dot + 1);
    const name = `${this.#prefix}${wish ?? type}`;
    const names = outputs === 1 ? [name] : Array.from({ length: outputs }, (_, i) => `${name}_${i}`);
    return this.graph.add(type, inputs, { name, outputs: names, attributes, domain });
  }

  /** A fresh initializer. */
  initializer(tensor: Tensor, wish = "constant"): Value {
    return this.graph.addInitializer(`${this.#prefix}${wish}`, tensor);
  }

  /** A float32 scalar, shared by all who ask for the same. */
  scalar(value: number): Value {
    return this.#shared(`f${value}`, () => Tensor.scalar("float32", value));
  }

  /** int64 [n], shared: axes, shapes, indices. */
  ints(values: readonly number[]): Value {
    return this.#shared(`i${values.join(",")}`, () => Tensor.int64([values.length], values));
  }

  /** A float32 tensor full of one value: a small constant that is expanded when the model runs. */
  full(value: number, dims: readonly number[]): Value {
    if (dims.length === 0) return this.scalar(value);
    return this.op("Expand", [this.scalar(value), this.ints(dims)], {}, "full");
  }

  add(a: Value, b: Value): Value {
    return this.op("Add", [a, b]);
  }

  sub(a: Value, b: Value): Value {
    return this.op("Sub", [a, b]);
  }

  mul(a: Value, b: Value): Value {
    return this.op("Mul", [a, b]);
  }

  div(a: Value, b: Value): Value {
    return this.op("Div", [a, b]);
  }

  neg(a: Value): Value {
    return this.op("Neg", [a]);
  }

  /** a · factor, with a number. */
  scale(a: Value, factor: number): Value {
    if (factor === 1) return a;
    return factor === -1 ? this.neg(a) : this.mul(a, this.scalar(factor));
  }

  /** a + number. */
  offset(a: Value, term: number): Value {
    return term === 0 ? a : this.add(a, this.scalar(term));
  }

  square(a: Value): Value {
    return this.mul(a, a);
  }

  where(condition: Value, a: Value, b: Value): Value {
    return this.op("Where", [condition, a, b]);
  }

  /** The value where a condition holds, 0 elsewhere. */
  keep(condition: Value, a: Value): Value {
    return this.where(condition, a, this.scalar(0));
  }

  /** A condition as 0 and 1. */
  indicator(condition: Value): Value {
    return this.op("Cast", [condition], { to: { int: 1 } });
  }

  matmul(a: Value, b: Value): Value {
    return this.op("MatMul", [a, b]);
  }

  transpose(a: Value, perm: readonly number[]): Value {
    return perm.every((axis, i) => axis === i) ? a : this.op("Transpose", [a], { perm: { ints: perm } });
  }

  reshape(a: Value, dims: readonly number[]): Value {
    return this.op("Reshape", [a, this.ints(dims)]);
  }

  expand(a: Value, dims: readonly number[]): Value {
    return this.op("Expand", [a, this.ints(dims)]);
  }

  squeeze(a: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? a : this.op("Squeeze", [a, this.ints(axes)]);
  }

  unsqueeze(a: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? a : this.op("Unsqueeze", [a, this.ints(axes)]);
  }

  concat(parts: readonly Value[], axis: number): Value {
    return parts.length === 1 ? parts[0]! : this.op("Concat", parts, { axis: { int: axis } });
  }

  /** `starts`, `ends`, `axes`, `steps` as Slice takes them. */
  slice(
    a: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[] = starts.map((_, i) => i),
    steps: readonly number[] = starts.map(() => 1),
  ): Value {
    return this.op("Slice", [a, this.ints(starts), this.ints(ends), this.ints(axes), this.ints(steps)]);
  }

  /** A reduction in the form of the model's opset; `axes` undefined: all. */
  reduce(op: Reduction, a: Value, axes?: readonly number[], keepDims = true): Value {
    const keepdims = { int: keepDims ? 1 : 0 };
    if (axes === undefined) return this.op(op, [a], { keepdims });
    if (axes.length === 0) return a;
    return this.opset >= AXES_AS_INPUT_SINCE[op]!
      ? this.op(op, [a, this.ints(axes)], { keepdims })
      : this.op(op, [a], { keepdims, axes: { ints: axes } });
  }

  sum(a: Value, axes?: readonly number[], keepDims = true): Value {
    return this.reduce("ReduceSum", a, axes, keepDims);
  }

  mean(a: Value, axes?: readonly number[], keepDims = true): Value {
    return this.reduce("ReduceMean", a, axes, keepDims);
  }

  #shared(key: string, make: () => Tensor): Value {
    const known = this.#constants.get(key);
    if (known !== undefined && this.graph.initializers.has(known)) return known;
    const value = this.initializer(make());
    this.#constants.set(key, value);
    return value;
  }
}
