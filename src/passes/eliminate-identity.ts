/**
 * @file Removes nodes that pass their input on: Identity, and Dropout at inference.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";

export const eliminateIdentity = defineStep({
  name: "eliminate-identity",
  summary: "Remove Identity, and Dropout as it is at inference",
  options: z.object({}),
  needs: [],
  run(model) {
    let changed = 0;
    const leftAlone: LeftAlone[] = [];
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (!node.is("Identity") && !node.is("Dropout")) continue;
        const obstacle = obstacleTo(node);
        if (obstacle !== undefined) {
          leftAlone.push({ subject: node.label, opType: node.opType, reason: obstacle });
          continue;
        }
        graph.replaceAllUsesWith(node.output(), node.input(0));
        graph.remove(node);
        changed++;
      }
    }
    return { changed, leftAlone };
  },
});

function obstacleTo(node: Node): string | undefined {
  if (isBarrier(node)) return "it belongs to a parametrization";
  const mask = node.outputs[1];
  if (mask !== undefined && !mask.isUnused) return "its mask is used";
  const training = node.inputs[2];
  if (node.is("Dropout") && training !== undefined) {
    const flag = training.constant;
    if (flag === undefined) return "its training_mode is decided at run time";
    if (flag.numbers()[0] !== 0) return "it is in training mode";
  }
  const possible = node.graph!.canReplace(node.output(), node.input(0));
  return possible === true ? undefined : possible;
}
