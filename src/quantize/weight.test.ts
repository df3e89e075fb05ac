import { describe, expect, it } from "vitest";
import { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { type QuantizedWeight, quantizeWeight, type WeightScheme } from "./weight.ts";

function constant(tensor: Tensor): Value {
  return new Model().graph.addInitializer("w", tensor);
}

function normal(size: number, seed = 1): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: size }, () => random.normal());
}

function quantized(tensor: Tensor, scheme: WeightScheme): QuantizedWeight {
  const result = quantizeWeight(constant(tensor), scheme);
  if (typeof result === "string") throw new Error(result);
  return result;
}

const ROWS = { dtype: "int8", granularity: { kind: "per-axis", axis: 0 } } as const;

describe("quantizeWeight", () => {
  const data = normal(6 * 10);
  const tensor = Tensor.float32([6, 10], data);

  it.each([
    ["int8 rows", ROWS, 0, 127, 127],
    ["int8 columns", { ...ROWS, granularity: { kind: "per-axis", axis: 1 } }, 0, 127, 127],
    ["uint8 rows", { ...ROWS, dtype: "uint8" }, 128, 127, 127],
    ["int8, 7 bits", { ...ROWS, reduceRange: true }, 0, 63, 63],
    ["uint8, 7 bits", { ...ROWS, dtype: "uint8", reduceRange: true }, 64, 63, 63],
    ["per tensor", { ...ROWS, granularity: { kind: "per-tensor" } }, 0, 127, 127],
  ] as const)(
    "%s: symmetric, without the lowest code, halves of a step off at most",
    (_name, scheme, zero, low, high) => {
      const { codes, qparams, sqnr } = quantized(tensor, scheme);
      const numbers = codes.numbers();
      expect([...new Set(qparams.zeroPoint)]).toEqual([zero]);
      expect(Math.min(...numbers)).toBeGreaterThanOrEqual(zero - low);
      expect(Math.max(...numbers)).toBeLessThanOrEqual(zero + high);
      const { granularity } = scheme;
      const group = (i: number): number =>
        granularity.kind === "per-tensor" ? 0 : granularity.axis === 0 ? Math.floor(i / 10) : i % 10;
      let [signal, noise] = [0, 0];
      data.forEach((x, i) => {
        const scale = qparams.scale[group(i)]!;
        const error = x - (numbers[i]! - zero) * scale;
        // Half a step; 7 bits have one code more below than above, and a range of 63.5 steps saturates by another half.
        expect(Math.abs(error)).toBeLessThanOrEqual(scale * ("reduceRange" in scheme ? 1.01 : 0.51));
        signal += x * x;
        noise += error * error;
      });
      expect(sqnr).toBeCloseTo(10 * Math.log10(signal / noise), 4);
      expect(codes.dims).toEqual([6, 10]);
    },
  );

  it("transposes codes, not scales", () => {
    const plain = quantized(tensor, ROWS);
    const turned = quantized(tensor, { ...ROWS, transpose: true });
    expect(turned.codes.dims).toEqual([10, 6]);
    expect(turned.qparams.scale).toEqual(plain.qparams.scale);
    const [a, b] = [plain.codes.numbers(), turned.codes.numbers()];
    for (let r = 0; r < 6; r++) for (let c = 0; c < 10; c++) expect(b[c * 6 + r]).toBe(a[r * 10 + c]);
  });

  it("a factor goes into the scales, its sign into the codes", () => {
    const plain = quantized(tensor, ROWS);
    const scaled = quantized(tensor, { ...ROWS, factor: -0.5 });
    expect(scaled.codes.numbers()).toEqual(plain.codes.numbers().map((code) => (code === 0 ? 0 : -code)));
    expect(scaled.qparams.scale).toEqual(plain.qparams.scale.map((scale) => scale / 2));
    expect(scaled.sqnr).toBeCloseTo(plain.sqnr, 6);
  });

  it("least scales are kept, smaller ones raised", () => {
    const minScale = Float32Array.of(0, 0, 1, 0, 0, 0);
    const plain = quantized(tensor, ROWS);
    const raised = quantized(tensor, { ...ROWS, minScale });
    expect([...raised.qparams.scale]).toEqual([...plain.qparams.scale].map((scale, row) => (row === 2 ? 1 : scale)));
    const row = raised.codes.numbers().slice(20, 30);
    expect(row).toEqual([...data.subarray(20, 30)].map((x) => Math.round(x) + 0));
  });

  it("zeros, tiny weights and single values are exact", () => {
    const zeros = quantized(Tensor.float32([2, 3], [0, 0, 0, 1e-30, -1e-30, 0]), ROWS);
    expect(zeros.codes.numbers()).toEqual([0, 0, 0, 127, -127, 0]);
    expect(zeros.qparams.scale[1]).toBeCloseTo(1e-30 / 127, 38);
    expect(zeros.sqnr).toBeGreaterThan(100);
    expect(quantized(Tensor.float32([1, 3], [0, 0, 0]), ROWS).sqnr).toBe(Number.POSITIVE_INFINITY);
  });

  it("what is too much to keep is computed again when it is written, with the same bytes", () => {
    const dims = [1000, 16_000];
    const values = new Float32Array(16_000_000);
    for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 1009) - 504;
    const weight = constant(Tensor.float32(dims, values));
    const once = (): Tensor => (quantizeWeight(weight, ROWS) as QuantizedWeight).codes;
    const isKept = (codes: Tensor): boolean => {
      const bytes = codes.bytes();
      return codes.bytes() === bytes;
    };
    const first = once();
    expect(isKept(first)).toBe(true);
    // One model's weights: at some point they are more than is kept (256 MB).
    let later = once();
    for (let count = 2; isKept(later) && count < 20; count++) later = once();
    expect(isKept(later)).toBe(false);
    expect([later.byteLength, Buffer.compare(later.bytes(), first.bytes())]).toEqual([values.length, 0]);
    // Another model begins anew.
    expect(isKept(quantized(Tensor.float32([2, 2], [1, 2, 3, 4]), ROWS).codes)).toBe(true);
  });

  it.each([
    ["an input", undefined, "its weight is not constant"],
    ["integers", Tensor.int64([2], [1, 2]), "its weight is int64"],
    ["nothing", Tensor.float32([0, 4], []), "its weight is empty"],
    [
      "NaN",
      Tensor.float32([2, 2], [1, 2, Number.NaN, 4]),
      /weight "w" \[2, 2\]: expected finite values, got NaN at index 2/,
    ],
    ["infinity", Tensor.float32([2, 2], [1, 2, 3, Number.NEGATIVE_INFINITY]), /got -Infinity at index 3/],
  ])("refuses %s with the reason", (_name, contents, reason) => {
    const value = contents === undefined ? new Model().graph.newValue("w") : constant(contents);
    expect(quantizeWeight(value, ROWS)).toEqual(typeof reason === "string" ? reason : expect.stringMatching(reason));
  });
});
