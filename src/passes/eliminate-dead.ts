/**
 * @file Removes nodes whose outputs nothing uses, and initializers that no node has.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import type { Model } from "../graph/model.ts";
import { defineStep } from "../step/step.ts";

export const eliminateDead = defineStep({
  name: "eliminate-dead",
  summary: "Remove nodes and initializers that nothing uses",
  options: z.object({}),
  needs: [],
  run: (model) => ({ changed: removeDead(model) }),
});

/** Removes what is dead, in all graphs; returns how many nodes and initializers went. */
export function removeDead(model: Model): number {
  return removeIn(model.graph);
}

function removeIn(graph: Graph): number {
  let removed = 0;
  for (const node of graph.nodesReversed()) {
    if (node.outputs.every((value) => value === undefined || value.isUnused)) {
      graph.remove(node);
      removed++;
    } else for (const subgraph of node.subgraphs) removed += removeIn(subgraph);
  }
  // Only now: what nodes and subgraphs used is known.
  for (const value of [...graph.initializers]) {
    if (!value.isUnused || value.isInput) continue;
    graph.removeInitializer(value);
    removed++;
  }
  return removed;
}
