/**
 * @file SQNR against hand-computed values and against a dequantized copy.
 */
import { expect, test } from "vitest";
import { createRandom } from "../util/random.ts";
import { dequantize, minMax, quantize } from "./affine.ts";
import { type Granularity, groupView } from "./granularity.ts";
import { type CodeDType, type QParams, qparamsFromRanges } from "./qparams.ts";
import { sqnr, weightSqnr } from "./sqnr.ts";

test("sqnr in decibels", () => {
  expect(sqnr([3, 4], [3, 4.5])).toBeCloseTo(20, 12); // 25 / 0.25
  expect(sqnr(Float32Array.of(10, 0), [9, 0])).toBeCloseTo(20, 12);
  expect(sqnr([1, 2], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  expect(sqnr([0, 0], [0, 0])).toBe(Number.POSITIVE_INFINITY);
  expect(sqnr([0, 0], [0, 1])).toBe(Number.NEGATIVE_INFINITY);
  expect(sqnr([1, 2], [1, Number.NaN])).toBeNaN();
  expect(() => sqnr([1, 2], [1])).toThrow(/expected 2 elements as in the reference, got 1/);
});

test.each<[number[], Granularity, CodeDType]>([
  [[40], { kind: "per-tensor" }, "int8"],
  [[5, 40], { kind: "per-axis", axis: 0 }, "uint8"],
  [[40, 5], { kind: "per-axis", axis: 1 }, "int8"],
  [[40, 5], { kind: "per-axis", axis: 1 }, "int16"],
  [[3, 40], { kind: "blocked", axis: 1, blockSize: 16 }, "uint4"],
  [[40, 3], { kind: "blocked", axis: 0, blockSize: 16 }, "uint16"],
])("weightSqnr equals sqnr of a dequantized copy, overall and per group: %j %j %s", (dims, granularity, dtype) => {
  const random = createRandom(3);
  const view = groupView(dims, granularity);
  const data = Float32Array.from({ length: view.size }, () => random.normal());
  const qparams = qparamsFromRanges(minMax(data, view), view, { dtype, symmetric: false });
  const codes = quantize(data, view, qparams);
  const back = dequantize(codes, view, qparams);
  const groups = Array.from({ length: view.groups }, () => ({ x: [] as number[], y: [] as number[] }));
  data.forEach((x, index) => {
    const i = index % view.inner;
    const a = Math.floor(index / view.inner) % view.length;
    const o = Math.floor(index / (view.inner * view.length));
    const group = groups[o * view.strides[0] + Math.floor(a / view.block) * view.strides[1] + i * view.strides[2]]!;
    group.x.push(x);
    group.y.push(back[index]!);
  });
  const perGroup = groups.map(({ x, y }) => sqnr(x, y));
  const result = weightSqnr(data, view, qparams, codes);
  // Same sums in another order: 1e-9 dB is far above float64 rounding.
  expect(result.overall).toBeCloseTo(sqnr(data, back), 9);
  expect(result.worst!.sqnr).toBeCloseTo(Math.min(...perGroup), 9);
  expect(result.worst!.group).toBe(perGroup.indexOf(Math.min(...perGroup)));
});

test("weightSqnr finds the group that was quantized badly, and passes over groups of zeros", () => {
  const view = groupView([3, 4], { kind: "per-axis", axis: 0 });
  const data = Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 3, 4);
  const qparams: QParams = {
    scale: Float32Array.of(0.5, 1, 8),
    zeroPoint: new Int32Array(3),
    dtype: "int8",
    granularity: view.granularity,
  };
  const { overall, worst } = weightSqnr(data, view, qparams, quantize(data, view, qparams));
  // Scale 8: 4 / 8 is a tie to 0, so everything is noise: 0 dB; overall 60 / 30.
  expect(worst).toEqual({ group: 2, sqnr: 0 });
  expect(overall).toBeCloseTo(10 * Math.log10(2), 12);
  const none = groupView([0], { kind: "per-tensor" });
  expect(
    weightSqnr(
      new Float32Array(0),
      none,
      { ...qparams, scale: Float32Array.of(1), zeroPoint: new Int32Array(1) },
      new Int8Array(0),
    ),
  ).toEqual({ overall: Number.POSITIVE_INFINITY, worst: undefined });
});
