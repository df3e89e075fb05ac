/**
 * @file What counts: how good a file is for a target, which ones are worth proving, and which one is taken.
 */
import type { Drop } from "../../analyze/drops.ts";
import type { FileMeasurement } from "../../analyze/job.ts";
import type { Judgement } from "../../analyze/judge.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { Candidate } from "./candidate.ts";

export const PREFERENCES = ["balanced", "size", "speed"] as const;

/** balanced: bytes × time, each as a share of the original's; size, speed: one of them alone, the other where it is equal. */
export type Preference = (typeof PREFERENCES)[number];

/** What a few samples say about a candidate. */
export interface ProxyResult {
  /** Of the model and its data files. */
  readonly byteLength: number;
  /** Of the contents. */
  readonly hash: string;
  /** Equal for files that differ in numbers only, and run equally fast. */
  readonly structure: string;
  /** Of the output that lost most, dB. */
  readonly sqnr: number;
  /** Share of rows with the same largest element, of the output that lost most; undefined where no output has rows. */
  readonly sameLargest?: number;
  /** Time of the original ÷ time of this file, by target; missing where no runtime of this process is the target's. */
  readonly speed: Readonly<Partial<Record<TargetName, number>>>;
  readonly samples: number;
}

/** What the samples of the evaluation say on one target. */
export interface Proof {
  readonly measurement: FileMeasurement;
  /** The original's median beside it, in milliseconds. */
  readonly originalMs?: number;
  readonly judgement: Judgement;
  readonly drops: readonly Drop[];
  /** Usable, not slower, and within the budget. */
  readonly ok: boolean;
}

export interface Entry {
  readonly candidate: Candidate;
  readonly name: string;
  proxy?: ProxyResult;
  readonly proofs: Map<TargetName, Proof>;
  /** Why it was not made, not proven or not taken. */
  why?: string;
}

/** It runs, and not slower, but what it answers is not good enough. */
export function losesTooMuch({ ok, measurement }: Proof): boolean {
  return !ok && measurement.error === undefined && measurement.latency?.verdict !== "slower";
}

/** Estimates of speed below it are not worth a proof. */
const SLOWER = 0.95;
/** Differences of the objective that are noise: of proven files, and of those that were timed for a moment. */
const EQUAL = 0.02;
const ESTIMATED_EQUAL = 0.05;

/** The smaller, the better: 1 is the original. Measured speed counts before estimated one. */
export function objective(entry: Entry, target: TargetName, original: number, prefer: Preference): number {
  const bytes = entry.proxy!.byteLength / original;
  const time = 1 / speedOf(entry, target);
  // What does not count decides between equals.
  if (prefer === "size") return bytes * time ** 0.05;
  if (prefer === "speed") return time * bytes ** 0.05;
  return bytes * time;
}

/** 1 where nothing is known. */
export function speedOf({ proxy, proofs }: Entry, target: TargetName): number {
  return proofs.get(target)?.measurement.latency?.ratio?.median ?? proxy?.speed[target] ?? 1;
}

/**
 * The entries that are worth a proof for a target, best objective first: each loses less on the few samples than all
 * before it. Along the list the loss of the task falls, too, so the first within the budget can be looked for.
 */
export function front(entries: readonly Entry[], target: TargetName, original: number, prefer: Preference): Entry[] {
  const rank = (entry: Entry): number =>
    Math.round(Math.log(objective(entry, target, original, prefer)) / ESTIMATED_EQUAL);
  const fitting = entries.filter(
    ({ candidate, proxy }) =>
      candidate.targets.includes(target) && proxy !== undefined && (proxy.speed[target] ?? 1) >= SLOWER,
  );
  const order = fitting.toSorted((a, b) => rank(a) - rank(b) || b.proxy!.sqnr - a.proxy!.sqnr);
  let best = Number.NEGATIVE_INFINITY;
  return order.filter(({ proxy }) => {
    const better = proxy!.sqnr > best;
    best = Math.max(best, proxy!.sqnr);
    return better;
  });
}

/** Entries of a front that a round of proofs takes: they halve, or better, what is not known. */
export function nextProofs(sorted: readonly Entry[], target: TargetName, atMost: number): Entry[] {
  const first = sorted.findIndex(({ proofs }) => proofs.get(target)?.ok === true);
  const end = first < 0 ? sorted.length : first;
  // What lost too much says the same of those before it, which lose more.
  const lost = sorted.slice(0, end).findLastIndex(({ proofs }) => {
    const proof = proofs.get(target);
    return proof !== undefined && losesTooMuch(proof);
  });
  const open = sorted.slice(lost + 1, end).filter(({ proofs }) => !proofs.has(target));
  if (open.length <= atMost) return open;
  const step = (open.length - 1) / Math.max(atMost - 1, 1);
  return [...new Set(Array.from({ length: atMost }, (_, index) => open[Math.round(index * step)]!))];
}

/** The proven entry to take for a target: of those that are equally good, the one that loses least. */
export function winner(
  entries: readonly Entry[],
  target: TargetName,
  original: number,
  prefer: Preference,
): Entry | undefined {
  const proven = entries.filter(
    ({ proofs, proxy }) => proofs.get(target)?.ok && proxy !== undefined && proxy.byteLength < original,
  );
  const of = (entry: Entry): number => objective(entry, target, original, prefer);
  const best = Math.min(...proven.map(of));
  return least(
    proven.filter((entry) => of(entry) <= best * (1 + EQUAL)),
    ({ proxy }) => -proxy!.sqnr,
  );
}

/** One file for several targets, where it is as good as each one's own. */
export function winners(
  entries: readonly Entry[],
  targets: readonly TargetName[],
  original: number,
  prefer: Preference,
): Map<TargetName, Entry> {
  const chosen = new Map<TargetName, Entry>();
  for (const target of targets) {
    const entry = winner(entries, target, original, prefer);
    if (entry !== undefined) chosen.set(target, entry);
  }
  const served = [...chosen.keys()];
  const excess = (entry: Entry): number =>
    Math.max(
      ...served.map(
        (target) =>
          objective(entry, target, original, prefer) / objective(chosen.get(target)!, target, original, prefer),
      ),
    );
  const shared = entries.filter(({ proofs }) => served.every((target) => proofs.get(target)?.ok));
  const equal = shared.filter((entry) => excess(entry) <= 1 + EQUAL);
  const best = least(equal, ({ proxy }) => -(proxy?.sqnr ?? 0));
  if (served.length > 1 && best !== undefined) for (const target of served) chosen.set(target, best);
  return chosen;
}

/** The entry that lost least on a target: usable ones first. */
export function leastLoss(entries: readonly Entry[], target: TargetName): Entry | undefined {
  return least(
    entries.filter(({ proofs }) => proofs.has(target)),
    ({ proofs }) => {
      const { judgement, drops, measurement } = proofs.get(target)!;
      const slower = measurement.latency?.verdict === "slower" ? 1e3 : 0;
      const bound = Math.max(...drops.map((drop) => (Number.isNaN(drop.bound) ? 1e6 : drop.bound)), -1);
      return (judgement.usable ? 0 : 1e9) + slower + bound;
    },
  );
}

function least<T>(items: readonly T[], value: (item: T) => number): T | undefined {
  let best: { readonly item: T; readonly value: number } | undefined;
  for (const item of items) {
    const own = value(item);
    if (best === undefined || own < best.value) best = { item, value: own };
  }
  return best?.item;
}
