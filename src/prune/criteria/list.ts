/**
 * @file The list of criteria that need no loss. Those that do (Taylor, SNIP, movement) belong to training.
 */
import type { Criterion } from "./criterion.ts";
import { l1, l1Normalized, l2, random } from "./magnitude.ts";

export const CRITERIA = [l1, l2, l1Normalized, random] as const satisfies readonly Criterion[];

export const CRITERION_NAMES = CRITERIA.map(({ name }) => name);

export function criterionOf(name: string): Criterion | undefined {
  return CRITERIA.find((criterion) => criterion.name === name);
}
