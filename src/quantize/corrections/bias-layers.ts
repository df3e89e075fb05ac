/**
 * @file The layers of a quantized model whose bias can be corrected, each with what it was in the original, and the order in
 * which they can be measured.
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import type { LeftAlone } from "../../step/step.ts";
import { isLinear, type LinearLayer, readLayer } from "./linear-layer.ts";

export interface CorrectedLayer {
  /** In the quantized model. */
  readonly node: Node;
  /** In the float model. */
  readonly original: LinearLayer;
}

/** Layers of the main graph that read a constant weight through something: codes. In the graph's order. */
export function findLayers(quantized: Model, original: Model, leftAlone: LeftAlone[]): CorrectedLayer[] {
  const [wanted, found] = [linearNodes(original), linearNodes(quantized)];
  const originals = new Map(wanted.map((node) => [node.label, node]));
  const layers: CorrectedLayer[] = [];
  for (const [index, node] of found.entries()) {
    // A float weight is as it was.
    if (node.inputs[1] === undefined || node.inputs[1].constant !== undefined) continue;
    // A node without a name is called after its output, whose name a pair behind it may have taken.
    const unnamed = !node.name && wanted.length === found.length;
    const before = originals.get(node.label) ?? (unnamed ? wanted[index] : undefined);
    const layer = before === undefined ? "the original has no node of this name" : readLayer(before);
    // Products of two activations have no bias.
    if (before !== undefined && before.inputs[1]?.constant === undefined) continue;
    if (typeof layer !== "string") layers.push({ node, original: layer });
    else leftAlone.push({ subject: node.label, opType: node.opType, reason: layer });
  }
  return layers;
}

function linearNodes(model: Model): Node[] {
  return [...model.graph.nodes()].filter(isLinear);
}

/**
 * Layers by how many others are before each, as indices: those of one stage do not depend on each other. More than `most`
 * stages are merged, neighbours first: then a layer is measured with inputs that are not corrected yet.
 */
export function stagesOf(layers: readonly CorrectedLayer[], model: Model, most: number): number[][] {
  const indices = new Map(layers.map(({ node }, index) => [node, index]));
  const depths = new Map<Value, number>();
  const stages: number[][] = [];
  for (const node of model.graph.nodes()) {
    let depth = 0;
    for (const value of node.inputs) if (value !== undefined) depth = Math.max(depth, depths.get(value) ?? 0);
    for (const subgraph of node.subgraphs) {
      for (const value of valuesUsedIn(subgraph.nodes())) depth = Math.max(depth, depths.get(value) ?? 0);
    }
    const index = indices.get(node);
    if (index !== undefined) {
      stages[depth] = [...(stages[depth] ?? []), index];
      depth++;
    }
    for (const value of node.outputs) if (value !== undefined) depths.set(value, depth);
  }
  const merged: number[][] = [];
  for (const [depth, stage] of stages.entries()) {
    const at = stages.length <= most ? depth : Math.floor((depth * most) / stages.length);
    merged[at] = [...(merged[at] ?? []), ...stage];
  }
  return merged;
}

function* valuesUsedIn(nodes: Iterable<Node>): IterableIterator<Value> {
  for (const node of nodes) {
    for (const value of node.inputs) if (value !== undefined) yield value;
    for (const subgraph of node.subgraphs) yield* valuesUsedIn(subgraph.nodes());
  }
}
