/**
 * @file Ranges and codes against slow plain versions that follow the definitions element by element.
 */
import { describe, expect, test } from "vitest";
import { createRandom } from "../util/random.ts";
import { type CodeArray, dequantize, fakeQuantize, minMax, quantize } from "./affine.ts";
import { type Granularity, type GroupView, groupView } from "./granularity.ts";
import { CODE_RANGES, type CodeDType, type QParams, qparamsFromRanges } from "./qparams.ts";

function plainGroup(view: GroupView, index: number): number {
  const i = index % view.inner;
  const a = Math.floor(index / view.inner) % view.length;
  const o = Math.floor(index / (view.inner * view.length));
  return o * view.strides[0] + Math.floor(a / view.block) * view.strides[1] + i * view.strides[2];
}

/** ONNX QuantizeLinear with a float32 division and rounding by cases. */
function plainQuantize(data: Float32Array, view: GroupView, qparams: QParams): number[] {
  const { qmin = CODE_RANGES[qparams.dtype].qmin, qmax = CODE_RANGES[qparams.dtype].qmax } = qparams;
  return Array.from(data, (x, index) => {
    const group = plainGroup(view, index);
    const quotient = Math.fround(x / qparams.scale[group]!);
    const floor = Math.floor(quotient);
    const rest = quotient - floor;
    const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
    return Math.min(Math.max((up ? floor + 1 : floor) + qparams.zeroPoint[group]!, qmin), qmax) + 0;
  });
}

const VIEWS: [dims: number[], granularity: Granularity][] = [
  [[97], { kind: "per-tensor" }],
  [[5, 3, 3, 3], { kind: "per-axis", axis: 0 }],
  [[6, 5, 2, 2], { kind: "per-axis", axis: 1 }],
  [[13, 7], { kind: "per-axis", axis: -1 }], // rows and columns that are no multiple of what the loops take at once
  [[1, 9], { kind: "per-axis", axis: 1 }],
  [[8, 1], { kind: "per-axis", axis: 1 }],
  [[6, 37], { kind: "blocked", axis: 1, blockSize: 16 }],
  [[37, 6], { kind: "blocked", axis: 0, blockSize: 16 }],
  [[2, 17, 3], { kind: "blocked", axis: 1, blockSize: 11 }],
];
const DTYPES: CodeDType[] = ["int8", "uint8", "int16", "uint16", "int4", "uint4"];

/** Weights of mixed size and sign; for an odd seed some groups have one sign only (which take another path). */
function weights(seed: number, view: GroupView): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: view.size }, (_, index) => {
    const value = random.normal() * 10 ** (random.integer(5) - 3);
    const sign = seed % 2 === 1 ? plainGroup(view, index) % 4 : 0;
    return sign === 1 ? Math.abs(value) : sign === 2 ? -Math.abs(value) : value;
  });
}

describe.each(VIEWS)("%j %j", (dims, granularity) => {
  const view = groupView(dims, granularity);

  test("minMax equals the plain extremes", () => {
    for (const seed of [1, 2, 4, 6]) {
      const data = weights(seed, view);
      const groups = Array.from({ length: view.groups }, (): number[] => []);
      data.forEach((x, index) => {
        groups[plainGroup(view, index)]!.push(x);
      });
      const { min, max } = minMax(data, view);
      expect([...min]).toEqual(groups.map((group) => Math.min(...group)));
      expect([...max]).toEqual(groups.map((group) => Math.max(...group)));
    }
  });

  test.each(DTYPES)("%s codes equal the plain ones, errors are within the bound", (dtype) => {
    for (const symmetric of [true, false]) {
      for (const narrowRange of [true, false]) {
        const data = weights(symmetric ? 4 : 5, view);
        const { min, max } = minMax(data, view);
        const qparams = qparamsFromRanges({ min, max }, view, { dtype, symmetric, narrowRange });
        const codes = quantize(data, view, qparams);
        expect([...codes]).toEqual(plainQuantize(data, view, qparams));
        const back = dequantize(codes, view, qparams);
        data.forEach((x, index) => {
          const group = plainGroup(view, index);
          const scale = qparams.scale[group]!;
          expect(back[index]).toBe(Math.fround((codes[index]! - qparams.zeroPoint[group]!) * scale));
          // Symmetric ranges are centred: their span is twice the larger side.
          const span = 2 * Math.max(-min[group]!, max[group]!, 0);
          expect(Math.abs(x - back[index]!)).toBeLessThanOrEqual(scale / 2 + (span + scale) * 2 ** -22);
        });
        // Half the scales: most codes saturate, still as in the plain version.
        const clipped = { ...qparams, scale: qparams.scale.map((s) => s / 2) };
        expect([...quantize(data, view, clipped)]).toEqual(plainQuantize(data, view, clipped));
      }
    }
  });
});

const SCALAR = (dtype: CodeDType, scale: number, zeroPoint: number): QParams => ({
  scale: Float32Array.of(scale),
  zeroPoint: Int32Array.of(zeroPoint),
  dtype,
  granularity: { kind: "per-tensor" },
});
const codesOf = (values: number[], qparams: QParams): CodeArray =>
  quantize(Float32Array.from(values), groupView([values.length], qparams.granularity), qparams);

describe("quantize", () => {
  test("rounds ties to even before it adds the zero point", () => {
    const ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5];
    expect([...codesOf(ties, SCALAR("int8", 1, 0))]).toEqual([-2, -2, 0, 0, 2, 2, 4]);
    expect([...codesOf(ties, SCALAR("uint8", 1, 3))]).toEqual([1, 1, 3, 3, 5, 5, 7]);
    expect([...codesOf(ties, SCALAR("uint16", 1, 3))]).toEqual([1, 1, 3, 3, 5, 5, 7]);
  });

  test("rounds the quotient to float32 first, as ONNX Runtime 1.32 does", () => {
    // In float64 the quotients are 59.49999996, 64.500001 and 60.5000003.
    expect([...codesOf([5.675017833709717], SCALAR("int8", 0.09537845104932785, 0))]).toEqual([60]);
    expect([...codesOf([3.102410078048706], SCALAR("int8", 0.04809937998652458, 0))]).toEqual([64]);
    expect([...codesOf([5.111840724945068], SCALAR("int8", 0.0844932347536087, 0))]).toEqual([60]);
  });

  test("fround(x · (1 / s)) is the float32 quotient", () => {
    const random = createRandom(7);
    for (let i = 0; i < 200_000; i++) {
      const x = Math.fround((1 + random.next()) * 2 ** (random.integer(40) - 20));
      const s = Math.fround((1 + random.next()) * 2 ** (random.integer(40) - 20));
      if (Math.fround(x * (1 / s)) !== Math.fround(x / s)) expect({ x, s }).toBe("equal quotients");
    }
  });

  test("saturates at every magnitude, in both loops", () => {
    const big = [3.4e38, 1e20, 12582912, 12582913, 8388608, 4194304, 300];
    const values = [...big, ...big.map((x) => -x)];
    for (const scale of [1, 1e-30]) {
      for (const dtype of DTYPES) {
        const { qmin, qmax } = CODE_RANGES[dtype];
        const expected = [...big.map(() => qmax), ...big.map(() => qmin)];
        const sixteen = dtype.endsWith("16");
        const zeroPoint = qmin < 0 ? 0 : 1;
        const data = sixteen && scale === 1 ? values.map((x) => x * 1000).map(Math.fround) : values;
        if (data.some((x) => !Number.isFinite(x))) continue;
        expect([...codesOf(data, SCALAR(dtype, scale, zeroPoint))]).toEqual(expected);
        const columns = groupView([2, 7], { kind: "per-axis", axis: 1 });
        const perColumn: QParams = {
          scale: new Float32Array(7).fill(scale),
          zeroPoint: new Int32Array(7).fill(zeroPoint),
          dtype,
          granularity: columns.granularity,
        };
        expect([...quantize(Float32Array.from(data), columns, perColumn)]).toEqual(expected);
      }
    }
  });

  test("keeps to a range narrower than the type", () => {
    const reduced = { ...SCALAR("int8", 1, 0), qmin: -64, qmax: 63 };
    expect([...codesOf([-100, -64, 63, 100], reduced)]).toEqual([-64, -64, 63, 63]);
  });

  test("gives each type its array", () => {
    const arrays = DTYPES.map((dtype) => codesOf([0], SCALAR(dtype, 1, 0)).constructor.name);
    expect(arrays).toEqual(["Int8Array", "Uint8Array", "Int16Array", "Uint16Array", "Int8Array", "Uint8Array"]);
  });
});

describe("values that are not finite are refused by index", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d", (bad) => {
    for (const [dims, granularity] of VIEWS) {
      const view = groupView(dims, granularity, "w");
      const qparams: QParams = {
        scale: new Float32Array(view.groups).fill(0.1),
        zeroPoint: new Int32Array(view.groups),
        dtype: "int8",
        granularity: view.granularity,
      };
      for (const index of [0, 5, view.size - 1]) {
        const data = weights(6, view);
        data[index] = bad;
        const message = new RegExp(`w .*expected finite values, got ${bad} at index ${index} `);
        expect(() => minMax(data, view)).toThrow(message);
        expect(() => quantize(data, view, qparams)).toThrow(message);
        expect(() => quantize(data, view, { ...qparams, dtype: "int16" })).toThrow(message);
      }
    }
  });

  test("a NaN with its sign bit set is one too", () => {
    const data = new Float32Array(16);
    new Int32Array(data.buffer)[3] = 0xffc00000 | 0;
    expect(() => minMax(data, groupView([16], { kind: "per-tensor" }))).toThrow(/got NaN at index 3/);
  });
});

test("empty tensors and groups, and views into larger buffers", () => {
  const empty = groupView([3, 0], { kind: "per-axis", axis: 0 });
  expect(minMax(new Float32Array(0), empty)).toEqual({ min: new Float32Array(3), max: new Float32Array(3) });
  const whole = Float32Array.of(9, -1, 2, -9);
  const inside = whole.subarray(1, 3);
  const view = groupView([2], { kind: "per-tensor" });
  expect(minMax(inside, view)).toEqual({ min: Float32Array.of(-1), max: Float32Array.of(2) });
  const codes = Int8Array.of(9, -10, 20, 9).subarray(1, 3);
  expect([...dequantize(codes, view, SCALAR("int8", 0.5, 2))]).toEqual([-6, 9]);
  expect([...fakeQuantize(inside, view, SCALAR("int8", 0.75, 0))]).toEqual([-0.75, 2.25]);
});

test("wrong lengths are refused", () => {
  const view = groupView([2, 3], { kind: "per-tensor" }, "w");
  expect(() => minMax(new Float32Array(5), view)).toThrow(/w \[2, 3\]: expected 6 elements, got 5/);
  expect(() => quantize(new Float32Array(7), view, SCALAR("int8", 1, 0))).toThrow(/expected 6 elements, got 7/);
  expect(() => dequantize(new Int8Array(7), view, SCALAR("int8", 1, 0))).toThrow(/expected 6 elements, got 7/);
  expect(() => quantize(new Float32Array(6), view, SCALAR("int8", 0, 0))).toThrow(/positive finite scales, got 0/);
});
