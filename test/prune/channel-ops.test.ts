/**
 * @file Each operator between a convolution that makes eight channels and one that sums over them: half of the channels go
 * and the result equals the masked original, or none can and the reason names the node. Initializers have the new sizes.
 */
import { describe, expect, it } from "vitest";
import { Builder } from "../../src/graph/builder.ts";
import { Model } from "../../src/graph/model.ts";
import { irVersionFor } from "../../src/graph/ops/versions.ts";
import type { Value } from "../../src/graph/value.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { initializerOf, runtimes } from "../helpers.ts";
import { pruneAndCompare, SAME } from "./channels.ts";

const [N, C, H, W] = [2, 8, 4, 6] as const;
const BATCH = { pads: { ints: [1, 1, 1, 1] } };

interface Piece {
  /** x [2, 8, 4, 6] from a convolution; what it gives goes into a head. */
  build(b: Builder, x: Value, weight: Weight): Value;
  /** Channels that it gives. Default 8. */
  readonly out?: number;
  readonly opset?: number;
  /** Sizes of initializers afterwards, by name. */
  readonly dims?: Readonly<Record<string, readonly number[]>>;
  /** Channels left of the convolution before it. Default 4. */
  readonly left?: number;
  /** Nothing may go: the operator that forbids it. */
  readonly forbids?: string;
}

type Weight = (name: string, dims: readonly number[]) => Value;

const ints = (b: Builder, values: readonly number[]): Value => b.initializer(Tensor.int64([values.length], values));

const PIECES: Readonly<Record<string, Piece>> = {
  "Relu, Sigmoid: f(0) ≠ 0": { build: (b, x) => b.op("Sigmoid", [b.op("Relu", [x])]) },
  "Add and Mul of constants [C, 1, 1] and [W]": {
    build: (b, x, w) => b.mul(b.add(x, w("shift", [C, 1, 1])), w("scale", [W])),
    dims: { shift: [4, 1, 1], scale: [W] },
  },
  PRelu: { build: (b, x, w) => b.op("PRelu", [x, w("slope", [C, 1, 1])]), dims: { slope: [4, 1, 1] } },
  "Where with a constant condition": {
    build: (b, x, w) => b.where(b.op("Greater", [w("limits", [1, C, 1, 1]), b.scalar(0)]), x, w("other", [C, 1, 1])),
    dims: { limits: [1, 4, 1, 1], other: [4, 1, 1] },
  },
  BatchNormalization: {
    build: (b, x, w) =>
      b.op("BatchNormalization", [
        x,
        w("scale", [C]),
        w("bias", [C]),
        w("mean", [C]),
        b.op("Abs", [w("variance", [C])]),
      ]),
    dims: { scale: [4], bias: [4], mean: [4], variance: [4] },
  },
  InstanceNormalization: {
    build: (b, x, w) => b.op("InstanceNormalization", [x, w("scale", [C]), w("bias", [C])]),
    dims: { scale: [4], bias: [4] },
  },
  "GroupNormalization: whole groups": {
    build: (b, x, w) => b.op("GroupNormalization", [x, w("scale", [C]), w("bias", [C])], { num_groups: { int: 4 } }),
    opset: 21,
    dims: { scale: [4], bias: [4] },
  },
  "GroupNormalization-18 with a scale per group": {
    build: (b, x, w) => b.op("GroupNormalization", [x, w("scale", [4]), w("bias", [4])], { num_groups: { int: 4 } }),
    opset: 18,
    dims: { scale: [2], bias: [2] },
  },
  "LayerNormalization over channels": {
    build: (b, x, w) =>
      b.transpose(b.op("LayerNormalization", [b.transpose(x, [0, 2, 3, 1]), w("scale", [C])]), [0, 3, 1, 2]),
    forbids: "LayerNormalization",
  },
  "LayerNormalization over the width": {
    build: (b, x, w) => b.op("LayerNormalization", [x, w("scale", [W])]),
    dims: { scale: [W] },
  },
  "Softmax over channels": { build: (b, x) => b.op("Softmax", [x], { axis: { int: 1 } }), forbids: "Softmax" },
  "Softmax over the width": { build: (b, x) => b.op("Softmax", [x], { axis: { int: -1 } }) },
  "ReduceMean over channels": { build: (b, x) => b.add(x, b.mean(x, [1])), forbids: "ReduceMean" },
  "ReduceMax over height and width": { build: (b, x) => b.mul(x, b.reduce("ReduceMax", x, [2, 3])) },
  LRN: { build: (b, x) => b.op("LRN", [x], { size: { int: 3 } }), forbids: "LRN" },
  "CumSum over channels": {
    build: (b, x) => b.op("CumSum", [x, b.initializer(Tensor.scalar("int64", 1))]),
    forbids: "CumSum",
  },
  "an operator without a rule": {
    build: (b, x) => b.node("TopK", [x, ints(b, [W])], {}, 2).output(),
    forbids: "TopK",
  },
  "depthwise Conv": {
    build: (b, x, w) =>
      b.op("Conv", [x, w("depthwise", [C, 1, 3, 3]), w("bias", [C])], { ...BATCH, group: { int: C } }),
    dims: { depthwise: [4, 1, 3, 3], bias: [4] },
  },
  "depthwise Conv with two outputs per channel": {
    out: 16,
    build: (b, x, w) => b.op("Conv", [x, w("depthwise", [2 * C, 1, 3, 3])], { ...BATCH, group: { int: C } }),
    dims: { depthwise: [8, 1, 3, 3] },
  },
  "grouped Conv: whole groups": {
    out: 12,
    build: (b, x, w) => b.op("Conv", [x, w("grouped", [12, 2, 3, 3])], { ...BATCH, group: { int: 4 } }),
    dims: { grouped: [6, 2, 3, 3] },
  },
  "grouped Conv: the same positions of every group": {
    out: 12,
    build: (b, x, w) => b.op("Conv", [x, w("grouped", [12, 4, 3, 3])], { ...BATCH, group: { int: 2 } }),
    dims: { grouped: [6, 2, 3, 3] },
  },
  ConvTranspose: {
    out: 6,
    build: (b, x, w) => b.op("ConvTranspose", [x, w("up", [C, 6, 3, 3]), w("bias", [6])], BATCH),
    dims: { up: [4, 3, 3, 3], bias: [3] },
  },
  "grouped ConvTranspose": {
    build: (b, x, w) =>
      b.op("ConvTranspose", [x, w("up", [C, 4, 3, 3]), w("bias", [8])], { ...BATCH, group: { int: 2 } }),
    dims: { up: [4, 2, 3, 3], bias: [4] },
  },
  "depthwise ConvTranspose": {
    build: (b, x, w) =>
      b.op("ConvTranspose", [x, w("up", [C, 1, 3, 3]), w("bias", [C])], { ...BATCH, group: { int: C } }),
    dims: { up: [4, 1, 3, 3], bias: [4] },
  },
  "a Conv twice with one weight": {
    build: (b, x, w) => {
      const shared = w("shared", [C, C, 3, 3]);
      return b.op("Conv", [b.op("Conv", [x, shared], BATCH), shared], BATCH);
    },
    dims: { shared: [4, 4, 3, 3] },
  },
  "one bias for two convolutions that need not go alike": {
    build: (b, x, w) => {
      const bias = w("bias", [C]);
      const one = (name: string, input: Value): Value => b.op("Conv", [input, w(name, [C, C, 1, 1]), bias]);
      return one("second", b.op("Relu", [one("first", x)]));
    },
    dims: { first: [4, 4, 1, 1], second: [4, 4, 1, 1] },
  },
  "residual Add": {
    build: (b, x, w) => b.add(x, b.op("Conv", [b.op("Relu", [x]), w("body", [C, C, 1, 1])])),
    dims: { body: [4, 4, 1, 1] },
  },
  "Concat with itself, then Split": {
    build: (b, x) => {
      const split = b.node("Split", [b.concat([x, b.op("Relu", [x])], 1), ints(b, [C, C])], { axis: { int: 1 } }, 2);
      return b.add(split.output(0), split.output(1));
    },
  },
  "equal Split without sizes, added up": {
    out: 4,
    build: (b, x) => {
      const split = b.node("Split", [x], { axis: { int: 1 } }, 2);
      return b.add(split.output(0), split.output(1));
    },
  },
  "Split into parts that go on alone": {
    out: 10,
    build: (b, x, w) => {
      const split = b.node("Split", [x, ints(b, [2, 6])], { axis: { int: 1 } }, 2);
      return b.concat([b.op("Conv", [split.output(0), w("small", [4, 2, 1, 1])]), split.output(1)], 1);
    },
    dims: { small: [2, 1, 1, 1] },
  },
  "Slice from both ends": {
    // Groups of three and five: two and three of them are left.
    left: 5,
    build: (b, x) => b.concat([b.slice(x, [0], [3], [1]), b.slice(x, [-5], [2 ** 31], [1])], 1),
  },
  "Slice in steps": { out: 4, build: (b, x) => b.slice(x, [0], [C], [1], [2]), forbids: "Slice" },
  "Gather in another order": {
    out: 9,
    build: (b, x) => b.op("Gather", [x, ints(b, [7, 0, 3, 3, -3, 1, 2, 4, 6])], { axis: { int: 1 } }),
  },
  "Gather of one channel": {
    out: 1,
    build: (b, x) =>
      b.unsqueeze(b.op("Gather", [x, b.initializer(Tensor.scalar("int64", 2))], { axis: { int: 1 } }), [1]),
    forbids: "Gather",
  },
  "Pad with channels": {
    out: 12,
    build: (b, x) => b.op("Pad", [x, ints(b, [0, 2, 0, 1, 0, 2, 0, 0]), b.scalar(0.5)]),
  },
  "Reshape and Transpose to tokens and back, with 0 and -1": {
    build: (b, x) => {
      const tokens = b.transpose(b.reshape(x, [0, 0, -1]), [0, 2, 1]);
      return b.reshape(b.transpose(tokens, [0, 2, 1]), [0, C, H, -1]);
    },
  },
  "channel shuffle": {
    build: (b, x) => b.reshape(b.transpose(b.reshape(x, [N, 2, C / 2, H, W]), [0, 2, 1, 3, 4]), [N, C, H, W]),
  },
  "Flatten into a Gemm": {
    out: 6,
    build: (b, x, w) => {
      const rows = b.op("Gemm", [b.op("Flatten", [x]), w("dense", [C * H * W, 6])]);
      return b.reshape(rows, [N, 6, 1, 1]);
    },
    dims: { dense: [4 * H * W, 3] },
  },
  "a shape that is computed, with a literal number of channels": {
    build: (b, x) => {
      const shape = b.op("Shape", [x]);
      const size = (axis: number): Value => b.op("Gather", [shape, ints(b, [axis])]);
      const rows = b.op("Reshape", [x, b.concat([size(0), ints(b, [C]), b.mul(size(2), size(3))], 0)]);
      return b.op("Reshape", [b.op("Relu", [rows]), shape]);
    },
  },
  "a scale that is computed from the number of channels": {
    build: (b, x) => {
      const size = b.op("Gather", [b.op("Shape", [x]), ints(b, [1])]);
      return b.div(x, b.op("Sqrt", [b.op("Cast", [size], { to: { int: 1 } })]));
    },
  },
  "squeeze and unsqueeze": { build: (b, x) => b.mul(x, b.unsqueeze(b.mean(x, [2, 3], false), [2, 3])) },
  Expand: {
    build: (b, x) => b.mul(x, b.expand(b.mean(x, [2, 3]), [N, C, H, W])),
  },
  "ConstantOfShape beside it": {
    build: (b, x) => {
      const ones = { value: { tensor: Tensor.float32([1], [1]) } };
      return b.add(x, b.op("ConstantOfShape", [ints(b, [1, C, 1, 1])], ones));
    },
  },
  Tile: { out: 16, build: (b, x) => b.op("Tile", [x, ints(b, [1, 2, 1, 1])]) },
  "Resize with sizes": {
    build: (b, x) =>
      b.op("Resize", [x, undefined, undefined, ints(b, [N, C, 2 * H, W])], { mode: { string: "nearest" } }),
  },
  "MaxPool with indices": {
    build: (b, x) => {
      const pool = b.node("MaxPool", [x], { kernel_shape: { ints: [2, 2] } }, 2);
      return b.add(pool.output(0), b.op("Cast", [pool.output(1)], { to: { int: 1 } }));
    },
    forbids: "MaxPool",
  },
  "DepthToSpace DCR": { out: 2, build: (b, x) => b.op("DepthToSpace", [x], { blocksize: { int: 2 } }) },
  "DepthToSpace CRD": {
    out: 2,
    build: (b, x) => b.op("DepthToSpace", [x], { blocksize: { int: 2 }, mode: { string: "CRD" } }),
  },
  SpaceToDepth: { out: 32, build: (b, x) => b.op("SpaceToDepth", [x], { blocksize: { int: 2 } }) },
  "MatMul over channels, weight in front": {
    out: 6,
    build: (b, x, w) => b.reshape(b.matmul(w("left", [6, C]), b.reshape(x, [N, C, H * W])), [N, -1, H, W]),
    dims: { left: [3, 4] },
  },
  Einsum: {
    out: 6,
    build: (b, x, w) => b.op("Einsum", [x, w("letters", [C, 6])], { equation: { string: "nchw,cd->ndhw" } }),
    dims: { letters: [4, 3] },
  },
  "product of two activations over channels": {
    out: 24,
    build: (b, x) => {
      const rows = b.reshape(x, [N, C, H * W]);
      const products = b.matmul(b.transpose(rows, [0, 2, 1]), b.op("Sigmoid", [rows])); // over C
      return b.reshape(products, [N, H * W, H, W]);
    },
  },
  "weights under a mask": {
    out: 6,
    build: (b, x, w) => {
      const bits = Uint8Array.from({ length: 6 * C }, (_, i) => (i % 3 === 0 ? 1 : 0));
      const mask = b.initializer(Tensor.of("bool", [6, C, 1, 1], bits), "mask");
      return b.op("Conv", [x, b.where(mask, w("hidden", [6, C, 1, 1]), b.scalar(0))]);
    },
    dims: { hidden: [3, 4, 1, 1], mask: [3, 4, 1, 1] },
  },
  "weights behind QuantizeLinear and DequantizeLinear per channel": {
    out: 6,
    build: (b, x, w) => {
      const scale = b.initializer(Tensor.float32([6], [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]), "scale");
      const zero = b.initializer(Tensor.of("int8", [6], new Int8Array(6)), "zero");
      const codes = b.op("QuantizeLinear", [w("stored", [6, C, 1, 1]), scale, zero], { axis: { int: 0 } });
      return b.op("Conv", [x, b.op("DequantizeLinear", [codes, scale, zero], { axis: { int: 0 } })]);
    },
    dims: { stored: [3, 4, 1, 1] },
  },
  ...Object.fromEntries(
    (
      [
        ["LSTM", 4],
        ["GRU", 3],
        ["RNN", 1],
      ] as const
    ).map(([op, gates]) => [
      `${op} in two directions`,
      {
        out: 12,
        build: (b: Builder, x: Value, w: Weight) => {
          const sequence = b.transpose(b.mean(x, [2], false), [2, 0, 1]); // [W, N, C]
          const inputs = [
            sequence,
            w("input", [2, gates * 6, C]),
            w("recurrence", [2, gates * 6, 6]),
            w("biases", [2, 2 * gates * 6]),
          ];
          const attributes = { hidden_size: { int: 6 }, direction: { string: "bidirectional" } };
          const y = b.transpose(b.op(op, inputs, attributes), [2, 1, 3, 0]); // [N, D, H, W]
          return b.reshape(y, [N, 12, 1, W]);
        },
        dims: {
          input: [2, gates * 3, 4],
          recurrence: [2, gates * 3, 3],
          biases: [2, 2 * gates * 3],
        },
      },
    ]),
  ),
};

/** conv → piece → conv → mean → Gemm */
function modelWith({ build, out = C, opset = 17 }: Piece): Model {
  const random = createRandom(3);
  const model = new Model();
  model.opset = opset;
  model.irVersion = irVersionFor(opset);
  const { graph } = model;
  graph.name = "piece";
  const x = graph.newValue("x");
  x.setTensorType("float32", [N, 3, H, W]);
  graph.inputs.push(x);
  const b = new Builder(graph);
  const weight: Weight = (name, dims) => {
    const data = Float32Array.from({ length: elementCount(dims) }, () => 0.5 * random.normal());
    return b.initializer(Tensor.float32(dims, data), name);
  };
  const before = b.op("Conv", [x, weight("before", [C, 3, 3, 3]), weight("before_bias", [C])], BATCH, "made");
  const y = build(b, before, weight);
  const mean = b.reduce("ReduceMean", y, [2, 3], false);
  const last = b.op("MatMul", [mean, weight("after", [out, 5])]);
  last.name = model.names.unique("y");
  last.setTensorType("float32", [N, 5]);
  graph.setOutputs([last]);
  return model;
}

describe("channels through", () => {
  it.each(Object.entries(PIECES))("%s", async (_name, piece) => {
    const model = modelWith(piece);
    const random = createRandom(5);
    const sample = () => ({
      x: Tensor.float32(
        [N, 3, H, W],
        Float32Array.from({ length: N * 3 * H * W }, () => random.normal()),
      ),
    });
    const options = { amount: 0.5, scope: "group", multiple: 1, minimum: 1 } as const;
    const runtime = await runtimes.node();
    const { result, model: pruned, difference } = await pruneAndCompare(model, options, runtime, [sample(), sample()]);
    expect(difference).toBeLessThan(SAME);
    const made = initializerOf(pruned, "before").constant!.dims[0];
    if (piece.forbids !== undefined) {
      expect(made).toBe(C);
      expect(result.forbidden.find(({ value }) => value === "made")?.opType).toBe(piece.forbids);
      return;
    }
    expect(made).toBe(piece.left ?? C / 2);
    for (const [name, dims] of Object.entries(piece.dims ?? {})) {
      expect(initializerOf(pruned, name).constant!.dims, name).toEqual(dims);
    }
  });
});
