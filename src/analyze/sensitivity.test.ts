/** @file Tests of sensitivity.ts and of the schemes in it. */
import { describe, expect, it } from "vitest";
import { modelOf, runtimes } from "../../test/helpers.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { ModelSource } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { type SensitivityOptions, sensitivity } from "./sensitivity.ts";
import { openScheme, SENSITIVITY_SCHEMES } from "./sensitivity-schemes.ts";

const random = createRandom(5);
const normal = (dims: number[]): Tensor =>
  Tensor.float32(
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.normal()),
  );
const samples = Array.from({ length: 4 }, () => ({ inputs: { x: normal([8, 32]) } }));
const data = { name: "four", length: 4, samples: () => samples };
const runtime = await runtimes.node();
const bytesOf = (graph: string): ModelSource => ({ bytes: joinChunks(encodeModel(toOnnx(modelOf(graph)))) });

/** Three factors in a row; "quantizing" one makes it wrong by a known share. */
const ERRORS = { a: 0.1, b: 0.01, c: 0.001 } as const;
const chain = (quantized: ReadonlySet<string>): string => {
  const factor = (name: keyof typeof ERRORS) => 1 + (quantized.has(name) ? ERRORS[name] : 0);
  return `(float[8, 32] x) => (float[8, 32] y) <float a = {${factor("a")}}, float b = {${factor("b")}}, float c = {${factor("c")}}>
    { p = Mul(x, a) q = Mul(p, b) y = Mul(q, c) }`;
};
const base: SensitivityOptions = {
  nodes: ["c", "a", "b"].map((name) => ({ name, opType: "Mul" })),
  make: async (quantized) => bytesOf(chain(quantized)),
  original: bytesOf(chain(new Set())),
  runtime,
  data,
};

describe("sensitivity", () => {
  it("ranks by the noise that each makes alone", async () => {
    const found = await sensitivity(base);
    expect(found).toMatchObject({ mode: "quantize-one", metric: "sqnr", unit: "dB", samples: 4, untried: [] });
    expect(found.nodes.map(({ node }) => node)).toEqual(["a", "b", "c"]);
    // A factor of 1 + e is an error of e of the signal: noise share e², −20·log10(e) dB.
    found.nodes.forEach(({ node, loss, value }) => {
      const error = ERRORS[node as keyof typeof ERRORS];
      expect(loss / error ** 2).toBeCloseTo(1, 2);
      expect(value).toBeCloseTo(-20 * Math.log10(error), 1);
    });
    expect(found.all).toBeCloseTo(-20 * Math.log10(1.1 * 1.01 * 1.001 - 1), 2);
  });

  it("says in decibels what keeping each in float wins back", async () => {
    const { nodes, all } = await sensitivity({ ...base, mode: "keep-one" });
    expect(nodes.map(({ node }) => node)).toEqual(["a", "b", "c"]);
    expect(nodes[0]!.value).toBeCloseTo(-20 * Math.log10(1.01 * 1.001 - 1), 1);
    expect(nodes[0]!.loss).toBeCloseTo(nodes[0]!.value - all, 10);
  });

  it("takes a metric of the task, or the user's score", async () => {
    const labelled = { ...data, samples: () => samples.map((sample) => ({ ...sample, label: sample.inputs.x })) };
    const { nodes, original } = await sensitivity({ ...base, data: labelled, metric: { names: ["mae"] } });
    expect(original).toBe(0);
    expect(nodes.map(({ node }) => node)).toEqual(["a", "b", "c"]);
    expect(nodes[0]!.loss / nodes[1]!.loss).toBeCloseTo(10, 2);
    const score = (outputs: Readonly<Record<string, Tensor>>) => -Math.abs(outputs["y"]!.floats()[0]!);
    const scored = await sensitivity({ ...base, score, metric: { names: ["score"] } });
    expect(scored.nodes[0]).toMatchObject({ node: "a", loss: expect.closeTo(-0.1 * scored.original, 4) });
  });

  it("stops when time is up, or when asked", async () => {
    let clock = 0;
    const found = await sensitivity({ ...base, budgetMs: 15, now: () => (clock += 10) });
    expect([found.nodes.map(({ node }) => node), found.untried.map(({ name }) => name)]).toEqual([["c"], ["a", "b"]]);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(sensitivity({ ...base, signal })).rejects.toThrow("enough");
    await expect(sensitivity({ ...base, data: { name: "none", samples: () => [] } })).rejects.toThrow(/found none/);
  });
});

describe.each(SENSITIVITY_SCHEMES)("%s", (scheme) => {
  // The second weight has one huge element per column: its other elements lose most of their bits.
  const graph = `(float[8, 32] x) => (float[8, 24] y) <float[32, 48] w = random(1), float[48, 48] v = random(2), float[48, 24] u = random(3)>
    { a = MatMul(x, w) r = Relu(a) b = MatMul(r, v) s = Relu(b) y = MatMul(s, u) }`;
  const open = async () => {
    const model = modelOf(graph);
    const v = [...model.graph.initializers].find(({ name }) => name === "v")!;
    const values = v.initializer!.floats().slice();
    for (let column = 0; column < 48; column++) values[column] = 12;
    v.initializer = Tensor.float32([48, 48], values);
    return model;
  };
  const options = { minElements: 1, target: ["node-cpu"], minSqnr: 0 };

  it("quantizes exactly the nodes that are asked for", async () => {
    const { nodes, make } = await openScheme(scheme, open, options, { runtime, calibration: data });
    expect(nodes).toHaveLength(3);
    const original = joinChunks(encodeModel(toOnnx(await open())));
    const found = await sensitivity({ nodes, make, original: { bytes: original }, runtime, data });
    expect(found.nodes[0]!.node).toMatch(/^b/);
    for (const { bytesSaved, value } of found.nodes) {
      expect(bytesSaved).toBeGreaterThan(500);
      expect(value).toBeGreaterThan(10);
      expect(value).toBeLessThan(60);
    }
    // Independent noises add up, within what correlation and saturation do.
    const sum = found.nodes.reduce((total, { loss }) => total + loss, 0);
    const whole = 10 ** (-found.all / 10);
    expect(Math.abs(10 * Math.log10(sum / whole))).toBeLessThan(3);
    const none = (await make(new Set())) as { bytes: Uint8Array };
    expect(Math.abs(none.bytes.length - original.length)).toBeLessThan(64);
  });

  it("says where there is nothing to quantize", async () => {
    const empty = async () => modelOf("(float[8, 32] x) => (float[8, 32] y) { y = Relu(x) }");
    const context = { runtime, calibration: data };
    await expect(openScheme(scheme, empty, options, context)).rejects.toThrow(/expected nodes that it quantizes/);
  });
});
