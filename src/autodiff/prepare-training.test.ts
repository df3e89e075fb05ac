/**
 * @file What the real models of test/models/differentiate.test.ts do not show: ties, fixed inputs, what stays.
 */
import { describe, expect, it } from "vitest";
import { initializerOf, modelOf, opCounts, runtimes } from "../../test/helpers.ts";
import { Tensor } from "../tensor/tensor.ts";
import { differentiate } from "./differentiate.ts";
import { makeDifferentiable } from "./prepare-training.ts";

const zeros = (...dims: readonly number[]): Tensor =>
  Tensor.float32(dims, new Float32Array(dims.reduce((size, dim) => size * dim, 1)));

describe("makeDifferentiable", () => {
  it("keeps weights that are used in two ways one weight, with one gradient", async () => {
    const model = modelOf(`(int64[n] ids, float[n, 3] h) => (float[n, 4] y) <float[4, 3] w = random(1)> {
      e = Gather(w, ids)  s = Add(e, h)  t = Transpose(w)  y = MatMul(s, t)
    }`);
    const feeds = { ids: Tensor.int64([2], [1, 3]), h: zeros(2, 3) };
    const { shapes } = await makeDifferentiable(model, { feeds, runtime: await runtimes.node() });
    expect(opCounts(model)).toEqual({ Gather: 1, Add: 1, Transpose: 1, MatMul: 1 });
    const w = initializerOf(model, "w");
    const loss = model.graph.outputs[0]!;
    const seed = model.graph.addInitializer("seed", zeros(2, 4));
    const { gradients, unreached } = differentiate({ loss, wrt: [w], shapes, seed });
    expect(unreached).toEqual([]);
    expect(gradients.get(w)!.producer?.opType).toBe("Add");
  });

  it("decides what a fixed input decides, in branches whose shapes are known only then", async () => {
    const model = modelOf(
      `(float[a, b] x, int64 rate) => (float[c, d] y) <int64 high = {2}, int64 none = {1}, float[1, 5, 3] r0 = random(1), float[1, 5, 5] r1 = random(2)> {
        k = Equal(rate, high)
        y = If (k) <
          then_branch = t () => (float[e, f] p) {
            s = Shape(x)  n = Size(s)  one = Equal(n, none)
            p = If (one) <
              then_branch = t2 () => (float[e, f] q) { q = Neg(x) },
              else_branch = e2 () => (float[e, f] q) <int64[1] first = {0}> {
                u = Unsqueeze(x, first)  _, h = RNN <hidden_size = 5> (u, r0, r1)  q = Squeeze(h, first)
              }
            >
          },
          else_branch = e () => (float[e, f] q) { q = Exp(x) }
        >
      }`,
    );
    const feeds = { x: zeros(4, 3), rate: Tensor.int64([], [2]) };
    const result = await makeDifferentiable(model, { feeds, runtime: await runtimes.node(), constant: ["rate"] });
    expect(Object.keys(result.feeds)).toEqual(["x"]);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(opCounts(model)).not.toHaveProperty("If");
    expect(opCounts(model)).toMatchObject({ Tanh: 1 });
    expect(result.leftAlone).toEqual([]);
    expect(result.shapes.get(model.graph.outputs[0]!)).toEqual([4, 5]);
  });

  it("says what stays: conditions that inputs decide", async () => {
    const model = modelOf(`(bool k, float[2] x) => (float[2] y) {
      [choice] y = If (k) <then_branch = t () => (float[2] p) { p = Neg(x) }, else_branch = e () => (float[2] q) { q = Exp(x) }>
    }`);
    const feeds = { k: Tensor.of("bool", [], Uint8Array.of(1)), x: zeros(2) };
    const { leftAlone } = await makeDifferentiable(model, { feeds, runtime: await runtimes.node() });
    expect(leftAlone).toEqual([{ subject: "choice", opType: "If", reason: "its condition is decided at run time" }]);
  });

  it("refuses constant inputs without a feed, and of names that are none", async () => {
    const text = "(float[2] x) => (float[2] y) { y = Neg(x) }";
    const runtime = await runtimes.node();
    const make = (feeds: Readonly<Record<string, Tensor>>) =>
      makeDifferentiable(modelOf(text), { feeds, runtime, constant: ["rate"] });
    await expect(make({ x: zeros(2) })).rejects.toThrow('constant input "rate": expected a feed, got none');
    await expect(make({ x: zeros(2), rate: zeros(1) })).rejects.toThrow("expected an input of the model, found none");
  });

  it("fuses batch normalizations only where it is asked to", async () => {
    const text = `(float[1, 2, 3, 3] x) => (float[1, 2, 3, 3] y)
      <float[2, 2, 1, 1] w = random(1), float[2] g = {1, 2}, float[2] b = {1, 2}, float[2] m = {1, 2}, float[2] v = {1, 2}>
      { a = Conv(x, w)  y = BatchNormalization(a, g, b, m, v) }`;
    const counts = async (fuseBatchNorm: boolean) => {
      const model = modelOf(text);
      await makeDifferentiable(model, {
        feeds: { x: zeros(1, 2, 3, 3) },
        runtime: await runtimes.node(),
        fuseBatchNorm,
      });
      return opCounts(model);
    };
    expect(await counts(false)).toEqual({ Conv: 1, BatchNormalization: 1 });
    expect(await counts(true)).toEqual({ Conv: 1 });
  });
});
