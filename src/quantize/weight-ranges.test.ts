/**
 * @file Ranges of weights: never worse than their extremes, better where that is known.
 */
import { describe, expect, test } from "vitest";
import { GraphError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { fakeQuantize, minMax } from "./affine.ts";
import { type Granularity, groupView } from "./granularity.ts";
import { type QScheme, qparamsFromRanges } from "./qparams.ts";
import { sqnr } from "./sqnr.ts";
import { weightRanges } from "./weight-ranges.ts";

const SCHEMES: readonly QScheme[] = [
  { dtype: "int8", symmetric: true, narrowRange: true },
  { dtype: "int8", symmetric: true, reduceRange: true },
  { dtype: "uint8", symmetric: true, narrowRange: true },
  { dtype: "uint8", symmetric: false },
  { dtype: "int4", symmetric: true },
  { dtype: "int4", symmetric: true, narrowRange: true },
  { dtype: "uint4", symmetric: false },
  { dtype: "uint4", symmetric: true },
];

const LAYOUTS: readonly (readonly [dims: readonly number[], granularity: Granularity])[] = [
  [[24, 40], { kind: "per-axis", axis: 0 }],
  [[40, 24], { kind: "per-axis", axis: 1 }],
  [[6, 5, 3, 3], { kind: "per-axis", axis: 1 }],
  [[70, 20], { kind: "blocked", axis: 0, blockSize: 32 }],
  [[20, 70], { kind: "blocked", axis: 1, blockSize: 32 }],
  [[3000], { kind: "per-tensor" }],
  [[2, 5000], { kind: "per-axis", axis: 0 }],
];

/** Heavy tails, as trained weights have. */
function weights(size: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, () => random.normal() ** 3 * 0.02);
}

/** The group of each element, by the formula of GroupView. */
function groupsOf(view: ReturnType<typeof groupView>): number[] {
  return Array.from({ length: view.size }, (_, i) => {
    const [inner, row] = [i % view.inner, Math.floor(i / view.inner)];
    const [a, o] = [row % view.length, Math.floor(row / view.length)];
    return o * view.strides[0] + Math.floor(a / view.block) * view.strides[1] + inner * view.strides[2];
  });
}

describe.each(LAYOUTS)("%j %j", (dims, granularity) => {
  const view = groupView(dims, granularity);
  const group = groupsOf(view);

  test.each(SCHEMES)("mse is in no group worse than min-max: %j", (scheme) => {
    for (const seed of [1, 2, 3]) {
      const data = weights(view.size, seed);
      const errors = (search: "min-max" | "mse"): Float64Array => {
        const qparams = qparamsFromRanges(weightRanges(data, view, scheme, search), view, scheme);
        const back = fakeQuantize(data, view, qparams);
        const sums = new Float64Array(view.groups);
        for (const [i, g] of group.entries()) sums[g]! += (data[i]! - back[i]!) ** 2;
        return sums;
      };
      const plain = errors("min-max");
      // The order of summation differs from the search's.
      errors("mse").forEach((error, g) => {
        expect(error).toBeLessThanOrEqual(plain[g]! * (1 + 1e-9));
      });
    }
  });
});

test("min-max gives the extremes", () => {
  const view = groupView([8, 16], { kind: "per-axis", axis: 0 });
  const data = weights(128, 1);
  expect(weightRanges(data, view, SCHEMES[0]!, "min-max")).toEqual(minMax(data, view));
});

test("4 bits gain at least half a decibel on normal weights, per channel", () => {
  const random = createRandom(5);
  const view = groupView([16, 1024], { kind: "per-axis", axis: 0 });
  const data = Float32Array.from({ length: view.size }, () => random.normal());
  for (const scheme of SCHEMES.filter(({ dtype }) => dtype.endsWith("4"))) {
    const [plain, found] = (["min-max", "mse"] as const).map((search) => {
      const qparams = qparamsFromRanges(weightRanges(data, view, scheme, search), view, scheme);
      return sqnr(data, fakeQuantize(data, view, qparams));
    });
    expect(found! - plain!, JSON.stringify(scheme)).toBeGreaterThan(0.5);
  }
});

test("finds what a fine grid of all ranges finds, within 0.1 dB", () => {
  const view = groupView([1000], { kind: "per-tensor" });
  for (const seed of [1, 2, 3]) {
    const data = weights(1000, seed);
    for (const scheme of SCHEMES.filter(({ symmetric, dtype }) => symmetric && dtype.endsWith("4"))) {
      const quality = ({ min, max }: { min: ArrayLike<number>; max: ArrayLike<number> }): number =>
        sqnr(data, fakeQuantize(data, view, qparamsFromRanges({ min, max }, view, scheme)));
      const { min, max } = minMax(data, view);
      const grid = Array.from({ length: 400 }, (_, i) => (i + 1) / 400);
      const best = Math.max(...grid.map((share) => quality({ min: [min[0]! * share], max: [max[0]! * share] })));
      expect(quality(weightRanges(data, view, scheme, "mse"))).toBeGreaterThan(best - 0.1);
    }
  }
});

test("zeros, constants, groups without elements, values that are not finite", () => {
  const scheme = SCHEMES[4]!;
  const rows = groupView([2, 3], { kind: "per-axis", axis: 0 });
  const { min, max } = weightRanges(Float32Array.of(0, 0, 0, 2, 2, 2), rows, scheme, "mse");
  expect([min[0], max[0]]).toEqual([0, 0]);
  const qparams = qparamsFromRanges({ min, max }, rows, scheme);
  const back = fakeQuantize(Float32Array.of(0, 0, 0, 2, 2, 2), rows, qparams);
  expect([...back].map((value) => Number(value.toFixed(6)))).toEqual([0, 0, 0, 2, 2, 2]);
  const none = groupView([0, 3], { kind: "per-axis", axis: 1 });
  expect([...weightRanges(new Float32Array(0), none, scheme, "mse").max]).toEqual([0, 0, 0]);
  expect(() => weightRanges(Float32Array.of(1, Number.NaN, 1, 1, 1, 1), rows, scheme, "mse")).toThrow(GraphError);
});
