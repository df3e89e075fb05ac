/**
 * @file The check on whole layers: rows against ONNX Runtime's own convolutions, decisions on constructed layers, and what
 * static-int8 and dynamic-int8 make of them.
 */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { initializerOf, modelOf, runAll, runtimes } from "../../../test/helpers.ts";
import { expectClose, fusedOps, quantizeModel } from "../../../test/quantized.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../../onnx/encode.ts";
import type { Tensors } from "../../runtime/runtime.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { findCandidates } from "../candidates.ts";
import { dynamicInt8 } from "../dynamic-int8.ts";
import { computedOptions } from "../options.ts";
import { inKernelOrder, kernelLayout } from "../rows/layout.ts";
import { rowSampler } from "../rows/sampler.ts";
import { staticInt8 } from "../static-int8.ts";
import { weightInt8 } from "../weight-int8.ts";
import { canSaturate } from "./product.ts";
import { saturationNote, scanSaturation } from "./scan.ts";

const NODE = { minElements: 1, storeRest: false, target: ["node-cpu" as const] };

/** Values of each sample by a function of the index of an element. */
function samplesOf(dims: readonly number[], value: (index: number, random: number) => number): Tensors[] {
  const random = createRandom(5);
  const size = dims.reduce((a, b) => a * b, 1);
  return Array.from({ length: 3 }, () => ({
    x: Tensor.float32(
      dims,
      Float32Array.from({ length: size }, (_, i) => value(i, random.next())),
    ),
  }));
}

describe("sampled rows are what the node multiplies", () => {
  it.each([
    ["Gemm", "(float[7, 20] x) => (float[] y) <float[12, 20] w = random(1)> { y = Gemm <transB = 1> (x, w) }"],
    ["MatMul", "(float[2, 7, 20] x) => (float[] y) <float[20, 12] w = random(1)> { y = MatMul(x, w) }"],
    ["Conv", conv("[2, 6, 9, 8]", "[4, 6, 3, 3]", "pads = [1, 0, 2, 1], strides = [2, 1]")],
    ["dilated Conv", conv("[2, 5, 9, 8]", "[4, 5, 3, 2]", "dilations = [2, 3], pads = [2, 2, 2, 2]")],
    ["groups", conv("[2, 6, 9, 8]", "[9, 2, 3, 3]", "group = 3")],
    ["SAME_UPPER", conv("[1, 3, 9, 8]", "[4, 3, 2, 4]", 'auto_pad = "SAME_UPPER", strides = [2, 2]')],
    ["SAME_LOWER", conv("[1, 3, 9, 8]", "[4, 3, 2, 4]", 'auto_pad = "SAME_LOWER", strides = [2, 2]')],
    ["one dimension", conv("[2, 6, 9]", "[4, 6, 3]", "pads = [1, 1]")],
    ["three dimensions", conv("[1, 2, 5, 6, 4]", "[4, 2, 3, 2, 2]", "pads = [1, 0, 0, 1, 1, 0]")],
  ])("%s", async (_name, text) => {
    const model = modelOf(text);
    const candidate = findCandidates(model, z.object(computedOptions).parse({ minElements: 1 })).found[0]!;
    const layout = kernelLayout(candidate)!;
    const weights = inKernelOrder(candidate.weight.constant!.floats(), layout);
    const sampler = rowSampler(candidate, layout, createRandom(1));
    const [sample] = samplesOf(candidate.x.shape as number[], (_i, random) => 2 * random - 1);
    sampler.observe(sample!["x"]!);
    const file = joinChunks(encodeModel(toOnnx(model)));
    const [{ y }] = (await runAll(await runtimes.node(), file, [sample!])) as [{ y: Tensor }];
    // Outputs by position: [n] of each.
    const matrix = candidate.kind === "gemm" || candidate.kind === "matmul";
    const data = y.floats();
    const perImage = matrix ? 1 : y.dims.slice(2).reduce((a, b) => a * b, 1);
    const positions = Array.from({ length: data.length / layout.n }, (_, p) => {
      const start = Math.floor(p / perImage) * layout.n * perImage + (p % perImage);
      return Float32Array.from({ length: layout.n }, (_unused, n) => data[start + n * perImage]!);
    });
    expect(sampler.rows().length).toBe(64);
    const perGroup = layout.n / layout.groups;
    for (const { group, values } of sampler.rows()) {
      const product = Array.from({ length: perGroup }, (_, n) => {
        const row = (group * perGroup + n) * layout.k;
        return values.reduce((sum, value, i) => sum + value * weights[row + i]!, 0);
      });
      const distance = (position: Float32Array): number =>
        Math.max(...product.map((value, n) => Math.abs(value - position[group * perGroup + n]!)));
      // float32 sums of up to 60 products of numbers below 4
      expect(Math.min(...positions.map(distance))).toBeLessThan(1e-4);
    }
  });

  it("keeps at most 512, of all samples", () => {
    const model = modelOf("(float[7, 20] x) => (float[] y) <float[20, 12] w = random(1)> { y = MatMul(x, w) }");
    const candidate = findCandidates(model, z.object(computedOptions).parse({ minElements: 1 })).found[0]!;
    const sampler = rowSampler(candidate, kernelLayout(candidate)!, createRandom(1));
    for (let i = 0; i < 40; i++) sampler.observe(Tensor.float32([7, 20], new Float32Array(140).fill(i)));
    const seen = sampler.rows().map(({ values }) => values[0]!);
    expect(seen.length).toBe(512);
    expect([Math.min(...seen) < 10, Math.max(...seen) > 30]).toEqual([true, true]);
  });
});

function conv(x: string, w: string, attributes: string): string {
  return `(float${x} x) => (float[] y) <float${w} w = random(1)> { y = Conv <${attributes}> (x, w) }`;
}

const MATMUL = "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }";

/** With weights 1 in every pair that saturates where both activations are large. */
function ones(): ReturnType<typeof modelOf> {
  const model = modelOf(MATMUL);
  initializerOf(model, "w").initializer = Tensor.float32([32, 24], new Float32Array(32 * 24).fill(1));
  return model;
}

describe("static-int8, auto", () => {
  it("reduces where pairs saturate on the calibration data, just enough", async () => {
    const large = samplesOf([8, 32], (i, random) => (i === 0 ? 1 : 0.9 + 0.1 * random));
    const { model, report, ...result } = await quantizeModel(ones(), staticInt8, NODE, large);
    expect(report.saturation).toEqual([
      {
        subject: "y",
        opType: "MatMul",
        pairs: 192 * 24 * 16,
        saturated: 192 * 24 * 16,
        share: 1,
        reduced: true,
        sqnr: expect.any(Number),
      },
    ]);
    expect(report.changes).toContainEqual(
      expect.stringMatching(
        /^1 of 1 with a reduced range of weights: on x86 without VNNI up to 100.0 % of their 16-bit sums would saturate, output SQNR down to [67] dB$/,
      ),
    );
    // 64 + 64 = 128 fits. 1 = 63.5 · scale: half a code of 64 is 42 dB.
    expect(new Set(initializerOf(model, "w_int8").constant!.numbers())).toEqual(new Set([64]));
    await expectClose(ones(), { ...result, samples: large }, 40);
  });

  it("leaves 8 bits where activations are never large together, or weights of a pair have different signs", async () => {
    const apart = samplesOf([8, 32], (i, random) => (i % 2 === 0 ? 0.5 + 0.5 * random : 0));
    const harmless = await quantizeModel(ones(), staticInt8, NODE, apart);
    expect(harmless.report.saturation).toMatchObject([
      { saturated: 0, sqnr: Number.POSITIVE_INFINITY, reduced: false },
    ]);
    expect(harmless.report.changes?.length).toBe(1);
    expect(new Set(initializerOf(harmless.model, "w_int8").constant!.numbers())).toEqual(new Set([127]));
    await expectClose(ones(), harmless, 45);
    const model = modelOf(MATMUL);
    const signs = Float32Array.from({ length: 32 * 24 }, (_, i) => (Math.floor(i / 24) % 2 === 0 ? 1 : -0.5));
    initializerOf(model, "w").initializer = Tensor.float32([32, 24], signs);
    const opposite = await quantizeModel(
      model,
      staticInt8,
      NODE,
      samplesOf([8, 32], () => 1),
    );
    expect(opposite.report.saturation).toEqual([]);
  });

  it("off keeps 8 bits and says what saturates; on, and targets that sum in 32 bits, have nothing to say", async () => {
    const large = samplesOf([8, 32], (_i, random) => 0.9 + 0.1 * random);
    const off = await quantizeModel(ones(), staticInt8, { ...NODE, reduceRange: "off" }, large);
    expect(off.report.saturation).toMatchObject([{ share: 1, reduced: false }]);
    expect(off.report.changes).toContainEqual(
      expect.stringMatching(/^1 of 1 in full 8 bits although, on x86 without VNNI, up to 100.0 % of their 16-bit sums/),
    );
    expect(new Set(initializerOf(off.model, "w_int8").constant!.numbers())).toEqual(new Set([127]));
    for (const options of [{ reduceRange: "on" as const }, { target: ["web-wasm" as const] }]) {
      const { report } = await quantizeModel(ones(), staticInt8, { ...NODE, ...options }, large);
      expect([report.saturation, report.changes?.length]).toEqual([[], 1]);
    }
  });

  it("tied weights stay tied where only one user saturates", async () => {
    const text = `(float[8, 32] x) => (float[8, 24] y, float[8, 24] u) <float[32, 24] w = random(1), float[32] mask = {${Array.from({ length: 32 }, (_, i) => 1 - (i % 2))}}>
      { y = MatMul(x, w)  m = Mul(x, mask)  u = MatMul(m, w) }`;
    const model = modelOf(text);
    initializerOf(model, "w").initializer = Tensor.float32([32, 24], new Float32Array(32 * 24).fill(1));
    const { report } = await quantizeModel(
      model,
      staticInt8,
      NODE,
      samplesOf([8, 32], (_i, random) => 0.9 + 0.1 * random),
    );
    expect(report.saturation?.map(({ subject, reduced }) => [subject, reduced])).toEqual([
      ["y", true],
      ["u", false],
    ]);
    expect(
      [...model.graph.initializers].filter(({ initializer }) => initializer?.dtype === "int8").map(({ name }) => name),
    ).toEqual(["w_int8", "w_zero_point"]);
  });

  it("convolutions with groups, one scale for all channels, int8 activations", async () => {
    const text = conv("[1, 8, 9, 8]", "[8, 4, 3, 3]", "group = 2");
    const positive = samplesOf([1, 8, 9, 8], (_i, random) => 0.5 + 0.5 * random);
    for (const options of [{}, { granularity: "per-tensor" as const }, { activations: "int8" as const }]) {
      const result = await quantizeModel(modelOf(text), staticInt8, { ...NODE, ...options }, positive);
      expect(result.report.saturation).toMatchObject([{ reduced: true }]);
      expect(scanSaturation(result.model)).toEqual({ products: 1, canSaturate: [] });
      await expectClose(modelOf(text), result, 29);
    }
  });
});

describe("dynamic-int8, auto", () => {
  it("makes saturation impossible, losing less than 7 bits do", async () => {
    const codes = async (reduceRange: "off" | "on" | "auto"): Promise<{ largest: number; can: number }> => {
      const { model } = await quantizeModel(modelOf(MATMUL), dynamicInt8, { ...NODE, reduceRange });
      const values = initializerOf(model, "w_int8").constant!.numbers();
      const mean = values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
      return { largest: mean, can: scanSaturation(model).canSaturate.length };
    };
    const [off, on, auto] = [await codes("off"), await codes("on"), await codes("auto")];
    expect([off.can, on.can, auto.can]).toEqual([1, 0, 0]);
    expect(auto.largest).toBeGreaterThan(1.15 * on.largest);
    expect(auto.largest).toBeLessThan(off.largest);
  });
});

describe("weight-int8", () => {
  it("becomes MatMulNBits, which does not saturate: largest codes meet largest activations", async () => {
    const model = (): ReturnType<typeof modelOf> => {
      const made = modelOf("(float[8, 64] x) => (float[8, 48] y) <float[64, 48] w = random(1)> { y = MatMul(x, w) }");
      const signs = Float32Array.from({ length: 64 * 48 }, (_, i) => (i % 5 === 0 ? -1 : 1));
      initializerOf(made, "w").initializer = Tensor.float32([64, 48], signs);
      return made;
    };
    const large = samplesOf([8, 64], (_i, random) => 0.9 + 0.1 * random);
    const result = await quantizeModel(model(), weightInt8, { minElements: 1, storage: "dequantize-linear" }, large);
    expect(await fusedOps(result.bytes)).toEqual({ MatMulNBits: 1 });
    await expectClose(model(), result, 45);
  });
});

describe("a quantized file", () => {
  it("is read for products that can saturate, and a report says what that means on this machine", async () => {
    const { model } = await quantizeModel(modelOf(MATMUL), staticInt8, { ...NODE, reduceRange: "off" });
    const scan = scanSaturation(model);
    expect(scan).toEqual({ products: 1, canSaturate: ["y"] });
    expect(saturationNote(scan, { vnni: true })).toBe(
      "1 of 1 8-bit products could saturate on x86 processors without VNNI; this one has it, so nothing of that shows in what was measured.",
    );
    expect(saturationNote(scan, { vnni: false })).toMatch(/this is one, so what was measured includes that\.$/);
    expect(saturationNote(scan, { vnni: undefined })).toMatch(/is not known\.$/);
    expect(saturationNote({ products: 1, canSaturate: [] }, { vnni: true })).toBeUndefined();
  });

  it("of other tools, too: integer operators with their own layouts, uint8 weights never", () => {
    const list = (length: number, value: number): string => `{${new Array(length).fill(value)}}`;
    const text = `(uint8[1, 2, 3, 3] x, uint8[2, 4] a) => (uint8[] c, int32[] p, int32[] q)
      <float one = {1}, uint8 z = {0}, int8 zero = {0}, int8[4, 2, 1, 1] w = ${list(8, 100)}, int8[4, 3] v = ${list(12, 100)}, uint8[4, 3] u = ${list(12, 200)}>
      { c = QLinearConv(x, one, z, w, one, zero, one, z)  p = MatMulInteger(a, v)  q = MatMulInteger(a, u) }`;
    expect(scanSaturation(modelOf(text))).toEqual({ products: 2, canSaturate: ["c", "p"] });
  });
});

it("a weight in kernel order has the pairs of the kernel", () => {
  // [O 1, I 2, k 3]: taps first, then channels.
  const data = Int8Array.of(1, 2, 3, 4, 5, 6);
  const model = modelOf("(float[1, 2, 5] x) => (float[] y) <float[1, 2, 3] w = random(1)> { y = Conv(x, w) }");
  const [candidate] = findCandidates(model, z.object(computedOptions).parse({ minElements: 1 })).found;
  expect([...inKernelOrder(data, kernelLayout(candidate!)!)]).toEqual([1, 4, 2, 5, 3, 6]);
  expect(canSaturate(Int8Array.of(100, 0, 0, 100), 4)).toBe(false);
});
