/**
 * @file Candidates that keep the nodes in float which cost most accuracy: from a ranking by quantizing each one alone.
 */
import type { NodeSensitivity } from "../../analyze/sensitivity.ts";
import { keepFloat } from "../../quantize/corrections/keep-float.ts";
import { exactPattern } from "../../util/name-patterns.ts";
import { type Candidate, hasOption } from "./candidate.ts";

/** Shares of the bytes that quantizing saves, of which as much is given back. */
const GIVEN_BACK = [0.01, 0.03, 0.1, 0.3] as const;

/**
 * For each share: the nodes that lose most for their bytes, computed in float with weights in 8 bits (no byte more), and
 * in float altogether.
 */
export function keepFloatVariants(base: Candidate, ranking: readonly NodeSensitivity[]): Candidate[] {
  const ranked = ranking.map(({ node, loss, bytesSaved = 0 }) => ({ node, loss, cost: Math.max(bytesSaved, 0) }));
  const saved = ranked.reduce((sum, { cost }) => sum + cost, 0);
  const found = new Map<string, Candidate>();
  for (const share of GIVEN_BACK) {
    const kept = keepFloat(ranked, share * saved);
    // With all of them in float nothing is left of the scheme.
    if (kept.length === 0 || kept.length >= ranked.length) continue;
    for (const change of [computedInFloat(kept), { exclude: kept.map(exactPattern) }]) {
      const candidate = { ...base, step: extended(base.step, change) };
      if (Object.keys(change).every((key) => hasOption(base.scheme, key))) {
        found.set(JSON.stringify(candidate.step), candidate);
      }
    }
  }
  return [...found.values()];
}

function computedInFloat(nodes: readonly string[]): Readonly<Record<string, readonly unknown[]>> {
  return { override: nodes.map((node) => ({ node: exactPattern(node), float: true })) };
}

/** Lists of the base go on. */
function extended(
  step: Candidate["step"],
  change: Readonly<Record<string, readonly unknown[]>>,
): Readonly<Record<string, unknown>> {
  const lists = Object.entries(change).map(([key, list]) => {
    const before = step[key];
    return [key, [...(Array.isArray(before) ? before : []), ...list]];
  });
  return { ...step, ...Object.fromEntries(lists) };
}
