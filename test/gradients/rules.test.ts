/**
 * @file Every gradient rule against differences of the operator itself.
 */
import { describe, test } from "vitest";
import { checkGradient, type GradientCase } from "./check.ts";
import { ELEMENTWISE_CASES } from "./elementwise.ts";
import { MOVEMENT_CASES } from "./movement.ts";
import { NORMALIZATION_CASES } from "./normalization.ts";

/** One line per family. */
const FAMILIES: readonly Readonly<Record<string, readonly GradientCase[]>>[] = [
  ELEMENTWISE_CASES,
  MOVEMENT_CASES,
  NORMALIZATION_CASES,
];

for (const family of FAMILIES) {
  for (const [op, cases] of Object.entries(family)) {
    describe(op, () => {
      for (const entry of cases) test(entry.name, () => checkGradient(op, entry));
    });
  }
}
