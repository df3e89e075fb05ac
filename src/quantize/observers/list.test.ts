/**
 * @file What all observers have in common, and where values are extreme.
 */
import { describe, expect, test } from "vitest";
import { GraphError, OptionError } from "../../util/errors.ts";
import { createRandom } from "../../util/random.ts";
import { fakeQuantize } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { CODE_RANGES, type CodeDType, type QScheme } from "../qparams.ts";
import { createObserver, OBSERVER_NAMES, type ObserverName, restoreObserver } from "./list.ts";
import type { Observer, ObserverOptions } from "./observer.ts";

const UINT8: QScheme = { dtype: "uint8", symmetric: false };
const INT8: QScheme = { dtype: "int8", symmetric: true };

const SCHEMES: readonly QScheme[] = [
  ...(Object.keys(CODE_RANGES) as CodeDType[]).flatMap((dtype) => [
    { dtype, symmetric: false },
    { dtype, symmetric: true },
  ]),
  { ...UINT8, reduceRange: true },
  { ...INT8, reduceRange: true },
  { ...INT8, narrowRange: true },
];

const perTensor = groupView([1], { kind: "per-tensor" });

function observed(
  name: ObserverName,
  options: ObserverOptions,
  samples: readonly (readonly number[] | Float32Array)[],
) {
  const observer = createObserver(name, options);
  for (const sample of samples) observer.observe(Float32Array.from(sample), [sample.length]);
  return observer;
}

const rangeOf = (observer: Observer): number[] => {
  const { min, max } = observer.ranges()!;
  return [min[0]!, max[0]!];
};

/** Normal, with both signs. */
function normal(length: number, seed = 1, scale = 1): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length }, () => random.normal() * scale);
}

describe.each(OBSERVER_NAMES)("%s", (name) => {
  test("says that it saw nothing", () => {
    const observer = createObserver(name, { scheme: UINT8 });
    expect(observer.ranges()).toBeUndefined();
    expect(observer.qparams()).toBeUndefined();
    observer.observe(new Float32Array(0), [2, 0, 3]);
    expect(observer.ranges()).toBeUndefined();
    expect(observer.count).toBe(1);
  });

  test.each(SCHEMES)("keeps 0 exact and stays within the extremes: %j", (scheme) => {
    const samples = [normal(500, 1), normal(700, 2, 3), normal(300, 3, 0.2).map((x) => x + 1)];
    const observer = observed(name, { scheme }, samples);
    const [min, max] = rangeOf(observer) as [number, number];
    const extremes = samples.flatMap((sample) => [...sample]);
    // Symmetric percentiles are of magnitudes: their range may be longer at the shorter end, where it is no use.
    expect(min).toBeGreaterThanOrEqual(Math.min(...extremes));
    expect(max).toBeLessThanOrEqual(Math.max(...extremes));
    expect(min).toBeLessThanOrEqual(max);
    expect(fakeQuantize(Float32Array.of(0), perTensor, observer.qparams()!)[0]).toBe(0);
  });

  test.each(SCHEMES)("zeros have a scale of 1: %j", (scheme) => {
    const observer = observed(name, { scheme }, [[0, 0, 0], [0]]);
    expect(rangeOf(observer)).toEqual([0, 0]);
    expect(observer.qparams()!.scale[0]).toBe(1);
  });

  test.each([0.7, -0.7, 1e-30, -3e38])("a constant %d is represented", (value) => {
    const constant = Math.fround(value);
    for (const scheme of SCHEMES) {
      const observer = observed(name, { scheme: { ...scheme, eps: 2 ** -126 } }, [[constant, constant], [constant]]);
      const qparams = observer.qparams()!;
      const found = fakeQuantize(Float32Array.of(constant), perTensor, qparams)[0]!;
      expect(Math.abs(found - constant), JSON.stringify(scheme)).toBeLessThanOrEqual(
        qparams.scale[0]! / 2 + Math.abs(constant) * 2 ** -22, // the bound of affine.ts
      );
    }
  });

  test.each([1e-40, 1e-20, 1e20, 1e38])("values around %d", (size) => {
    for (const scheme of [UINT8, INT8, { ...INT8, dtype: "int16" }] as const) {
      const observer = observed(name, { scheme }, [normal(300, 1, size / 10), normal(300, 2, size / 2)]);
      const [min, max] = rangeOf(observer) as [number, number];
      expect(Number.isFinite(min) && Number.isFinite(max) && min < 0 && max > 0).toBe(true);
      expect(observer.qparams()!.scale[0]).toBeGreaterThan(0);
    }
  });

  test("a range that grows by a factor of 1e30 between samples", () => {
    for (const scheme of [UINT8, INT8]) {
      const observer = observed(name, { scheme }, [normal(300, 1, 1e-20), [0], normal(300, 2, 1e10)]);
      const [min, max] = rangeOf(observer) as [number, number];
      expect(min < 0 && max > 0 && max < 1e11).toBe(true);
      // Room for at most 8,192 bins.
      const lists = Object.values(observer.save().seen!.fields);
      expect(Math.max(0, ...lists.map((list) => list.length))).toBeLessThanOrEqual(8193);
    }
  });

  test("refuses NaN and infinity, and is as before then", () => {
    const observer = observed(name, { scheme: UINT8 }, [[1, 2, 3]]);
    const before = JSON.stringify(observer.save());
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => observer.observe(Float32Array.of(9, bad), [2])).toThrow(GraphError);
    }
    expect(JSON.stringify(observer.save())).toBe(before);
  });

  test("refuses another number of channels, and is as before then", () => {
    const observer = createObserver(name, { scheme: UINT8, axis: 1 });
    observer.observe(normal(12), [2, 3, 2]);
    const before = JSON.stringify(observer.save());
    expect(() => observer.observe(normal(16), [2, 4, 2])).toThrow(/3 channels on axis 1, as before, got 4/);
    expect(JSON.stringify(observer.save())).toBe(before);
    observer.observe(normal(9), [1, 3, 3]);
    expect(observer.count).toBe(2);
  });

  test.each([0, 1, 2, -1])("channels of axis %d are as if each were observed alone", (axis) => {
    const dims = [3, 4, 50];
    const at = axis < 0 ? axis + 3 : axis;
    for (const scheme of [UINT8, INT8]) {
      // Bins such that neither form has fewer.
      const options = { scheme, ...(name === "mse" || name.includes("min-max") ? {} : { bins: 512 }) };
      const observer = createObserver(name, { ...options, axis });
      const alone = Array.from({ length: dims[at]! }, () => createObserver(name, options));
      for (const seed of [1, 2, 3]) {
        // The first sample is the largest: the histograms of channels may grow less than that of a tensor.
        const data = normal(600, seed, 5 / seed);
        observer.observe(data, dims);
        alone.forEach((single, channel) => {
          const own = data.filter((_, i) => [Math.floor(i / 200), Math.floor(i / 50) % 4, i % 50][at] === channel);
          single.observe(own, [own.length]);
        });
      }
      const { min, max } = observer.ranges()!;
      const qparams = observer.qparams()!;
      expect(qparams.granularity).toEqual({ kind: "per-axis", axis: at });
      alone.forEach((single, channel) => {
        const { min: low, max: high } = single.ranges()!;
        // Bins of magnitudes start at the smallest of the first sample or, of a channel, of its first run: a bin's width.
        const tolerance = name === "percentile" && scheme.symmetric ? (high[0]! - low[0]!) / 512 : 0;
        expect(Math.abs(min[channel]! - low[0]!)).toBeLessThanOrEqual(tolerance);
        expect(Math.abs(max[channel]! - high[0]!)).toBeLessThanOrEqual(tolerance);
      });
    }
  });

  test.each([undefined, 1])("continues from saved statistics (axis %j)", (axis) => {
    for (const scheme of [UINT8, INT8]) {
      const options: ObserverOptions = { scheme, axis };
      const whole = createObserver(name, options);
      const first = createObserver(name, options);
      const samples = [1, 2, 3, 4].map((seed) => normal(240, seed, seed % 2 === 0 ? 5 : seed));
      for (const [i, sample] of samples.entries()) {
        whole.observe(sample, [4, 6, 10]);
        if (i < 2) first.observe(sample, [4, 6, 10]);
      }
      const second = restoreObserver(JSON.parse(JSON.stringify(first.save())));
      expect(second.count).toBe(2);
      expect(second.ranges()).toEqual(first.ranges());
      for (const sample of samples.slice(2)) second.observe(sample, [4, 6, 10]);
      expect(second.ranges()).toEqual(whole.ranges());
      expect(second.qparams()).toEqual(whole.qparams());
      expect(second.save()).toEqual(whole.save());
    }
  });

  test("what it hands out is a copy", () => {
    const observer = observed(name, { scheme: UINT8 }, [normal(100)]);
    const before = rangeOf(observer);
    observer.ranges()!.min.fill(7);
    expect(rangeOf(observer)).toEqual(before);
  });
});

describe("options", () => {
  const refused: [ObserverName, Partial<ObserverOptions>, string][] = [
    ["moving-average-min-max", { averagingConstant: 0 }, "averagingConstant"],
    ["moving-average-min-max", { averagingConstant: 1.5 }, "averagingConstant"],
    ["percentile", { percentile: 0 }, "percentile"],
    ["percentile", { percentile: 101 }, "percentile"],
    ["histogram", { bins: 100 }, "bins"],
    ["entropy", { bins: 129 }, "bins"],
    ["mse", { bins: 8192 }, "bins"],
    ["min-max", { scheme: { dtype: "int16", symmetric: true, reduceRange: true } }, "reduceRange"],
  ];
  test.each(refused)("%s refuses %j", (name, options, subject) => {
    const create = () => createObserver(name, { scheme: UINT8, ...options });
    expect(create).toThrow(OptionError);
    expect(create).toThrow(subject);
  });

  test("an unknown observer is named with the known ones", () => {
    const create = () => createObserver("toString" as ObserverName, { scheme: UINT8 });
    expect(create).toThrow(/expected one of min-max, .*, got "toString"/);
  });

  test("histograms of many channels have fewer bins, of too many none", () => {
    const observer = createObserver("histogram", { scheme: UINT8, axis: 0 });
    observer.observe(normal(8192), [4096, 2]);
    const state = observer.save();
    const bins = (list: readonly number[]): number => list.reduce((sum, entry) => sum + (entry < 0 ? -entry : 1), 0);
    expect(bins(state.seen!.fields["counts 4095"]!)).toBe(128);
    const many = createObserver("mse", { scheme: UINT8, axis: 0 });
    expect(() => many.observe(normal(4097), [4097])).toThrow(/at most 4096 channels, got 4097/);
  });
});
