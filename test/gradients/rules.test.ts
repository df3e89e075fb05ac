/**
 * @file Every gradient rule against differences of the operator itself.
 */
import { describe, test } from "vitest";
import { checkGradient, type GradientCase } from "./check.ts";
import { CONVOLUTION_CASES } from "./convolution.ts";
import { ELEMENTWISE_CASES } from "./elementwise.ts";
import { POOLING_CASES } from "./pooling.ts";
import { RESIZE_CASES } from "./resize.ts";

/** One line per family. */
const FAMILIES: readonly Readonly<Record<string, readonly GradientCase[]>>[] = [
  ELEMENTWISE_CASES,
  CONVOLUTION_CASES,
  POOLING_CASES,
  RESIZE_CASES,
];

for (const family of FAMILIES) {
  for (const [op, cases] of Object.entries(family)) {
    describe(op, () => {
      for (const entry of cases) test(entry.name, () => checkGradient(op, entry));
    });
  }
}
