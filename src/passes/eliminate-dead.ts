/**
 * @file Removes nodes whose outputs nothing uses, and initializers that no node has.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { defineStep } from "../step/step.ts";

export const eliminateDead = defineStep({
  name: "eliminate-dead",
  summary: "Remove nodes and initializers that nothing uses",
  options: z.object({}),
  needs: [],
  run: (model) => ({ changed: removeDead(model) }),
});

/** Removes what is dead, in all graphs; parametrizations are state and stay. Returns how many nodes and initializers went. */
export function removeDead(model: Model): number {
  const kept = new Set<Node>();
  for (const value of model.parametrizations.keys()) {
    for (let node = value.producer; node !== undefined; node = node.graph?.owner) kept.add(node);
  }
  return removeIn(model.graph, kept);
}

/** @param kept Nodes that make parametrized values, and nodes with such ones inside. */
function removeIn(graph: Graph, kept: ReadonlySet<Node>): number {
  let removed = 0;
  for (const node of graph.nodesReversed()) {
    if (node.outputs.every((value) => value === undefined || value.isUnused) && !kept.has(node)) {
      graph.remove(node);
      removed++;
    } else for (const subgraph of node.subgraphs) removed += removeIn(subgraph, kept);
  }
  // Only now: what nodes and subgraphs used is known.
  for (const value of [...graph.initializers]) {
    if (!value.isUnused || value.isInput) continue;
    graph.removeInitializer(value);
    removed++;
  }
  return removed;
}
