import { expect, it } from "vitest";
import { bytesOf, compareAll, opCounts, runAll, runtimes } from "../../test/helpers.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import { parseModel } from "../onnx/text.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { expandFused } from "./expand-fused.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>';
const random = createRandom(5);
const list = (count: number): string => Array.from({ length: count }, () => random.normal().toFixed(3)).join(", ");
const NORM = `float[6] g = {${list(6)}}, float[6] b = {${list(6)}}, float[6] c = {${list(6)}}`;

/** ONNX Runtime approximates erf, tanh and exponentials to a few units in the last place; sums are of six terms. */
const TOLERANCE = 1e-6;

it.each([
  ["Gelu", "", "y = com.microsoft.Gelu(x)"],
  ["BiasGelu", `float[6] b = {${list(6)}}`, "y = com.microsoft.BiasGelu(x, b)"],
  ["FastGelu", "", "y = com.microsoft.FastGelu(x)"],
  ["FastGelu", `float[6] b = {${list(6)}}`, "y = com.microsoft.FastGelu(x, b)"],
  ["QuickGelu", "", "y = com.microsoft.QuickGelu <alpha = 1.5> (x)"],
  ["FusedMatMul", "", "y = com.microsoft.FusedMatMul <alpha = 0.5, transB = 1> (x, x)"],
  ["FusedMatMul", "", "y = com.microsoft.FusedMatMul <transA = 1> (x, x)"],
  ["SkipLayerNormalization", NORM, "y = com.microsoft.SkipLayerNormalization <epsilon = 0.001> (x, z, g)"],
  ["SkipLayerNormalization", NORM, "n, , , s = com.microsoft.SkipLayerNormalization (x, z, g, b, c) y = Add(n, s)"],
  [
    "SkipSimplifiedLayerNormalization",
    NORM,
    "n, , , s = com.microsoft.SkipSimplifiedLayerNormalization (x, z, g, c) y = Mul(n, s)",
  ],
  ["SimplifiedLayerNormalization", NORM, "y = SimplifiedLayerNormalization <axis = -1, epsilon = 0.001> (x, g)"],
])("%s computes the same in ONNX's operators", async (op, initializers, body) => {
  const text = `${HEADER} g (float[2, 4, 6] x, float[2, 4, 6] z) => (float[2, ?, ?] y) <${initializers}> { t = Identity(z) ${body} }`;
  const model = fromOnnx(parseModel(text.replace("<>", "")));
  const feeds = Object.fromEntries(
    ["x", "z"].map((name) => [
      name,
      Tensor.float32(
        [2, 4, 6],
        Float32Array.from({ length: 48 }, () => random.normal()),
      ),
    ]),
  );
  const runtime = await runtimes.node();
  const before = await runAll(runtime, bytesOf(model), [feeds]);
  const report = await runStep(model, expandFused, {}, {});
  expect(report.changed).toBe(1);
  expect(Object.keys(opCounts(model))).not.toContain(op);
  for (const output of compareAll(before, await runAll(runtime, bytesOf(model), [feeds]))) {
    expect(output).toMatchObject({ kind: "float" });
    if (output.kind === "float") expect(output.relative, output.name).toBeLessThanOrEqual(TOLERANCE);
  }
});

it("leaves what it cannot write, with the reason", async () => {
  const model = fromOnnx(
    parseModel(
      `${HEADER} g (float[2, 3, 3] x) => (float[2, 3, 3] y) { y = com.microsoft.FusedMatMul <transBatchA = 1> (x, x) }`,
    ),
  );
  const report = await runStep(model, expandFused, {}, {});
  expect(report).toMatchObject({
    changed: 0,
    leftAlone: [{ opType: "FusedMatMul", reason: "it transposes its batch" }],
  });
});
