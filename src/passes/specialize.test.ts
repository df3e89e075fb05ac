import { describe, expect, test } from "vitest";
import { fromOnnx } from "../graph/from-onnx.ts";
import { parseModel } from "../onnx/text.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import { runStep } from "../step/run.ts";
import { specialize } from "./specialize.ts";

const TEXT = `<ir_version: 8, opset_import: ["" : 17]> g (float[N, C, 4] x) => (float[P, Q] y)
  <int64[1] zero = {0}, int64[1] one = {1}, int64[1] minus = {-1}>
  { s = Shape(x) n = Slice(s, zero, one) t = Concat<axis = 0>(n, minus) r = Reshape(x, t) y = Relu(r) }`;

describe("specialize", () => {
  test("fixes dimensions, records shapes and folds what they made constant", async () => {
    const model = fromOnnx(parseModel(TEXT));
    const runtime = await createNodeRuntime();
    const report = await runStep(model, specialize, { shapes: { x: [2, 3, 4] } }, { runtime });
    expect(report.changes).toEqual(["x [2, 3, 4]"]);
    expect([...model.graph.nodes()].map((node) => node.opType)).toEqual(["Reshape", "Relu"]);
    expect(model.graph.outputs[0]!.shape).toEqual([2, 12]);
    const target = [...model.graph.nodes()][0]!.input(1).constant!;
    expect(target.numbers()).toEqual([2, -1]);
  });

  test.each([
    [{}, /expected a shape for input "x"/],
    [{ z: [1] }, /expected an input of the model, found none of that name. Inputs are: x \[N, C, 4\]/],
    [{ x: [2, 3] }, /expected 3 dimensions, got 2/],
    [{ x: [2, 3, 5] }, /expected dimension 2 to be 4, got 5/],
  ])("refuses %j", async (shapes, message) => {
    const model = fromOnnx(parseModel(TEXT));
    const runtime = await createNodeRuntime();
    await expect(runStep(model, specialize, { shapes }, { runtime })).rejects.toThrow(message);
  });

  test("what a fixed value decides is decided", async () => {
    const text = `<ir_version: 8, opset_import: ["" : 17]> g (float[N] x, int64 rate, bool[2] m) => (float[N] y) <int64 high = {16000}>
      { c = Equal(rate, high) i = Cast<to = 1>(m) s = ReduceSum<keepdims = 0>(i) a = Mul(x, s) y = Where(c, a, x) }`;
    const model = fromOnnx(parseModel(text));
    const runtime = await createNodeRuntime();
    const values = { rate: 16_000, m: [1, 1] };
    const report = await runStep(model, specialize, { shapes: { x: [2] }, values }, { runtime });
    expect(report.changes).toEqual(["x [2]", "rate = 16000", "m = 1, 1"]);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    const constants = [...model.graph.initializers].map(({ name, constant }) => [name, constant?.numbers()]);
    expect(constants.sort()).toEqual([
      ["c", [1]],
      ["s", [2]],
    ]);
  });

  test.each([
    [{ z: 1 }, /values of "z": expected an input of the model, found none of that name/],
    [{ k: 1 }, /values of "k": expected 3 elements, got 1/],
  ])("refuses the values %j", async (values, message) => {
    const text = `<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3] x, float[3] k) => (float[N, 3] y) { y = Mul(x, k) }`;
    const model = fromOnnx(parseModel(text));
    const runtime = await createNodeRuntime();
    await expect(runStep(model, specialize, { shapes: { x: [2, 3] }, values }, { runtime })).rejects.toThrow(message);
  });
});
