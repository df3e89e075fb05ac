import { describe, expect, it } from "vitest";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { verifyModel } from "../graph/verify.ts";
import { encodeModel } from "../onnx/encode.ts";
import { parseModel } from "../onnx/text.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { upgradeOpset } from "./upgrade-opset.ts";

function model(opset: number, text: string): Model {
  return fromOnnx(parseModel(`<ir_version: 7, opset_import: ["" : ${opset}]> g ${text}`));
}

const runtime = await createNodeRuntime();

async function run(from: Model): Promise<Tensors> {
  const session = await runtime.load({ bytes: encodeModel(toOnnx(from)) as Uint8Array[] });
  const random = createRandom(7);
  const feeds = from.graph.inputs.map((value) => {
    const dims = (value.shape ?? []).map((dim) => (typeof dim === "number" ? dim : 2));
    return [
      value.name,
      Tensor.float32(
        dims,
        Array.from({ length: elementCount(dims) }, () => random.normal()),
      ),
    ];
  });
  const outputs = await session.run(Object.fromEntries(feeds) as Tensors);
  await session.release();
  return outputs;
}

/** Opset, graph, and what is rewritten on the way to 17. The numbers must not change. */
type Case = readonly [name: string, opset: number, text: string, changed: Readonly<Record<string, number>>];

const X = "float[2, 3, 4, 5] x";
const resize10 = (mode: string, scales: string): string =>
  `(float[1, 1, 5, 6] x) => (float[] y) <float[4] s = {${scales}}> { y = Resize <mode = "${mode}"> (x, s) }`;
const tfHalfPixel = (rounding: string): string =>
  `(float[1, 1, 5, 6] x) => (float[] y) <float[0] r = {}, float[4] s = {1, 1, 0.6, 1.7}> {
     y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn", nearest_mode = "${rounding}"> (x, r, s) }`;
const scanBody = `body = b (float[3] s, float[3] v) => (float[3] t, float[3] o) { t = Add(s, v) o = Neg(t) }`;

const EQUAL: readonly Case[] = [
  ["Softmax over all but the first", 9, `(${X}) => (float[] y) { y = Softmax(x) }`, { Softmax: 1 }],
  ["Softmax over the last of four", 9, `(${X}) => (float[] y) { y = Softmax <axis = 3> (x) }`, {}],
  ["Softmax of a matrix", 11, "(float[2, 3] x) => (float[] y) { y = Softmax(x) }", { Softmax: 1 }],
  ["Softmax with ones behind", 9, "(float[2, 3, 1, 1] x) => (float[] y) { y = Softmax(x) }", { Softmax: 1 }],
  ["Softmax of axis 0", 11, `(${X}) => (float[] y) { y = Softmax <axis = 0> (x) }`, { Softmax: 1 }],
  ["Softmax, axis from the end", 11, `(${X}) => (float[] y) { y = Softmax <axis = -2> (x) }`, { Softmax: 1 }],
  ["LogSoftmax", 9, `(${X}) => (float[] y) { y = LogSoftmax <axis = 2> (x) }`, { LogSoftmax: 1 }],
  ["Hardmax", 9, `(${X}) => (float[] y) { y = Hardmax <axis = 2> (x) }`, { Hardmax: 1 }],
  ["Clip, both bounds", 9, `(${X}) => (float[] y) { y = Clip <min = -0.5, max = 0.25> (x) }`, { Clip: 1 }],
  ["Clip, one bound, type followed", 7, `(${X}) => (float[] y) { h = Relu(x) y = Clip <max = 0.5> (h) }`, { Clip: 1 }],
  ["Pad with a value", 9, `(${X}) => (float[] y) { y = Pad <pads = [0,0,1,2,0,0,0,1], value = 3.5> (x) }`, { Pad: 1 }],
  [
    "Pad reflecting",
    9,
    `(${X}) => (float[] y) { y = Pad <pads = [0,0,1,2,0,0,0,1], mode = "reflect"> (x) }`,
    { Pad: 1 },
  ],
  [
    "Slice to the end",
    9,
    `(${X}) => (float[] y) {
     y = Slice <starts = [1, -3], ends = [9223372036854775807, -1], axes = [1, 3]> (x) }`,
    { Slice: 1 },
  ],
  ["Slice without axes", 7, `(${X}) => (float[] y) { y = Slice <starts = [0, 1], ends = [1, 3]> (x) }`, { Slice: 1 }],
  [
    "Squeeze and Unsqueeze",
    11,
    "(float[2, 1, 3, 1] x) => (float[] y) { h = Squeeze <axes = [-1]> (x) y = Unsqueeze <axes = [0]> (h) }",
    { Squeeze: 1, Unsqueeze: 1 },
  ],
  ["Squeeze of all ones", 9, "(float[2, 1, 3, 1] x) => (float[] y) { y = Squeeze(x) }", {}],
  [
    "ReduceSum",
    11,
    `(${X}) => (float[] y, float[] z) { y = ReduceSum <axes = [1, -1], keepdims = 0> (x) z = ReduceSum(x) }`,
    { ReduceSum: 1 },
  ],
  ["Split", 9, `(${X}) => (float[] y, float[] z) { y, z = Split <axis = 3, split = [2, 3]> (x) }`, { Split: 1 }],
  ["Split in equal parts", 9, `(${X}) => (float[] y, float[] z) { y, z = Split <axis = 2> (x) }`, {}],
  ["TopK", 9, `(${X}) => (float[] y, int64[] z) { y, z = TopK <k = 2, axis = 1> (x) }`, { TopK: 1 }],
  [
    "Scatter",
    9,
    `(float[3, 3] x) => (float[] y) <int64[1, 3] i = {2, 0, 1}, float[1, 3] u = {7, 8, 9}> {
     y = Scatter <axis = 0> (x, i, u) }`,
    { Scatter: 1 },
  ],
  [
    "OneHot, negative indices",
    9,
    `(float[1] x) => (float[] y) <int64[3] i = {-1, 0, 5}, int64 d = {4}, float[2] v = {0, 1}> {
     h = OneHot(i, d, v) y = Add(h, x) }`,
    {},
  ],
  [
    "Upsample, scales as attribute",
    7,
    `(float[1, 1, 3, 4] x) => (float[] y) { y = Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x) }`,
    { Upsample: 1 },
  ],
  [
    "Upsample, uneven scales",
    9,
    `(float[1, 1, 3, 4] x) => (float[] y) <float[4] s = {1, 1, 1.7, 2.3}> { y = Upsample(x, s) }`,
    { Upsample: 1 },
  ],
  [
    "Upsample, linear",
    9,
    `(float[1, 1, 3, 4] x) => (float[] y) <float[4] s = {1, 1, 2, 2.5}> {
     y = Upsample <mode = "linear"> (x, s) }`,
    { Upsample: 1 },
  ],
  [
    "Upsample, scales computed",
    9,
    `(float[1, 1, 3, 4] x) => (float[] y) <float[4] s = {1, 1, 2, 1.5}> {
     t = Abs(s) y = Upsample(x, t) }`,
    { Upsample: 1 },
  ],
  ["Resize-10, larger", 10, resize10("nearest", "1, 1, 1.6, 2.5"), { Resize: 1 }],
  ["Resize-10, smaller", 10, resize10("nearest", "1, 1, 0.6, 0.7"), { Resize: 1 }],
  ["Resize-10, linear", 10, resize10("linear", "1, 1, 0.6, 1.7"), { Resize: 1 }],
  ["Resize-11, tf_half_pixel, floor", 11, tfHalfPixel("floor"), { Resize: 1 }],
  ["Resize-11, tf_half_pixel, round", 11, tfHalfPixel("round_prefer_floor"), { Resize: 1 }],
  ["Dropout", 9, `(${X}) => (float[] y) { y, m = Dropout <ratio = 0.3> (x) }`, { Dropout: 1 }],
  [
    "BatchNormalization with unused outputs",
    8,
    `(float[2, 3, 4] x) => (float[] y) <float[3] a = {1, 2, 3}, float[3] b = {4, 5, 6}> {
     y = BatchNormalization <spatial = 1> (x, a, b, b, a) }`,
    { BatchNormalization: 1 },
  ],
  [
    "RoiAlign",
    10,
    `(float[1, 2, 6, 6] x) => (float[] y) <float[1, 4] r = {0.5, 1, 4, 5}, int64[1] i = {0}> {
     y = RoiAlign <output_height = 3, output_width = 2, sampling_ratio = 2> (x, r, i) }`,
    { RoiAlign: 1 },
  ],
  [
    "ConvTranspose with an odd pad",
    10,
    `(float[1, 1, 3, 3] x) => (float[] y) <float[1, 1, 3, 3] w = {1,2,3,4,5,6,7,8,9}> {
     y = ConvTranspose <output_shape = [6, 6], strides = [2, 2]> (x, w) }`,
    {},
  ],
  [
    "AveragePool with ceil_mode",
    10,
    `(float[1, 1, 5, 5] x) => (float[] y) {
     y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1, pads = [1, 1, 0, 0]> (x) }`,
    {},
  ],
  [
    "MaxPool, SAME_LOWER",
    8,
    `(float[1, 1, 5, 5] x) => (float[] y) {
     y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], auto_pad = "SAME_LOWER"> (x) }`,
    {},
  ],
  [
    "Scan over a batch",
    8,
    `(float[2, 3] s, float[2, 4, 3] x) => (float[] f, float[] y) {
     f, y = Scan <num_scan_inputs = 1, directions = [1], ${scanBody}> (, s, x) }`,
    { Scan: 1 },
  ],
  [
    "a subgraph that uses outer values",
    11,
    `(${X}) => (float[] y) <bool c = {1}> {
     y = If <then_branch = t () => (float[] a) { h = Softmax <axis = 2> (x) a = Unsqueeze <axes = [0]> (h) },
             else_branch = e () => (float[] b) { b = Identity(x) }> (c) }`,
    { Softmax: 1, Unsqueeze: 1 },
  ],
];

describe("upgradeOpset", () => {
  for (const [name, opset, text, changed] of EQUAL) {
    it(`keeps the results: ${name}`, async () => {
      const before = await run(model(opset, text));
      for (const target of [13, 17]) {
        const upgraded = model(opset, text);
        const report = upgradeOpset(upgraded, target);
        verifyModel(upgraded);
        expect(report).toMatchObject({ from: opset, to: target });
        if (target === 17) expect(report.changed).toEqual(changed);
        expect(upgraded.opset).toBe(target);
        const after = await run(upgraded);
        for (const [output, expected] of Object.entries(before)) {
          expect(after[output]!.dims).toEqual(expected.dims);
          // Same arithmetic, but another kernel may add in another order.
          after[output]!.numbers().forEach((number, i) => {
            expect(number).toBeCloseTo(expected.numbers()[i]!, 5);
          });
        }
      }
    });
  }

  /** Opset, graph, and what the refusal says. */
  const REFUSED: readonly (readonly [name: string, opset: number, text: string, says: RegExp])[] = [
    [
      "unknown operator",
      9,
      "(float[2] x) => (float[] y) { y = Crop(x) }",
      /node "y" \(Crop, domain ai.onnx, opset 9\).*unknown or exp/,
    ],
    [
      "old opset",
      6,
      "(float[2] x) => (float[] y) { y = Abs(x) }",
      /Abs, domain ai.onnx, opset 6.*expected opset 7.*Export/,
    ],
    [
      "operator before its time",
      9,
      "(float[2] x) => (float[] y) { y = Round(x) }",
      /expected opset 11, where the operator begins/,
    ],
    ["ended operator", 11, "(float[2] x) => (float[] y) { y = Upsample(x, x) }", /ended with 10/],
    [
      "training mode",
      9,
      `(float[2, 3] x, float[3] a) => (float[] y, float[] m) {
       y, m, v, sm, sv = BatchNormalization(x, a, a, a, a) }`,
      /BatchNormalization, domain ai.onnx, opset 13.*training mode/,
    ],
    [
      "spatial = 0",
      7,
      `(float[2, 3, 4] x, float[3, 4] a) => (float[] y) {
       y = BatchNormalization <spatial = 0> (x, a, a, a, a) }`,
      /spatial = 0/,
    ],
    [
      "a mask in use",
      10,
      "(float[2] x) => (float[] y, bool[] m) { y, m = Dropout(x) }",
      /its mask is used.*Aim at opset 11/,
    ],
    ["mixed scales", 10, resize10("nearest", "1, 1, 0.6, 1.7"), /enlarges one axis and shrinks another/],
    [
      "computed scales",
      10,
      "(float[1, 1, 3, 4] x, float[4] s) => (float[] y) { y = Resize(x, s) }",
      /computed at run time/,
    ],
    [
      "a type that is not known",
      9,
      `(float[2] x, float16[2] z) => (float[] y) {
       h = my.domain.Thing(x, z) y = Clip <min = 0.0> (h) }`,
      /the type of "h" is not known/,
    ],
  ];
  for (const [name, opset, text, says] of REFUSED) {
    it(`refuses and leaves alone: ${name}`, () => {
      const refused = model(opset, text);
      const bytes = encodeModel(toOnnx(refused));
      expect(() => upgradeOpset(refused, 17)).toThrow(says);
      expect(encodeModel(toOnnx(refused))).toEqual(bytes);
    });
  }

  it("leaves a model alone that is there already, or further", () => {
    const newer = model(17, "(float[2] x) => (float[] y) { y = Abs(x) }");
    expect(upgradeOpset(newer, 13)).toEqual({ from: 17, to: 17, changed: {} });
    expect(newer.opset).toBe(17);
  });

  it("raises the IR version to what the opset needs, and never lowers it", () => {
    const text = "(float[2] x) => (float[] y) { y = Abs(x) }";
    const old = fromOnnx(parseModel(`<ir_version: 3, opset_import: ["" : 8]> g ${text}`));
    upgradeOpset(old, 13);
    expect(old.irVersion).toBe(7);
    const newer = fromOnnx(parseModel(`<ir_version: 10, opset_import: ["" : 8]> g ${text}`));
    upgradeOpset(newer, 13);
    expect(newer.irVersion).toBe(10);
  });

  it("finds the rank for Softmax in a file without shapes, and adds no nodes then", () => {
    const attention = model(
      9,
      `(float[] x) => (float[] y) <int64[1] n = {3}> {
         s = Shape(x) b = Slice <axes = [0], starts = [0], ends = [1]> (s) t = Concat <axis = 0> (b, n, n, n)
         r = Reshape(x, t) p = Transpose <perm = [0, 2, 3, 1]> (r) m = MatMul(p, p) y = Softmax <axis = 3> (m) }`,
    );
    for (const value of attention.graph.inputs) value.type = undefined;
    const { size } = attention.graph;
    upgradeOpset(attention, 13);
    // Nothing tells the rank of x, so not the length of its shape either; the permutation does.
    expect(attention.graph.size).toBe(size);
  });

  it("keeps functions whose operators mean the same, and refuses others", () => {
    const withFunction = (body: string): Model =>
      fromOnnx(
        parseModel(`<ir_version: 8, opset_import: ["" : 11, "my" : 1]> g (float[2, 3, 4] x) => (float[] y) { y = my.F(x) }
          <domain: "my", opset_import: ["" : 11]> F (x) => (y) { ${body} }`),
      );
    const same = withFunction("y = Add(x, x)");
    const { functions } = same;
    upgradeOpset(same, 17);
    expect(same.functions).toBe(functions);
    expect(() => upgradeOpset(withFunction("y = Softmax(x)"), 17)).toThrow(/function "F" .*Softmax.*opset 13.*Inline/);
  });

  it("refuses targets out of range", () => {
    const any = model(9, "(float[2] x) => (float[] y) { y = Abs(x) }");
    expect(() => upgradeOpset(any, 18)).toThrow(/expected an opset from 7 to 17, got 18/);
  });
});
