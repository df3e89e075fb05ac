/**
 * @file What is left of every axis once some channels are removed.
 */
import type { Axis, ChannelIds } from "./ids.ts";
import type { Kept } from "./rule.ts";

/** Positions are found once per axis. */
export function keptAfter(ids: ChannelIds, removed: ReadonlySet<number>): Kept {
  const known = new Map<Int32Array, readonly number[]>();
  const positions = (axis: Int32Array): readonly number[] => {
    let kept = known.get(axis);
    if (kept === undefined) {
      kept = Array.from(axis.keys()).filter((position) => !removed.has(ids.find(axis[position]!)));
      known.set(axis, kept);
    }
    return kept;
  };
  return {
    positions,
    shrinks: (axis: Axis) => axis !== undefined && positions(axis).length < axis.length,
  };
}
