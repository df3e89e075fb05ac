import { describe, expect, it } from "vitest";
import {
  bytesOf,
  compareAll,
  initializerOf,
  modelOf,
  nodeOf,
  opCounts,
  reload,
  runAll,
  runtimes,
} from "../../../test/helpers.ts";
import { fromOnnx } from "../../graph/from-onnx.ts";
import type { Model } from "../../graph/model.ts";
import { mask } from "../../graph/parametrization-kinds.ts";
import { decodeModel } from "../../onnx/decode.ts";
import type { Tensors } from "../../runtime/runtime.ts";
import { runStep } from "../../step/run.ts";
import type { StepReport } from "../../step/step.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { staticInt8 } from "../static-int8.ts";
import { chooseAlpha, type ProductSample, productError, smoothingFactors } from "./smooth.ts";
import { smoothQuant } from "./smooth-quant.ts";

/** Sums of a hundred products in float32, every weight rounded once more. */
const ROUNDING = 1e-5;

/** Normal samples of an input. */
function feeds(dims: readonly number[], count = 4): Tensors[] {
  const random = createRandom(5);
  const size = dims.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => ({
    x: Tensor.float32(
      dims,
      Array.from({ length: size }, () => random.normal()),
    ),
  }));
}

const sourceOf = (samples: readonly Tensors[]) => ({
  name: "test",
  length: samples.length,
  samples: () => samples.map((inputs) => ({ inputs })),
});

async function smooth(model: Model, samples: readonly Tensors[], options = {}): Promise<StepReport> {
  return runStep(model, smoothQuant, options, { runtime: await runtimes.node(), calibration: sourceOf(samples) });
}

async function lowestSqnr(reference: Uint8Array, other: Uint8Array, samples: readonly Tensors[]): Promise<number> {
  const web = await runtimes.web(); // whose integer products do not saturate on any processor
  const outputs = compareAll(await runAll(web, reference, samples), await runAll(web, other, samples));
  return Math.min(...outputs.map((output) => (output.kind === "float" ? output.sqnr : 0)));
}

async function expectSame(before: Uint8Array, model: Model, samples: readonly Tensors[]): Promise<void> {
  for (const runtime of [await runtimes.node(), await runtimes.web()]) {
    const outputs = compareAll(await runAll(runtime, before, samples), await runAll(runtime, bytesOf(model), samples));
    for (const output of outputs) {
      if (output.kind !== "float") throw new Error(output.kind);
      expect(output.relative, output.name).toBeLessThan(ROUNDING);
    }
  }
}

async function quantized(model: Model, samples: readonly Tensors[]): Promise<Uint8Array> {
  const copy = reload(model);
  const context = { runtime: await runtimes.web(), calibration: sourceOf(samples) };
  await runStep(copy, staticInt8, { minElements: 1, target: ["node-cpu"], force: true }, context);
  return bytesOf(copy);
}

const reasonsOf = (report: StepReport): Record<string, string> =>
  Object.fromEntries((report.leftAlone ?? []).map(({ subject, reason }) => [subject, reason]));

/** Gives a few entries of a constant outliers: what layer normalizations of transformers have. */
function outliers(model: Model, name: string, factor: number): void {
  const value = initializerOf(model, name);
  const data = value.constant!.floats().map((x, i) => (i % 13 === 5 ? factor : 0.5 + x));
  value.initializer = Tensor.float32(value.constant!.dims, data);
}

/** Query, key and value behind a layer normalization as exporters write it. */
const NORM = `m = ReduceMean <axes = [-1]> (x)  d = Sub(x, m)  p = Pow(d, two)  q = ReduceMean <axes = [-1]> (p)
  e = Add(q, eps)  s = Sqrt(e)  n = Div(d, s)  g = Mul(n, gamma)  h = Add(g, beta)`;
const QKV = `(float[2, 10, 32] x) => (float[2, 10, 24] a, float[2, 10, 24] b, float[2, 10, 24] c)
  <float two = {2}, float eps = {0.00001}, float[32] gamma = random(1), float[32] beta = random(2), float[32, 24] w = random(3), float[32, 24] v = random(4), float[32, 24] u = random(5)>
  { ${NORM}  a = MatMul(h, w)  b = MatMul(h, v)  c = MatMul(h, u) }`;

describe("outliers behind a layer normalization", () => {
  it("move into the weights of all three layers, without another node", async () => {
    for (const alpha of [0.5, "auto"] as const) {
      const model = modelOf(QKV);
      outliers(model, "gamma", 40);
      const samples = feeds([2, 10, 32]);
      const before = bytesOf(model);
      const ops = opCounts(model);
      const report = await smooth(model, samples, { alpha });
      expect(report.changed).toBe(1);
      expect(report.leftAlone).toEqual([]);
      expect(opCounts(model)).toEqual(ops);
      await expectSame(before, model, samples);
      // One channel in thirteen is 80 times larger than the others: that cost them six bits of eight.
      const plain = await lowestSqnr(before, await quantized(modelFrom(before), samples), samples);
      const smoothed = await lowestSqnr(before, await quantized(model, samples), samples);
      expect(smoothed - plain, `${plain} dB, smoothed ${smoothed} dB`).toBeGreaterThan(5);
      // Once more with the same data changes nothing.
      if (alpha === 0.5) {
        const again = await smooth(model, samples, { alpha });
        expect(again.changed).toBe(0);
        expect(reasonsOf(again)["a"]).toBe("its channels need none");
      }
    }
  });

  it("of one node are divided, too", async () => {
    const text = QKV.replace(NORM, "h = LayerNormalization <axis = -1> (x, gamma, beta)");
    const model = modelOf(text);
    outliers(model, "gamma", 40);
    const samples = feeds([2, 10, 32]);
    const before = bytesOf(model);
    expect((await smooth(model, samples)).changed).toBe(1);
    expect(opCounts(model)).toEqual({ LayerNormalization: 1, MatMul: 3 });
    await expectSame(before, model, samples);
  });
});

function modelFrom(bytes: Uint8Array): Model {
  return fromOnnx(decodeModel(bytes));
}

describe("what divides", () => {
  const CASES = {
    "the layer before, its bias and what is added": `(float[4, 6] x) => (float[4, 5] y)
      <float[6, 8] w = random(1), float[8] b = random(2), float[8] t = random(3), float[8, 5] v = random(4)>
      { a = Gemm(x, w, b)  r = Relu(a)  h = Add(r, t)  y = MatMul(h, v) }`,
    "a convolution before a convolution": `(float[2, 3, 8, 8] x) => (float[2, 5, 4, 4] y)
      <float[8, 3, 3, 3] w = random(1), float[8] b = random(2), float[5, 8, 3, 3] v = random(4)>
      { a = Conv(x, w, b)  h = Relu(a)  y = Conv(h, v) }`,
    "a batch normalization": `(float[2, 8, 8, 8] x) => (float[2, 5, 6, 6] y)
      <float[8] g = random(1), float[8] b = random(2), float[8] m = random(3), float[8] s = {1, 2, 3, 4, 5, 6, 7, 8}, float[5, 8, 3, 3] v = random(4)>
      { a = BatchNormalization(x, g, b, m, s)  h = Relu(a)  y = Conv(h, v) }`,
    "the linear half of a gated unit": `(float[4, 6] x) => (float[4, 5] y)
      <float[6, 8] w = random(1), float[6, 8] u = random(2), float[8, 5] v = random(4)>
      { a = MatMul(x, w)  s = Sigmoid(a)  b = MatMul(x, u)  h = Mul(s, b)  y = MatMul(h, v) }`,
    "a division by constants": `(float[4, 8] x) => (float[4, 5] y) <float[8] d = {1, 2, 3, 4, 5, 6, 7, 8}, float[8, 5] v = random(4)>
      { e = Exp(x)  h = Div(e, d)  y = MatMul(h, v) }`,
    "a convolution before flattened channels": `(float[2, 3, 8, 8] x) => (float[2, 5] y)
      <float[8, 3, 3, 3] w = random(1), float[8] b = random(2), float[288, 5] v = random(4)>
      { a = Conv(x, w, b)  r = Relu(a)  h = Flatten(r)  y = Gemm(h, v) }`,
  };

  it.each(Object.entries(CASES))("%s", async (_name, text) => {
    for (const alpha of [0.5, 0.8]) {
      const model = modelOf(text);
      const samples = feeds(modelOf(text).graph.inputs[0]!.shape as number[]);
      const before = bytesOf(model);
      const ops = opCounts(model);
      const report = await smooth(model, samples, { alpha });
      expect(reasonsOf(report)["y"]).toBeUndefined();
      expect(report.changed).toBe(1);
      expect(opCounts(model)).toEqual(ops);
      await expectSame(before, model, samples);
    }
  });

  it("where nothing does, a Mul is inserted if that is wanted", async () => {
    const text = `(float[2, 10, 32] x) => (float[2, 10, 24] y, float[2, 10, 32] z) <float[32] f = random(2), float[32, 24] w = random(3)>
      { h = Tanh(x)  y = MatMul(h, w)  z = Add(h, f) }`;
    const samples = feeds([2, 10, 32]);
    const model = modelOf(text);
    const before = bytesOf(model);
    const declined = await smooth(model, samples);
    expect(declined.changed).toBe(0);
    expect(reasonsOf(declined)["y"]).toMatch(/"h" goes to MatMul and Add; insert would put a Mul there/);
    expect(bytesOf(model)).toEqual(before);
    const report = await smooth(model, samples, { insert: true });
    expect(report.changes).toContain("1 Mul inserted");
    expect(opCounts(model)).toEqual({ Tanh: 1, Mul: 1, MatMul: 1, Add: 1 });
    expect(nodeOf(model, "z").input(0).name).toBe("h");
    await expectSame(before, model, samples);
  });

  it("a masked weight stays as it is", async () => {
    const model = modelOf(QKV);
    mask.insert(model, initializerOf(model, "v"), Tensor.of("bool", [32, 24], new Uint8Array(768).fill(1)));
    const before = bytesOf(model);
    const report = await smooth(model, feeds([2, 10, 32]));
    expect(report.changed).toBe(0);
    // The others share its input.
    expect(reasonsOf(report)["b"]).toBe("its weight is not constant");
    expect(reasonsOf(report)["a"]).toMatch(/"h" goes to MatMul and MatMul/);
    expect(bytesOf(model)).toEqual(before);
  });

  it("a number that all channels share stays, as GELU's does", async () => {
    const text = `(float[4, 8] x) => (float[4, 5] y) <float half = {0.5}, float[8, 5] v = random(4)> { e = Exp(x)  h = Mul(e, half)  y = MatMul(h, v) }`;
    const report = await smooth(modelOf(text), feeds([4, 8]));
    expect(reasonsOf(report)["y"]).toMatch(/Exp "e" before it does not pass factors on/);
  });
});

describe("the arithmetic", () => {
  it("is the paper's: max|X|^α / max|W|^(1 − α), up to a common factor", () => {
    const x = Float64Array.of(16, 1, 4);
    const w = Float64Array.of(1, 4, 0.25);
    const factors = smoothingFactors(x, w, 0.5);
    const plain = [4, 0.5, 4];
    const common = Math.cbrt(4 * 0.5 * 4);
    factors.forEach((s, j) => {
      expect(s).toBeCloseTo(plain[j]! / common, 12);
    });
    // Half and half: both sides have the same range in every channel.
    const ratios = [...factors].map((s, j) => x[j]! / s / (w[j]! * s));
    for (const ratio of ratios) expect(ratio).toBeCloseTo(ratios[0]!, 12);
    expect(
      [...smoothingFactors(x, w, 0)].map((s, j) => s * w[j]!).every((r, _i, all) => Math.abs(r - all[0]!) < 1e-12),
    ).toBe(true);
  });

  it("gives channels that are always zero a factor all the same", () => {
    const factors = smoothingFactors(Float64Array.of(0, 1), Float64Array.of(1, 0), 0.5);
    expect([...factors].every((s) => s > 0 && Number.isFinite(s))).toBe(true);
  });

  it("chooses an α that is better than none, or none", () => {
    const random = createRandom(9);
    const [rows, columns, k] = [32, 16, 40];
    const make = (outlier: number): ProductSample => {
      const x = Float32Array.from({ length: rows * k }, (_, i) => random.normal() * (i % k === 3 ? outlier : 1));
      const w = Float32Array.from({ length: columns * k }, () => random.normal());
      const channel = (j: number): number[] => Array.from({ length: rows }, (_, row) => x[row * k + j]!);
      const channels = Array.from({ length: k }, (_, j) => channel(j));
      return {
        x,
        rows,
        w,
        columns,
        k,
        channelOf: Uint32Array.from({ length: k }, (_, i) => i),
        min: Float64Array.from(channels, (values) => Math.min(...values)),
        max: Float64Array.from(channels, (values) => Math.max(...values)),
      };
    };
    const absolute = ({ min, max }: ProductSample): Float64Array => max.map((high, j) => Math.max(high, -min[j]!));
    const sample = make(60);
    const chosen = chooseAlpha(absolute(sample), new Float64Array(k).fill(3), [sample])!;
    expect(chosen.ratio).toBeLessThan(0.2);
    expect(productError(sample, chosen.factors) / productError(sample, undefined)).toBeCloseTo(chosen.ratio, 12);
    // All factors equal: there is nothing to choose.
    const constant = { ...sample, min: new Float64Array(k), max: new Float64Array(k), x: new Float32Array(rows * k) };
    expect(chooseAlpha(new Float64Array(k), new Float64Array(k).fill(3), [constant])).toBeUndefined();
  });
});
