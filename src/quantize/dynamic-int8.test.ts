import { describe, expect, it, vi } from "vitest";
import { initializerOf, modelOf } from "../../test/helpers.ts";
import { CONV_MODELS, MATRIX_MODELS, SUBGRAPH_MODELS } from "../../test/quantize-models.ts";
import { bothWays, expectClose, expectNoFloatWeights, quantizeModel } from "../../test/quantized.ts";
import type { SpeedFact } from "../runtime/speed.ts";
import { Tensor } from "../tensor/tensor.ts";
import { dynamicInt8 } from "./dynamic-int8.ts";

// What is fast is measured anew now and then: here it is what kernels are made, not which of them gain.
vi.mock("../runtime/speed-facts.ts", () => ({
  SPEED_FACTS: [
    { target: "node-cpu", pattern: "dynamic-conv-depthwise", ratio: 0.2 },
    { target: "web-wasm", pattern: "dynamic-conv-depthwise", ratio: 0.5 },
    { target: "web-wasm", pattern: "dynamic-matmul", size: 1, ratio: 0.65 },
    { target: "web-wasm", pattern: "dynamic-matmul", size: 4, ratio: 1.3 },
  ] satisfies SpeedFact[],
}));

/** 8 bits over the range of normal numbers: about 36 dB for the activations and 40 dB for the weights; together 34 dB. */
const FLOOR = 32;
/** Weights alone. */
const WEIGHT_FLOOR = 38;

describe.each([...MATRIX_MODELS, ...CONV_MODELS, ...SUBGRAPH_MODELS])("$name", (item) => {
  it("has integer kernels, no float weights, and float's results on both runtimes", async () => {
    const model = modelOf(item.graph);
    const options = { minElements: 1, storeRest: false, target: ["node-cpu" as const], ...item.options };
    const result = await quantizeModel(model, dynamicInt8, options);
    const { DynamicQuantizeLinear = 0, MatMulInteger = 0, ConvInteger = 0 } = result.ops;
    const found = { DynamicQuantizeLinear, MatMulInteger, ConvInteger };
    expect(found).toEqual({ DynamicQuantizeLinear: 0, MatMulInteger: 0, ConvInteger: 0, ...item.dynamic });
    expect(result.report.changed).toBe(MatMulInteger + ConvInteger);
    const reasons = Object.entries(item.dynamicReasons ?? {}).map(([name, text]) => [
      name,
      expect.stringContaining(text),
    ]);
    expect(result.reasons).toEqual(Object.fromEntries(reasons));
    if (MatMulInteger + ConvInteger > 0) expectNoFloatWeights(result);
    const samples = item.switch === undefined ? result.samples : bothWays(result.samples, item.switch);
    await expectClose(modelOf(item.graph), { ...result, samples }, FLOOR);
  });
});

describe("tied weights", () => {
  it("two MatMuls share one int8 weight", async () => {
    const { graph } = MATRIX_MODELS.find(({ name }) => name === "one weight, two MatMuls")!;
    const { model, bytes } = await quantizeModel(modelOf(graph), dynamicInt8, { minElements: 1, target: ["node-cpu"] });
    expect([...model.graph.initializers].map((value) => `${value.name} ${value.initializer}`)).toEqual([
      "w_int8 int8[32,32]",
      "w_scale float32[32]",
      "w_zero_point int8[]",
    ]);
    expect(bytes.length).toBeLessThan(2 * 32 * 32);
  });

  it("an embedding that is the output layer, too, is stored once", async () => {
    const text = `(int64[5] ids, float[5, 32] h) => (float[5, 32] e, float[5, 64] y) <float[64, 32] w = random(1)>
      { e = Gather(w, ids)  t = Transpose(w)  y = MatMul(h, t) }`;
    const model = modelOf(text);
    const result = await quantizeModel(model, dynamicInt8, { minElements: 1 });
    expect(result.ops).toEqual({ Cast: 1, Mul: 1, Gather: 1, Transpose: 1, MatMul: 1 });
    expect(initializerOf(model, "w_int8").constant).toMatchObject({ dtype: "int8", dims: [64, 32] });
    expect(result.reasons).toEqual({ y: "both operands are activations" });
    expect(result.bytes.length).toBeLessThan(64 * 32 * 1.5);
    await expectClose(modelOf(text), result, WEIGHT_FLOOR);
  });
});

describe("what stays in float", () => {
  const two = `(float[8, 32] x) => (float[8, 24] y) <float[32, 48] w = random(1), float[48, 24] v = random(2)> { a = MatMul(x, w)  y = MatMul(a, v) }`;

  it("is stored in 8 bits, unless storeRest is off", async () => {
    const row = two.replaceAll("float[8, ", "float[1, ");
    const depthwise = `(float[2, 8, 11, 9] x) => (float[2, 8, 7, 5] y) <float[8, 8, 3, 3] w = random(1), float[8, 1, 3, 3] d = random(2), float[1, 8, 1, 1] s = random(4)>
      { a = Conv(x, w)  b = Conv <group = 8> (a, d)  y = Mul(b, s) }`;
    const stored = await quantizeModel(modelOf(row), dynamicInt8, { minElements: 1, target: ["web-wasm"] }, undefined);
    expect(stored.ops).toEqual({ MatMul: 2, Cast: 2, Mul: 2 });
    expect(stored.reasons["y"]).toMatch(/web-wasm runs it .* with 1 row; its weight is stored in 8 bits/);
    await expectClose(modelOf(row), stored, WEIGHT_FLOOR - 3);
    const kept = await quantizeModel(modelOf(row), dynamicInt8, {
      minElements: 1,
      target: ["web-wasm"],
      storeRest: false,
    });
    expect(kept.ops).toEqual({ MatMul: 2 });
    expect(kept.report.changed).toBe(0);
    // Depthwise weights are few and sensitive: they stay, and so do scales.
    const sensitive = await quantizeModel(modelOf(depthwise), dynamicInt8, { minElements: 1 });
    expect(sensitive.ops).toMatchObject({ ConvInteger: 1, Conv: 1, Cast: 1 });
    expect(initializerOf(sensitive.model, "d").constant!.dtype).toBe("float32");
    expect(initializerOf(sensitive.model, "s").constant!.dtype).toBe("float32");
  });

  it("a weight under the SQNR bound keeps its reason, and leaves nothing in the file", async () => {
    const result = await quantizeModel(modelOf(two), dynamicInt8, {
      minElements: 1,
      minSqnr: 90,
      target: ["node-cpu"],
    });
    expect(result.ops).toEqual({ MatMul: 2 });
    expect(result.reasons["a"]).toMatch(/its SQNR would be \d+\.\d dB, under 90 dB$/);
    expect(result.bytes.length).toBe(result.before);
    const forced = await quantizeModel(modelOf(two), dynamicInt8, { minElements: 1, minSqnr: 90, force: true });
    expect(forced.ops["MatMulInteger"]).toBe(2);
  });

  it("a weight with NaN, by its name", async () => {
    const model = modelOf(two);
    const v = initializerOf(model, "v");
    const values = v.constant!.floats().slice();
    values[25] = Number.NaN;
    v.initializer = Tensor.float32([48, 24], values);
    const { ops, reasons } = await quantizeModel(model, dynamicInt8, { minElements: 1, target: ["node-cpu"] });
    expect(ops).toEqual({ DynamicQuantizeLinear: 1, MatMulInteger: 1, Cast: 1, Mul: 2, MatMul: 1 });
    expect(reasons).toEqual({
      y: expect.stringMatching(/weight "v" \[48, 24\]: expected finite values, got NaN at index 25 \(\[1, 1\]\)/),
    });
  });

  it("reduceRange keeps weights within 7 bits", async () => {
    const conv = CONV_MODELS[0]!.graph;
    const matmul = await quantizeModel(modelOf(two), dynamicInt8, {
      minElements: 1,
      reduceRange: "on",
      target: ["node-cpu"],
    });
    const codes = initializerOf(matmul.model, "w_int8").constant!.numbers();
    expect([Math.min(...codes), Math.max(...codes)]).toEqual([
      expect.toBeOneOf([-63, -62]),
      expect.toBeOneOf([63, 62]),
    ]);
    const found = await quantizeModel(modelOf(conv), dynamicInt8, { minElements: 1, reduceRange: "on" });
    expect(Math.max(...initializerOf(found.model, "w_uint8").constant!.numbers())).toBeLessThanOrEqual(127);
    // One bit less: 6 dB.
    await expectClose(modelOf(conv), found, FLOOR - 4);
  });
});
