/**
 * @file Reshape and Flatten. Elements keep their order, so axes fall into the smallest runs of equal products before and
 * after: [N, C | H, W] → [N, C | H·W]. Within a run an element goes where its channel goes:
 *
 *   merging  [C, H, W] → [C·H·W]   every position has the id of its channel
 *   cutting  [h·d] → [h, d]        one of the axes carries the channels: whole heads go, or the same elements of each
 *
 * Cutting leaves a choice. Axes of at least four positions are tried first, outer ones first: heads before their
 * elements, channels before two halves that are shuffled.
 */
import type { Axes, Axis } from "../ids.ts";
import type { Rule, RuleContext, Rules } from "../rule.ts";
import { retargetOnShrink } from "../shape-inputs.ts";

/** Axes from and to (ends exclusive) whose elements are the same. */
export interface Run {
  readonly before: readonly [from: number, to: number];
  readonly after: readonly [from: number, to: number];
}

/** The smallest runs of axes with equal products; axes of size 1 go with what stands before them. */
export function runsOf(before: readonly number[], after: readonly number[]): Run[] {
  const runs: Run[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [from, to] = [i, j];
    let left = i < before.length ? before[i++]! : 1;
    let right = j < after.length ? after[j++]! : 1;
    while (left !== right) {
      if (left < right && i < before.length) left *= before[i++]!;
      else if (j < after.length) right *= after[j++]!;
      else break;
    }
    while (i < before.length && before[i] === 1) i++;
    while (j < after.length && after[j] === 1) j++;
    runs.push({ before: [from, i], after: [to, j] });
  }
  return runs;
}

/** Below it an axis is too coarse to choose from. */
const COARSE = 4;

function reshaped(c: RuleContext): Axis[] {
  const [before, after] = [c.inputDims(0), c.outputDims()];
  const axes = c.axes(0)!;
  const result: Axis[] = after.map(() => undefined);
  if (before.includes(0)) return result;
  for (const run of runsOf(before, after)) carry(c, axes, result, run, before, after);
  return result;
}

function carry(
  c: RuleContext,
  axes: Axes,
  result: Axis[],
  run: Run,
  before: readonly number[],
  after: readonly number[],
): void {
  const inside = range(run.before).filter((axis) => axes[axis] !== undefined);
  const [carrier, ...others] = inside;
  if (carrier === undefined) return;
  for (const axis of others) c.forbid(axes[axis], "it puts this axis together with another that may shrink");
  const targets = range(run.after).filter((axis) => after[axis]! > 1);
  const ids = axes[carrier]!;
  const [only] = targets;
  if (only === undefined) return;
  if (targets.length === 1 && after[only] === ids.length) {
    result[only] = ids;
    return;
  }
  // Position of an element along an axis: floor(flat / inner) mod size.
  const innerOf = (dims: readonly number[], axis: number, end: number): number =>
    dims.slice(axis + 1, end).reduce((a, b) => a * b, 1);
  const inner = innerOf(before, carrier, run.before[1]);
  const total = ids.length * inner * before.slice(run.before[0], carrier).reduce((a, b) => a * b, 1);
  const along = (target: number): Int32Array => {
    const size = after[target]!;
    const step = innerOf(after, target, run.after[1]);
    const found = new Int32Array(size).fill(-1);
    for (let flat = 0; flat < total; flat++) {
      const position = Math.floor(flat / step) % size;
      const id = ids[Math.floor(flat / inner) % ids.length]!;
      if (found[position] === -1) found[position] = id;
      else if (found[position] !== id) c.tie([found[position]!, id]);
    }
    return found;
  };
  if (targets.length === 1) {
    result[only] = along(only);
    return;
  }
  const fine = targets.filter((axis) => after[axis]! >= COARSE);
  const candidates = [...fine, ...targets.filter((axis) => !fine.includes(axis))];
  const chosen = candidates[c.choose(candidates, () => ids)]!;
  result[chosen] = along(chosen);
}

const range = ([from, to]: readonly [number, number]): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

const reshape: Rule = (c) => {
  const axes = reshaped(c);
  c.setOutput(axes);
  const largest = Math.max(...c.axes(0)!.map((own) => own?.length ?? 0));
  const merged = axes.map((axis) => axis !== undefined && axis.length > largest);
  retargetOnShrink(c, 1, axes, merged);
};

export const RESHAPE: Rules = {
  Reshape: reshape,
  // Its two axes follow the axes before and from `axis` on, whatever their sizes.
  Flatten: (c) => c.setOutput(reshaped(c)),
};
