/**
 * @file Where the error of a quantized model enters and where it grows: its values beside the original's, node by node.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { createComparer, type FloatComparison } from "../measure/compare.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { ModelProto } from "../onnx/messages.ts";
import { observeShapes } from "../runtime/collect.ts";
import type { Runtime, Session } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { elementCount } from "../tensor/dtype.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";

/** One value of the main graph, in both models. */
export interface TensorError {
  readonly name: string;
  /** The node that makes it, in the original. */
  readonly node: string;
  readonly opType: string;
  /** dB, over all samples; Infinity where they are equal. */
  readonly sqnr: number;
  readonly cosine: number;
  readonly maxAbs: number;
  /** SQNR of the worst value that the node reads, dB; Infinity where it reads only what is equal or was not compared. */
  readonly input: number;
  /** What SQNR falls by from there, dB, counted from {@link CLEAN_DB} downwards; below 0 where the node makes it better. */
  readonly drop: number;
  /** What noise ÷ signal grows by from there: the measure of where the error comes from. */
  readonly added: number;
}

export interface TensorComparison {
  /** In the order of the graph. */
  readonly values: readonly TensorError[];
  /** Float values of the original that the other model does not have, or has in another shape or type. */
  readonly missing: number;
  readonly samples: number;
}

export interface TensorErrorOptions {
  /** Samples to run. Default 4. */
  readonly samples?: number;
  /** Bytes of values that are held at once, of both models together; more are taken in several passes. Default 256 MB. */
  readonly budget?: number;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** Above it, differences are rounding, not quantization: an error of a thousandth of the signal. */
export const CLEAN_DB = 60;

/**
 * Runs both models on the same samples and compares every float value that both have: by name, behind the
 * QuantizeLinear → DequantizeLinear pair where the other model has one there, which is what its users read.
 * @param original in float, cleaned up as it was before quantization, so that names are the same.
 */
export async function compareTensors(
  original: Model,
  quantized: Model,
  runtime: Runtime,
  data: DataSource,
  options: TensorErrorOptions = {},
): Promise<TensorComparison> {
  const { samples: limit = 4, budget = 256e6, progress, signal } = options;
  const pairs = matchValues(original, quantized);
  const samples = [];
  for await (const sample of data.samples()) {
    samples.push(sample.inputs);
    if (samples.length >= limit) break;
  }
  const [first] = samples;
  if (first === undefined || pairs.length === 0) return { values: [], missing: 0, samples: 0 };
  const shapes = await observeShapes(original, runtime, first);
  const [before, after] = [toOnnx(original), toOnnx(quantized)];
  const groups = groupByBytes(pairs, ({ value }) => 8 * elementCount(shapes.get(value) ?? []), budget);
  const found = new Map<Value, FloatComparison>();
  let missing = 0;
  for (const [index, group] of groups.entries()) {
    const sessions: Session[] = [];
    try {
      sessions.push(
        await openAt(
          before,
          group.map(({ value }) => value.name),
          runtime,
        ),
      );
      sessions.push(
        await openAt(
          after,
          group.map(({ other }) => other.name),
          runtime,
        ),
      );
      const comparers = group.map(() => createComparer());
      for (const [done, inputs] of samples.entries()) {
        checkCancelled(signal);
        progress?.("comparing tensors", index * samples.length + done, groups.length * samples.length);
        const [reference, results] = [await sessions[0]!.run(inputs), await sessions[1]!.run(inputs)];
        group.forEach(({ value, other }, i) => {
          const [a, b] = [reference[value.name], results[other.name]];
          if (a !== undefined && b !== undefined) comparers[i]!.add({ value: a }, { value: b });
        });
      }
      group.forEach(({ value }, i) => {
        const [comparison] = comparers[i]!.result();
        if (comparison?.kind === "float") found.set(value, comparison);
        else missing++;
      });
    } finally {
      for (const session of sessions) await session.release();
    }
  }
  const floats = floatValues(original);
  return {
    values: pairs.flatMap(({ value }) => {
      const comparison = found.get(value);
      return comparison === undefined ? [] : [describe(value, comparison, found)];
    }),
    missing: missing + floats.length - pairs.length,
    samples: samples.length,
  };
}

/** The values by what noise they add, the most first: where to look. */
export function worstTensors(values: readonly TensorError[]): readonly TensorError[] {
  return [...values].sort((a, b) => b.added - a.added);
}

interface Pair {
  readonly value: Value;
  readonly other: Value;
}

/** Values of the main graph that may be floats, and that runtimes can show. */
function floatValues(model: Model): Value[] {
  const values: Value[] = [];
  for (const node of model.graph.nodes()) {
    for (const value of node.outputs) {
      if (value === undefined || node.is("Constant")) continue;
      const isTensor = value.type === undefined || value.type.tensorType !== undefined;
      if (isTensor && (value.dtype === undefined || value.dtype === "float32")) values.push(value);
    }
  }
  return values;
}

function matchValues(original: Model, quantized: Model): Pair[] {
  const byName = new Map<string, Value>();
  for (const node of quantized.graph.nodes()) {
    for (const value of node.outputs) if (value !== undefined) byName.set(value.name, value);
  }
  return floatValues(original).flatMap((value) => {
    const same = byName.get(value.name);
    return same === undefined ? [] : [{ value, other: behindPair(same) }];
  });
}

/** The value behind a QuantizeLinear → DequantizeLinear pair, where it is the only thing that is read. */
function behindPair(value: Value): Value {
  const quantize = value.onlyUser;
  if (quantize?.opType !== "QuantizeLinear" || quantize.inputs[0] !== value) return value;
  for (const user of quantize.output().users) if (user.opType === "DequantizeLinear") return user.output();
  return value;
}

function groupByBytes<T>(items: readonly T[], bytesOf: (item: T) => number, budget: number): T[][] {
  const groups: T[][] = [];
  let room = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)!.push(item);
    room -= bytes;
  }
  return groups;
}

/** The model with these values for outputs; their types are left to the runtime. */
function openAt(proto: ModelProto, names: readonly string[], runtime: Runtime): Promise<Session> {
  const known = new Map(proto.graph?.output?.map((info) => [info.name, info]));
  const graph = { ...proto.graph, output: [...new Set(names)].map((name) => known.get(name) ?? { name }) };
  return runtime.load({ bytes: joinChunks(encodeModel({ ...proto, graph })) });
}

function describe(value: Value, comparison: FloatComparison, found: ReadonlyMap<Value, FloatComparison>): TensorError {
  const node = value.producer as Node;
  const inputs = node.inputs.flatMap((input) => (input && found.get(input)?.sqnr) ?? []);
  const input = Math.min(Number.POSITIVE_INFINITY, ...inputs);
  const { sqnr, cosine, maxAbs } = comparison;
  return {
    name: value.name,
    node: node.label,
    opType: node.opType,
    sqnr,
    cosine,
    maxAbs,
    input,
    drop: Math.min(input, CLEAN_DB) - Math.min(sqnr, CLEAN_DB),
    added: noiseShare(sqnr) - noiseShare(input),
  };
}

/** Noise ÷ signal, 1 at most: beyond it, a value has nothing to do with the original's any more. */
export function noiseShare(sqnr: number): number {
  return Math.min(1, 10 ** (-sqnr / 10));
}
