/**
 * @file The table for a set of targets, and the operators of a model that it lets join in.
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { slowerOn, type TargetName } from "../../runtime/targets.ts";
import { leftOut } from "../../step/choice.ts";
import { OptionError } from "../../util/errors.ts";
import type { CommonOptions } from "../options.ts";
import type { OpPlacement, Placement } from "./placement.ts";
import { PLACEMENTS, type PlacementName } from "./tables.ts";

/**
 * The table that fits all targets.
 * @throws OptionError where two targets want different forms: one file cannot have both.
 */
export function placementFor(targets: readonly TargetName[], name: PlacementName | "auto"): Placement {
  if (name !== "auto") return PLACEMENTS[name];
  const [first, ...others] = targets.map((target): Placement => PLACEMENTS[target]);
  for (const other of others) {
    if (sameForm(first!, other)) continue;
    throw new OptionError({
      area: "quantize",
      subject: "target",
      problem: `expected targets that take one form of file, got ${first!.name} (${first!.summary}) and ${other.name} (${other.summary})`,
      help: "Write a file for each of them.",
    });
  }
  return { ...first!, ops: common([first!, ...others]) };
}

function sameForm(a: Placement, b: Placement): boolean {
  const form = ({ activations, outputs, bias }: Placement): string =>
    [activations.dtype, activations.symmetric, outputs, bias].join();
  return form(a) === form(b);
}

/** The operators that every table has. */
function common([first, ...others]: readonly Placement[]): Placement["ops"] {
  return Object.fromEntries(Object.entries(first!.ops).filter(([op]) => others.every(({ ops }) => op in ops)));
}

/** The operators around those with weights that the table lets run on integers, where no target runs them slower. */
export function joinable(
  model: Model,
  placement: Placement,
  options: Pick<CommonOptions, "target" | "force" | "include" | "exclude" | "ops" | "excludeOps">,
  shapes: ReadonlyMap<Value, readonly number[]> | undefined,
): Map<Node, OpPlacement> {
  const found = new Map<Node, OpPlacement>();
  for (const node of model.graph.nodes()) {
    const row = node.domain === "" ? placement.ops[node.opType] : undefined;
    if (row === undefined || row.role === "compute" || isBarrier(node) || node.subgraphs.length > 0) continue;
    // Patterns that choose what is computed do not choose what is moved between it.
    if (leftOut(node, { ...options, include: [], ops: [] }) !== undefined) continue;
    if (row.check !== undefined && row.check(node) !== true) continue;
    const { pattern } = row;
    if (pattern !== undefined && !options.force) {
      const elements = shapes?.get(node.output())?.reduce((a, b) => a * b, 1);
      if (options.target.some((target) => slowerOn(target, pattern, elements) !== undefined)) continue;
    }
    found.set(node, row);
  }
  return found;
}
