/**
 * @file What tests of passes and quantizers share: models from text, runs on the two runtimes, the SQNR of results.
 */
import { type GenerateOptions, generateInputs } from "../src/data/generate.ts";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import type { Model } from "../src/graph/model.ts";
import type { Node } from "../src/graph/node.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import type { Value } from "../src/graph/value.ts";
import { compareOutputs, type OutputComparison } from "../src/measure/compare.ts";
import { decodeModel } from "../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { parseModel } from "../src/onnx/text.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { createWebRuntime } from "../src/runtime/onnxruntime-web.ts";
import type { Runtime, SessionOptions, Tensors } from "../src/runtime/runtime.ts";
import type { DataSource } from "../src/step/data.ts";

/** A model from a graph's text: `(float[N, 4] x) => (float[N, 2] y) <…> { … }`. */
export function modelOf(graph: string, opset = 17, header = ""): Model {
  return fromOnnx(parseModel(`<ir_version: 8, opset_import: ["": ${opset}]${header}> g ${graph}`));
}

export function bytesOf(model: Model): Uint8Array {
  return joinChunks(encodeModel(toOnnx(model)));
}

/** The model as it is after saving and loading. */
export function reload(model: Model): Model {
  return fromOnnx(decodeModel(bytesOf(model)));
}

/** Both runtimes, created when first asked for. */
export const runtimes = {
  node: once(createNodeRuntime),
  web: once(() => createWebRuntime()),
} as const;

function once(create: () => Promise<Runtime>): () => Promise<Runtime> {
  let created: Promise<Runtime> | undefined;
  return () => {
    created ??= create();
    return created;
  };
}

/** Loads a model and runs it on every sample. */
export async function runAll(
  runtime: Runtime,
  bytes: Uint8Array,
  samples: readonly Tensors[],
  options?: SessionOptions,
): Promise<Tensors[]> {
  const session = await runtime.load({ bytes }, options);
  try {
    const results: Tensors[] = [];
    for (const sample of samples) results.push(await session.run(sample));
    return results;
  } finally {
    await session.release();
  }
}

/** Generated inputs for a model; symbolic dimensions by `dims`. */
export async function samplesFor(
  model: Model,
  options: Omit<GenerateOptions, "shapes"> & { readonly count?: number } = {},
): Promise<{ readonly source: DataSource; readonly samples: readonly Tensors[] }> {
  const session = await (await runtimes.node()).load({ bytes: bytesOf(model) });
  const source = generateInputs(session.inputs, { count: 2, ...options });
  await session.release();
  const samples: Tensors[] = [];
  for await (const { inputs } of source.samples()) samples.push(inputs);
  return { source, samples };
}

/** One comparison per output, the worst sample of each. */
export function compareAll(reference: readonly Tensors[], other: readonly Tensors[]): readonly OutputComparison[] {
  return reference.flatMap((outputs, index) => compareOutputs(outputs, other[index]!));
}

/** Number of nodes by operator, of all graphs. */
export function opCounts(model: Model): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const node of model.allNodes()) counts[node.opType] = (counts[node.opType] ?? 0) + 1;
  return counts;
}

/** The node that has a value of this name as an output, or that has this name, in any graph. */
export function nodeOf(model: Model, name: string): Node {
  for (const node of model.allNodes()) {
    if (node.name === name || node.outputs.some((value) => value?.name === name)) return node;
  }
  throw new Error(`no node "${name}"`);
}

/** The initializer of this name, in any graph. */
export function initializerOf(model: Model, name: string): Value {
  for (const graph of model.graphs()) for (const value of graph.initializers) if (value.name === name) return value;
  throw new Error(`no initializer "${name}"`);
}
