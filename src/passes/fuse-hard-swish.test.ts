import { describe, expect, test } from "vitest";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { parseModel } from "../onnx/text.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { fuseHardSwish } from "./fuse-hard-swish.ts";

function model(body: string, opset = 17): Model {
  return fromOnnx(
    parseModel(`<ir_version: 8, opset_import: ["" : ${opset}]> g (float[N] x) => (float[N] y)
      <float three = {3}, float six = {6}, float zero = {0}, float sixth = {0.16666667}> { ${body} }`),
  );
}

async function run(found: Model, x: Tensor): Promise<Float32Array> {
  const session = await (await createNodeRuntime()).load({ bytes: joinChunks(encodeModel(toOnnx(found))) });
  return (await session.run({ x }))["y"]!.floats();
}

const FORMS: readonly (readonly [string, string, number])[] = [
  ["divided product", "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)", 17],
  ["exchanged", "a = Add(three, x) c = Clip(a, zero, six) m = Mul(c, x) y = Div(m, six)", 17],
  ["scaled product", "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Mul(m, sixth)", 17],
  ["divided gate", "a = Add(x, three) c = Clip(a, zero, six) d = Div(c, six) y = Mul(x, d)", 17],
  ["bounds as attributes", "a = Add(x, three) c = Clip<min = 0.0, max = 6.0>(a) m = Mul(x, c) y = Div(m, six)", 9],
];

describe("fuse-hard-swish", () => {
  test.each(FORMS)("%s: two operators, the same values", async (_name, body, opset) => {
    const x = Tensor.float32([9], [-9, -3, -2.5, -0.1, 0, 0.1, 2.9, 3, 50]);
    const before = await run(model(body, opset), x);
    const found = model(body, opset);
    expect((await runStep(found, fuseHardSwish, {})).changed).toBe(1);
    expect([...found.graph.nodes()].map((node) => node.opType)).toEqual(["HardSigmoid", "Mul"]);
    const after = await run(found, x);
    // One rounding of 1/6 and one of the product: a few units in the last place.
    after.forEach((value, i) => {
      expect(Math.abs(value - before[i]!)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(before[i]!)));
    });
  });

  test.each([
    ["other bounds", "a = Add(x, three) c = Clip(a, zero, three) m = Mul(x, c) y = Div(m, six)"],
    ["another user inside", "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) d = Div(m, six) y = Add(d, c)"],
    ["another gate", "a = Add(x, six) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)"],
  ])("leaves %s alone", async (_name, body) => {
    const found = model(body);
    const size = found.graph.size;
    expect((await runStep(found, fuseHardSwish, {})).changed).toBe(0);
    expect(found.graph.size).toBe(size);
  });
});
