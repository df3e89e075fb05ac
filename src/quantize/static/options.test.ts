import { describe, expect, it } from "vitest";
import { initializerOf, modelOf, nodeOf, runtimes } from "../../../test/helpers.ts";
import { expectClose, fusedOps, quantizeModel } from "../../../test/quantized.ts";
import type { Model } from "../../graph/model.ts";
import { OptionError } from "../../util/errors.ts";
import { staticInt8 } from "../static-int8.ts";

const OPTIONS = { minElements: 1, force: true, storeRest: false, target: ["node-cpu" as const] };
const CONVS = (): Model =>
  modelOf(`(float[1, 8, 12, 12] x) => (float[1, 8, 8, 8] y) <float[8, 8, 3, 3] w = random(1), float[8] b = random(3), float[8, 8, 3, 3] v = random(2)>
    { [first] a = Conv(x, w, b)  r = Relu(a)  [second] y = Conv(r, v) }`);
const PRODUCTS = (): Model =>
  modelOf(`(float[8, 32] x) => (float[8, 24] y) <float[32, 48] w = random(1), float[48, 24] v = random(2)>
    { [first] a = MatMul(x, w)  r = Relu(a)  [second] y = MatMul(r, v) }`);

describe("types of activations and weights", () => {
  it.each([
    ["int8", false, 29],
    ["int8", true, 26],
    ["uint8", true, 26],
    ["uint16", false, 38],
    ["int16", true, 38],
  ] as const)("activations %s, symmetric %s", async (activations, symmetric, floor) => {
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, activations, symmetric });
    const zero = nodeOf(result.model, "x_quantize").input(2);
    expect(zero.dtype).toBe(activations);
    if (symmetric) expect(zero.constant!.numbers()).toEqual([activations.startsWith("u") ? 128 : 0]);
    // 16 bits are in ONNX Runtime's own domain below opset 21.
    expect(nodeOf(result.model, "x_quantize").domain).toBe(activations.endsWith("16") ? "com.microsoft" : "");
    await expectClose(CONVS(), result, floor);
  });

  it.each([
    ["uint8", 29],
    ["int4", 14],
  ] as const)("weights %s", async (weights, floor) => {
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, weights, minSqnr: 0 });
    expect(initializerOf(result.model, `w_${weights}`).constant!.dtype).toBe(weights);
    await expectClose(CONVS(), result, floor);
  });

  it("uint8 weights become integer kernels, too", async () => {
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, weights: "uint8" });
    expect((await fusedOps(result.bytes))["QLinearConv"]).toBe(2);
  });

  it("one scale for a whole weight", async () => {
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, granularity: "per-tensor" });
    expect(initializerOf(result.model, "w_scale").constant!.dims).toEqual([]);
    expect((await fusedOps(result.bytes))["QLinearConv"]).toBe(2);
    await expectClose(CONVS(), result, 26);
  });
});

describe("overrides", () => {
  it("by name and by operator; the last that applies counts", async () => {
    const override = [
      "second float",
      "op=Conv observer=mse granularity=per-tensor",
      { node: "first", weights: "uint8" as const },
    ];
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, override });
    expect(result.reasons).toEqual({ second: "an override keeps it in float" });
    expect(initializerOf(result.model, "w_uint8").constant!.dtype).toBe("uint8");
    expect(initializerOf(result.model, "w_scale").constant!.dims).toEqual([]);
  });

  it.each([
    ["first obsever=mse", /option.*|override "first obsever=mse": expected .*, got obsever/],
    ["first observer=best", /override "first observer=best": .*observer/],
    ["first mse", /got "mse"/],
  ])("%s is refused", async (text, message) => {
    await expect(quantizeModel(CONVS(), staticInt8, { ...OPTIONS, override: [text] })).rejects.toThrow(message);
  });

  it("what a target cannot have is refused, by name", async () => {
    const bad = { ...OPTIONS, target: ["tensorrt" as const] };
    await expect(quantizeModel(CONVS(), staticInt8, { ...bad, activations: "uint8" })).rejects.toThrow(
      /option activations: expected int8 for tensorrt, got uint8/,
    );
    await expect(quantizeModel(CONVS(), staticInt8, { ...bad, symmetric: false })).rejects.toThrow(OptionError);
  });
});

describe("presets", () => {
  it("x86 and qnnpack are PyTorch's observers and granularity, and options come before them", async () => {
    const x86 = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, preset: "x86" });
    const same = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, observer: "histogram" });
    expect(x86.bytes).toEqual(same.bytes);
    const mobile = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, preset: "qnnpack" });
    expect(initializerOf(mobile.model, "w_scale").constant!.dims).toEqual([]);
    const own = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, preset: "qnnpack", granularity: "per-channel" });
    expect(initializerOf(own.model, "w_scale").constant!.dims).toEqual([8]);
  });
});

describe("observers and corrections", () => {
  it.each(["min-max", "moving-average-min-max", "percentile", "histogram", "entropy", "mse", "auto"] as const)(
    "%s",
    async (observer) => {
      const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, observer });
      expect(result.report.changed).toBe(2);
      await expectClose(CONVS(), result, 20);
    },
  );

  it("auto says what it chose", async () => {
    const result = await quantizeModel(CONVS(), staticInt8, { ...OPTIONS, observer: "auto" });
    expect(result.report.changes?.join("\n")).toMatch(
      /ranges chosen by what layers lose: (mse|min-max|entropy|percentile) \d/,
    );
  });

  it.each([
    ["equalization", { equalize: true }],
    ["smoothing", { smoothQuant: 0.5 }],
    ["analytic bias correction", { biasCorrection: "analytic" as const }],
    ["empirical bias correction", { biasCorrection: "empirical" as const }],
    ["all of them", { equalize: true, smoothQuant: "auto" as const, biasCorrection: "empirical" as const }],
  ])("%s keeps the model close and its kernels fused", async (_name, options) => {
    for (const [build, kernel] of [
      [CONVS, "QLinearConv"],
      [PRODUCTS, undefined],
    ] as const) {
      const result = await quantizeModel(build(), staticInt8, { ...OPTIONS, ...options });
      expect(result.report.changed).toBe(2);
      expect(result.report.corrections).not.toHaveLength(0);
      if (kernel !== undefined) expect((await fusedOps(result.bytes))[kernel]).toBe(2);
      await expectClose(build(), result, 27);
    }
  });

  it("statistics of auto are not kept", async () => {
    const { runStep } = await import("../../step/run.ts");
    const statistics = { name: "st.json", model: "abc", read: () => undefined, write: () => {} };
    const { samplesFor } = await import("../../../test/helpers.ts");
    const { samples } = await samplesFor(CONVS(), { count: 2 });
    const calibration = { name: "test", samples: () => samples.map((inputs) => ({ inputs })) };
    const context = { runtime: await runtimes.node(), calibration, statistics };
    await expect(runStep(CONVS(), staticInt8, { ...OPTIONS, observer: "auto" }, context)).rejects.toThrow(
      /st.json: expected one observer for each value, got observer auto/,
    );
  });
});
