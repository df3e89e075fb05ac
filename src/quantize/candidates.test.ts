import { describe, expect, it } from "vitest";
import { z } from "zod";
import { initializerOf, modelOf, opCounts, runtimes, samplesFor } from "../../test/helpers.ts";
import type { Model } from "../graph/model.ts";
import { fakeQuantize, mask } from "../graph/parametrization-kinds.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { UnsupportedError } from "../util/errors.ts";
import { findCandidates, findQuantized, refuseQuantized, slowReason } from "./candidates.ts";
import { dynamicInt8 } from "./dynamic-int8.ts";
import { commonOptions } from "./options.ts";
import { staticInt8 } from "./static-int8.ts";
import { weightInt8 } from "./weight-int8.ts";

const OPTIONS = z.object(commonOptions).parse({ minElements: 1 });

const find = (
  graph: string,
): { readonly kinds: readonly string[]; readonly reasons: Readonly<Record<string, string>> } => {
  const { found, leftAlone } = findCandidates(modelOf(graph), OPTIONS);
  return {
    kinds: found.map(
      ({ node, kind, axis, x, weight, bias }) => `${node.label} ${kind} ${axis} ${x.name} ${weight.name} ${bias?.name}`,
    ),
    reasons: Object.fromEntries(leftAlone.map(({ subject, reason }) => [subject, reason])),
  };
};

describe("findCandidates", () => {
  it("finds Conv, MatMul and Gemm with constant weights, in subgraphs, too", () => {
    const { kinds, reasons } =
      find(`(bool k, float[4, 8] x, float[1, 8, 5, 5] i, float[4, 6] c) => (float[4, 6] y, float[n, m, h, w] z) <float[8, 6] w = random(1), float[6, 8] v = random(2), float[8, 1, 3, 3] d = random(3), float[4, 4, 3, 3] g2 = random(4), float[8] b = random(5)> {
      a = MatMul(x, w)  e = Gemm <transB = 1> (x, v, c)
      p = Conv <group = 8> (i, d, b)  z = Conv <group = 2> (p, g2)
      f = If (k) < then_branch = t () => (float[4, 6] q) { q = MatMul(x, w) }, else_branch = o () => (float[4, 6] r) { r = Identity(e) } >
      y = Add(a, f)
    }`);
    expect(kinds).toEqual([
      "a matmul 1 x w undefined",
      "e gemm 0 x v c",
      "p conv-depthwise 0 i d b",
      "z conv 0 p g2 undefined",
      "q matmul 1 x w undefined",
    ]);
    expect(reasons).toEqual({});
  });

  it("tells why it leaves the others", () => {
    const { kinds, reasons } =
      find(`(float[4, 4] x, float[1, 8, 5, 5] i, float[8] ib, float[3, 2, 4] s, float[4, 4] over = random(12)) => (float[4, 4] y) <float[4, 4] w = random(1), float[2, 4, 4] batch = random(2), float16[4, 4] half = random(3), double[4, 4] wide = random(4), int32[4, 4] whole = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}, float[4] vec = random(6), float[8, 8, 3, 3] k = random(7), float[1, 16, 4] lw = random(8), float[1, 16, 4] lr = random(9), float[8, 8, 3, 3] t = random(10)> {
      both = MatMul(x, x)  left = MatMul(w, x)  batched = MatMul(x, batch)
      h = Cast <to = 10> (x)  halved = MatMul(h, half)
      d = Cast <to = 11> (x)  widened = MatMul(d, wide)
      n = Cast <to = 6> (x)  integer = MatMul(n, whole)
      vector = MatMul(x, vec)  turned = Gemm <transA = 1> (x, w)  given = MatMul(x, over)
      biased = Conv(i, k, ib)  up = ConvTranspose(i, t)
      , , state = LSTM <hidden_size = 4> (s, lw, lr)
      y = Identity(x)
    }`);
    expect(kinds).toEqual([]);
    expect(reasons).toEqual({
      both: "both operands are activations",
      left: "both operands are activations",
      batched: "its weight has 3 dimensions, not 2",
      halved: "its weight is float16, not float32",
      widened: "its weight is float64, not float32",
      integer: "its weight is int32",
      vector: "its weight has 1 dimensions, not 2",
      turned: "its left operand is transposed",
      given: "both operands are activations",
      biased: "its bias is not constant",
      up: "no runtime here has an integer kernel for ConvTranspose",
      state: "no runtime here has an integer kernel for LSTM",
    });
  });

  it("counts elements", () => {
    const model = modelOf("(float[4, 8] x) => (float[4, 6] y) <float[8, 6] w = random(1)> { y = MatMul(x, w) }");
    expect(findCandidates(model, { ...OPTIONS, minElements: 48 }).found.length).toBe(1);
    expect(findCandidates(model, { ...OPTIONS, minElements: 49 }).leftAlone[0]!.reason).toBe(
      "its weight has 48 elements, fewer than 49",
    );
  });
});

describe("slowReason", () => {
  it("goes by the rows that were observed, on every target", () => {
    const model = modelOf("(float[1, 8] x) => (float[1, 6] y) <float[8, 6] w = random(1)> { y = MatMul(x, w) }");
    const [candidate] = findCandidates(model, OPTIONS).found;
    const rows = (dims: readonly number[]): Map<never, readonly number[]> => new Map([[candidate!.x as never, dims]]);
    const reason = (targets: readonly ("node-cpu" | "web-wasm")[], dims: readonly number[]): string | undefined =>
      slowReason(candidate!, "static", targets, rows(dims));
    expect(reason(["node-cpu"], [1, 8])).toBeUndefined();
    expect(reason(["node-cpu", "web-wasm"], [1, 8])).toMatch(/web-wasm.* with 1 row$/);
    // All dimensions but the last are rows.
    expect(reason(["web-wasm"], [16, 8, 8])).toBeUndefined();
    expect(reason(["web-wasm"], [1, 1, 8])).toMatch(/with 1 row$/);
    expect(reason(["web-wasm"], [8])).toMatch(/with 1 row$/);
    expect(slowReason(candidate!, "static", ["web-wasm"], undefined)).toBeUndefined();
  });
});

describe("models that are quantized already", () => {
  const pair = (): Model =>
    modelOf(
      "(float[4, 4] x) => (float[4, 4] y) <int8[4, 4] q = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}, float s = {0.1}, float[4, 4] v = random(1)> { w = DequantizeLinear(q, s)  a = MatMul(x, w)  y = MatMul(a, v) }",
    );

  it.each([dynamicInt8, staticInt8])("are refused, with the node", async (step) => {
    const { source } = await samplesFor(pair());
    const run = runStep(
      pair(),
      step as typeof dynamicInt8,
      {},
      { runtime: await runtimes.node(), calibration: source },
    );
    await expect(run).rejects.toThrow(UnsupportedError);
    await expect(run).rejects.toThrow(
      /node "w" \(DequantizeLinear\): expected a model in float, got one that is quantized already/,
    );
  });

  it("inside a subgraph as well", () => {
    const model = modelOf(`(bool k, float[2, 4] x) => (float[2, 4] y) <float s = {0.1}, uint8 z = {3}> {
      y = If (k) < then_branch = t () => (float[2, 4] p) { c = QuantizeLinear(x, s, z)  p = DequantizeLinear(c, s, z) }, else_branch = e () => (float[2, 4] q) { q = Neg(x) } >
    }`);
    expect(findQuantized(model)?.opType).toBe("QuantizeLinear");
    expect(() => refuseQuantized(model)).toThrow(UnsupportedError);
  });

  it("twice by the same scheme", async () => {
    const model = modelOf("(float[4, 16] x) => (float[4, 16] y) <float[16, 16] w = random(1)> { y = MatMul(x, w) }");
    await runStep(model, dynamicInt8, { target: ["node-cpu"], minElements: 256 });
    await expect(runStep(model, dynamicInt8, {})).rejects.toThrow(/quantized already/);
    // Weights that are stored already have no float constant left: nothing happens.
    const stored = modelOf("(float[4, 16] x) => (float[4, 16] y) <float[16, 16] w = random(1)> { y = MatMul(x, w) }");
    expect((await runStep(stored, weightInt8, {})).changed).toBe(1);
    expect((await runStep(stored, weightInt8, {})).changed).toBe(0);
  });

  it("but not those with masks and fake quantizers", async () => {
    const graph =
      "(float[4, 16] x) => (float[4, 16] y) <float[16, 16] w = random(1), float[16, 16] v = random(2)> { a = MatMul(x, w)  y = MatMul(a, v) }";
    const model = modelOf(graph);
    mask.insert(model, initializerOf(model, "w"), Tensor.of("bool", [16, 16], new Uint8Array(256).fill(1)));
    const a = [...model.graph.nodes()].find((node) => node.outputs[0]!.name === "a")!.output();
    const scale = Tensor.scalar("float32", 0.05);
    fakeQuantize.insert(model, a, { scale, zeroPoint: Tensor.scalar("uint8", 128), range: { qmin: 1, qmax: 254 } });
    const { leftAlone } = await runStep(model, dynamicInt8, { minElements: 1, target: ["node-cpu"] });
    expect(leftAlone).toEqual([{ subject: "a", opType: "MatMul", reason: "both operands are activations" }]);
    expect(opCounts(model)).toEqual({
      Where: 1,
      MatMul: 1,
      Clip: 1,
      QuantizeLinear: 1,
      DequantizeLinear: 1,
      DynamicQuantizeLinear: 1,
      MatMulInteger: 1,
      Cast: 1,
      Mul: 2,
    });
    expect(model.parametrizations.size).toBe(2);
  });
});
