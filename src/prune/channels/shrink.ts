/**
 * @file Takes channels out: initializers shrink, what names their number follows, declared shapes are refreshed. And the
 * model that this must equal: the original with zeros where channels are summed up.
 */
import type { Value } from "../../graph/value.ts";
import { removeDead } from "../../passes/eliminate-dead.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { GraphError } from "../../util/errors.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Axes } from "./ids.ts";
import { keptAfter } from "./kept.ts";
import type { Kept } from "./rule.ts";

/**
 * Removes channels from the model of the dependencies, in place; the dependencies hold no more afterwards.
 * @param removed Classes of ids (Channel.id). @throws GraphError where nothing would be left of an axis.
 */
export function removeChannels(dependencies: Dependencies, removed: ReadonlySet<number>): void {
  const { model, ids, axes, vectors, shrinkers } = dependencies;
  const kept = keptAfter(ids, removed);
  for (const [value, own] of axes) checkLeft(value, own, kept);
  for (const shrink of shrinkers) shrink(kept);
  for (const [value, own] of axes) {
    if (!own.some((axis) => kept.shrinks(axis))) continue;
    const tensor = value.constant;
    if (tensor === undefined) refresh(value, own, kept);
    else value.initializer = take(tensor, own, kept);
  }
  shrinkVectors(vectors, kept);
  removeDead(model);
}

/** Vectors that are used in several places become several where these need different parts. */
function shrinkVectors(vectors: Dependencies["vectors"], kept: Kept): void {
  const variants = new Map<Value, Map<string, Value>>();
  const originals = new Map<Value, Tensor>();
  for (const { value, node, input, axes } of vectors) {
    // A rewritten node may have another constant here.
    if (node.graph === undefined || node.inputs[input] !== value) continue;
    const key = axes.map((axis) => (kept.shrinks(axis) ? kept.positions(axis!).join() : "")).join(";");
    const own = variants.get(value) ?? new Map<string, Value>();
    variants.set(value, own);
    if (!originals.has(value)) originals.set(value, value.constant!);
    const known = own.get(key);
    if (known !== undefined) {
      node.setInput(input, known);
      continue;
    }
    const tensor = take(originals.get(value)!, axes, kept);
    if (own.size === 0) {
      value.initializer = tensor;
      own.set(key, value);
    } else {
      const copy = node.graph.addInitializer(value.name, tensor);
      own.set(key, copy);
      node.setInput(input, copy);
    }
  }
}

/** Zeros in the sinks' slices of removed channels: computes what the pruned model does. In place. */
export function maskChannels(dependencies: Dependencies, removed: ReadonlySet<number>): void {
  const kept = keptAfter(dependencies.ids, removed);
  for (const { node, input, axis, ids } of dependencies.sinks) {
    if (!kept.shrinks(ids)) continue;
    const value = node.input(input);
    const graph = node.graph!;
    const tensor = value.constant;
    const left = new Set(kept.positions(ids));
    if (tensor !== undefined) {
      node.setInput(input, graph.addInitializer(`${value.name}_masked`, zeroed(tensor, axis, left)));
      continue;
    }
    const rank = dependencies.axes.get(value)!.length;
    const dims = Array.from({ length: rank }, (_, i) => (i === axis ? ids.length : 1));
    const mask = Tensor.float32(
      dims,
      Float32Array.from(ids, (_, position) => (left.has(position) ? 1 : 0)),
    );
    const inputs = [value, graph.addInitializer(`${value.name}_mask`, mask)];
    node.setInput(input, graph.add("Mul", inputs, { name: `${value.name}_masked`, before: node }).output());
  }
}

function checkLeft(value: Value, axes: Axes, kept: Kept): void {
  axes.forEach((axis, i) => {
    if (axis === undefined || axis.length === 0 || kept.positions(axis).length > 0) return;
    const problem = `expected something to be left of axis ${i}, which has ${axis.length} positions`;
    throw new GraphError({ area: "prune", subject: `value ${value}`, problem, help: "Remove fewer channels." });
  });
}

/** Declared sizes of axes that shrink. */
function refresh(value: Value, axes: Axes, kept: Kept): void {
  const { shape, dtype } = value;
  if (shape === undefined || dtype === undefined) return;
  value.setTensorType(
    dtype,
    shape.map((dim, i) => (typeof dim === "number" && kept.shrinks(axes[i]) ? kept.positions(axes[i]!).length : dim)),
  );
}

/** The elements at the positions that are left of every axis. */
function take(tensor: Tensor, axes: Axes, kept: Kept): Tensor {
  let result = tensor;
  axes.forEach((axis, i) => {
    if (kept.shrinks(axis)) result = takeAlong(result, i, kept.positions(axis!));
  });
  return result;
}

function takeAlong(tensor: Tensor, axis: number, positions: readonly number[]): Tensor {
  const { dims, dtype } = tensor;
  const size = dims[axis]!;
  const bytes = tensor.bytes();
  const outer = dims.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = bytes.byteLength / (outer * size);
  const taken = new Uint8Array(outer * positions.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const position of positions) {
      const from = (o * size + position) * inner;
      taken.set(bytes.subarray(from, from + inner), at);
      at += inner;
    }
  }
  const newDims = dims.map((dim, i) => (i === axis ? positions.length : dim));
  return new Tensor(dtype, newDims, { byteLength: taken.byteLength, bytes: () => taken });
}

/** All bits 0 is zero in every type. */
function zeroed(tensor: Tensor, axis: number, left: ReadonlySet<number>): Tensor {
  const { dims, dtype } = tensor;
  const bytes = Uint8Array.from(tensor.bytes());
  const inner = bytes.byteLength / dims.slice(0, axis + 1).reduce((a, b) => a * b, 1);
  for (let row = 0; row * inner < bytes.byteLength; row++) {
    if (!left.has(row % dims[axis]!)) bytes.fill(0, row * inner, (row + 1) * inner);
  }
  return new Tensor(dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
}
