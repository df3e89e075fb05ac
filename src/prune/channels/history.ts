/**
 * @file What was removed, as JSON: positions on the axes of values, in the numbering of the original file. It can be replayed
 * there, and says what the next round's numbering means.
 */
import { OptionError } from "../../util/errors.ts";
import type { Dependencies } from "./dependencies.ts";
import type { ChannelGroup } from "./groups.ts";

/** Positions that are gone from one axis of one value. */
export interface Removal {
  /** Name of the value (what a convolution puts out, for example). */
  readonly value: string;
  readonly axis: number;
  /** Of the axis in the original. */
  readonly size: number;
  /** Ascending. */
  readonly removed: readonly number[];
}

export interface ChannelHistory {
  readonly version: 1;
  /** Whether channels went that are normalized over: what was found then. */
  readonly approximate: boolean;
  readonly removals: readonly Removal[];
}

/** One entry for every weight that makes removed channels, so that entries of several rounds find each other. */
export function writeHistory(
  dependencies: Dependencies,
  groups: readonly ChannelGroup[],
  removed: ReadonlySet<number>,
): ChannelHistory {
  const entries = new Map<string, Removal>();
  for (const { sources } of groups) {
    for (const { output, axis } of sources) {
      const ids = dependencies.axes.get(output)![axis]!;
      const gone = Array.from(ids.keys()).filter((position) => removed.has(dependencies.ids.find(ids[position]!)));
      const entry = { value: output.name, axis, size: ids.length, removed: gone };
      if (gone.length > 0) entries.set(`${axis}:${output.name}`, entry);
    }
  }
  return { version: 1, approximate: dependencies.approximate, removals: [...entries.values()] };
}

/** A later round's history in the numbering of the first one's original. @throws OptionError where they do not fit. */
export function mergeHistories(first: ChannelHistory, second: ChannelHistory): ChannelHistory {
  const entries = new Map(first.removals.map((entry) => [`${entry.axis}:${entry.value}`, entry]));
  for (const entry of second.removals) {
    const key = `${entry.axis}:${entry.value}`;
    const before = entries.get(key);
    if (before === undefined) {
      entries.set(key, entry);
      continue;
    }
    const gone = new Set(before.removed);
    const left = Array.from({ length: before.size }, (_, position) => position).filter(
      (position) => !gone.has(position),
    );
    if (left.length !== entry.size) throw mismatch(entry, `${left.length} positions after the first round`);
    const removed = [...before.removed, ...entry.removed.map((position) => left[position]!)].sort((a, b) => a - b);
    entries.set(key, { ...before, removed });
  }
  return { version: 1, approximate: first.approximate || second.approximate, removals: [...entries.values()] };
}

/**
 * The classes of ids that a history removes from a model.
 * @throws OptionError where a value is missing or has another size, or where what would go with it is not in the history.
 */
export function readHistory(dependencies: Dependencies, { removals }: ChannelHistory): Set<number> {
  const { ids, axes } = dependencies;
  const byName = new Map([...axes].map(([value, own]) => [value.name, own]));
  const removed = new Set<number>();
  for (const entry of removals) {
    const axis = byName.get(entry.value)?.[entry.axis];
    if (axis === undefined) throw mismatch(entry, "no such value, or an axis that cannot shrink");
    if (axis.length !== entry.size) throw mismatch(entry, `${axis.length} positions`);
    for (const position of entry.removed) {
      const id = axis[position];
      if (id === undefined) throw mismatch(entry, `no position ${position}`);
      const obstacle = ids.obstacle(id);
      if (obstacle !== undefined)
        throw mismatch(entry, `channels that have to stay: at ${obstacle.subject} ${obstacle.reason}`);
      removed.add(ids.find(id));
    }
  }
  for (const entry of removals) {
    const gone = new Set(entry.removed);
    const axis = byName.get(entry.value)![entry.axis]!;
    const more = axis.findIndex((id, position) => removed.has(ids.find(id)) && !gone.has(position));
    if (more >= 0) throw mismatch(entry, `position ${more} to go with others that the history removes`);
  }
  return removed;
}

function mismatch(entry: Removal, found: string): OptionError {
  return new OptionError({
    area: "prune",
    subject: `history, axis ${entry.axis} of "${entry.value}"`,
    problem: `expected ${entry.size} positions of which ${entry.removed.length} go, found ${found}`,
    help: "Replay a history on the file that it was made from.",
  });
}
