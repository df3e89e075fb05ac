/**
 * @file What fixtures do not look at: names inside, contents beyond the hashed part, and parametrizations of every kind
 * in the whole clean-up.
 */
import { describe, expect, it } from "vitest";
import { fakeQuantize, mask } from "../../src/graph/parametrization-kinds.ts";
import { cleanUp } from "../../src/passes/clean-up.ts";
import { deduplicateInitializers } from "../../src/passes/deduplicate-initializers.ts";
import { foldConstants } from "../../src/passes/fold-constants.ts";
import { fuseBatchNorm } from "../../src/passes/fuse-batch-norm.ts";
import { hoistConstants } from "../../src/passes/hoist-constants.ts";
import { runStep } from "../../src/step/run.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { initializerOf, modelOf, nodeOf, opCounts, reload, runtimes } from "../helpers.ts";

describe("names", () => {
  it("hoisted and folded constants keep theirs", async () => {
    const text = `(float[2, 3] x) => (float[2, 3] y) <float[3, 3] v = random(2)> {
      w = Constant <value = float[3, 3] random(1)> ()  t = Transpose(v)  a = MatMul(x, w)  y = MatMul(a, t)
    }`;
    const model = modelOf(text);
    await runStep(model, hoistConstants, {});
    await runStep(model, foldConstants, {}, { runtime: await runtimes.node() });
    expect([...model.graph.initializers].map((value) => value.name).sort()).toEqual(["t", "w"]);
    expect([...reload(model).graph.nodes()].map((node) => node.inputs.map((value) => value?.name))).toEqual([
      ["x", "w"],
      ["a", "t"],
    ]);
  });

  it("a fused convolution makes the value that the normalization made", async () => {
    const model = modelOf(`(float[1, 2, 3, 3] x) => (float[1, 2, 3, 3] y)
      <float[2, 2, 1, 1] w = random(1), float[2] g = {1, 2}, float[2] b = {1, 2}, float[2] m = {1, 2}, float[2] v = {1, 2}>
      { a = Conv(x, w)  n = BatchNormalization(a, g, b, m, v)  y = Relu(n) }`);
    await runStep(model, fuseBatchNorm, {});
    expect(nodeOf(model, "n").opType).toBe("Conv");
  });
});

describe("deduplicate-initializers", () => {
  it("compares all bytes, not only those that it hashes", async () => {
    const model =
      modelOf(`(float[1, 200] x) => (float[1, 200] y) <float[200, 200] w = random(1), float[200, 200] v = random(1), float[200, 200] u = random(1)>
      { a = MatMul(x, w)  b = MatMul(a, v)  y = MatMul(b, u) }`);
    const v = initializerOf(model, "v");
    const values = v.constant!.floats().slice();
    values[39_999]! += 1;
    v.initializer = Tensor.float32([200, 200], values);
    expect(await runStep(model, deduplicateInitializers, {})).toEqual({
      changed: 1,
      changes: ["1 copies, 160000 bytes"],
    });
    expect([...model.graph.initializers].map((value) => value.name)).toEqual(["w", "v"]);
  });
});

describe("the whole clean-up", () => {
  const text =
    "(float[2, 4] x) => (float[2, 4] y) <float[4, 4] w = random(1), float[4, 4] v = random(2)> { a = MatMul(x, w)  i = Identity(a)  y = MatMul(i, v) }";

  it("leaves masks and fake quantizers with and without limits as they are", async () => {
    const model = modelOf(text);
    const masked = mask.insert(model, initializerOf(model, "w"), Tensor.of("bool", [4, 4], new Uint8Array(16).fill(1)));
    const scale = Tensor.float32([4], [0.01, 0.02, 0.03, 0.04]);
    const zeroPoint = Tensor.of("int8", [4], new Int8Array(4));
    const range = { qmin: -7, qmax: 7 };
    fakeQuantize.insert(model, masked, { scale, zeroPoint, axis: 1 });
    fakeQuantize.insert(model, initializerOf(model, "v"), { scale, zeroPoint, axis: 0, range });
    const a = nodeOf(model, "i").output();
    fakeQuantize.insert(model, a, { scale: Tensor.scalar("float32", 0.1), zeroPoint: Tensor.scalar("int8", 0), range });
    await cleanUp(model, { runtime: await runtimes.node() });
    const nodes = { Where: 1, Max: 1, Min: 1, Clip: 1, QuantizeLinear: 3, DequantizeLinear: 3, MatMul: 2 };
    expect(opCounts(model)).toEqual(nodes);
    const loaded = reload(model);
    expect(loaded.parametrizations.size).toBe(4);
    // They are still what their kinds expect.
    for (const [value, entry] of [...loaded.parametrizations]) if (entry.kind === "mask") mask.commit(loaded, value);
    for (const value of [...loaded.parametrizations.keys()]) fakeQuantize.remove(loaded, value);
    expect(opCounts(loaded)).toEqual({ MatMul: 2 });
  });
});
