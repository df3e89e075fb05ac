import { describe, expect, it } from "vitest";
import { initializerOf, modelOf, nodeOf, runtimes } from "../../test/helpers.ts";
import { CONV_MODELS, MATRIX_MODELS, SUBGRAPH_MODELS } from "../../test/quantize-models.ts";
import { bothWays, expectClose, expectNoFloatWeights, fusedOps, quantizeModel } from "../../test/quantized.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { staticInt8 } from "./static-int8.ts";

/** As dynamic-int8; convolutions round their outputs as well, and the pairs of several layers add up. */
const FLOOR = 29;

const COMPUTING = ["Conv", "MatMul", "Gemm", "FusedGemm", "FusedConv", "QLinearConv", "QGemm", "MatMulIntegerToFloat"];

describe.each([...MATRIX_MODELS, ...CONV_MODELS, ...SUBGRAPH_MODELS])("$name", (item) => {
  it("becomes integer kernels in ONNX Runtime, with float's results on both runtimes", async () => {
    const model = modelOf(item.graph);
    const options = { minElements: 1, storeRest: false, target: ["node-cpu" as const], ...item.options };
    const result = await quantizeModel(model, staticInt8, options);
    const fused = Object.entries(await fusedOps(result.bytes)).filter(([op]) => COMPUTING.includes(op));
    expect(Object.fromEntries(fused)).toEqual(item.static);
    const { Conv: _c, MatMul: _m, Gemm: _g, ...integer } = item.static;
    expect(result.report.changed).toBe(Object.values(integer).reduce((a, b) => a + b, 0));
    const reasons = Object.entries(item.staticReasons ?? {}).map(([name, text]) => [
      name,
      expect.stringContaining(text),
    ]);
    expect(result.reasons).toEqual(Object.fromEntries(reasons));
    if (Object.keys(reasons).length === 0) expectNoFloatWeights(result);
    const samples = item.switch === undefined ? result.samples : bothWays(result.samples, item.switch);
    await expectClose(modelOf(item.graph), { ...result, samples }, FLOOR);
  });
});

const TWO = `(float[8, 32] x) => (float[8, 24] y) <float[32, 48] w = random(1), float[48, 24] v = random(2)> { a = MatMul(x, w)  r = Relu(a)  y = MatMul(r, v) }`;
const OPTIONS = { minElements: 1, target: ["node-cpu" as const] };

function samplesOf(dims: readonly number[], count: number, fill: (random: number, index: number) => number): Tensors[] {
  const random = createRandom(3);
  const size = dims.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => ({
    x: Tensor.float32(
      dims,
      Float32Array.from({ length: size }, (_, i) => fill(random.normal(), i)),
    ),
  }));
}

describe("calibration", () => {
  it("takes the range of all samples, whatever the budget", async () => {
    const data = samplesOf([8, 32], 3, (x) => x);
    (data[1]!["x"]!.floats() as Float32Array)[7] = 31;
    (data[2]!["x"]!.floats() as Float32Array)[9] = -20;
    const scales = [];
    for (const budget of [256, 1]) {
      const { model } = await quantizeModel(
        modelOf(TWO),
        staticInt8,
        { ...OPTIONS, budget, observer: "min-max" },
        data,
      );
      scales.push(
        initializerOf(model, "x_scale").constant!.numbers()[0],
        initializerOf(model, "x_zero_point").constant!.numbers()[0],
      );
    }
    expect(scales).toEqual([Math.fround(51 / 255), 100, Math.fround(51 / 255), 100]);
  });

  it("leaves what NaN or infinity reaches in float, and says so", async () => {
    const nan = samplesOf([8, 32], 2, (x, i) => (i === 5 ? Number.NaN : x));
    const all = await quantizeModel(modelOf(TWO), staticInt8, { ...OPTIONS, storeRest: false }, nan);
    expect(all.ops).toEqual({ MatMul: 2, Relu: 1 });
    expect(all.reasons["a"]).toMatch(/^"x": .*expected finite values, got NaN at index 5/);
    expect(all.reasons["y"]).toMatch(/got NaN/);
    // Only the second one sees the infinity.
    const text = TWO.replace("r = Relu(a)", "r = Div(a, zero)").replace("<float[32", "<float zero = {0}, float[32");
    const half = await quantizeModel(modelOf(text), staticInt8, { ...OPTIONS, storeRest: false });
    expect(half.ops).toMatchObject({ MatMul: 2, QuantizeLinear: 1 });
    expect(Object.keys(half.reasons)).toEqual(["y"]);
    expect(half.reasons["y"]).toMatch(/got -?Infinity/);
  });

  it("leaves a weight with NaN in float, by its name", async () => {
    const model = modelOf(TWO);
    const w = initializerOf(model, "w");
    const values = w.constant!.floats().slice();
    values[50] = Number.NaN;
    w.initializer = Tensor.float32([32, 48], values);
    const { ops, reasons } = await quantizeModel(model, staticInt8, OPTIONS);
    expect(ops).toEqual({ MatMul: 2, Relu: 1, Cast: 1, Mul: 1 });
    expect(reasons["a"]).toMatch(/weight "w" \[32, 48\]: expected finite values, got NaN at index 50/);
    // Relu hands NaN on: the other one cannot be calibrated, but its weight is stored.
    expect(reasons["y"]).toMatch(/"r": .*got NaN.*; its weight is stored in 8 bits/);
  });

  it("leaves what the data never reach in float", async () => {
    const text = `(float[n, 32] x, float[8, 32] z) => (float[n, 24] y, float[8, 24] u) <float[32, 24] w = random(1), float[32, 24] v = random(2)> { y = MatMul(x, w)  u = MatMul(z, v) }`;
    const [sample] = samplesOf([8, 32], 1, (x) => x);
    const data = [{ x: Tensor.float32([0, 32], []), z: sample!["x"]! }];
    const { ops, reasons } = await quantizeModel(modelOf(text), staticInt8, { ...OPTIONS, storeRest: false }, data);
    expect(ops).toMatchObject({ QuantizeLinear: 1, MatMul: 2 });
    expect(reasons).toEqual({ y: "the calibration data never reach it" });
  });

  it("needs samples and a runtime, but not where nothing is eligible", async () => {
    const runtime = await runtimes.node();
    const empty = { name: "nothing", samples: () => [] };
    await expect(runStep(modelOf(TWO), staticInt8, OPTIONS, { runtime, calibration: empty })).rejects.toThrow(
      /nothing: expected samples, found none/,
    );
    await expect(runStep(modelOf(TWO), staticInt8, OPTIONS, { runtime })).rejects.toThrow(
      /expected calibration data, got none/,
    );
    const { report } = await quantizeModel(modelOf("(float[4] x) => (float[4] y) { y = Relu(x) }"), staticInt8, {});
    expect(report).toMatchObject({ changed: 0, leftAlone: [] });
  });
});

describe("biases", () => {
  /** Channel 1 has next to no weights and a bias of 5: with the scale of its weights the bias would need 43 bits. */
  const dead = `(float[2, 4, 6, 6] x) => (float[2, 3, 4, 4] y) <float[3, 4, 3, 3] w = random(1), float[3] s = {1, 0.00000001, 1}, float[3] b = {0.1, 5, -0.1}> { y = Conv(x, w, b) }`;
  const fused = (): ReturnType<typeof modelOf> => {
    const model = modelOf(dead);
    const w = initializerOf(model, "w");
    const s = initializerOf(model, "s");
    w.initializer = Tensor.float32(
      [3, 4, 3, 3],
      w.constant!.floats().map((x, i) => x * s.constant!.floats()[Math.floor(i / 36)]!),
    );
    model.graph.removeInitializer(s);
    return model;
  };

  it("of a dead channel fit 32 bits", async () => {
    const result = await quantizeModel(fused(), staticInt8, OPTIONS);
    const codes = initializerOf(result.model, "b_int32").constant!.numbers();
    expect(Math.max(...codes.map(Math.abs))).toBeLessThanOrEqual(2 ** 30 + 1);
    expect(Math.max(...codes.map(Math.abs))).toBeGreaterThan(2 ** 29);
    expect((await fusedOps(result.bytes))["QLinearConv"]).toBe(1);
    await expectClose(fused(), result, FLOOR);
  });

  it("two convolutions share a weight; only one bias needs larger scales", async () => {
    const text = dead.replace(
      "y = Conv(x, w, b)",
      "a = Conv(x, w)  c = Conv(x, w, b)  k = Conv(x, w)  d = Sub(a, k)  y = Add(c, d)",
    );
    const shared = (): ReturnType<typeof modelOf> => {
      const model = modelOf(text);
      initializerOf(model, "w").initializer = initializerOf(fused(), "w").initializer;
      model.graph.removeInitializer(initializerOf(model, "s"));
      return model;
    };
    const result = await quantizeModel(shared(), staticInt8, OPTIONS);
    const scaleOf = (name: string): number[] =>
      nodeOf(result.model, name).input(1).producer!.input(1).constant!.numbers();
    // The kernel adds the codes as they are: their scale has to be the product of the scales beside them.
    const conv = [...result.model.graph.nodes()].filter((node) => node.is("Conv"));
    for (const node of conv.filter((item) => item.inputs[2] !== undefined)) {
      const x = node.input(0).producer!.input(1).constant!.numbers()[0]!;
      const bias = node.input(2).producer!.input(1).constant!.numbers();
      const weight = node.input(1).producer!.input(1).constant!.numbers();
      expect(bias).toEqual(weight.map((w) => Math.fround(w * x)));
      expect(weight).not.toEqual(scaleOf(conv.find((item) => item.inputs[2] === undefined)!.name!));
    }
    expect(conv.map((node) => node.inputs.length)).toEqual([2, 3, 2]);
    await expectClose(shared(), result, FLOOR);
  });
});

describe("reduceRange", () => {
  it("keeps weights within 7 bits", async () => {
    const result = await quantizeModel(modelOf(TWO), staticInt8, { ...OPTIONS, reduceRange: "on" });
    const codes = initializerOf(result.model, "w_int8").constant!.numbers();
    expect([Math.min(...codes) >= -64, Math.max(...codes) <= 63, Math.max(...codes.map(Math.abs)) > 60]).toEqual([
      true,
      true,
      true,
    ]);
    await expectClose(modelOf(TWO), result, FLOOR - 4);
  });
});

describe("what is behind a convolution", () => {
  it.each([
    ["Transpose without perm", "t = Transpose(a)  y = Neg(t)"],
    ["Transpose to channels last", "t = Transpose <perm = [0, 2, 3, 1]> (a)  y = Softmax(t)"],
    ["Concat with the input's shape", "f = Flatten(a)  y = Concat <axis = 1> (f, f)"],
    ["Relu that is an output, too", "r = Relu(a)  y = Neg(r)  z = Identity(r)"],
    [
      "MaxPool, Clip, global pooling",
      "p = MaxPool <kernel_shape = [2, 2]> (a)  c = Clip(p, zero, six)  y = GlobalAveragePool(c)",
    ],
    ["Split", "y, s = Split <axis = 1, num_outputs = 2> (a)"],
  ])("%s", async (_name, behind) => {
    const outputs = behind.includes("z =") ? "float[] y, float[] z" : "float[] y";
    const opset = behind.includes("Split") ? 18 : 17;
    const more = behind.includes("Clip") ? ", float zero = {0}, float six = {6}" : "";
    const text = `(float[2, 8, 11, 9] x) => (${outputs}) <float[12, 8, 3, 3] w = random(1)${more}> { a = Conv(x, w)  ${behind} }`;
    const result = await quantizeModel(modelOf(text, opset), staticInt8, OPTIONS);
    expect((await fusedOps(result.bytes))["QLinearConv"]).toBe(1);
    await expectClose(modelOf(text, opset), result, FLOOR);
  });
});

describe("what stays in float", () => {
  it("is stored in 8 bits, depthwise weights excepted", async () => {
    const text = `(float[2, 64, 11, 9] x, float[1, 32] z) => (float[2, 8, 7, 5] y, float[1, 24] u) <float[8, 64, 3, 3] w = random(1), float[8, 1, 3, 3] d = random(2), float[32, 24] v = random(3)>
      { a = Conv(x, w)  y = Conv <group = 8> (a, d)  u = MatMul(z, v) }`;
    const result = await quantizeModel(modelOf(text), staticInt8, { minElements: 1 });
    expect(result.ops).toEqual({ QuantizeLinear: 2, DequantizeLinear: 3, Conv: 2, MatMul: 1, Cast: 1, Mul: 1 });
    expect(result.reasons["u"]).toMatch(/web-wasm runs it .* with 1 row; its weight is stored in 8 bits/);
    expect(result.reasons["y"]).toMatch(/as fast as float32$/);
    expect(initializerOf(result.model, "d").constant!.dtype).toBe("float32");
    expect((await fusedOps(result.bytes))["MatMul"]).toBe(1);
    await expectClose(modelOf(text), result, FLOOR);
  });
});
