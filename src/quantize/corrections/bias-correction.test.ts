import { describe, expect, it } from "vitest";
import { bytesOf, initializerOf, modelOf, nodeOf, opCounts, reload, runAll, runtimes } from "../../../test/helpers.ts";
import { fusedOps } from "../../../test/quantized.ts";
import type { Model } from "../../graph/model.ts";
import { verifyModel } from "../../graph/verify.ts";
import { cleanUp } from "../../passes/clean-up.ts";
import type { Tensors } from "../../runtime/runtime.ts";
import { runStep } from "../../step/run.ts";
import type { StepReport } from "../../step/step.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { staticInt8 } from "../static-int8.ts";
import { weightInt8 } from "../weight-int8.ts";
import { type BiasCorrectionOptions, correctBias } from "./bias-correction.ts";
import { findLayers, stagesOf } from "./bias-layers.ts";
import { batchNormStatistics, clippedNormalMean, expectedMeans } from "./channel-statistics.ts";

/** Positive samples: their means matter. */
function feeds(dims: readonly number[], count = 4): Tensors[] {
  const random = createRandom(5);
  const size = dims.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => ({
    x: Tensor.float32(
      dims,
      Array.from({ length: size }, () => Math.abs(random.normal())),
    ),
  }));
}

const sourceOf = (samples: readonly Tensors[]) => ({
  name: "test",
  length: samples.length,
  samples: () => samples.map((inputs) => ({ inputs })),
});

/** Weights that lie 0.4 steps above a code of 8 bits: all of them are rounded down. One in a channel sets the scale. */
function biasedRounding(model: Model, names: readonly string[]): void {
  for (const name of names) {
    const value = initializerOf(model, name);
    const { dims } = value.constant!;
    // The channel axis: 0 in convolutions, 1 in matrices.
    const matrix = dims.length === 2;
    const random = createRandom(dims.length);
    const data = value.constant!.floats().map((_x, i) => {
      const within = matrix ? Math.floor(i / dims[1]!) : i % (value.constant!.size / dims[0]!);
      return within === 0 ? 1.27 : (random.integer(20) - 10 + 0.4) / 100;
    });
    value.initializer = Tensor.float32(dims, data);
  }
}

async function quantize(original: Model, samples: readonly Tensors[], options = {}): Promise<Model> {
  const model = reload(original);
  const context = { runtime: await runtimes.node(), calibration: sourceOf(samples) };
  const all = { minElements: 1, minSqnr: 0, target: ["node-cpu" as const], storeRest: false, ...options };
  await runStep(model, staticInt8, all, context);
  return model;
}

/** Largest difference of the means per channel of the output y, on the exact runtime. */
async function shiftOf(original: Model, model: Model, samples: readonly Tensors[], axis: number): Promise<number> {
  const web = await runtimes.web();
  const means = async (bytes: Uint8Array): Promise<number[]> => {
    const sums: number[] = [];
    for (const { y } of await runAll(web, bytes, samples)) {
      const dims = y!.dims;
      const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
      y!.floats().forEach((value, i) => {
        const c = Math.floor(i / inner) % dims[axis]!;
        sums[c] = (sums[c] ?? 0) + value / (y!.size / dims[axis]!) / samples.length;
      });
    }
    return sums;
  };
  const [a, b] = [await means(bytesOf(original)), await means(bytesOf(model))];
  return Math.max(...a.map((mean, c) => Math.abs(mean - b[c]!)));
}

async function correct(
  model: Model,
  original: Model,
  samples: readonly Tensors[],
  options: Partial<BiasCorrectionOptions> = {},
): Promise<StepReport> {
  const base = { form: "empirical" as const, runtime: await runtimes.node(), data: sourceOf(samples) };
  return correctBias(model, original, { ...base, ...options });
}

const reasonsOf = (report: StepReport): Record<string, string> =>
  Object.fromEntries((report.leftAlone ?? []).map(({ subject, reason }) => [subject, reason]));

const CONVS = `(float[2, 4, 10, 10] x) => (float[2, 8, 4, 4] y)
  <float[8, 4, 3, 3] w = random(1), float[8] b = random(2), float[8, 8, 3, 3] v = random(3), float[8] c = random(4), float[8, 8, 3, 3] u = random(5), float[8] d = random(6)>
  { a = Conv(x, w, b)  r = Relu(a)  e = Conv(r, v, c)  s = Relu(e)  y = Conv(s, u, d) }`;

describe("weights that are all rounded the same way", () => {
  it.each(["analytic", "empirical"] as const)("shift means that the %s form takes back", async (form) => {
    const original = modelOf(CONVS);
    biasedRounding(original, ["w", "v", "u"]);
    const samples = feeds([2, 4, 10, 10]);
    const model = await quantize(original, samples);
    const fused = await fusedOps(bytesOf(model));
    const before = await shiftOf(original, model, samples, 1);
    const report = await correct(model, original, samples, { form });
    expect(report.changed).toBe(3);
    expect(report.changes![1]).toMatch(/SQNR of the outputs \S+ → \S+ dB/);
    verifyModel(model);
    const after = await shiftOf(original, model, samples, 1);
    // Analytic: borders and clipped activations are not in the formula. Both: the output is rounded once more.
    expect(after, `${before} → ${after}`).toBeLessThan(before * (form === "analytic" ? 0.25 : 0.03));
    // Still the same integer kernels.
    expect(fused["QLinearConv"]).toBe(3);
    expect(await fusedOps(bytesOf(model))).toEqual(fused);
    const gain = report.changes![1]!.match(/outputs (\S+) → (\S+) dB/)!;
    expect(Number(gain[2]) - Number(gain[1])).toBeGreaterThan(5);
  });

  it("analytic without data: from batch normalizations that the clean-up fuses", async () => {
    const text = `(float[8, 4, 10, 10] x) => (float[8, 8, 6, 6] y)
      <float[8, 4, 3, 3] w = random(1), float[8] g = {0.5, 1, 1.5, 2, 0.5, 1, 1.5, 2}, float[8] b = {0, 0.5, 1, -0.5, 0.5, 0, 1, 1},
       float[8] m = random(7), float[8] s = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}, float[8, 8, 3, 3] v = random(3)>
      { a = Conv(x, w)  n = BatchNormalization(a, g, b, m, s)  r = Relu(n)  y = Conv(r, v) }`;
    const random = createRandom(3);
    const normal = (): Tensors => ({
      x: Tensor.float32(
        [8, 4, 10, 10],
        Array.from({ length: 3200 }, () => random.normal()),
      ),
    });
    const samples = [normal(), normal()];
    // Statistics that are true: of these inputs.
    const original = modelOf(text);
    biasedRounding(original, ["v"]);
    const probe = modelOf(text.replace("float[8, 8, 6, 6] y", "float[8, 8, 8, 8] a").replace(/n = Batch.*/, "}"));
    const [mean, variance] = await momentsOf(probe, samples);
    initializerOf(original, "m").initializer = Tensor.float32([8], mean!);
    initializerOf(original, "s").initializer = Tensor.float32([8], variance!);
    const statistics = batchNormStatistics(original);
    expect([...statistics.keys()]).toEqual(["n"]);
    await cleanUp(original, {});
    expect(opCounts(original)).toEqual({ Conv: 2, Relu: 1 });
    const model = await quantize(original, samples, { exclude: ["n"] });
    const before = await shiftOf(original, model, samples, 1);
    const report = await correctBias(model, original, { form: "analytic", statistics });
    expect(report.changed).toBe(1);
    const after = await shiftOf(original, model, samples, 1);
    // The activations are nearly, not exactly, normal.
    expect(after, `${before} → ${after}`).toBeLessThan(before * 0.15);
    expect((await fusedOps(bytesOf(model)))["QLinearConv"]).toBe(1);
  });
});

async function momentsOf(model: Model, samples: readonly Tensors[]): Promise<[number[], number[]]> {
  const sums = new Float64Array(8);
  const squares = new Float64Array(8);
  let count = 0;
  for (const { a } of await runAll(await runtimes.node(), bytesOf(model), samples)) {
    a!.floats().forEach((value, i) => {
      sums[Math.floor(i / 64) % 8]! += value;
      squares[Math.floor(i / 64) % 8]! += value * value;
    });
    count += a!.size / 8;
  }
  const mean = [...sums].map((sum) => sum / count);
  return [mean, [...squares].map((sum, c) => sum / count - mean[c]! ** 2)];
}

describe("biases of every form", () => {
  const W = "float[32, 24] w = random(1)";
  const CASES: readonly (readonly [name: string, graph: string, dims: readonly number[], axis: number])[] = [
    [
      "Gemm with its own",
      `(float[16, 32] x) => (float[16, 24] y) <${W}, float[24] b = random(2)> { y = Gemm(x, w, b) }`,
      [16, 32],
      1,
    ],
    [
      "Gemm with alpha and beta",
      `(float[16, 32] x) => (float[16, 24] y) <${W}, float[24] b = random(2)> { y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b) }`,
      [16, 32],
      1,
    ],
    ["Gemm without", `(float[16, 32] x) => (float[16, 24] y) <${W}> { y = Gemm(x, w) }`, [16, 32], 1],
    [
      "MatMul with an Add",
      `(float[16, 32] x) => (float[16, 24] y) <${W}, float[24] b = random(2)> { a = MatMul(x, w)  y = Add(a, b) }`,
      [16, 32],
      1,
    ],
    ["MatMul without", `(float[16, 32] x) => (float[16, 24] y) <${W}> { y = MatMul(x, w) }`, [16, 32], 1],
    [
      "MatMul of rank 3 with an Add",
      `(float[2, 8, 32] x) => (float[2, 8, 24] y) <${W}, float[24] b = random(2)> { a = MatMul(x, w)  y = Add(b, a) }`,
      [2, 8, 32],
      2,
    ],
    [
      "MatMul of rank 3 without",
      `(float[2, 8, 32] x) => (float[2, 8, 24] y) <${W}> { y = MatMul(x, w) }`,
      [2, 8, 32],
      2,
    ],
    [
      "MatMul with a residual",
      `(float[16, 32] x) => (float[16, 24] y) <${W}, float[16, 24] z = random(2)> { a = MatMul(x, w)  y = Add(a, z) }`,
      [16, 32],
      1,
    ],
    [
      "Conv without",
      "(float[2, 4, 8, 8] x) => (float[2, 12, 6, 6] y) <float[12, 4, 3, 3] w = random(1)> { y = Conv(x, w) }",
      [2, 4, 8, 8],
      1,
    ],
  ];

  it.each(CASES)("%s", async (_name, graph, dims, axis) => {
    const samples = feeds(dims);
    for (const form of ["analytic", "empirical"] as const) {
      const original = modelOf(graph);
      biasedRounding(original, ["w"]);
      const model = await quantize(original, samples);
      const integer = Object.keys(await fusedOps(bytesOf(model))).filter((op) => /Integer|QGemm|QLinear/.test(op));
      const before = await shiftOf(original, model, samples, axis);
      const report = await correct(model, original, samples, { form });
      expect(report.changed, JSON.stringify(report.leftAlone)).toBe(1);
      verifyModel(model);
      const after = await shiftOf(original, reload(model), samples, axis);
      expect(after, `${form}: ${before} → ${after}`).toBeLessThan(before * 0.2);
      // The product still runs on integers.
      const ops = Object.keys(await fusedOps(bytesOf(model)));
      expect(integer.length).toBeGreaterThan(0);
      expect(
        ops.some((op) => /MatMulInteger|QGemm|QLinearConv/.test(op)),
        ops.join(),
      ).toBe(true);
      expect(ops).not.toContain("MatMul");
      expect(ops).not.toContain("Gemm");
    }
  });

  it("weights that are only stored in 8 bits, with float biases", async () => {
    const original = modelOf(CONVS);
    biasedRounding(original, ["w", "v", "u"]);
    const samples = feeds([2, 4, 10, 10]);
    for (const storage of ["cast", "dequantize-linear"] as const) {
      const model = reload(original);
      await runStep(model, weightInt8, { minElements: 1, minSqnr: 0, storage }, {});
      const before = await shiftOf(original, model, samples, 1);
      expect((await correct(model, original, samples)).changed).toBe(3);
      expect(await shiftOf(original, model, samples, 1)).toBeLessThan(before * 0.01);
    }
  });

  it("a bias that two layers share is changed for one", async () => {
    const text = `(float[16, 32] x) => (float[16, 24] y, float[16, 24] z) <${W}, float[32, 24] v = random(7), float[24] b = random(2)>
      { y = Gemm(x, w, b)  z = Gemm(x, v, b) }`;
    const original = modelOf(text);
    biasedRounding(original, ["w"]);
    const samples = feeds([16, 32]);
    const model = await quantize(original, samples, { exclude: ["z"] });
    const before = initializerOf(model, "b").constant!.floats().slice();
    expect((await correct(model, original, samples)).changed).toBe(1);
    expect(nodeOf(model, "z").input(2).constant!.floats()).toEqual(before);
  });
});

describe("what it leaves alone", () => {
  it("a model that corrections bring no closer", async () => {
    const original = modelOf("(float[4, 8] x) => (float[4, 4] y) <float[8, 4] w = random(1)> { y = MatMul(x, w) }");
    // Exact in 8 bits: nothing is shifted.
    initializerOf(original, "w").initializer = Tensor.float32(
      [8, 4],
      Array.from({ length: 32 }, (_, i) => (i < 4 ? 1.27 : 0)),
    );
    const samples = feeds([4, 8]);
    const model = await quantize(original, samples, { force: true });
    const bytes = bytesOf(model);
    const report = await correct(model, original, samples, { form: "analytic" });
    expect(report.changed).toBe(0);
    expect(reasonsOf(report)["y"]).toMatch(/corrected, the model would be no closer: SQNR of the outputs/);
    expect(bytesOf(model)).toEqual(bytes);
  });

  it("layers without statistics and data, or without a counterpart", async () => {
    const original = modelOf(CONVS);
    const model = await quantize(original, feeds([2, 4, 10, 10]));
    const none = await correctBias(model, original, { form: "analytic" });
    expect(none.changed).toBe(0);
    expect(reasonsOf(none)["a"]).toMatch(/means of its input are not known/);
    const other = modelOf(CONVS.replace("e = Conv(r, v, c)  s = Relu(e)", "s = Relu(r)"));
    expect(reasonsOf(await correctBias(model, other, { form: "analytic" }))["e"]).toMatch(/no node of this name/);
    await expect(correctBias(model, original, { form: "empirical" })).rejects.toThrow(/expected a runtime and data/);
  });
});

describe("the order of measuring", () => {
  it("puts what does not depend on each other into one stage, and merges neighbours where there are too many", async () => {
    const text = `(float[4, 8] x) => (float[4, 8] y) <float[8, 8] w = random(1), float[8, 8] v = random(2), float[8, 8] u = random(3), float[8, 8] t = random(4)>
      { a = MatMul(x, w)  b = MatMul(x, v)  c = Mul(a, b)  d = MatMul(c, u)  y = MatMul(d, t) }`;
    const original = modelOf(text);
    const model = await quantize(original, feeds([4, 8]));
    const layers = findLayers(model, original, []);
    expect(layers.map(({ node }) => node.label)).toEqual(["a", "b", "d", "y"].map((name) => nodeOf(model, name).label));
    expect(stagesOf(layers, model, 10)).toEqual([[0, 1], [2], [3]]);
    expect(stagesOf(layers, model, 2)).toEqual([[0, 1, 2], [3]]);
    expect(stagesOf(layers, model, 1)).toEqual([[0, 1, 2, 3]]);
  });
});

describe("the mean of a clipped normal number", () => {
  /** The midpoint rule over ±10 deviations. */
  const integrate = (mean: number, deviation: number, low: number, high: number): number => {
    const steps = 200_000;
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const z = -10 + (20 * (i + 0.5)) / steps;
      const x = Math.min(Math.max(mean + deviation * z, low), high);
      sum += (x * Math.exp((-z * z) / 2) * 20) / steps / Math.sqrt(2 * Math.PI);
    }
    return sum;
  };

  it.each([
    [0, 1, 0, Number.POSITIVE_INFINITY],
    [1.5, 2, 0, 6],
    [-3, 0.5, 0, 6],
    [7, 3, 0, 6],
    [0.2, 1, Number.NEGATIVE_INFINITY, 0.5],
    [0.7, 0.1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  ])("mean %f, deviation %f, %f to %f", (mean, deviation, low, high) => {
    // erfc's fit has 1.2e-7, the sums run over numbers up to 10.
    expect(
      Math.abs(clippedNormalMean(mean, deviation, low, high) - integrate(mean, deviation, low, high)),
    ).toBeLessThan(2e-6);
  });

  it("goes through what follows a normalization", () => {
    const model = modelOf(`(float[1, 2, 4, 4] x) => (float[1, 2, 1, 1] y, float[1, 2, 4, 4] z)
      <float[2] g = {2, 1}, float[2] b = {1, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>
      { n = BatchNormalization(x, g, b, m, v)  r = Relu(n)  l = LeakyRelu <alpha = 0.1> (n)  s = Add(r, l)  y = GlobalAveragePool(s)  z = MaxPool <kernel_shape = [1, 1]> (r) }`);
    const statistics = batchNormStatistics(model);
    const relu = [clippedNormalMean(1, 2, 0, 1 / 0), clippedNormalMean(0, 1, 0, 1 / 0)];
    const leaky = relu.map((mean, c) => 0.1 * [1, 0][c]! + 0.9 * mean);
    const means = [...expectedMeans(nodeOf(model, "y").output(), statistics)!];
    means.forEach((mean, c) => {
      // alpha is a float32.
      expect(mean).toBeCloseTo(relu[c]! + leaky[c]!, 7);
    });
    // The largest of several is no mean.
    expect(expectedMeans(nodeOf(model, "z").output(), statistics)).toBeUndefined();
  });
});
