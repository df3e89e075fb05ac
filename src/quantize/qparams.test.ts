/**
 * @file Scales and zero points against PyTorch's formulas, computed with NumPy 2.4 in float32.
 */
import { describe, expect, test } from "vitest";
import { GraphError, OptionError } from "../util/errors.ts";
import { groupView } from "./granularity.ts";
import { checkQParams, chooseQParams, codeRange, type QScheme, qparamsFromRanges } from "./qparams.ts";

const INT8: QScheme = { dtype: "int8", symmetric: true };

describe("chooseQParams", () => {
  const cases: [min: number, max: number, scheme: QScheme, scale: number, zeroPoint: number][] = [
    [-1, 2, INT8, 0.01568627543747425, 0],
    [-1, 2, { ...INT8, narrowRange: true }, 0.015748031437397003, 0],
    [-1, 2, { ...INT8, symmetric: false }, 0.0117647061124444, -43],
    [-1, 2, { dtype: "uint8", symmetric: true }, 0.01568627543747425, 128],
    [-1, 2, { dtype: "uint8", symmetric: false }, 0.0117647061124444, 85],
    [-1, 2, { dtype: "int16", symmetric: false }, 4.577706567943096e-5, -10923],
    [-0.37, 0.21, { ...INT8, reduceRange: true }, 0.005826771724969149, 0],
    [-0.37, 0.21, { dtype: "uint8", symmetric: false, reduceRange: true }, 0.0045669288374483585, 81],
    [-0.37, 0.21, { dtype: "uint4", symmetric: false }, 0.03866666555404663, 10],
    [-0.37, 0.21, { dtype: "uint4", symmetric: true }, 0.04933333396911621, 8],
    // Ranges on one side are widened to include 0.
    [0.5, 3, { ...INT8, symmetric: false }, 0.0117647061124444, -128],
    [-4, -0.1, { dtype: "uint8", symmetric: false }, 0.01568627543747425, 255],
    [3, 3, { dtype: "uint8", symmetric: false }, 0.0117647061124444, 0], // constant
    // The floor of the scale, and none for all zeros.
    [-1e-9, 1e-9, INT8, 2 ** -23, 0],
    [0, 0, INT8, 1, 0],
    [0, 0, { dtype: "uint8", symmetric: true }, 1, 128],
    [0, 0, { ...INT8, symmetric: false }, 1, -128],
    // A span that overflows float32: 6e38 / 255.
    [-3e38, 3e38, { dtype: "uint8", symmetric: false }, Math.fround(6e38 / 255), 128],
  ];
  test.each(cases)("%d … %d %j", (min, max, scheme, scale, zeroPoint) => {
    expect(chooseQParams(min, max, scheme)).toEqual({ scale, zeroPoint });
  });

  test("puts an unsigned reduced range's middle inside it (PyTorch says 128)", () => {
    expect(chooseQParams(-1, 2, { dtype: "uint8", symmetric: true, reduceRange: true }).zeroPoint).toBe(64);
    expect(chooseQParams(-1, 2, { dtype: "uint8", symmetric: true, narrowRange: true }).zeroPoint).toBe(128);
  });

  test("takes a smaller eps", () => {
    expect(chooseQParams(-1.27e-9, 0, { ...INT8, narrowRange: true, eps: 0 }).scale).toBeCloseTo(1e-11, 16);
    expect(chooseQParams(-1e-45, 0, { ...INT8, eps: 0 }).scale).toBe(2 ** -126);
  });

  test("refuses ranges that are none", () => {
    expect(() => chooseQParams(Number.NaN, 1, INT8)).toThrow(/range NaN … 1: expected finite numbers/);
    expect(() => chooseQParams(0, Number.POSITIVE_INFINITY, INT8)).toThrow(GraphError);
    expect(() => chooseQParams(2, 1, INT8)).toThrow(/min > max/);
  });
});

test("codeRange narrows and reduces", () => {
  expect(codeRange({ dtype: "int8", reduceRange: true })).toEqual({ qmin: -64, qmax: 63 });
  expect(codeRange({ dtype: "int8", reduceRange: true, narrowRange: true })).toEqual({ qmin: -63, qmax: 63 });
  expect(codeRange({ dtype: "uint8", reduceRange: true })).toEqual({ qmin: 0, qmax: 127 });
  expect(codeRange({ dtype: "int4", narrowRange: true })).toEqual({ qmin: -7, qmax: 7 });
  expect(() => codeRange({ dtype: "int16", reduceRange: true })).toThrow(OptionError);
});

test("qparamsFromRanges makes one pair per group and names the group that is not finite", () => {
  const view = groupView([2, 5], { kind: "per-axis", axis: -2 }, "w");
  const qparams = qparamsFromRanges({ min: [-1, 0], max: [2, 0] }, view, INT8);
  expect(qparams).toEqual({
    scale: Float32Array.of(0.01568627543747425, 1),
    zeroPoint: Int32Array.of(0, 0),
    dtype: "int8",
    granularity: { kind: "per-axis", axis: 0 },
    qmin: -128,
    qmax: 127,
  });
  expect(() => qparamsFromRanges({ min: [0, 0], max: [1, Number.NaN] }, view, INT8)).toThrow(
    /w \[2, 5\]: .*0 … NaN in group 1 of 2/,
  );
  expect(() => qparamsFromRanges({ min: [0], max: [1] }, view, INT8)).toThrow(/expected 2 ranges, got 1/);
});

test("checkQParams refuses what does not fit the view or the type", () => {
  const view = groupView([2], { kind: "per-axis", axis: 0 }, "w");
  const good = qparamsFromRanges({ min: [-1, 0], max: [2, 0] }, view, INT8);
  checkQParams(view, good);
  expect(() => checkQParams(view, { ...good, scale: Float32Array.of(1) })).toThrow(/expected 2 scales .* got 1 and 2/);
  expect(() => checkQParams(view, { ...good, scale: Float32Array.of(1, 0) })).toThrow(/got 0 in group 1/);
  expect(() => checkQParams(view, { ...good, scale: Float32Array.of(Number.NaN, 1) })).toThrow(/got NaN in group 0/);
  expect(() => checkQParams(view, { ...good, zeroPoint: Int32Array.of(0, 128) })).toThrow(
    /of int8, got 128 in group 1/,
  );
});
