/**
 * @file Gradients of Gather and Scatter operators: indices that repeat add up.
 *
 * ScatterElements(add) adds one after the other. ScatterND(add) is not used: ONNX Runtime runs it on several threads
 * without a lock, and loses terms where indices repeat (seen with 1.30 and 1.32).
 * Source: ONNX operators Gather-13, GatherElements-13, GatherND-13, ScatterElements-18, ScatterND-18.
 */
import type { Attributes } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { GradientContext, InputGradients } from "../rule.ts";
import { pad } from "./slicing.ts";

/** The opset from which ScatterElements adds. */
const ADDS_SINCE = 16;

/** An axis as an attribute gives it, from 0 on. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const product = (dims: readonly number[]): number => dims.reduce((size, dim) => size * dim, 1);

// y[…, i…, …] = x[…, indices[i…], …]: dx[…, k, …] = Σ of dy[…, i…, …] where indices[i…] = k.
export function gatherBack(c: GradientContext): InputGradients {
  const dims = c.dims(c.x(0));
  const indices = c.x(1);
  const axis = axisOf(c.node.int("axis", 0), dims.length);
  const [fixed] = constantIndex(indices);
  if (fixed !== undefined) {
    const start = fixed < 0 ? fixed + dims[axis]! : fixed;
    const zeros = dims.map(() => 0);
    const part = c.b.reshape(c.dy(), dims.with(axis, 1));
    return [pad(c, part, zeros.with(axis, start), zeros.with(axis, dims[axis]! - 1 - start))];
  }
  const [lead, tail] = [product(dims.slice(0, axis)), product(dims.slice(axis + 1))];
  const count = product(c.dims(indices));
  // [lead, count, tail] added into [lead, dim, tail]
  const shape = [lead, count, tail];
  const repeated = c.b.expand(c.b.reshape(indices, [1, count, 1]), shape);
  const sums = addAt(c, [lead, dims[axis]!, tail], repeated, c.b.reshape(c.dy(), shape), 1);
  return [c.b.reshape(sums, dims)];
}

/** The index where there is a single, constant one. */
function constantIndex(indices: Value): readonly number[] {
  const tensor = indices.constant ?? (indices.producer?.is("Constant") ? indices.producer.tensor("value") : undefined);
  return tensor?.size === 1 ? tensor.numbers() : [];
}

// y[i, j] = x[indices[i, j], j] for axis 0: dx[k, j] = Σ of dy[i, j] where indices[i, j] = k.
export function gatherElementsBack(c: GradientContext): InputGradients {
  return [addAt(c, c.dims(c.x(0)), c.x(1), c.dy(), c.node.int("axis", 0))];
}

// y[b…, i…] = x[b…, indices[b…, i…], …]: x seen as rows [places, tail], each index vector as one number.
export function gatherNdBack(c: GradientContext): InputGradients {
  const [dims, to] = [c.dims(c.x(0)), c.dims(c.x(1))];
  const batch = c.node.int("batch_dims", 0);
  const width = to.at(-1)!;
  const indexed = dims.slice(batch, batch + width);
  const tail = product(dims.slice(batch + width));
  const count = product(to.slice(0, -1));
  const batches = product(dims.slice(0, batch));
  const places = product(indexed);

  const indices = c.b.reshape(c.x(1), [count, width]);
  const rows = Tensor.int64([width], indexed);
  const negative = c.b.op("Less", [indices, c.b.initializer(Tensor.int64([], [0]))]);
  const from0 = c.b.where(negative, c.b.add(indices, c.b.initializer(rows)), indices);
  const strides = c.b.ints(indexed.map((_, i) => product(indexed.slice(i + 1))));
  // [count, 1]: Σᵢ index[i] · stride[i], and the beginning of the batch
  let row = c.b.sum(c.b.mul(from0, strides), [1]);
  if (batches > 1) {
    const perBatch = count / batches;
    const offsets = Array.from({ length: count }, (_, i) => Math.floor(i / perBatch) * places);
    row = c.b.add(row, c.b.initializer(Tensor.int64([count, 1], offsets)));
  }
  const shape = [count, tail];
  const sums = addAt(c, [batches * places, tail], c.b.expand(row, shape), c.b.reshape(c.dy(), shape), 0);
  return [c.b.reshape(sums, dims)];
}

/** Zeros of some dimensions with `updates` added at `indices` along an axis. */
function addAt(c: GradientContext, dims: readonly number[], indices: Value, updates: Value, axis: number): Value {
  if (c.b.opset < ADDS_SINCE) {
    throw c.unsupported(
      `its gradient adds up what repeated indices took, which needs opset ${ADDS_SINCE}, and the model has ${c.b.opset}`,
      "Run upgradeOpset(model, 17) first.",
    );
  }
  const attributes = { axis: { int: axis }, reduction: { string: "add" } };
  return c.b.op("ScatterElements", [c.b.full(0, dims), indices, updates], attributes);
}

// y = x with x[indices] = u (or += u): dx = dy, with 0 where it was overwritten; du = dy[indices].
export function scatterBack(c: GradientContext, scatter: string, gather: string): InputGradients {
  const reduction = c.node.string("reduction", "none");
  if (reduction !== "none" && reduction !== "add") {
    throw c.unsupported(`expected the reduction none or add, got "${reduction}"`);
  }
  const axis = c.node.int("axis", 0);
  const attributes: Attributes = scatter === "ScatterElements" ? { axis: { int: axis } } : {};
  const dx = (): Value => {
    if (reduction === "add") return c.dy();
    return c.b.op(scatter, [c.dy(), c.x(1), c.b.full(0, c.dims(c.x(2)))], attributes);
  };
  return [
    c.wants(0) ? dx() : undefined,
    undefined,
    c.wants(2) ? c.b.op(gather, [c.dy(), c.x(1)], attributes) : undefined,
  ];
}
