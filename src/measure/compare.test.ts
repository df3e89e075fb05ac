/** @file Tests of compare.ts against values worked out by hand. */
import { describe, expect, it } from "vitest";
import { Tensor } from "../tensor/tensor.ts";
import { compareOutputs, createComparer, type FloatComparison } from "./compare.ts";

const floats = (dims: number[], values: number[]) => Tensor.float32(dims, values);
const compareFloats = (a: number[], b: number[]) =>
  compareOutputs({ y: floats([a.length], a) }, { y: floats([b.length], b) })[0] as FloatComparison;

describe("float outputs", () => {
  it("gives the known values", () => {
    const result = compareFloats([3, 4], [3, 3]);
    expect(result).toMatchObject({ kind: "float", name: "y", samples: 1, elements: 2, maxAbs: 1, relative: 0.25 });
    expect(result.sqnr).toBeCloseTo(10 * Math.log10(25), 10);
    expect(result.cosine).toBeCloseTo(21 / (5 * Math.sqrt(18)), 10);
    expect(result.agreementArgmax).toBe(0); // 4 is the largest of the one, the first 3 of the other
  });

  it("knows equal, zero and opposite", () => {
    expect(compareFloats([1, 2], [1, 2])).toMatchObject({
      maxAbs: 0,
      relative: 0,
      cosine: 1,
      sqnr: Number.POSITIVE_INFINITY,
    });
    expect(compareFloats([0, 0], [0, 0])).toMatchObject({ relative: 0, cosine: 1, sqnr: Number.POSITIVE_INFINITY });
    expect(compareFloats([0, 0], [0, 1])).toMatchObject({
      relative: Number.POSITIVE_INFINITY,
      cosine: 0,
      sqnr: Number.NEGATIVE_INFINITY,
    });
    expect(compareFloats([1, 2], [-1, -2]).cosine).toBeCloseTo(-1, 12);
  });

  it("takes the samples together: the sums of all, not the mean of each", () => {
    const comparer = createComparer();
    comparer.add({ y: floats([1, 2], [30, 40]) }, { y: floats([1, 2], [30, 41]) });
    comparer.add({ y: floats([2, 2], [0, 1, 1, 0]) }, { y: floats([2, 2], [1, 0, 1, 0]) });
    const result = comparer.result()[0] as FloatComparison;
    expect(result.sqnr).toBeCloseTo(10 * Math.log10((2500 + 2) / (1 + 2)), 10);
    expect(result).toMatchObject({ samples: 2, elements: 6, maxAbs: 1, relative: 1 / 40 });
    expect(result.agreementArgmax).toBeCloseTo(2 / 3, 10);
  });

  it("counts the same NaN and infinity as equal and any other as wrong", () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const same = compareFloats([nan, inf, 3, 4], [nan, inf, 3, 3]);
    expect(same).toMatchObject({ maxAbs: 1, nonFinite: { reference: 2, other: 2, differing: 0 } });
    expect(same.sqnr).toBeCloseTo(10 * Math.log10(25), 10);
    for (const [a, b] of [
      [1, nan],
      [nan, 1],
      [nan, inf],
      [inf, -inf],
    ] as const) {
      const result = compareFloats([5, a], [5, b]);
      expect(result).toMatchObject({ maxAbs: inf, relative: inf, cosine: 0, sqnr: -inf, nonFinite: { differing: 1 } });
    }
  });

  it("compares floats of different widths by value", () => {
    const reference = { y: Tensor.of("float64", [2], Float64Array.of(1, 0.1)) };
    const [result] = compareOutputs(reference, { y: floats([2], [1, 0.1]).toFloat16() });
    expect((result as FloatComparison).maxAbs).toBeCloseTo(0.1 - 0.0999755859375, 12);
    expect(compareOutputs({ y: floats([], [1]) }, { y: floats([], [1]) })[0]).toMatchObject({
      agreementArgmax: undefined,
    });
  });
});

it("counts equal integers, booleans and strings", () => {
  const reference = {
    ids: Tensor.int64([3], [1, 2, 2n ** 53n + 1n]),
    text: Tensor.strings([2], ["a", "b"]),
    none: Tensor.int64([0], []),
  };
  const other = {
    ids: Tensor.int64([3], [1, 3, 2n ** 53n]),
    text: Tensor.strings([2], ["a", "c"]),
    none: Tensor.int64([0], []),
  };
  expect(compareOutputs(reference, other)).toEqual([
    { kind: "exact", name: "ids", samples: 1, elements: 3, equal: 1 / 3 },
    { kind: "exact", name: "text", samples: 1, elements: 2, equal: 0.5 },
    { kind: "exact", name: "none", samples: 1, elements: 0, equal: 1 },
  ]);
});

it("reports what cannot be compared, with the sample", () => {
  const comparer = createComparer();
  const y = floats([1, 2], [1, 2]);
  comparer.add({ y, z: y, i: Tensor.int64([1], [1]) }, { y, z: y, i: Tensor.of("int32", [1], Int32Array.of(1)) });
  comparer.add({ y, z: y }, { y: floats([2, 1], [1, 2]), w: y });
  expect(comparer.result()).toEqual([
    { kind: "mismatch", name: "y", sample: 1, problem: "expected float32[1,2], got float32[2,1]" },
    { kind: "mismatch", name: "z", sample: 1, problem: "missing" },
    { kind: "mismatch", name: "i", sample: 0, problem: "expected int64[1], got int32[1]" },
    { kind: "mismatch", name: "w", sample: 1, problem: "not in the original" },
  ]);
  const odd = { y: new Tensor("float8e4m3fn", [1], { byteLength: 1, bytes: () => new Uint8Array(1) }) };
  expect(compareOutputs(odd, odd)[0]).toMatchObject({
    kind: "mismatch",
    problem: expect.stringContaining("float8e4m3fn"),
  });
});
