/**
 * @file Reasons why nodes were left alone, those that differ in numbers or names only taken together.
 */
import type { LeftAlone } from "../step/step.ts";

export interface ReasonGroup {
  readonly opType: string | undefined;
  readonly count: number;
  /** The only node or value, where there is one. */
  readonly subject: string | undefined;
  /** Numbers as ranges: "its weight has 80–200 elements, fewer than 256". */
  readonly reason: string;
}

const NUMBER = /\d+(?:\.\d+)?/g;

/** The most frequent first. */
export function groupReasons(entries: readonly LeftAlone[]): ReasonGroup[] {
  const groups = new Map<string, LeftAlone[]>();
  for (const entry of entries) {
    const key = `${entry.opType} ${entry.reason.replace(NUMBER, "#").replace(/"[^"]*"/g, '""')}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()]
    .sort((a, b) => b.length - a.length)
    .map((members) => ({
      opType: members[0]!.opType,
      count: members.length,
      subject: members.length === 1 ? members[0]!.subject : undefined,
      reason: mergeNumbers(members.map(({ reason }) => reason)),
    }));
}

/** The first text with each number replaced by the range that it has in all of them. */
function mergeNumbers(texts: readonly string[]): string {
  const numbers = texts.map((text) => text.match(NUMBER) ?? []);
  let place = 0;
  return texts[0]!.replace(NUMBER, (own) => {
    const values = numbers.map((list) => list[place] ?? own).sort((a, b) => Number(a) - Number(b));
    place++;
    const [low, high] = [values[0]!, values.at(-1)!];
    return low === high ? own : `${low}–${high}`;
  });
}
