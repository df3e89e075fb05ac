import { describe, expect, it } from "vitest";
import { z } from "zod";
import { initializerOf, modelOf } from "../../test/helpers.ts";
import { quantizeModel } from "../../test/quantized.ts";
import { leftOut } from "../step/choice.ts";
import { parseOptions, runStep } from "../step/run.ts";
import { OptionError } from "../util/errors.ts";
import { dynamicInt8 } from "./dynamic-int8.ts";
import { type CommonOptions, commonOptions } from "./options.ts";
import { staticInt8 } from "./static-int8.ts";
import { weightInt8 } from "./weight-int8.ts";

const options = (given: Partial<CommonOptions>): CommonOptions => z.object(commonOptions).parse(given);

describe("leftOut", () => {
  const node = { label: "encoder/layer.1/MatMul", opType: "MatMul" };

  it.each([
    [{}, undefined],
    [{ include: ["encoder/*"] }, undefined],
    [{ include: ["encoder/layer.?/MatMul"] }, undefined],
    [{ include: ["layer.1"] }, "include does not name it"],
    // A point is a point, and the whole name must match.
    [{ include: ["encoder/layer_1/MatMul"] }, "include does not name it"],
    [{ include: ["encoder/layer?1/MatMu"] }, "include does not name it"],
    [{ include: ["nothing", "*"] }, undefined],
    [{ exclude: ["*MatMul"] }, "exclude names it"],
    [{ exclude: ["decoder/*"] }, undefined],
    [{ include: ["*"], exclude: ["*"] }, "exclude names it"],
    [{ ops: ["Conv", "MatMul"] }, undefined],
    [{ ops: ["Conv"] }, "ops does not name MatMul"],
    [{ excludeOps: ["MatMul"] }, "exclude-ops names MatMul"],
    [{ excludeOps: ["Conv"] }, undefined],
  ])("%j: %s", (given, reason) => {
    expect(leftOut(node, options(given))).toBe(reason);
  });

  it.each(["a+b", "a(b)", "a[b]", "a{1}", "a^b$", "a|b", "a\\b", "a\nb"])("%j matches itself", (label) => {
    expect(leftOut({ label, opType: "" }, options({ include: [label] }))).toBeUndefined();
    expect(leftOut({ label: `${label}x`, opType: "" }, options({ include: [label] }))).toBe("include does not name it");
    expect(leftOut({ label, opType: "" }, options({ include: ["*"] }))).toBeUndefined();
  });
});

/** Three layers of growing size: 32 × 8, 8 × 40, 40 × 40. */
const NET = `(float[8, 32] x) => (float[8, 40] y) <float[32, 8] w = random(1), float[8, 40] v = random(2), float[40, 40] u = random(3)>
  { [first] a = MatMul(x, w)  [second] b = MatMul(a, v)  [third] y = Gemm(b, u) }`;

const SCHEMES = { "dynamic-int8": dynamicInt8, "static-int8": staticInt8, "weight-int8": weightInt8 } as const;

describe.each(Object.entries(SCHEMES))("%s", (name, step) => {
  const target = ["node-cpu" as const];
  /** By node for schemes that compute in 8 bits, by weight for the other. */
  const subject = (node: string): string =>
    name === "weight-int8" ? { first: "w", second: "v", third: "u" }[node]! : node;

  it.each([
    [{ include: ["first", "th*"] }, { second: "include does not name it" }],
    [{ exclude: ["?econd"] }, { second: "exclude names it" }],
    [{ ops: ["Gemm"] }, { first: "ops does not name MatMul", second: "ops does not name MatMul" }],
    [{ excludeOps: ["Gemm"] }, { third: "exclude-ops names Gemm" }],
    [{ minElements: 300 }, { first: /256 elements, fewer than 300$/ }],
    [{ minElements: 256 }, {}],
    [
      { minSqnr: 99 },
      { first: /its SQNR would be \d\d\.\d dB, under 99 dB/, second: /under 99 dB/, third: /under 99 dB/ },
    ],
    [{ minSqnr: 99, force: true }, {}],
  ])("%j", async (given, expected) => {
    // Beside calibrated activations smaller weights are stored, too, unless it is said otherwise.
    const stored = name === "static-int8" && "minElements" in given ? { minStored: given.minElements } : {};
    const options = { target, minElements: 256, ...given, ...stored };
    const result = await quantizeModel(modelOf(NET), step as typeof weightInt8, options);
    const reasons = Object.entries(expected).map(([node, reason]) => [
      subject(node),
      typeof reason === "string" ? reason : expect.stringMatching(reason),
    ]);
    expect(result.reasons).toEqual(Object.fromEntries(reasons));
    expect(result.report.changed).toBe(3 - reasons.length);
    for (const node of ["first", "second", "third"]) {
      const weight = { first: "w", second: "v", third: "u" }[node]!;
      if (node in expected) expect(initializerOf(result.model, weight).constant!.dtype).toBe("float32");
      else expect(() => initializerOf(result.model, weight)).toThrow();
    }
  });

  it("unknown options are errors that name the known ones", async () => {
    const wrong = { minSqrn: 3 } as unknown as Record<string, never>;
    await expect(runStep(modelOf(NET), step as typeof weightInt8, wrong)).rejects.toThrow(OptionError);
    const { shape } = step.options;
    await expect(runStep(modelOf(NET), step as typeof weightInt8, wrong)).rejects.toThrow(
      `step: ${name}: unknown option minSqrn. Options are: ${Object.keys(shape).join(", ")}.`,
    );
    expect(Object.keys(shape)).toEqual(expect.arrayContaining(Object.keys(commonOptions)));
  });

  it.each([
    { minElements: 0 },
    { minElements: 1.5 },
    { target: [] },
    { target: ["iphone"] },
    { force: 1 },
    { include: "a" },
  ])("%j is refused, naming the option", (given) => {
    const [key] = Object.keys(given);
    expect(() => parseOptions(step as typeof weightInt8, given)).toThrow(`option "${key}`);
  });

  it("every option is described", () => {
    for (const [key, field] of Object.entries(step.options.shape))
      expect((field as z.ZodType).description, key).toBeTruthy();
  });
});

describe("target", () => {
  const row = NET.replace("float[8, 32] x", "float[1, 32] x").replace("float[8, 40] y", "float[1, 40] y");

  it("what is slow on one of the targets stays in float; force overrides", async () => {
    const given = { storeRest: false, minElements: 256 };
    const both = await quantizeModel(modelOf(row), dynamicInt8, given);
    expect(both.reasons["first"]).toMatch(/^web-wasm runs it 0\.\d\d× as fast as float32 with 1 row$/);
    expect(both.report.changed).toBe(0);
    const node = await quantizeModel(modelOf(row), dynamicInt8, { ...given, target: ["node-cpu"] });
    expect(node.report.changed).toBe(3);
    const gpu = await quantizeModel(modelOf(row), dynamicInt8, { ...given, target: ["web-webgpu"] });
    expect(gpu.reasons["first"]).toMatch(/web-webgpu has no integer kernels/);
    const forced = await quantizeModel(modelOf(row), dynamicInt8, { ...given, force: true });
    expect(forced.report.changed).toBe(3);
  });
});
