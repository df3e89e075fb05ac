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
});
