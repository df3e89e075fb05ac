/** @file Initializers: moments and bounds of many draws, against what the formulas say. */
import { describe, expect, it } from "vitest";
import { createRandom } from "../util/random.ts";
import {
  calculateGain,
  constant,
  type Initializer,
  kaimingNormal,
  kaimingUniform,
  normal,
  ones,
  orthogonal,
  truncNormal,
  uniform,
  xavierNormal,
  xavierUniform,
  zeros,
} from "./init.ts";

/** [out, in, k, k]: fan in 30 · 9, fan out 40 · 9. */
const DIMS = [40, 30, 3, 3];
const [FAN_IN, FAN_OUT] = [270, 360];
const COUNT = 40 * 30 * 9;

function moments(initializer: Initializer, seed = 1): { mean: number; std: number; low: number; high: number } {
  const values = initializer(DIMS, createRandom(seed));
  expect(values).toHaveLength(COUNT);
  const mean = values.reduce((sum, x) => sum + x, 0) / COUNT;
  const std = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / COUNT);
  return { mean, std, low: Math.min(...values), high: Math.max(...values) };
}

/** 4.5 standard errors: the seeds are fixed, so this bounds a draw that was seen, not chance. */
const ERRORS = 4.5;

const UNIFORM = [
  ["uniform", uniform(-1, 3), -1, 3],
  ["xavierUniform", xavierUniform(2), ...around(2 * Math.sqrt(6 / (FAN_IN + FAN_OUT)))],
  ["kaimingUniform", kaimingUniform(), ...around(Math.sqrt(6 / FAN_IN))],
  // The default of PyTorch's layers: gain √(2 / (1 + 5)), so the bound is 1 / √fan.
  ["kaimingUniform a=√5", kaimingUniform({ a: Math.sqrt(5) }), ...around(1 / Math.sqrt(FAN_IN))],
  [
    "kaimingUniform fanOut",
    kaimingUniform({ mode: "fanOut", nonlinearity: "tanh" }),
    ...around((5 / 3) * Math.sqrt(3 / FAN_OUT)),
  ],
] as const;

function around(bound: number): readonly [number, number] {
  return [-bound, bound];
}

it.each(UNIFORM)("%s keeps its bounds and is flat between them", (_name, initializer, low, high) => {
  const got = moments(initializer);
  const width = high - low;
  const std = width / Math.sqrt(12);
  expect(got.low).toBeGreaterThanOrEqual(Math.fround(low));
  expect(got.high).toBeLessThanOrEqual(Math.fround(high));
  // The extremes of n uniform draws are about width / n from the bounds.
  expect(got.low).toBeLessThan(low + (20 * width) / COUNT);
  expect(got.high).toBeGreaterThan(high - (20 * width) / COUNT);
  expect(Math.abs(got.mean - (low + high) / 2)).toBeLessThan((ERRORS * std) / Math.sqrt(COUNT));
  // Var(s²) of a uniform: σ⁴ (1.8 − 1) / n
  expect(Math.abs(got.std - std)).toBeLessThan((ERRORS * std * Math.sqrt(0.8 / COUNT)) / 2);
});

const NORMAL = [
  ["normal", normal(0.5, 2), 0.5, 2],
  ["xavierNormal", xavierNormal(), 0, Math.sqrt(2 / (FAN_IN + FAN_OUT))],
  ["kaimingNormal", kaimingNormal({ nonlinearity: "relu" }), 0, Math.sqrt(2 / FAN_IN)],
  ["kaimingNormal fanOut", kaimingNormal({ mode: "fanOut" }), 0, Math.sqrt(2 / FAN_OUT)],
] as const;

it.each(NORMAL)("%s has its mean and standard deviation", (_name, initializer, mean, std) => {
  const got = moments(initializer);
  expect(Math.abs(got.mean - mean)).toBeLessThan((ERRORS * std) / Math.sqrt(COUNT));
  expect(Math.abs(got.std - std)).toBeLessThan((ERRORS * std) / Math.sqrt(2 * COUNT));
  // Tails: 10,800 draws reach beyond 3 standard deviations.
  expect(got.high).toBeGreaterThan(mean + 3 * std);
  expect(got.low).toBeLessThan(mean - 3 * std);
});

describe("truncNormal", () => {
  // Moments of N(0, 1) within [a, b]: mean (φ(a) − φ(b)) / Z, variance 1 + (a φ(a) − b φ(b)) / Z − mean².
  const cases = [
    { low: -2, high: 2, mean: 0, variance: 0.773741 },
    { low: 1, high: 2.5, mean: 1.473656, variance: 0.139909 },
    { low: -1, high: 9, mean: 0.2876, variance: 0.629686 },
  ];
  it.each(cases)("keeps to [$low, $high]", ({ low, high, mean, variance }) => {
    const got = moments(truncNormal(1, 2, 1 + 2 * low, 1 + 2 * high));
    expect(got.low).toBeGreaterThanOrEqual(1 + 2 * low);
    expect(got.high).toBeLessThanOrEqual(1 + 2 * high);
    const std = 2 * Math.sqrt(variance);
    expect(Math.abs(got.mean - (1 + 2 * mean))).toBeLessThan((ERRORS * std) / Math.sqrt(COUNT));
    expect(Math.abs(got.std / std - 1)).toBeLessThan(ERRORS / Math.sqrt(2 * COUNT));
  });

  it("refuses ranges where next to nothing is", () => {
    expect(() => truncNormal(0, 1, 4, 5)([2], createRandom(1))).toThrow(/within 3 std of N\(0, 1²\), got \[4, 5\]/);
    expect(() => truncNormal(0, 1, 1, 1)([2], createRandom(1))).toThrow(/within 3 std/);
  });
});

describe("orthogonal", () => {
  it.each([[[6, 10]], [[10, 6]], [[5, 2, 3, 1]], [[4, 4]]])("makes the shorter side of %j orthonormal", (dims) => {
    const gain = 2;
    const values = orthogonal(gain)(dims, createRandom(3));
    const rows = dims[0]!;
    const columns = values.length / rows;
    const at = (i: number, j: number): number =>
      rows <= columns ? values[i * columns + j]! : values[j * columns + i]!;
    const [count, length] = rows <= columns ? [rows, columns] : [columns, rows];
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        let dot = 0;
        for (let j = 0; j < length; j++) dot += at(a, j) * at(b, j);
        expect(dot).toBeCloseTo(a === b ? gain * gain : 0, 5);
      }
    }
  });
});

it("fills with constants", () => {
  const random = createRandom(1);
  expect([...zeros([2], random), ...ones([1, 2], random), ...constant(0.25)([1], random)]).toEqual([0, 0, 1, 1, 0.25]);
});

it("has PyTorch's gains", () => {
  expect(calculateGain("relu")).toBe(Math.sqrt(2));
  expect(calculateGain("tanh")).toBe(5 / 3);
  expect(calculateGain("leaky_relu", 0.2)).toBeCloseTo(1.3867504906, 9);
  expect([calculateGain("selu"), calculateGain("linear")]).toEqual([0.75, 1]);
});

it("draws the same for the same seed and refuses vectors where fans are asked for", () => {
  const draw = (seed: number): Float32Array => kaimingNormal()([4, 5], createRandom(seed));
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(() => xavierUniform()([3], createRandom(1))).toThrow(/at least two dimensions, got \[3\]/);
});
