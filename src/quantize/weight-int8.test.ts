import { describe, expect, it } from "vitest";
import { initializerOf, modelOf, reload, runtimes } from "../../test/helpers.ts";
import { bothWays, expectClose, fusedOps, quantizeModel } from "../../test/quantized.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { STORAGE_FORMS, weightInt8 } from "./weight-int8.ts";

/** One scale per channel of normal numbers: 40 dB and more; a few layers add up. */
const FLOOR = 37;

/** Every operator that has weights, with the axis of its channels. */
const MODELS: readonly (readonly [string, string, Readonly<Record<string, readonly number[]>>])[] = [
  ["MatMul", "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }", { w: [1, 24] }],
  [
    "MatMul, the left one",
    "(float[32, 8] x) => (float[24, 8] y) <float[24, 32] w = random(1)> { y = MatMul(w, x) }",
    { w: [24, 1] },
  ],
  [
    "MatMul, a batch of weights",
    "(float[4, 8, 32] x) => (float[4, 8, 24] y) <float[4, 32, 24] w = random(1)> { y = MatMul(x, w) }",
    { w: [1, 1, 24] },
  ],
  [
    "Gemm",
    "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1), float[24] b = random(2)> { y = Gemm(x, w, b) }",
    { w: [1, 24] },
  ],
  [
    "Gemm, transB",
    "(float[8, 32] x) => (float[8, 24] y) <float[24, 32] w = random(1)> { y = Gemm <transB = 1, alpha = 0.5> (x, w) }",
    { w: [24, 1] },
  ],
  [
    "Conv",
    "(float[1, 8, 9, 9] x) => (float[1, 12, 7, 7] y) <float[12, 8, 3, 3] w = random(1), float[12] b = random(2)> { y = Conv(x, w, b) }",
    { w: [12, 1, 1, 1] },
  ],
  [
    "depthwise Conv",
    "(float[1, 8, 9, 9] x) => (float[1, 8, 7, 7] y) <float[8, 1, 3, 3] w = random(1)> { y = Conv <group = 8> (x, w) }",
    { w: [8, 1, 1, 1] },
  ],
  [
    "ConvTranspose",
    "(float[1, 8, 5, 5] x) => (float[1, 12, 7, 7] y) <float[8, 12, 3, 3] w = random(1)> { y = ConvTranspose(x, w) }",
    { w: [1, 12, 1, 1] },
  ],
  [
    "ConvTranspose, groups",
    "(float[1, 8, 5, 5] x) => (float[1, 12, 7, 7] y) <float[8, 6, 3, 3] w = random(1)> { y = ConvTranspose <group = 2> (x, w) }",
    { w: [8, 1, 1, 1] },
  ],
  ["Gather", "(int64[7] ids) => (float[7, 24] y) <float[40, 24] w = random(1)> { y = Gather(w, ids) }", { w: [40, 1] }],
  [
    "LSTM",
    "(float[5, 2, 16] x) => (float[5, 1, 2, 12] y) <float[1, 48, 16] w = random(1), float[1, 48, 12] v = random(2)> { y, , = LSTM <hidden_size = 12> (x, w, v) }",
    { w: [1, 48, 1], v: [1, 48, 1] },
  ],
  [
    "GRU",
    "(float[5, 2, 16] x) => (float[5, 1, 2, 12] y) <float[1, 36, 16] w = random(1), float[1, 36, 12] v = random(2)> { y, = GRU <hidden_size = 12> (x, w, v) }",
    { w: [1, 36, 1], v: [1, 36, 1] },
  ],
  [
    "tied",
    "(int64[7] ids, float[7, 24] h) => (float[7, 24] e, float[7, 40] y) <float[40, 24] w = random(1)> { e = Gather(w, ids)  t = Transpose(w)  y = MatMul(h, t) }",
    { w: [40, 1] },
  ],
];

describe.each(STORAGE_FORMS)("storage %s", (storage) => {
  it.each(MODELS)("%s", async (_name, text, scales) => {
    const result = await quantizeModel(modelOf(text), weightInt8, { minElements: 1, storage }, undefined);
    expect(result.report.changed).toBe(Object.keys(scales).length);
    expect(result.reasons).toEqual({});
    for (const [name, dims] of Object.entries(scales)) {
      expect(initializerOf(result.model, `${name}_int8`).constant!.dtype).toBe("int8");
      const flat = storage === "cast" ? dims : [Math.max(...dims)];
      expect(initializerOf(result.model, `${name}_scale`).constant!.dims).toEqual(flat);
      expect(() => initializerOf(result.model, name)).toThrow();
    }
    if (result.before > 3000) expect(result.bytes.length).toBeLessThan(result.before / 2);
    await expectClose(modelOf(text), result, FLOOR);
    // In the form `cast`, nothing is left to compute once the model is loaded.
    if (storage === "cast") expect(await fusedOps(result.bytes)).not.toHaveProperty("Cast");
  });
});

describe("subgraphs", () => {
  const text = `(bool k, float[8, 32] x) => (float[8, 32] y) <float[32, 32] w = random(1)> {
    y = If (k) <
      then_branch = t () => (float[8, 32] p) <float[32, 32] v = random(2)> { a = MatMul(x, v)  c = MatMul(x, w)  p = Add(a, c) },
      else_branch = e () => (float[8, 32] q) <float[32, 32] v = random(3)> { a = MatMul(x, v)  q = MatMul(a, w) }
    >
  }`;

  it("weights of branches are stored there, outer ones outside, each once", async () => {
    const result = await quantizeModel(modelOf(text), weightInt8, { minElements: 1 });
    expect(result.ops).toEqual({ If: 1, MatMul: 4, Add: 1, Cast: 3, Mul: 3 });
    expect([...result.model.graph.nodes()].map((node) => node.opType)).toEqual(["Cast", "Mul", "If"]);
    await expectClose(modelOf(text), { ...result, samples: bothWays(result.samples, "k") }, FLOOR);
  });
});

describe("float16", () => {
  /** A float16 MatMul whose weights have this largest element. */
  const half = (largest: number): ReturnType<typeof modelOf> => {
    const model = modelOf(
      "(float[8, 32] x) => (float[8, 24] y) <float16[32, 24] w = random(1)> { h = Cast <to = 10> (x)  m = MatMul(h, w)  y = Cast <to = 1> (m) }",
    );
    const w = initializerOf(model, "w");
    const random = createRandom(1);
    const values = Float32Array.from({ length: 32 * 24 }, () => (random.next() * 2 - 1) * largest);
    w.initializer = Tensor.float32([32, 24], values).toFloat16();
    return model;
  };

  it.each(STORAGE_FORMS)("weights stay float16 for their users, however small they are (%s)", async (storage) => {
    for (const largest of [1, 1e-3, 1e-4]) {
      const result = await quantizeModel(half(largest), weightInt8, { minElements: 1, storage });
      expect(result.report.changed).toBe(1);
      expect(initializerOf(result.model, "w_int8").constant!.dims).toEqual([32, 24]);
      // float16 itself has steps of 6e-8 below 6e-5: its own noise at 1e-4 is 50 dB under the signal.
      await expectClose(half(largest), result, FLOOR - 5);
    }
  });
});

describe("what is left alone", () => {
  it("says why", async () => {
    const text = `(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1), float[24, 24] v = random(2), float[24, 2] narrow = random(3), float[2, 24] u = random(4), float[24] b = random(5), float[1, 24] row = random(6), double[24, 24] d = random(7), float[24, 24] bad = random(8)>
      { a = MatMul(x, w)  c = MatMul(a, v)  e = MatMul(c, narrow)  f = MatMul(e, u)  h = Add(f, b)  i = Add(h, row)  j = Cast <to = 11> (i)  k = MatMul(j, d)  l = Cast <to = 1> (k)  y = MatMul(l, bad) }`;
    const model = modelOf(text);
    const bad = initializerOf(model, "bad");
    const values = bad.constant!.floats().slice();
    values[30] = Number.NaN;
    bad.initializer = Tensor.float32([24, 24], values);
    const { ops, reasons } = await quantizeModel(model, weightInt8, { minElements: 49, exclude: ["a"] });
    expect(ops).toEqual({ MatMul: 6, Add: 2, Cast: 3, Mul: 1 });
    expect(reasons).toEqual({
      w: "exclude names it",
      narrow: "it has 48 elements, fewer than 49",
      u: "it has 48 elements, fewer than 49",
      bad: expect.stringMatching(/weight "bad" \[24, 24\]: expected finite values, got NaN at index 30 \(\[1, 6\]\)/),
    });
  });

  it("a weight of many short channels gains nothing", async () => {
    const text = "(float[4, 2] x) => (float[4, 400] y) <float[2, 400] w = random(1)> { y = MatMul(x, w) }";
    const { reasons, bytes, before } = await quantizeModel(modelOf(text), weightInt8, {});
    expect(reasons).toEqual({ w: "its scales would take what it saves" });
    expect(bytes.length).toBe(before);
  });

  it("what is under a mask stays, and the mask survives", async () => {
    const model = modelOf(
      "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1), float[24, 24] v = random(2)> { a = MatMul(x, w)  y = MatMul(a, v) }",
    );
    mask.insert(model, initializerOf(model, "w"), Tensor.of("bool", [32, 24], new Uint8Array(32 * 24).fill(1)));
    const { model: result } = await quantizeModel(model, weightInt8, {});
    expect(reload(result).parametrizations.size).toBe(1);
    expect(initializerOf(result, "w").constant!.dtype).toBe("float32");
    expect(initializerOf(result, "v_int8").constant!.dtype).toBe("int8");
  });
});

describe("the options on a weight that several nodes have", () => {
  const text =
    "(int64[7] ids, float[7, 24] h) => (float[7, 24] e, float[7, 40] y) <float[40, 24] w = random(1)> { [embed] e = Gather(w, ids)  [head] t = Transpose(w)  y = MatMul(h, t) }";

  it.each([
    [{ exclude: ["head"] }, "exclude names it"],
    [{ exclude: ["embed"] }, "exclude names it"],
    [{ excludeOps: ["Transpose"] }, "exclude-ops names Transpose"],
    [{ include: ["other"] }, "include does not name it"],
    [{ ops: ["MatMul"] }, "ops does not name"],
  ])("%j leaves it alone", async (options, reason) => {
    const { reasons, report } = await quantizeModel(modelOf(text), weightInt8, options);
    expect(report.changed).toBe(0);
    expect(reasons).toEqual({ w: expect.stringContaining(reason) });
  });

  it.each([{ include: ["head"] }, { include: ["emb*"] }, { ops: ["Gather"] }, { exclude: ["y"] }])(
    "%j does not",
    async (options) => {
      expect((await quantizeModel(modelOf(text), weightInt8, options)).report.changed).toBe(1);
    },
  );
});

describe("storage dequantize-linear", () => {
  it("raises the opset to 13, cast does not", async () => {
    const text = "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }";
    const old = await quantizeModel(modelOf(text, 9), weightInt8, { storage: "dequantize-linear" });
    expect(old.model.opset).toBe(13);
    const cast = await quantizeModel(modelOf(text, 9), weightInt8, {});
    expect(cast.model.opset).toBe(9);
    await (await runtimes.node()).load({ bytes: cast.bytes });
  });
});
