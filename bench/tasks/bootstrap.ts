/** @file Figures of tasks over all samples, with the intervals of src/measure/bootstrap.ts. */
import { bootstrapDifference, bootstrapValue, Contributions, type Estimate } from "../../src/measure/bootstrap.ts";
import { ratioOfSums } from "../../src/measure/metrics/metric.ts";
import type { Part } from "./task.ts";

export type { Estimate };

const OPTIONS = { seed: 1, resamples: 2000 } as const;

/**
 * Σ top ÷ Σ bottom with its 95 % interval; with the original's `base`, of the same samples, the difference to it (paired:
 * both are resampled alike).
 */
export function estimate(parts: readonly Part[], base?: readonly Part[]): Estimate {
  const own = contributionsOf(parts);
  if (base === undefined) return bootstrapValue(own, ratioOfSums, OPTIONS);
  return bootstrapDifference(contributionsOf(base), own, ratioOfSums, OPTIONS);
}

function contributionsOf(parts: readonly Part[]): Contributions {
  const contributions = new Contributions();
  for (const part of parts) contributions.add(part);
  return contributions;
}
