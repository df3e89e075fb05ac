import { describe, expect, test } from "vitest";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { createComparer } from "../measure/compare.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { parseModel } from "../onnx/text.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { fuseAffineInput } from "./fuse-affine-input.ts";

const INITIALIZERS = `float[6, 4, 1, 1] w = random(1), float[6] b = random(2), float[4, 2, 3, 3] grouped = random(3),
  float s = {2.5}, float t = {-0.7}, float[4, 1, 1] channels = {1, 2, -3, 0.5}, float[1, 4, 1, 1] four = {1, 2, 3, 4},
  float[5] wide = {1, 2, 3, 4, 5}`;

function model(body: string): Model {
  return fromOnnx(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      g (float[N, 4, 5, 5] x) => (float[N, O, H, W] y) <${INITIALIZERS}> { ${body} }`),
  );
}

async function run(found: Model) {
  const random = createRandom(7);
  const x = Tensor.float32(
    [2, 4, 5, 5],
    Float32Array.from({ length: 200 }, () => random.normal()),
  );
  const session = await (await createNodeRuntime()).load({ bytes: joinChunks(encodeModel(toOnnx(found))) });
  return session.run({ x });
}

describe("fuse-affine-input", () => {
  test.each([
    ["factor and summand", "m = Mul(x, s) a = Add(m, t) y = Conv(a, w, b)", 2],
    ["no bias yet", "a = Add(t, x) y = Conv(a, w)", 1],
    ["per channel", "m = Mul(channels, x) a = Sub(m, four) y = Conv(a, w, b)", 2],
    ["constant minus x, divided", "m = Sub(four, x) d = Div(m, channels) y = Conv(d, w, b)", 2],
    ["a factor through padding", "m = Mul(x, channels) y = Conv<pads = [1, 1, 1, 1]>(m, w, b)", 1],
    ["groups", "m = Mul(x, channels) a = Add(m, four) y = Conv<group = 2>(a, grouped)", 2],
  ])("%s", async (_name, body, count) => {
    const before = await run(model(body));
    const found = model(body);
    expect((await runStep(found, fuseAffineInput, {})).changed).toBe(count);
    expect([...found.graph.nodes()].map((node) => node.opType)).toEqual(["Conv"]);
    const comparer = createComparer();
    comparer.add(before, await run(found));
    // float32 rounding alone: 24 bits are 144 dB, a few sums of them lose some.
    expect(comparer.result()[0]).toMatchObject({ kind: "float" });
    expect((comparer.result()[0] as { sqnr: number }).sqnr).toBeGreaterThan(110);
    expect((await runStep(found, fuseAffineInput, {})).changed).toBe(0);
  });

  test.each([
    ["a summand before padding", "a = Add(x, t) y = Conv<pads = [1, 1, 1, 1]>(a, w, b)"],
    ["a summand before SAME padding", 'a = Add(x, t) y = Conv<auto_pad = "SAME_UPPER">(a, w, b)'],
    ["a constant along the width", "a = Add(x, wide) y = Conv(a, w, b)"],
    ["a constant divided by x", "a = Div(s, x) y = Conv(a, w, b)"],
    ["a second user", "a = Add(x, t) c = Conv(a, w, b) r = ReduceMean<axes = [1, 2, 3]>(a) y = Add(c, r)"],
  ])("leaves %s alone", async (_name, body) => {
    const found = model(body);
    expect((await runStep(found, fuseAffineInput, {})).changed).toBe(0);
  });
});
