/**
 * @file From scores to masks: which units of which weights go. Masks stack: what went before stays away, and an amount
 * applies to what is left (as in PyTorch's PruningContainer).
 */
import { type Amount, unitsOf } from "./amount.ts";
import { type MatrixView, type Pattern, type Units, unitsIn } from "./pattern.ts";
import { thresholdOf } from "./threshold.ts";
import { topk } from "./topk.ts";

/** One weight, as selection sees it. Arrays in row-major order. */
export interface Scored {
  /** For messages. */
  readonly name: string;
  /** One number per element, the higher the more it matters; not negative where several make a unit. */
  readonly scores: Float32Array;
  /** 1: there, 0: pruned before. Undefined: all are there. */
  readonly kept: Uint8Array | undefined;
  readonly view: MatrixView;
}

/**
 * Which of equal scores go first. `first`: those in front, the fastest. `torch`: those that PyTorch takes on a processor, for
 * single weights.
 */
export type Ties = "first" | "torch";

/**
 * Prunes one weight.
 * @param amount Ignored by n:m, which says itself how many stay.
 * @returns 1 for each element that stays, 0 for those that go or went before.
 */
export function selectLocal(item: Scored, pattern: Pattern, amount: Amount, ties: Ties = "first"): Uint8Array {
  if (pattern.kind === "n:m") return selectNofM(item, pattern.n, pattern.m);
  return selectGlobal([item], pattern, amount, ties)[0]!;
}

/**
 * Prunes several weights by one threshold: the lowest of all of them go. Units of several elements are compared by their
 * mean score, so that the size of a row says nothing.
 */
export function selectGlobal(
  items: readonly Scored[],
  pattern: Exclude<Pattern, { kind: "n:m" }>,
  amount: Amount,
  ties: Ties = "first",
): Uint8Array[] {
  const parts = items.map((item) => ({ item, units: unitsIn(pattern, item.view) }));
  const ranked = parts.map(({ item, units }) => rankable(item, units));
  const total = ranked.reduce((sum, { scores }) => sum + scores.length, 0);
  const names = items.map(({ name }) => name);
  const k = unitsOf(amount, total, names.length > 3 ? `${names.length} weights` : names.join(", "));
  const joined = ranked.length === 1 ? ranked[0]!.scores : join(ranked.map(({ scores }) => scores));
  const gone = smallest(joined, k, ties);
  let from = 0;
  return parts.map(({ item, units }, p) => {
    const { positions, scores } = ranked[p]!;
    const part = gone.subarray(from, from + scores.length);
    from += scores.length;
    const size = item.view.rows * item.view.columns;
    const kept = item.kept?.slice() ?? new Uint8Array(size).fill(1);
    if (units.of === undefined) {
      for (let u = 0; u < part.length; u++) if (part[u]) kept[positions === undefined ? u : positions[u]!] = 0;
      return kept;
    }
    const dropped = new Uint8Array(units.count);
    for (let u = 0; u < part.length; u++) if (part[u]) dropped[positions![u]!] = 1;
    for (let i = 0; i < size; i++) if (dropped[units.of[i]!]) kept[i] = 0;
    return kept;
  });
}

/** Prunes each row (the inputs of one output) by itself: every output keeps as many. Source: Sun et al. 2024 (Wanda), section 3. */
export function selectWithinRows({ name, scores, kept, view }: Scored, amount: Amount): Uint8Array {
  const result = kept?.slice() ?? new Uint8Array(scores.length).fill(1);
  for (let r = 0; r < view.rows; r++) {
    const there: number[] = [];
    for (let c = 0; c < view.columns; c++) {
      const i = view.at(r, c);
      if (result[i] === 1) there.push(i);
    }
    const k = unitsOf(amount, there.length, name);
    const gone = smallest(
      Float32Array.from(there, (i) => scores[i]!),
      k,
    );
    there.forEach((i, n) => {
      if (gone[n] === 1) result[i] = 0;
    });
  }
  return result;
}

/** 1 for each of the k lowest scores. */
export function smallest(scores: Float32Array, k: number, ties: Ties = "first"): Uint8Array {
  const gone = new Uint8Array(scores.length);
  if (k === 0) return gone;
  const { value, below, equal } = thresholdOf(scores, k);
  let take = k - below;
  if (ties === "torch" && take < equal) {
    for (const i of topk(scores, k, false)) gone[i] = 1;
    return gone;
  }
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (score < value) gone[i] = 1;
    else if (take > 0 && (score === value || (Number.isNaN(score) && Number.isNaN(value)))) {
      gone[i] = 1;
      take--;
    }
  }
  return gone;
}

interface Ranked {
  readonly scores: Float32Array;
  /** Units that the scores belong to; undefined: all in order. */
  readonly positions: Uint32Array | undefined;
}

/** Scores of the units that are left. */
function rankable({ scores, kept }: Scored, units: Units): Ranked {
  if (units.of === undefined) {
    if (kept === undefined) return { scores, positions: undefined };
    const positions = new Uint32Array(kept.reduce((sum, keep) => sum + keep, 0));
    const left = new Float32Array(positions.length);
    for (let i = 0, n = 0; i < kept.length; i++) {
      if (kept[i] === 0) continue;
      positions[n] = i;
      left[n++] = scores[i]!;
    }
    return { scores: left, positions };
  }
  const sums = new Float64Array(units.count);
  const sizes = new Uint32Array(units.count);
  const there = new Uint8Array(units.count);
  for (let i = 0; i < scores.length; i++) {
    const unit = units.of[i]!;
    sizes[unit]!++;
    if (kept !== undefined && kept[i] === 0) continue;
    there[unit] = 1;
    sums[unit]! += scores[i]!;
  }
  const positions = Uint32Array.from(there.keys()).filter((unit) => there[unit] === 1);
  return { scores: Float32Array.from(positions, (unit) => sums[unit]! / sizes[unit]!), positions };
}

function selectNofM({ scores, kept, view }: Scored, n: number, m: number): Uint8Array {
  const result = new Uint8Array(scores.length);
  const order: number[] = [];
  for (let r = 0; r < view.rows; r++) {
    for (let c = 0; c < view.columns; c += m) {
      order.length = 0;
      for (let j = c; j < Math.min(c + m, view.columns); j++) {
        const i = view.at(r, j);
        if (kept === undefined || kept[i] === 1) order.push(i);
      }
      // Of equal ones the first stay.
      order.sort((a, b) => scores[b]! - scores[a]! || a - b);
      for (const i of order.slice(0, n)) result[i] = 1;
    }
  }
  return result;
}

function join(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
