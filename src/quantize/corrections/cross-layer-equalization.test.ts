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
  samplesFor,
} from "../../../test/helpers.ts";
import type { Model } from "../../graph/model.ts";
import { mask } from "../../graph/parametrization-kinds.ts";
import { runStep } from "../../step/run.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { fakeQuantize, minMax } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { qparamsFromRanges } from "../qparams.ts";
import { crossLayerEqualization } from "./cross-layer-equalization.ts";
import { equalize } from "./equalize.ts";
import { linearLayer } from "./linear-layer.ts";

/** Sums of a hundred products in float32, every weight rounded once more. */
const ROUNDING = 1e-5;

/** Multiplies index `c` along an axis of a weight by f_c = 10^u, u uniform in ±spread, or divides by it. */
function spoil(model: Model, name: string, axis: number, spread: number, divide = false): void {
  const value = initializerOf(model, name);
  const { dims } = value.constant!;
  const random = createRandom(7);
  const factors = Array.from({ length: dims[axis]! }, () => 10 ** (spread * (2 * random.next() - 1)));
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const data = value.constant!.floats().map((x, i) => {
    const factor = factors[Math.floor(i / inner) % dims[axis]!]!;
    return divide ? x / factor : x * factor;
  });
  value.initializer = Tensor.float32(dims, data);
}

/** Lowest SQNR of outputs with one int8 scale per weight. */
async function perTensor(model: Model): Promise<number> {
  const before = bytesOf(model);
  const copy = reload(model);
  for (const value of copy.graph.initializers) {
    if (!["w", "v"].includes(value.name.replace(/_1$/, ""))) continue;
    const { dims } = value.constant!;
    const view = groupView(dims, { kind: "per-tensor" });
    const data = value.constant!.floats();
    const qparams = qparamsFromRanges(minMax(data, view), view, { dtype: "int8", symmetric: true, narrowRange: true });
    value.initializer = Tensor.float32(dims, fakeQuantize(data, view, qparams));
  }
  const { samples } = await samplesFor(reload(model), { count: 2 });
  const node = await runtimes.node();
  const outputs = compareAll(await runAll(node, before, samples), await runAll(node, bytesOf(copy), samples));
  return Math.min(...outputs.map((output) => (output.kind === "float" ? output.sqnr : 0)));
}

async function expectSame(before: Uint8Array, model: Model): Promise<void> {
  const { samples } = await samplesFor(reload(model), { count: 2 });
  for (const runtime of [await runtimes.node(), await runtimes.web()]) {
    const outputs = compareAll(await runAll(runtime, before, samples), await runAll(runtime, bytesOf(model), samples));
    for (const output of outputs) expect(output).toMatchObject({ kind: "float" });
    for (const output of outputs) if (output.kind === "float") expect(output.relative).toBeLessThan(ROUNDING);
  }
}

const reasonsOf = (report: { leftAlone?: readonly { subject: string; reason: string }[] }): Record<string, string> =>
  Object.fromEntries((report.leftAlone ?? []).map(({ subject, reason }) => [subject, reason]));

const PAIR = `(float[1, 8, 6, 6] x) => (float[1, 6, 2, 2] y)
  <float[16, 8, 3, 3] w = random(1), float[16] b = random(2), float[6, 16, 3, 3] v = random(3), float[6] c = random(4)>
  { a = Conv(x, w, b)  r = Relu(a)  y = Conv(r, v, c) }`;

describe("a pair of convolutions with badly scaled channels", () => {
  it("computes the same, with weights that one scale fits", async () => {
    const model = modelOf(PAIR);
    const even = await perTensor(model);
    spoil(model, "w", 0, 1.5);
    spoil(model, "v", 1, 1.5, true);
    const before = bytesOf(model);
    const old = await perTensor(model);
    const report = await runStep(model, crossLayerEqualization, {});
    expect(report.changed).toBe(1);
    expect(report.changes).toEqual([expect.stringMatching(/^1 of 1 pairs/)]);
    expect(reasonsOf(report)).toEqual({ a: '"x" is an input of the model' });
    await expectSame(before, model);
    // Factors of up to 32 cost five bits; equalized, the model loses no more than before it was spoiled (biases aside).
    const now = await perTensor(model);
    expect(old).toBeLessThan(20);
    expect(now - old).toBeGreaterThan(15);
    expect(now).toBeGreaterThan(even - 3);
    // Ranges are equal, channel by channel: √(r1 · r2).
    const first = linearLayer(nodeOf(model, "a"));
    const second = linearLayer(nodeOf(model, "y"));
    if (typeof first === "string" || typeof second === "string") throw new Error("no layer");
    const w = first.weight.constant!.floats();
    const v = second.weight.constant!.floats();
    for (let c = 0; c < 16; c++) {
      const r1 = Math.max(...w.subarray(c * 72, (c + 1) * 72).map(Math.abs));
      const r2 = Math.max(...v.filter((_, i) => Math.floor(i / 9) % 16 === c).map(Math.abs));
      expect(Math.abs(r1 / r2 - 1)).toBeLessThan(2e-3);
    }
    // Once more changes nothing.
    const bytes = bytesOf(model);
    expect((await runStep(model, crossLayerEqualization, {})).changed).toBe(0);
    expect(bytesOf(model)).toEqual(bytes);
    expect([...model.graph.initializers].filter((value) => value.isUnused)).toEqual([]);
  });

  it("with a depthwise one between reaches the closed form: all ranges are the cube root of their product", () => {
    const model = modelOf(`(float[1, 8, 6, 6] x) => (float[1, 6, 4, 4] y)
      <float[12, 8, 1, 1] w = random(1), float[12, 1, 3, 3] d = random(2), float[6, 12, 1, 1] v = random(3)>
      { a = Conv(x, w)  r = Relu(a)  b = Conv <group = 12> (r, d)  s = Relu(b)  y = Conv(s, v) }`);
    spoil(model, "w", 0, 1);
    spoil(model, "d", 0, 1);
    spoil(model, "v", 1, 1);
    const layers = ["a", "b", "y"].map((name) => {
      const layer = linearLayer(nodeOf(model, name));
      if (typeof layer === "string") throw new Error(layer);
      return layer;
    });
    const [w, d, v] = layers as [(typeof layers)[0], (typeof layers)[0], (typeof layers)[0]];
    const pairs = [
      { first: w, second: d, repeat: 1 },
      { first: d, second: v, repeat: 1 },
    ];
    const { factors } = equalize(pairs, { tolerance: 1e-9 });
    const largest = (layer: (typeof layers)[0], member: (index: number) => boolean): number =>
      Math.max(...layer.weight.constant!.floats().map((x, i) => (member(i) ? Math.abs(x) : 0)));
    for (let c = 0; c < 12; c++) {
      const r1 = largest(w, (i) => Math.floor(i / 8) === c);
      const r2 = largest(d, (i) => Math.floor(i / 9) === c);
      const r3 = largest(v, (i) => i % 12 === c);
      const root = Math.cbrt(r1 * r2 * r3);
      expect(factors[0]![c]! / (r1 / root)).toBeCloseTo(1, 6);
      expect(factors[1]![c]! / (root / r3)).toBeCloseTo(1, 6);
    }
  });

  it("leaves dead channels, and bounds factors", async () => {
    const model = modelOf(PAIR);
    const w = initializerOf(model, "w");
    const data = w.constant!.floats().slice();
    data.fill(1e-20, 0, 72);
    data.fill(0, 72, 144);
    w.initializer = Tensor.float32([16, 8, 3, 3], data);
    spoil(model, "v", 1, 2);
    const before = bytesOf(model);
    const biases = initializerOf(model, "b").constant!.floats();
    await runStep(model, crossLayerEqualization, { limit: 5 });
    await expectSame(before, model);
    const now = nodeOf(model, "a").input(2).constant!.floats();
    expect([now[0], now[1]]).toEqual([biases[0], biases[1]]);
    const ratios = [...now].map((bias, c) => biases[c]! / bias);
    expect(Math.max(...ratios)).toBeCloseTo(5, 4);
    expect(Math.min(...ratios)).toBeGreaterThan(0.2 - 1e-6);
  });
});

/** Text of the operators between two layers, and of what else the model needs. */
interface Between {
  readonly name: string;
  readonly graph: string;
  readonly opset?: number;
}

const IMAGE = "(float[2, 4, 8, 8] x) => (float[n0, n1, n2, n3] y)";
const WEIGHTS = "float[8, 4, 3, 3] w = random(1), float[8] b = random(2), float[5, 8, 1, 1] v = random(3)";
const conv = (name: string, between: string, more = "", opset?: number): Between => ({
  name,
  graph: `${IMAGE} <${WEIGHTS}${more}> { a = Conv(x, w, b)  ${between}  y = Conv(r, v) }`,
  ...(opset && { opset }),
});
const dense = (name: string, between: string, k: number, more = "", opset?: number): Between => ({
  name,
  graph: `(float[2, 4, 8, 8] x) => (float[m, o] y) <float[8, 4, 3, 3] w = random(1), float[8] b = random(2), float[${k}, 5] v = random(3)${more}> { a = Conv(x, w, b)  ${between}  y = Gemm(r, v) }`,
  ...(opset && { opset }),
});
const matmul = (name: string, between: string, more = ""): Between => ({
  name,
  graph: `(float[2, 3, 6] x) => (float[2, 3, 5] y) <float[6, 8] w = random(1), float[8] b = random(2), float[8, 5] v = random(3)${more}> { a = MatMul(x, w)  ${between}  y = MatMul(r, v) }`,
});

const ELIGIBLE: readonly Between[] = [
  conv("nothing", "r = Identity(a)"),
  conv("LeakyRelu", "r = LeakyRelu <alpha = 0.2> (a)"),
  conv("PRelu", "r = PRelu(a, s)", ", float[8, 1, 1] s = random(5)"),
  conv("Clip from 0 up", "r = Clip(a, zero)", ", float zero = {0}"),
  conv("pooling", "p = Relu(a)  q = MaxPool <kernel_shape = [2, 2]> (p)  r = AveragePool <kernel_shape = [2, 2]> (q)"),
  conv("global pooling", "p = Relu(a)  r = GlobalAveragePool(p)"),
  conv(
    "constants that are added",
    "p = Add(a, s)  q = Relu(p)  r = Sub(t, q)",
    ", float[8, 1, 1] s = random(5), float[1, 8, 1, 1] t = random(6)",
  ),
  conv("one number that is added", "p = Add(a, s)  r = Relu(p)", ", float s = {0.3}"),
  conv("a map that is added", "p = Add(a, s)  r = Relu(p)", ", float[8, 6, 6] s = random(5)"),
  conv(
    "constant factors",
    "p = Mul(a, s)  q = Relu(p)  r = Div(q, t)",
    ", float[8, 1, 1] s = random(5), float t = {3}",
  ),
  conv(
    "a factor that is computed",
    "p = GlobalAveragePool(x)  q = Conv(p, u)  h = Sigmoid(q)  r = Mul(a, h)",
    ", float[8, 4, 1, 1] u = random(5)",
  ),
  conv("padding", "p = Relu(a)  r = Pad(p, s)", ", int64[8] s = {0, 0, 1, 1, 0, 0, 1, 1}"),
  conv(
    "resizing",
    'p = Relu(a)  r = Resize <mode = "linear"> (p, roi, s)',
    ", float[0] roi = {}, float[4] s = {1, 1, 2, 2}",
  ),
  dense("Flatten", "p = Relu(a)  r = Flatten(p)", 288),
  dense("Flatten, then Relu", "p = Flatten(a)  r = Relu(p)", 288),
  dense("Reshape [0, -1]", "p = Relu(a)  r = Reshape(p, s)", 288, ", int64[2] s = {0, -1}"),
  dense("pooling and Reshape", "p = Relu(a)  q = GlobalAveragePool(p)  r = Reshape(q, s)", 8, ", int64[2] s = {-1, 8}"),
  dense("ReduceMean", "p = Relu(a)  r = ReduceMean <axes = [2, 3], keepdims = 0> (p)", 8),
  dense(
    "ReduceMean and Squeeze",
    "p = Relu(a)  q = ReduceMean <axes = [2, 3]> (p)  r = Squeeze(q, s)",
    8,
    ", int64[2] s = {2, 3}",
  ),
  matmul("MatMul", "r = Relu(a)"),
  matmul("MatMul with a bias", "p = Add(a, b)  r = Relu(p)"),
  matmul("MatMul with a bias first and one number", "p = Add(b, a)  q = Add(p, s)  r = Relu(q)", ", float s = {0.3}"),
  matmul("MatMul, Reshape of the rest", "p = Relu(a)  r = Reshape(p, s)", ", int64[3] s = {2, -1, 8}"),
  {
    name: "Gemm to Gemm with transB, alpha and beta",
    graph: `(float[2, 6] x) => (float[2, 5] y) <float[8, 6] w = random(1), float[1, 8] b = random(2), float[5, 8] v = random(3)>
      { a = Gemm <transB = 1, alpha = 0.5, beta = 3.0> (x, w, b)  r = Relu(a)  y = Gemm <transB = 1, alpha = 2.0> (r, v) }`,
  },
  {
    name: "grouped convolutions",
    graph: `${IMAGE} <float[8, 2, 3, 3] w = random(1), float[8] b = random(2), float[4, 2, 3, 3] v = random(3)>
      { a = Conv <group = 2> (x, w, b)  r = Relu(a)  y = Conv <group = 4> (r, v) }`,
  },
  {
    name: "grouped ConvTranspose",
    graph: `${IMAGE} <float[4, 4, 3, 3] w = random(1), float[8] b = random(2), float[8, 3, 2, 2] v = random(3)>
      { a = ConvTranspose <group = 2> (x, w, b)  r = Relu(a)  y = ConvTranspose <group = 4> (r, v) }`,
  },
  {
    name: "NCHW to the last axis",
    graph: `(float[2, 4, 8, 8] x) => (float[n0, n1, n2] y) <float[8, 4, 3, 3] w = random(1), float[8] b = random(2), float[8, 5] v = random(3), int64[3] s = {0, 8, -1}>
      { a = Conv(x, w, b)  p = Relu(a)  q = Reshape(p, s)  r = Transpose <perm = [0, 2, 1]> (q)  y = MatMul(r, v) }`,
  },
];

describe.each(ELIGIBLE)("between two layers: $name", ({ graph, opset }) => {
  it("passes factors on", async () => {
    const model = modelOf(graph, opset);
    const w = initializerOf(model, "w");
    spoil(
      model,
      "w",
      w.constant!.dims.length === 2
        ? nodeOf(model, "a").int("transB", 0)
          ? 0
          : 1
        : nodeOf(model, "a").is("ConvTranspose")
          ? 1
          : 0,
      1,
    );
    const before = bytesOf(model);
    const report = await runStep(model, crossLayerEqualization, {});
    expect(report.changed, JSON.stringify(report)).toBe(1);
    await expectSame(before, model);
    expect((await runStep(model, crossLayerEqualization, {})).changed).toBe(0);
  });
});

const LEFT: readonly (Between & { readonly reason: RegExp })[] = [
  { ...conv("Sigmoid", "r = Sigmoid(a)"), reason: /Sigmoid "r" before it does not pass factors on/ },
  { ...conv("Clip(0, 6)", "r = Clip(a, s, t)", ", float s = {0}, float t = {6}"), reason: /Clip "r" \(0, 6\)/ },
  {
    ...conv("hard swish", "h = HardSigmoid(a)  r = Mul(a, h)"),
    reason: /"a" goes to Mul and HardSigmoid|HardSigmoid "h"/,
  },
  {
    ...conv("a residual", "p = Conv(x, w2)  r = Add(a, p)", ", float[8, 4, 3, 3] w2 = random(9)"),
    reason: /Add "r" before it does not pass/,
  },
  {
    ...conv("a map across channels", "r = Add(a, s)", ", float[6, 6] s = random(5)"),
    reason: /not one number per channel/,
  },
  {
    ...dense("a transposed image", "p = Transpose <perm = [0, 2, 3, 1]> (a)  r = Flatten(p)", 288),
    reason: /moves flattened channels/,
  },
  {
    ...dense("Reshape to another batch", "r = Reshape(a, s)", 72, ", int64[2] s = {-1, 72}"),
    reason: /are not those of its input/,
  },
  {
    ...dense("a sum behind Flatten", "p = Flatten(a)  r = Add(p, s)", 288, ", float[288] s = random(5)"),
    reason: /adds to flattened channels/,
  },
  {
    ...dense("a number behind Flatten", "p = Flatten(a)  r = Add(p, s)", 288, ", float s = {0.5}"),
    reason: /adds to flattened channels/,
  },
  {
    ...conv(
      "a sum between Reshapes",
      "p = Reshape(a, s)  q = Add(p, t)  r = Reshape(q, u)",
      ", int64[3] s = {0, 8, -1}, float t = {0.5}, int64[4] u = {0, 8, 6, 6}",
    ),
    reason: /not one number per channel, or may not be/,
  },
  {
    ...matmul("pooling of the last axis", "p = MaxPool <kernel_shape = [1], strides = [1]> (a)  r = Relu(p)"),
    reason: /MaxPool "p" before it may mix channels/,
  },
  {
    name: "an output in the middle",
    graph: `(float[2, 4, 8, 8] x) => (float[n0, n1, n2, n3] y, float[m0, m1, m2, m3] r) <${WEIGHTS}> { a = Conv(x, w, b)  r = Relu(a)  y = Conv(r, v) }`,
    reason: /"r" is an output of the graph/,
  },
  {
    name: "two users",
    graph: `(float[2, 4, 8, 8] x) => (float[n0, n1, n2, n3] y, float[m0, m1, m2, m3] z) <${WEIGHTS}, float[5, 8, 1, 1] u = random(9)> { a = Conv(x, w, b)  r = Relu(a)  y = Conv(r, v)  z = Conv(r, u) }`,
    reason: /"r" goes to Conv and Conv/,
  },
  {
    name: "a shared weight",
    graph: `(float[1, 8, 8, 8] x) => (float[n0, n1, n2, n3] y) <float[8, 8, 3, 3] w = random(1)> { a = Conv(x, w)  r = Relu(a)  y = Conv(r, w) }`,
    reason: /its weight is shared/,
  },
];

describe.each(LEFT)("left alone: $name", ({ graph, opset, reason }) => {
  it("says why, and changes nothing", async () => {
    const model = modelOf(graph, opset);
    const before = bytesOf(model);
    const report = await runStep(model, crossLayerEqualization, {});
    expect(report.changed).toBe(0);
    expect(reasonsOf(report)["y"]).toMatch(reason);
    expect(bytesOf(model)).toEqual(before);
  });
});

describe("barriers and Relu6", () => {
  it("a masked weight stays as it is", async () => {
    const model = modelOf(PAIR);
    mask.insert(model, initializerOf(model, "v"), Tensor.of("bool", [6, 16, 3, 3], new Uint8Array(864).fill(1)));
    const report = await runStep(model, crossLayerEqualization, {});
    expect(report.changed).toBe(0);
    expect(reasonsOf(report)["y"]).toBe("its weight is not constant");
  });

  const SIX = PAIR.replace("r = Relu(a)", "r = Clip(a, zero, six)").replace(
    "<float[16",
    "<float zero = {0}, float six = {6}, float[16",
  );

  it("is replaced where nothing is above 6, and only with data", async () => {
    for (const [factor, changed] of [
      [0.01, 2],
      [10, 0],
    ] as const) {
      const model = modelOf(SIX);
      spoil(model, "w", 0, 0.5);
      const w = initializerOf(model, "w");
      w.initializer = Tensor.float32(
        w.constant!.dims,
        w.constant!.floats().map((x) => x * factor),
      );
      const before = bytesOf(model);
      const { source } = await samplesFor(model, { count: 3 });
      const without = await runStep(reload(model), crossLayerEqualization, { relu6ToRelu: true });
      expect(without.changed).toBe(0);
      expect(reasonsOf(without)["r"]).toMatch(/needs calibration data/);
      const context = { runtime: await runtimes.node(), calibration: source };
      const report = await runStep(model, crossLayerEqualization, { relu6ToRelu: true }, context);
      expect(report.changed).toBe(changed);
      if (changed > 0) {
        expect(opCounts(model)).toEqual({ Conv: 2, Relu: 1 });
        await expectSame(before, model);
      } else expect(reasonsOf(report)["r"]).toMatch(/as a Relu its SQNR would be .* dB, under 40 dB/);
    }
  });
});
