/**
 * @file Every gradient rule against differences of the operator itself.
 */
import { describe, expect, test } from "vitest";
import { GRADIENT_FAMILIES } from "../../src/autodiff/table.ts";
import { ACTIVATION_CASES } from "./activation.ts";
import { checkGradient, type GradientCase } from "./check.ts";
import { CONSTANT_CASES } from "./constant.ts";
import { CONVOLUTION_CASES } from "./convolution.ts";
import { ELEMENTWISE_CASES } from "./elementwise.ts";
import { LINALG_CASES } from "./linalg.ts";
import { MATHEMATICAL_CASES } from "./mathematical.ts";
import { MOVEMENT_CASES } from "./movement.ts";
import { NORMALIZATION_CASES } from "./normalization.ts";
import { POOLING_CASES } from "./pooling.ts";
import { QUANTIZATION_CASES } from "./quantization.ts";
import { REDUCTION_CASES } from "./reduction.ts";
import { RESIZE_CASES } from "./resize.ts";

/** One line per family. */
const FAMILIES: readonly Readonly<Record<string, readonly GradientCase[]>>[] = [
  ELEMENTWISE_CASES,
  CONVOLUTION_CASES,
  POOLING_CASES,
  RESIZE_CASES,
  MOVEMENT_CASES,
  NORMALIZATION_CASES,
  MATHEMATICAL_CASES,
  CONSTANT_CASES,
  ACTIVATION_CASES,
  REDUCTION_CASES,
  LINALG_CASES,
  QUANTIZATION_CASES,
];

for (const family of FAMILIES) {
  for (const [op, cases] of Object.entries(family)) {
    describe(op, () => {
      for (const entry of cases) test(entry.name, () => checkGradient(op, entry));
    });
  }
}

test("no operator has rows in two families", () => {
  const ops = GRADIENT_FAMILIES.flatMap((family) => Object.keys(family));
  expect(ops.filter((op, i) => ops.indexOf(op) !== i)).toEqual([]);
});
