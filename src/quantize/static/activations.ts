/**
 * @file Scale and zero point of every value that carries codes, from observers, with one range for values that share one.
 */
import type { Value } from "../../graph/value.ts";
import type { Observer } from "../observers/observer.ts";
import type { Plan } from "../placement/plan.ts";
import { type CodeDType, chooseQParams } from "../qparams.ts";
import type { AutoObservers } from "./auto-observers.ts";
import type { Prepared } from "./prepare.ts";

/** Of one value: per tensor, for scales of activations are never per channel in integer kernels. */
export interface ActivationQParams {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly dtype: CodeDType;
}

/** The parameters of all values of a plan. Values whose observers saw nothing, or failed, have none. */
export function activationQParams(
  { observers, auto, failed, schemes }: Prepared,
  plan: Plan,
): Map<Value, ActivationQParams> {
  const found = new Map<Value, ActivationQParams>();
  for (const value of [...plan.before, ...plan.behind]) {
    if (found.has(value)) continue;
    const group = (plan.groups.get(value) ?? [value]).filter((member) => observers.has(member));
    const range = group.some((member) => failed.has(member)) ? undefined : shared(group, observers, auto);
    if (range === undefined) continue;
    const scheme = schemes.get(group[0]!)!;
    const qparams = { ...chooseQParams(range.min, range.max, scheme), dtype: scheme.dtype };
    for (const member of group) found.set(member, qparams);
  }
  return found;
}

/** One range that holds the ranges of all members. */
function shared(
  group: readonly Value[],
  observers: ReadonlyMap<Value, Observer>,
  auto: AutoObservers,
): { readonly min: number; readonly max: number } | undefined {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const member of group) {
    const ranges = auto.ranges(member, observers.get(member)!);
    if (ranges === undefined) return undefined;
    min = Math.min(min, ranges.min[0]!);
    max = Math.max(max, ranges.max[0]!);
  }
  return { min, max };
}
