/**
 * @file Local rewrites: a pattern, a check that gives its reason where it says no, and what stands there instead.
 */
import type { Model } from "./model.ts";
import { type Match, match, type Pattern } from "./pattern.ts";
import type { Value } from "./value.ts";

export interface Rule {
  readonly name: string;
  readonly pattern: Pattern & { readonly kind: "node" };
  /** True, or the reason why this match is left alone. */
  check(found: Match): true | string;
  /**
   * Builds the replacement (before `found.root`) and returns the value that stands for the root's output. Nodes that
   * nobody uses any more are removed afterwards.
   */
  rewrite(found: Match): Value;
}

export interface RewriteResult {
  readonly changed: number;
  readonly leftAlone: readonly { readonly subject: string; readonly opType: string; readonly reason: string }[];
}

/** Applies rules to all graphs, each node once. */
export function applyRules(model: Model, rules: readonly Rule[]): RewriteResult {
  const leftAlone: { subject: string; opType: string; reason: string }[] = [];
  let changed = 0;
  for (const graph of model.graphs()) {
    for (const node of graph.nodes()) {
      for (const rule of rules) {
        const found = match(rule.pattern, node);
        if (found === undefined) continue;
        const inner = found.nodes.slice(1).find((other) => other.graph !== graph);
        const verdict = inner === undefined ? rule.check(found) : "a part of it is outside of its graph";
        if (verdict !== true) {
          leftAlone.push({ subject: node.label, opType: node.opType, reason: verdict });
          continue;
        }
        const output = node.output();
        const result = rule.rewrite(found);
        graph.replaceAllUsesWith(output, result);
        for (const old of found.nodes) {
          if (old.graph === graph && old.outputs.every((value) => value === undefined || value.isUnused))
            graph.remove(old);
        }
        changed++;
        break;
      }
    }
  }
  return { changed, leftAlone };
}

/** True where only nodes of the match use the inner nodes' outputs, else the reason. */
export function onlyInside(found: Match): true | string {
  const inside = new Set(found.nodes);
  for (const node of found.nodes.slice(1)) {
    for (const value of node.outputs) {
      if (value === undefined) continue;
      if (value.isOutput) return `${value} in the middle of it is an output of the graph`;
      for (const user of value.users) if (!inside.has(user)) return `${value} in the middle of it has other users`;
    }
  }
  return true;
}
