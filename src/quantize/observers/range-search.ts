/**
 * @file The search for a range that costs least: both ends on their own where the scheme is asymmetric and the values have
 * both signs, else one. Candidates are the extremes times powers of 2^(1/4), down to 2^-16, then finer around the best.
 */
import type { QScheme } from "../qparams.ts";

/** The cost of a range; anything above `limit` where it is above. */
export type Cost = (min: number, max: number, limit: number) => number;

interface Best {
  /** What the ends are of the extremes. */
  low: number;
  high: number;
  cost: number;
}

const COARSE = 2 ** -0.25;
const SMALLEST = 2 ** -16;
/** Relative steps around the best, from coarse to fine. */
const STEPS = [1 / 16, 1 / 64, 1 / 256];
const MOVES = 4;

/** @returns A range within `min … max` (0 included) that costs no more than that one; float32 values. */
export function searchRange(min: number, max: number, scheme: QScheme, cost: Cost): { min: number; max: number } {
  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  if (low === 0 && high === 0) return { min: 0, max: 0 };
  const best: Best = { low: 1, high: 1, cost: cost(low, high, Number.POSITIVE_INFINITY) };
  const attempt = (a: number, b: number): boolean => {
    if (a > 1 || b > 1) return false;
    const found = cost(Math.fround(low * a), Math.fround(high * b), best.cost);
    if (!(found < best.cost)) return false;
    Object.assign(best, { low: a, high: b, cost: found });
    return true;
  };
  const apart = !scheme.symmetric && low < 0 && high > 0;
  for (let factor = COARSE; factor >= SMALLEST; factor *= COARSE) attempt(factor, factor);
  if (apart) {
    for (let round = 0; round < 2; round++) {
      const { low: a, high: b } = best;
      for (let factor = 1; factor >= SMALLEST; factor *= COARSE) attempt(factor, best.high);
      for (let factor = 1; factor >= SMALLEST; factor *= COARSE) attempt(best.low, factor);
      if (best.low === a && best.high === b) break;
    }
  }
  for (const step of STEPS) {
    for (let move = 0; move < MOVES; move++) {
      const { low: a, high: b } = best;
      let moved = false;
      for (const factor of [1 + step, 1 - step]) {
        if (!apart) moved = attempt(a * factor, b * factor) || moved;
        else {
          moved = attempt(a * factor, b) || moved;
          moved = attempt(best.low, b * factor) || moved;
        }
      }
      if (!moved) break;
    }
  }
  return { min: Math.fround(low * best.low), max: Math.fround(high * best.high) };
}
