/**
 * @file A figure over all samples, and the interval of it or of its difference to the original's, by resampling samples.
 */
import { createRandom } from "../../src/util/random.ts";
import type { Part } from "./task.ts";

export interface Estimate {
  readonly value: number;
  /** Bounds of the 95 % interval. */
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2000;
const LEVEL = 0.95;

/** Σ top ÷ Σ bottom. */
export function ratio(parts: readonly Part[]): number {
  let [tops, bottoms] = [0, 0];
  for (const [top, bottom] of parts) {
    tops += top;
    bottoms += bottom;
  }
  return tops / bottoms;
}

/**
 * The value of a figure with its bootstrap percentile interval; with the original's `base`, of the same samples, the
 * difference to it (paired: both are resampled alike).
 * Source: Efron & Tibshirani, An Introduction to the Bootstrap, §13.3.
 */
export function estimate(parts: readonly Part[], base?: readonly Part[]): Estimate {
  const random = createRandom(1);
  const of = (pick: (k: number) => number): number => {
    let [top, bottom, baseTop, baseBottom] = [0, 0, 0, 0];
    for (let k = 0; k < parts.length; k++) {
      const i = pick(k);
      top += parts[i]![0];
      bottom += parts[i]![1];
      if (base === undefined) continue;
      baseTop += base[i]![0];
      baseBottom += base[i]![1];
    }
    return top / bottom - (base === undefined ? 0 : baseTop / baseBottom);
  };
  const values = Float64Array.from({ length: RESAMPLES }, () => of(() => random.integer(parts.length))).sort();
  const at = (share: number): number => values[Math.round(share * (RESAMPLES - 1))]!;
  return { value: of((k) => k), low: at((1 - LEVEL) / 2), high: at((1 + LEVEL) / 2) };
}
