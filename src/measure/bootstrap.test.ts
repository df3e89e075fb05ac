/** @file Tests of bootstrap.ts: against SciPy's bootstrap, the normal approximation, and identities. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { bootstrapDifference, bootstrapValue, Contributions } from "./bootstrap.ts";
import { top1 } from "./metrics/classification.ts";
import { f1 } from "./metrics/f1.ts";
import { type Metric, ratioOfSums } from "./metrics/metric.ts";
import { DEFAULT_METRIC_OPTIONS } from "./metrics/options.ts";

const { classification } = JSON.parse(
  readFileSync(new URL("../../test/reference/metrics.json", import.meta.url), "utf8"),
);

function contributions(values: readonly (readonly number[])[]): Contributions {
  const all = new Contributions();
  for (const value of values) all.add(value);
  return all;
}

function ofScores(metric: Metric, scores: readonly number[]): Contributions {
  const { classes, labels } = classification;
  return contributions(
    (labels as number[]).map((label, i) => {
      const row = scores.slice(i * classes, (i + 1) * classes);
      return [
        ...(metric.contribute(
          { y: Tensor.float32([1, classes], row as number[]) },
          { label },
          DEFAULT_METRIC_OPTIONS,
        ) as number[]),
      ];
    }),
  );
}

it("gives SciPy's intervals of paired differences", () => {
  const { scores, others, accuracyInterval, f1Interval } = classification;
  const accuracy = bootstrapDifference(ofScores(top1, scores), ofScores(top1, others), ratioOfSums, {
    resamples: 20_000,
  });
  // Differences of 60 answers are multiples of 1/60: the percentile may fall on the neighbour.
  expect(Math.abs(accuracy.low - accuracyInterval[0])).toBeLessThanOrEqual(1 / 60 + 1e-9);
  expect(Math.abs(accuracy.high - accuracyInterval[1])).toBeLessThanOrEqual(1 / 60 + 1e-9);
  const macro = bootstrapDifference(
    ofScores(f1, scores),
    ofScores(f1, others),
    (sums) => f1.aggregate(sums, DEFAULT_METRIC_OPTIONS),
    { resamples: 2000 },
  );
  // Standard error of a percentile of 2,000 resamples is about 0.003 here; two independent draws of it.
  expect(Math.abs(macro.low - f1Interval[0])).toBeLessThan(0.015);
  expect(Math.abs(macro.high - f1Interval[1])).toBeLessThan(0.015);
});

it("pairs: what is hard for both cancels", () => {
  const random = createRandom(3);
  const before = Array.from({ length: 500 }, () => [10 * random.normal(), 1]);
  const after = before.map(([value]) => [value! - 0.5 + 0.1 * random.normal(), 1]);
  const { value, low, high } = bootstrapDifference(contributions(before), contributions(after), ratioOfSums);
  expect(value).toBeCloseTo(-0.5, 1);
  // Mean of 500 differences of deviation 0.1: ± 1.96 × 0.1 ÷ √500 = 0.0088; unpaired it would be 1.24.
  expect(high - low).toBeGreaterThan(0.013);
  expect(high - low).toBeLessThan(0.022);
  expect(low).toBeLessThan(value);
  expect(high).toBeGreaterThan(value);
});

it("is the same for the same seed, has no width where nothing differs, and counts what does", () => {
  const a = contributions([
    [1, 1],
    [0, 1],
    [1, 1],
  ]);
  const b = contributions([
    [1, 1],
    [1, 1],
    [0, 1],
  ]);
  expect(bootstrapDifference(a, b, ratioOfSums, { seed: 4 })).toEqual(
    bootstrapDifference(a, b, ratioOfSums, { seed: 4 }),
  );
  expect(bootstrapDifference(a, a, ratioOfSums)).toEqual({ value: 0, low: 0, high: 0 });
  expect([a.differing(b), a.differing(a)]).toEqual([2, 0]);
  expect(bootstrapValue(b, ratioOfSums).value).toBeCloseTo(2 / 3, 12);
});

it("passes over resamples that do not define the metric, and infinities", () => {
  const rare = contributions([[1, 2], ...Array.from({ length: 5 }, () => [0, 0])]);
  expect(bootstrapValue(rare, ratioOfSums)).toEqual({ value: 0.5, low: 0.5, high: 0.5 });
  const equal = contributions([
    [1, 0],
    [2, 0],
  ]);
  const toInfinity = ([signal = 0, noise = 0]: Float64Array) => signal / noise;
  expect(bootstrapValue(equal, toInfinity)).toEqual({
    value: Number.POSITIVE_INFINITY,
    low: Number.POSITIVE_INFINITY,
    high: Number.POSITIVE_INFINITY,
  });
});

it("wants samples, as many of both", () => {
  expect(() => bootstrapValue(new Contributions(), ratioOfSums)).toThrow(/at least 1 sample/);
  expect(() => bootstrapDifference(contributions([[1, 1]]), new Contributions(), ratioOfSums)).toThrow(
    /expected as many/,
  );
});
