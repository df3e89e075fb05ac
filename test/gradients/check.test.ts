/**
 * @file The check of gradient rules itself: that it catches wrong formulas.
 */
import { expect, test } from "vitest";
import type { GradientRow } from "../../src/autodiff/rule.ts";
import { checkGradient, type GradientCase } from "./check.ts";

const product: GradientCase = { name: "product", inputs: [[2, 3], [3]], linear: true };
const curve: GradientCase = { name: "curve", inputs: [[2, 3]] };
const pieces: GradientCase = { name: "pieces", inputs: [{ dims: [2, 3], distinct: 1 }], linear: true };

const wrong: readonly (readonly [string, string, GradientCase, GradientRow])[] = [
  // dx₀ and dx₁ exchanged
  ["linear", "Mul", product, { broadcasts: true, rule: (c) => [c.b.mul(c.dy(), c.x(0)), c.b.mul(c.dy(), c.x(1))] }],
  ["a factor", "Mul", product, { broadcasts: true, rule: (c) => [c.b.scale(c.b.mul(c.dy(), c.x(1)), 1.0001)] }],
  ["the second input forgotten", "Mul", product, { broadcasts: true, rule: (c) => [c.b.mul(c.dy(), c.x(1))] }],
  ["curved", "Exp", curve, { rule: (c) => [c.b.mul(c.dy(), c.x(0))] }],
  ["curved, a factor", "Exp", curve, { rule: (c) => [c.b.scale(c.b.mul(c.dy(), c.y()), 1.01)] }],
  ["the sign of a term", "Tanh", curve, { rule: (c) => [c.b.mul(c.dy(), c.b.offset(c.b.square(c.y()), 1))] }],
  ["pieces", "Relu", pieces, { rule: (c) => [c.dy()] }],
  ["no gradient at all", "Relu", pieces, { zero: true }],
];

test.each(wrong)("catches a wrong formula: %s", async (_, opType, entry, row) => {
  await checkGradient(opType, entry);
  await expect(checkGradient(opType, entry, 1, row)).rejects.toThrow(/probe 0|probe 1|probe 2/);
});

test("catches a gradient of the wrong dimensions", async () => {
  const row: GradientRow = { rule: (c) => [c.b.mul(c.dy(), c.x(1)), c.b.mul(c.dy(), c.x(0))] };
  await expect(checkGradient("Mul", product, 1, row)).rejects.toThrow(/dimensions of the gradient of x1/);
});

test("refuses differences that say nothing", async () => {
  const entry: GradientCase = { name: "a step that is too long", inputs: [[2, 3]], h: 4 };
  await expect(checkGradient("Exp", entry)).rejects.toThrow(/says little/);
});
