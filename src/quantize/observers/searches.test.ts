/**
 * @file The searches against plain versions: errors of all values, divergences bin by bin.
 */
import { describe, expect, test } from "vitest";
import { createRandom, type Random } from "../../util/random.ts";
import { fakeQuantize } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { chooseQParams, codeRange, type QScheme, qparamsFromRanges } from "../qparams.ts";
import { leastDivergence } from "./entropy.ts";
import { createObserver, type ObserverName } from "./list.ts";
import { LogHistogram } from "./log-histogram.ts";
import { expectedError } from "./mse.ts";
import { RangeHistogram } from "./range-histogram.ts";

const LENGTH = 20_000;

const DISTRIBUTIONS: Readonly<Record<string, (random: Random) => number>> = {
  normal: (random) => random.normal(),
  relu: (random) => Math.max(random.normal(), 0),
  gelu: (random) => {
    const x = 2 * random.normal();
    return x / (1 + Math.exp(-1.702 * x));
  },
  "heavy tails": (random) => random.normal() ** 5,
  "one-sided tail": (random) => (random.next() < 0.5 ? -random.next() / 10 : Math.exp(2 * random.normal()) - 1),
  outliers: (random) => random.normal() * (random.next() < 0.001 ? 50 : 1),
  uniform: (random) => random.next() * 3 - 1,
};

const SCHEMES: readonly QScheme[] = [
  { dtype: "uint8", symmetric: false },
  { dtype: "int8", symmetric: true },
  { dtype: "uint8", symmetric: false, reduceRange: true },
  { dtype: "int4", symmetric: true },
  { dtype: "uint4", symmetric: false },
  { dtype: "int16", symmetric: false },
];

function valuesOf(distribution: (random: Random) => number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: LENGTH }, () => distribution(random));
}

function errorOf(values: Float32Array, min: number, max: number, scheme: QScheme): number {
  const view = groupView([values.length], { kind: "per-tensor" });
  const back = fakeQuantize(values, view, qparamsFromRanges({ min: [min], max: [max] }, view, scheme));
  return values.reduce((sum, value, i) => sum + (value - back[i]!) ** 2, 0);
}

describe.each(Object.keys(DISTRIBUTIONS))("mse on %s", (name) => {
  const values = valuesOf(DISTRIBUTIONS[name]!, 1);
  const rangeOf = (observer: ObserverName, scheme: QScheme): readonly [number, number] => {
    const made = createObserver(observer, { scheme });
    for (let i = 0; i < 4; i++) made.observe(values.subarray((i * LENGTH) / 4, ((i + 1) * LENGTH) / 4), [LENGTH / 4]);
    const { min, max } = made.ranges()!;
    return [min[0]!, max[0]!];
  };

  test.each(SCHEMES)("loses no more than the other observers: %j", (scheme) => {
    const own = errorOf(values, ...rangeOf("mse", scheme), scheme);
    for (const other of ["min-max", "percentile", "histogram", "entropy"] as const) {
      // The histogram knows values to a hundredth: 5 % of the error, 0.2 dB.
      expect(own, other).toBeLessThanOrEqual(errorOf(values, ...rangeOf(other, scheme), scheme) * 1.05);
    }
  });

  test.each(SCHEMES)("expects the error that there is: %j", (scheme) => {
    const extremes = [Math.min(...values), Math.max(...values)] as const;
    const histogram = new LogHistogram(4096);
    histogram.grow(...extremes);
    histogram.count(values, 0, LENGTH, 1);
    const cells = histogram.cells(...extremes);
    for (const share of [1, 0.7, 0.4, 0.15]) {
      const [min, max] = [Math.min(extremes[0], 0) * share, Math.max(extremes[1], 0) * share];
      const expected = expectedError(cells, min, max, scheme, Number.POSITIVE_INFINITY);
      const actual = errorOf(values, min, max, scheme);
      // Values under 2^-16 of the largest count as 0: with 16 bits that is as much as a code.
      expect(Math.abs(expected / actual - 1), `at ${share}`).toBeLessThan(scheme.dtype === "int16" ? 0.4 : 0.1);
    }
  });
});

test.each([
  ["uint8", 0.98],
  ["uint4", 0.6],
] as const)("mse beats PyTorch's search where one tail is longer: %s", (dtype, share) => {
  const random = createRandom(2);
  const values = Float32Array.from({ length: LENGTH }, () => {
    const x = -Math.log(1 - random.next());
    return random.next() < 0.5 ? -x : x / 10;
  });
  const scheme: QScheme = { dtype, symmetric: false };
  const [mse, histogram] = (["mse", "histogram"] as const).map((name) => {
    const observer = createObserver(name, { scheme });
    observer.observe(values, [LENGTH]);
    const { min, max } = observer.ranges()!;
    return errorOf(values, min[0]!, max[0]!, scheme);
  });
  expect(mse!).toBeLessThan(histogram! * share);
});

test("the antiderivative of the error agrees with its integral by sums", () => {
  const scheme: QScheme = { dtype: "uint4", symmetric: false };
  const random = createRandom(3);
  for (let round = 0; round < 50; round++) {
    const [min, max] = [-random.next(), random.next() * 2];
    const from = random.next() * 6 - 3;
    const to = from + random.next() * 2;
    const cells = { from: Float64Array.of(from), to: Float64Array.of(to), count: Float64Array.of(1) };
    const { scale, zeroPoint } = chooseQParams(min, max, scheme);
    const { qmin, qmax } = codeRange(scheme);
    let sum = 0;
    const steps = 20_000;
    for (let i = 0; i < steps; i++) {
      const x = from + ((i + 0.5) / steps) * (to - from);
      const code = Math.min(Math.max(Math.round(x / scale), qmin - zeroPoint), qmax - zeroPoint);
      sum += (x - code * scale) ** 2;
    }
    expect(expectedError(cells, min, max, scheme, Number.POSITIVE_INFINITY)).toBeCloseTo(sum / steps, 5);
  }
});

test("logarithmic bins do not depend on the order of samples", () => {
  const random = createRandom(4);
  const samples = Array.from({ length: 6 }, (_, i) =>
    Float32Array.from({ length: 200 }, () => random.normal() * 10 ** (i - 3)),
  );
  const saved = (list: readonly Float32Array[]): string => {
    const histogram = new LogHistogram(1024);
    for (const sample of list) {
      histogram.grow(Math.min(...sample), Math.max(...sample));
      histogram.count(sample, 0, sample.length, 1);
    }
    return JSON.stringify(histogram.save());
  };
  expect(saved(samples.toReversed())).toBe(saved(samples));
});

test("a growing range loses no count", () => {
  const random = createRandom(5);
  const histogram = new RangeHistogram(128);
  for (let i = 0; i < 10; i++) {
    const sample = Float32Array.from({ length: 300 }, () => random.normal() * (i + 1));
    histogram.grow(Math.min(...sample), Math.max(...sample));
    histogram.count(sample, 0, sample.length, 1);
  }
  expect(histogram.counts.reduce((a, b) => a + b)).toBeCloseTo(3000, 6);
});

/** As onnxruntime computes it, in float64. */
function plainDivergence(hist: readonly number[], start: number, end: number): number {
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  const sliced = hist.slice(start, end);
  const p = sliced.slice();
  p[0]! += sum(hist.slice(0, start));
  p[p.length - 1]! += sum(hist.slice(end));
  const width = Math.floor(sliced.length / 128);
  const q = p.map(() => 0);
  for (let block = 0; block < 128; block++) {
    const [from, to] = [block * width, (block + 1) * width];
    const total = sum(sliced.slice(from, block === 127 ? undefined : to));
    const norm = p.slice(from, to).filter((count) => count !== 0).length;
    if (norm > 0) q.fill(Math.trunc(total / norm), from, to);
  }
  const smooth = (list: readonly number[]): number[] | undefined => {
    const zeros = list.filter((count) => count === 0).length;
    if (zeros === list.length) return undefined;
    const taken = (1e-4 * zeros) / (list.length - zeros);
    const smoothed = list.map((count) => (count === 0 ? 1e-4 : count - taken));
    const total = sum(smoothed);
    return smoothed.map((count) => count / total);
  };
  const [a, b] = [smooth(p), smooth(q)];
  return a && b ? a.reduce((total, x, i) => total + x * Math.log(x / b[i]!), 0) : Number.POSITIVE_INFINITY;
}

test("the divergence by prefix sums chooses as the plain one does", () => {
  const random = createRandom(6);
  for (const [bins, filled, size] of [
    [300, 0.9, 100],
    [512, 0.3, 20],
    [258, 0.02, 5],
    [1000, 1, 1e6],
  ] as const) {
    const hist = Array.from({ length: bins }, (_, i) => {
      const x = (i - bins / 2) / (bins / 8);
      return random.next() < filled ? Math.ceil(size * Math.exp(-x * x) * random.next()) : 0;
    });
    let [best, least] = [-1, Number.POSITIVE_INFINITY];
    for (let i = 64; i <= bins / 2; i++) {
      const divergence = plainDivergence(hist, bins / 2 - i, Math.min(bins / 2 + i + 1, bins));
      if (divergence < least) [best, least] = [i, divergence];
    }
    const found = leastDivergence(Float64Array.from(hist));
    expect(found).toEqual({ start: bins / 2 - best, end: Math.min(bins / 2 + best + 1, bins) });
  }
});
