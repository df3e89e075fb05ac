/** @file Tests of what judge.ts makes of metrics, and how metric-text.ts says it. */
import { describe, expect, it } from "vitest";
import { compareOutputs } from "../measure/compare.ts";
import type { MetricResult } from "../measure/meter.ts";
import { Tensor } from "../tensor/tensor.ts";
import { judge } from "./judge.ts";
import { describeMetric } from "./metric-text.ts";

const far = compareOutputs({ y: Tensor.float32([1], [1]) }, { y: Tensor.float32([1], [-3]) });

function top1(value: number, change: Partial<MetricResult> = {}): MetricResult {
  return {
    name: "top-1",
    direction: "higher",
    unit: "share",
    against: "labels",
    samples: 100,
    value,
    low: value - 0.01,
    high: value + 0.01,
    original: 0.98,
    difference: { value: value - 0.98, low: value - 0.99, high: value - 0.97 },
    differing: 1,
    ...change,
  };
}

describe("a metric that knows labels", () => {
  const of = (metric: MetricResult) => judge({ name: "b", outputs: far, metrics: [metric] }, { name: "a" });

  it("decides, not the distance of the outputs", () => {
    expect(judge({ name: "b", outputs: far }).agreement).toBe("disagrees");
    expect(of(top1(0.975))).toMatchObject({ agreement: "agrees", usable: true, problems: [] });
    expect(of(top1(0.9))).toMatchObject({ agreement: "differs", usable: true });
    expect(of(top1(0.5))).toMatchObject({ agreement: "disagrees", usable: false });
    expect(of(top1(0.9)).problems).toEqual([
      "is worse than the original: top-1 98.0 % → 90.0 %  (−8.0 points, −9.0 … −7.0)",
    ]);
  });

  it("knows which way is better, and that error rates are small", () => {
    const cer = { name: "cer", direction: "lower", original: 0.01 } as const;
    expect(of(top1(0.025, cer)).agreement).toBe("agrees");
    expect(of(top1(0.15, cer)).agreement).toBe("differs");
    expect(of(top1(0.3, cer)).agreement).toBe("disagrees");
    expect(of(top1(Number.NaN, cer)).agreement).toBe("disagrees");
    const mse = { name: "mse", direction: "lower", unit: "value", original: 0.01 } as const;
    expect(of(top1(0.0101, mse)).agreement).toBe("agrees");
    expect(of(top1(0.02, mse)).agreement).toBe("disagrees");
  });

  it("is not one that compares with the original", () => {
    expect(of(top1(0.99, { against: "original" })).agreement).toBe("disagrees");
  });
});

it("says metrics in their units", () => {
  expect(describeMetric(top1(0.98))).toBe("98.0 % → 98.0 %  (0.0 points, −1.0 … +1.0)");
  const reference = { against: "original", original: 1 } as const;
  expect(describeMetric(top1(0.979, reference))).toBe("97.9 %  (96.9 … 98.9) against the original");
  const sqnr = { unit: "dB", against: "original", low: 19.96, high: Number.POSITIVE_INFINITY } as const;
  expect(describeMetric(top1(21.04, sqnr))).toBe("21.0 dB  (20.0 … ∞) against the original");
  const { difference: _, ...own } = top1(0.98);
  expect(describeMetric(own)).toBe("98.0 %  (97.0 … 99.0)");
  const mse = { unit: "value", original: 0.00123, difference: { value: 0.0001, low: -0.00001, high: 0.0002 } } as const;
  expect(describeMetric(top1(0.00133, mse))).toBe("0.00123 → 0.00133  (+0.0001, −0.00001 … +0.0002)");
});
