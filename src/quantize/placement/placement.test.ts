import { describe, expect, it } from "vitest";
import { modelOf, nodeOf } from "../../../test/helpers.ts";
import { expectClose, fusedOps, quantizeModel } from "../../../test/quantized.ts";
import type { Model } from "../../graph/model.ts";
import { OptionError } from "../../util/errors.ts";
import { staticInt8 } from "../static-int8.ts";
import { checkRules } from "./rules.ts";
import { PLACEMENT_NAMES, PLACEMENTS } from "./tables.ts";

const OPTIONS = { minElements: 1, force: true, storeRest: false, target: ["node-cpu" as const] };
const WEIGHTS = "float[8, 8, 3, 3] w = random(1), float[8, 8, 3, 3] v = random(2), float[8] b = random(3)";
const PADS = "<pads = [1, 1, 1, 1]>";

/** With the constants that the body names. */
function net(body: string, more = ""): Model {
  const all = [...`${WEIGHTS}${more}`.matchAll(/float(?:\[[^\]]*\])? (\w+) = [^,{(]*(?:\([^)]*\)|\{[^}]*\})/g)];
  const used = all.filter(([, name]) => new RegExp(`[(,]\\s*${name}\\s*[,)]`).test(body)).map(([text]) => text);
  return modelOf(`(float[1, 8, 12, 12] x) => (float[] y) <${used.join(", ")}> { ${body} }`);
}

/** Reads of a node that come from a DequantizeLinear, in order. */
function quantizedReads(model: Model, name: string): boolean[] {
  return nodeOf(model, name).inputs.map((value) => value?.producer?.opType === "DequantizeLinear");
}

describe("operators between convolutions", () => {
  it.each([
    ["a residual addition", `[c] a = Conv ${PADS} (x, w, b)  [between] s = Add(a, x)  r = Relu(s)`, "QLinearAdd"],
    ["a product", `a = Conv ${PADS} (x, w, b)  [between] r = Mul(a, x)`, "QLinearMul"],
    ["a concatenation", `a = Conv ${PADS} (x, w, b)  [between] r = Concat <axis = 2> (a, x)`, "QLinearConcat"],
    ["average pooling", `a = Conv ${PADS} (x, w, b)  [between] r = GlobalAveragePool(a)`, "QLinearGlobalAveragePool"],
  ])("%s runs on integers", async (_name, body, op) => {
    const text = `${body}  y = Conv ${PADS} (r, v)`;
    const result = await quantizeModel(net(text), staticInt8, OPTIONS);
    expect(quantizedReads(result.model, "between").every(Boolean)).toBe(true);
    const fused = await fusedOps(result.bytes);
    expect(fused["QLinearConv"]).toBe(2);
    expect(fused[op]).toBe(1);
    await expectClose(net(text), result, 28);
  });

  it("what moves elements keeps the scale of what goes in", async () => {
    const text = `a = Conv ${PADS} (x, w, b)  [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)  [turn] t = Transpose <perm = [0, 1, 3, 2]> (p)  y = Conv ${PADS} (t, v)`;
    const result = await quantizeModel(net(text), staticInt8, OPTIONS);
    const scales = ["a", "p", "t"].map(
      (name) => nodeOf(result.model, `${name}_quantize`).input(1).constant!.numbers()[0],
    );
    expect(new Set(scales).size).toBe(1);
    const fused = await fusedOps(result.bytes);
    // One quantization at the input, one back at the output: nothing in between.
    expect([fused["QuantizeLinear"], fused["DequantizeLinear"]]).toEqual([1, 1]);
    await expectClose(net(text), result, 28);
  });

  it("all parts of a concatenation get one scale that holds them all", async () => {
    const text = `a = Conv ${PADS} (x, w, b)  d = Conv ${PADS} (x, v)  m = Mul(d, ten)  e = Conv ${PADS} (m, w)  c = Concat <axis = 1> (a, e)  y = Conv <pads = [1, 1, 1, 1]> (c, u)`;
    const more = ", float[4, 16, 3, 3] u = random(4), float ten = {10}";
    const result = await quantizeModel(net(text, more), staticInt8, OPTIONS);
    const of = (name: string): number[] => nodeOf(result.model, `${name}_quantize`).input(1).constant!.numbers();
    expect(of("a")).toEqual(of("e"));
    expect(of("c")).toEqual(of("e"));
    await expectClose(net(text, more), result, 26);
  });

  it.each([
    [
      "a summand that is no codes",
      `a = Conv ${PADS} (x, w, b)  f = Exp(x)  [between] r = Add(a, f)  y = Conv ${PADS} (r, v)`,
    ],
    ["a result that nobody reads as codes", `a = Conv ${PADS} (x, w, b)  [between] r = Add(a, x)  y = Softmax(r)`],
    ["a constant summand", `a = Conv ${PADS} (x, w, b)  [between] r = Add(a, k)  y = Conv ${PADS} (r, v)`],
  ])("stays in float with %s", async (_name, body) => {
    const more = ", float[1, 8, 12, 12] k = random(5)";
    const result = await quantizeModel(net(body, more), staticInt8, OPTIONS);
    expect(result.report.changes?.join()).not.toContain("between them");
    await expectClose(net(body, more), result, 28);
  });

  it("a Clip behind a convolution is fused with it", async () => {
    const text = `a = Conv ${PADS} (x, w, b)  r = Clip(a, zero, six)  y = Conv ${PADS} (r, v)`;
    const more = ", float zero = {0}, float six = {6}";
    const result = await quantizeModel(net(text, more), staticInt8, OPTIONS);
    const fused = await fusedOps(result.bytes);
    expect([fused["QLinearConv"], fused["Clip"]]).toEqual([2, undefined]);
    await expectClose(net(text, more), result, 28);
  });

  it("names of excluded nodes and operators are heeded, included ones only choose what is computed", async () => {
    const text = `[first] a = Conv ${PADS} (x, w, b)  [between] s = Add(a, x)  r = Relu(s)  [second] c = Conv ${PADS} (r, v)  y = Add(c, r)`;
    const joined = async (options: object): Promise<string | undefined> =>
      (await quantizeModel(net(text), staticInt8, { ...OPTIONS, ...options })).report.changes?.find((line) =>
        line.includes("between them"),
      );
    expect(await joined({})).toMatch(/^1 between/);
    expect(await joined({ include: ["first", "second"] })).toMatch(/^1 between/);
    expect(await joined({ excludeOps: ["Add"] })).toBeUndefined();
    expect(await joined({ override: ["between float"] })).toBeUndefined();
  });
});

describe("placements", () => {
  it("are refused together where one file cannot have both forms", async () => {
    await expect(
      quantizeModel(net(`y = Conv ${PADS} (x, w)`), staticInt8, { ...OPTIONS, target: ["node-cpu", "tensorrt"] }),
    ).rejects.toThrow(OptionError);
  });

  it.each(PLACEMENT_NAMES.filter((name) => name !== "web-webgpu"))("%s: a file within its rules", async (placement) => {
    const text = `a = Conv ${PADS} (x, w, b)  s = Add(a, x)  r = Relu(s)  p = MaxPool <kernel_shape = [2, 2]> (r)  y = Conv ${PADS} (p, v, b)`;
    const result = await quantizeModel(net(text), staticInt8, { ...OPTIONS, placement });
    expect(result.report.changed).toBe(2);
    const table = PLACEMENTS[placement];
    const biases = [...result.model.graph.initializers].filter((value) => value.dtype === "int32").length;
    expect(biases).toBe(table.bias === "int32" ? 2 : 0);
    for (const node of result.model.graph.nodes()) {
      if (!node.is("QuantizeLinear")) continue;
      expect(node.input(2).dtype).toBe(table.activations.dtype);
      if (table.activations.symmetric) expect(node.input(2).constant!.numbers()).toEqual([0]);
    }
    if (placement === "tensorrt" || placement === "openvino") {
      expect(checkRules(result.model, placement)).toMatchObject({ broken: [] });
    }
    await expectClose(net(text), result, 26);
  });

  it("the rules of one target name what breaks them", async () => {
    const { model } = await quantizeModel(net(`y = Conv ${PADS} (x, w, b)`), staticInt8, OPTIONS);
    expect(checkRules(model, "openvino").broken).toEqual([]);
    const broken = checkRules(model, "tensorrt").broken.join("\n");
    expect(broken).toMatch(/x_quantize \(QuantizeLinear\): its codes are uint8; tensorrt wants: codes are int8/);
    expect(broken).toMatch(/b_dequantize \(DequantizeLinear\): its codes are int32/);
    expect(broken).toMatch(/its zero point is \d+; tensorrt wants: zero points are 0/);
  });

  it("weights only: nothing is computed on integers", async () => {
    const result = await quantizeModel(net(`y = Conv ${PADS} (x, w)`), staticInt8, {
      ...OPTIONS,
      target: ["web-webgpu"],
    });
    expect(result.report.changed).toBe(0);
    expect(Object.values(result.reasons)[0]).toMatch(/web-webgpu computes it in float: weights only/);
  });
});
