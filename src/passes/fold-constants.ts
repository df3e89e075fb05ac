/**
 * @file Computes what is constant, in ONNX Runtime. Parametrizations, quantization and random operators stay.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import { Model } from "../graph/model.ts";
import { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { isFloatingPoint, Tensor } from "../tensor/tensor.ts";
import { messageOf } from "../util/errors.ts";
import { removeDead } from "./eliminate-dead.ts";

/** Operators whose results differ between runs, or that carry quantization, which folding would undo. */
const NEVER: ReadonlySet<string> = new Set([
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
  "Bernoulli",
  "Multinomial",
  "Dropout",
  "QuantizeLinear",
  "DequantizeLinear",
  "DynamicQuantizeLinear",
  "Constant",
]);

export const foldConstants = defineStep({
  name: "fold-constants",
  summary: "Compute what does not depend on inputs",
  options: z.object({
    growth: z
      .number()
      .int()
      .min(0)
      .default(16_384)
      .describe("bytes that one result may add to the file beyond the constants that it makes superfluous"),
    weights: z
      .boolean()
      .default(true)
      .describe(
        "also what is computed from floats of more than one element; without, they stay as they are, to be trained",
      ),
  }),
  needs: ["runtime"],
  async run(model, { growth, weights }, context): Promise<StepReport> {
    let changed = 0;
    const leftAlone: LeftAlone[] = [];
    for (const graph of [...model.graphs()]) {
      // A graph may have gone with a folded node.
      if (graph.owner !== undefined && graph.owner.graph === undefined) continue;
      changed += foldShapes(graph);
      changed += await foldGraph(graph, context.runtime!, { growth, weights }, leftAlone);
    }
    if (changed > 0) removeDead(model);
    return { changed, leftAlone };
  },
});

/** Shape and Size of values whose declared dimensions are all known. */
function foldShapes(graph: Graph): number {
  let changed = 0;
  for (const node of graph.nodes()) {
    if (!node.is("Shape") && !node.is("Size")) continue;
    const shape = node.inputs[0]?.shape;
    // Some exporters write -1 for "any".
    const known = shape?.every((dim): dim is number => typeof dim === "number" && dim >= 0);
    if (shape === undefined || !known || node.output().isOutput) continue;
    const start = node.int("start", 0);
    const end = node.int("end");
    const tensor = node.is("Shape")
      ? Tensor.int64([shape.slice(start, end).length], shape.slice(start, end))
      : Tensor.int64([], [shape.reduce((product, dim) => product * dim, 1)]);
    graph.replaceAllUsesWith(node.output(), graph.addInitializer(node.output().name, tensor));
    graph.remove(node);
    changed++;
  }
  return changed;
}

interface FoldOptions {
  readonly growth: number;
  readonly weights: boolean;
}

async function foldGraph(
  graph: Graph,
  runtime: Runtime,
  { growth, weights }: FoldOptions,
  leftAlone: LeftAlone[],
): Promise<number> {
  const foldable = new Set<Node>();
  const constant = (value: Value): boolean =>
    value.isConstant
      ? weights || value.initializer!.size <= 1 || !isFloatingPoint(value.initializer!.dtype)
      : value.producer !== undefined && foldable.has(value.producer);
  for (const node of graph.nodes()) {
    const eligible =
      node.domain === "" &&
      !NEVER.has(node.opType) &&
      node.subgraphs.length === 0 &&
      node.inputs.length > 0 &&
      !isBarrier(node) &&
      node.outputs.every((value) => value === undefined || !value.isOutput) &&
      node.inputs.every((value) => value === undefined || constant(value));
    if (eligible) foldable.add(node);
  }
  if (foldable.size === 0) return 0;
  const results = await evaluate(graph, foldable, runtime, leftAlone);

  let changed = 0;
  // Users first: a value inside a folded chain needs no initializer of its own.
  for (const node of [...foldable].reverse()) {
    if (node.graph !== graph) continue;
    for (const output of node.outputs) {
      if (output === undefined || output.isUnused) continue;
      const tensor = results[output.name];
      if (tensor === undefined) continue;
      if (tensor.byteLength > growth + freedBy(node, foldable)) {
        leftAlone.push({
          subject: node.label,
          opType: node.opType,
          reason: `its result of ${tensor.byteLength} bytes would make the file larger`,
        });
        continue;
      }
      const value = graph.addInitializer(output.name, tensor);
      const { name } = output;
      graph.replaceAllUsesWith(output, value);
      output.name = graph.model.names.unique(`${name}_folded`);
      value.name = name;
      changed++;
    }
    if (node.outputs.every((value) => value === undefined || value.isUnused)) graph.remove(node);
  }
  return changed;
}

/** Bytes of initializers that nobody needs any more once the node and what feeds it are folded. */
function freedBy(node: Node, foldable: ReadonlySet<Node>): number {
  let bytes = 0;
  const seen = new Set<Value>();
  const visit = (user: Node): void => {
    for (const value of user.inputs) {
      if (value === undefined || seen.has(value)) continue;
      seen.add(value);
      if (value.isConstant) {
        if (!value.isOutput && [...value.users].every((other) => foldable.has(other))) {
          bytes += value.initializer!.byteLength / value.users.size;
        }
      } else if (value.producer !== undefined && value.onlyUser === user) visit(value.producer);
    }
  };
  visit(node);
  return bytes;
}

/** Runs the nodes on their constants. A node that the runtime does not run is left alone, with the message. */
async function evaluate(
  graph: Graph,
  nodes: ReadonlySet<Node>,
  runtime: Runtime,
  leftAlone: LeftAlone[],
): Promise<Tensors> {
  const ordered = [...graph.nodes()].filter((node) => nodes.has(node));
  try {
    return await runNodes(graph, ordered, runtime);
  } catch {
    // One bad node would hide all others: take them one after another.
    const results: Record<string, Tensor> = {};
    for (const node of ordered) {
      try {
        Object.assign(results, await runNodes(graph, [node], runtime, results));
      } catch (error) {
        leftAlone.push({
          subject: node.label,
          opType: node.opType,
          reason: `ONNX Runtime does not compute it: ${messageOf(error).split("\n")[0]}`,
        });
      }
    }
    return results;
  }
}

async function runNodes(graph: Graph, nodes: readonly Node[], runtime: Runtime, known: Tensors = {}): Promise<Tensors> {
  const model = new Model();
  model.irVersion = Math.min(Math.max(graph.model.irVersion ?? 8, 8), 10);
  for (const [domain, version] of graph.model.opsets) model.opsets.set(domain, version);
  const target = model.graph;
  target.name = "constants";
  const copies = new Map<Value, Value>();
  const copy = (value: Value): Value => {
    let found = copies.get(value);
    if (found === undefined) {
      const tensor = value.constant ?? known[value.name];
      found = tensor === undefined ? target.newValue(value.name) : target.addInitializer(value.name, tensor);
      copies.set(value, found);
    }
    return found;
  };
  const outputs: Value[] = [];
  for (const node of nodes) {
    const clone = new Node(target, node.opType, node.domainText, node.name);
    for (const [name, attribute] of node.attributes) clone.attributes.set(name, attribute);
    clone.setInputsVerbatim(node.inputs.map((value) => value && copy(value)));
    clone.setOutputs(node.outputs.map((value) => value && copy(value)));
    target.insert(clone);
    for (const value of clone.outputs) if (value !== undefined) outputs.push(value);
  }
  target.setOutputs(outputs);
  const session = await runtime.load(
    { bytes: joinChunks(encodeModel(toOnnx(model))) },
    // Folding in the runtime as well would do the work twice.
    { graphOptimization: "disabled" },
  );
  try {
    return await session.run({});
  } finally {
    await session.release();
  }
}
