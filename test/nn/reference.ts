/**
 * @file What tests of layers share: PyTorch's reference data (scripts/reference/nn.py) and the same modules as ours.
 */
import { readFileSync } from "node:fs";
import type { Model } from "../../src/graph/model.ts";
import type { Value } from "../../src/graph/value.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import { residual, sequential } from "../../src/nn/containers.ts";
import * as act from "../../src/nn/layers/activation.ts";
import { multiheadAttention } from "../../src/nn/layers/attention.ts";
import { conv1d, conv2d, convTranspose2d } from "../../src/nn/layers/convolution.ts";
import { embedding, linear } from "../../src/nn/layers/linear.ts";
import { batchNorm, groupNorm, layerNorm } from "../../src/nn/layers/normalization.ts";
import { adaptiveAvgPool2d, avgPool2d, maxPool2d } from "../../src/nn/layers/pooling.ts";
import { gru, lstm } from "../../src/nn/layers/recurrent.ts";
import { transformerEncoder, transformerEncoderLayer } from "../../src/nn/layers/transformer.ts";
import { mobilenetV2 } from "../../src/nn/models/mobilenet-v2.ts";
import { resnet20 } from "../../src/nn/models/resnet.ts";
import { transformerClassifier } from "../../src/nn/models/transformer-classifier.ts";
import { type Module, pick } from "../../src/nn/module.ts";
import type { StateDict } from "../../src/nn/state.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

type Packed = readonly [dims: readonly number[], data: string | readonly number[] | readonly boolean[]];

interface PackedCase {
  readonly state: Readonly<Record<string, Packed>>;
  readonly inputs: readonly Packed[];
  readonly outputs: readonly Packed[];
  readonly seeds: readonly Packed[];
  readonly gradients: Readonly<Record<string, Packed>>;
  readonly inputGradients: readonly (Packed | null)[];
}

export interface ReferenceCase {
  readonly state: StateDict;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradients of the outputs; those of parameters and inputs follow from them. */
  readonly seeds: readonly Tensor[];
  readonly gradients: StateDict;
  readonly inputGradients: readonly (Tensor | undefined)[];
}

function unpack([dims, data]: Packed): Tensor {
  if (typeof data === "string") {
    const bytes = Uint8Array.from(Buffer.from(data, "base64"));
    return Tensor.float32(dims, new Float32Array(bytes.buffer));
  }
  return data.some((item) => typeof item === "boolean")
    ? Tensor.of("bool", dims, Uint8Array.from(data as readonly boolean[], Number))
    : Tensor.int64(dims, data as readonly number[]);
}

const unpackAll = (record: Readonly<Record<string, Packed>>): StateDict =>
  Object.fromEntries(Object.entries(record).map(([name, packed]) => [name, unpack(packed)]));

const file = JSON.parse(readFileSync(new URL("../reference/nn.json", import.meta.url), "utf8")) as {
  readonly cases: Readonly<Record<string, PackedCase>>;
};

export const REFERENCE: Readonly<Record<string, ReferenceCase>> = Object.fromEntries(
  Object.entries(file.cases).map(([name, packed]) => [
    name,
    {
      state: unpackAll(packed.state),
      inputs: packed.inputs.map(unpack),
      outputs: packed.outputs.map(unpack),
      seeds: packed.seeds.map(unpack),
      gradients: unpackAll(packed.gradients),
      inputGradients: packed.inputGradients.map((one) => (one === null ? undefined : unpack(one))),
    },
  ]),
);

type AnyModule = Module<Value[], Value | readonly Value[]>;

const all =
  <Result extends object>(module: Module<[Value], Result>): AnyModule =>
  (s, x) =>
    Object.values(module(s, x!));

const lastStep: Module = (s, tokens) => {
  const x = s.child("embedding", embedding(9, 4), tokens);
  const hidden = s.child("lstm", pick(lstm(4, 5, { batchFirst: true }), "hidden"), x);
  return s.child("head", linear(5, 3), s.typed(s.b.squeeze(hidden, [0]), [null, 5]));
};

const residualBlock = sequential(
  residual(
    sequential(
      conv2d(3, 4, 3, { stride: 2, padding: 1, bias: false }),
      batchNorm(4),
      act.relu(),
      conv2d(4, 4, 3, { padding: 1, bias: false }),
      batchNorm(4),
    ),
    sequential(conv2d(3, 4, 1, { stride: 2, bias: false }), batchNorm(4)),
  ),
  act.relu(),
  adaptiveAvgPool2d(1),
  act.flatten(),
  linear(4, 3),
);

/** By the names of the reference data. */
export const MODULES: Readonly<Record<string, AnyModule>> = {
  linear: linear(5, 4),
  "linear 3d, no bias": linear(5, 4, { bias: false }),
  "linear 3d": linear(5, 4),
  conv1d: conv1d(4, 6, 3, { stride: 2, padding: 2, dilation: 2, groups: 2 }),
  conv2d: conv2d(2, 3, 3),
  "conv2d with everything": conv2d(4, 6, [3, 2], {
    stride: [2, 1],
    padding: [2, 1],
    dilation: [1, 2],
    groups: 2,
    bias: false,
  }),
  "conv2d same": conv2d(2, 2, [4, 3], { padding: "same", dilation: [1, 2] }),
  "conv2d depthwise": conv2d(3, 6, 3, { padding: 1, groups: 3 }),
  convTranspose2d: convTranspose2d(3, 2, 3),
  "convTranspose2d with everything": convTranspose2d(4, 6, [3, 2], {
    stride: 2,
    padding: 1,
    outputPadding: 1,
    groups: 2,
    dilation: [2, 1],
    bias: false,
  }),
  batchNorm1d: batchNorm(3),
  "batchNorm1d over a length": batchNorm(3, { eps: 1e-3 }),
  batchNorm2d: batchNorm(3),
  "batchNorm2d, not affine": batchNorm(3, { affine: false }),
  layerNorm: layerNorm(6),
  "layerNorm over two axes, no bias": layerNorm([3, 4], { eps: 1e-3, bias: false }),
  "layerNorm, not affine": layerNorm(6, { elementwiseAffine: false }),
  groupNorm: groupNorm(2, 4),
  "groupNorm over a length, not affine": groupNorm(3, 6, { eps: 1e-3, affine: false }),
  embedding: embedding(7, 4),
  lstm: all(lstm(3, 4)),
  "lstm with everything": (s, x, hidden, cell) =>
    Object.values(lstm(3, 4, { numLayers: 2, bidirectional: true, batchFirst: true })(s, x!, { hidden, cell })),
  "lstm, no bias": all(lstm(3, 4, { bias: false, numLayers: 2 })),
  gru: all(gru(3, 4)),
  "gru with everything": (s, x, hidden) =>
    Object.values(gru(3, 4, { numLayers: 2, bidirectional: true, batchFirst: true })(s, x!, { hidden })),
  "gru, no bias": all(gru(3, 4, { bias: false })),
  multiheadAttention: (s, x) => multiheadAttention(6, 2)(s, x!),
  "multiheadAttention, batch first, no bias": (s, x) =>
    multiheadAttention(6, 3, { batchFirst: true, bias: false })(s, x!),
  "multiheadAttention across": (s, q, k, v) => multiheadAttention(6, 2, { batchFirst: true })(s, q!, k, v),
  "multiheadAttention with masks": (s, x, attention, keyPadding) =>
    multiheadAttention(6, 2, { batchFirst: true })(s, x!, undefined, undefined, { attention, keyPadding }),
  transformerEncoderLayer: (s, x) => transformerEncoderLayer(6, 2, { dimFeedforward: 8 })(s, x!),
  "transformerEncoderLayer, norm first, gelu": (s, x) =>
    transformerEncoderLayer(6, 2, {
      dimFeedforward: 8,
      activation: "gelu",
      normFirst: true,
      batchFirst: true,
      layerNormEps: 1e-3,
    })(s, x!),
  "transformerEncoderLayer, no bias": (s, x) =>
    transformerEncoderLayer(6, 3, { dimFeedforward: 8, batchFirst: true, bias: false })(s, x!),
  transformerEncoder: (s, x) =>
    transformerEncoder(
      transformerEncoderLayer(6, 2, { dimFeedforward: 8, batchFirst: true, normFirst: true }),
      2,
      layerNorm(6),
    )(s, x!),
  maxPool2d: maxPool2d(2),
  "maxPool2d with everything": maxPool2d([3, 2], { stride: [2, 1], padding: 1, dilation: [1, 2], ceilMode: true }),
  avgPool2d: avgPool2d(2),
  "avgPool2d with everything": avgPool2d(3, { stride: 2, padding: 1, ceilMode: true }),
  "avgPool2d, padding not counted": avgPool2d([3, 2], {
    stride: 2,
    padding: 1,
    ceilMode: true,
    countIncludePad: false,
  }),
  adaptiveAvgPool2d: adaptiveAvgPool2d(1),
  "adaptiveAvgPool2d of a grid": adaptiveAvgPool2d([2, 3]),
  relu: act.relu(),
  leakyRelu: act.leakyRelu(0.1),
  elu: act.elu(0.7),
  celu: act.celu(0.7),
  selu: act.selu(),
  sigmoid: act.sigmoid(),
  tanh: act.tanh(),
  softplus: act.softplus(),
  softsign: act.softsign(),
  hardsigmoid: act.hardsigmoid(),
  hardswish: act.hardswish(),
  hardtanh: act.hardtanh(),
  relu6: act.relu6(),
  silu: act.silu(),
  mish: act.mish(),
  prelu: act.prelu(),
  "prelu per channel": act.prelu(4),
  gelu: act.gelu(),
  "gelu by tanh": act.gelu({ approximate: "tanh" }),
  softmax: act.softmax(),
  "logSoftmax over channels": act.logSoftmax(1),
  dropout: act.dropout(0.3),
  flatten: act.flatten(),
  "network: mlp": sequential(
    linear(6, 8),
    act.tanh(),
    act.dropout(),
    linear(8, 5),
    act.relu(),
    linear(5, 3),
    act.logSoftmax(1),
  ),
  "network: lenet5": sequential(
    conv2d(1, 3, 5),
    maxPool2d(2),
    conv2d(3, 4, 5),
    maxPool2d(2),
    act.flatten(),
    linear(64, 10),
    act.relu(),
    linear(10, 5),
  ),
  "network: residual block": residualBlock,
  "network: lstm classifier": lastStep,
  "model: resnet, option A": resnet20({ channels: 1, widths: [3, 4, 7], blocks: 2 }),
  "model: resnet, option B": resnet20({ widths: [3, 4], blocks: 2, shortcut: "B" }),
  "model: mobilenetV2": mobilenetV2({
    rows: [
      [1, 8, 1, 1],
      [2, 8, 2, 2],
    ],
    stem: 8,
    last: 16,
  }),
  "model: transformerClassifier": transformerClassifier({ vocabulary: 9, tokens: 5, classes: 3, dModel: 6, heads: 2 }),
};

/** The model of a case. `dynamic`: nothing but ranks (or not even those) is known when it is built. */
export function buildCase(
  name: string,
  options: { readonly dynamic?: boolean; readonly opset?: number; readonly seed?: number } = {},
): Model {
  const reference = REFERENCE[name]!;
  const spatial = /Pool2d of a grid/.test(name);
  return buildModel(MODULES[name]!, {
    input: reference.inputs.map(({ dtype, dims }, i) => ({
      name: `x${i}`,
      dtype: dtype as DType,
      dims: options.dynamic && !spatial ? dims.map((_, axis) => `d${i}_${axis}`) : dims,
    })),
    output: reference.outputs.map((_, i) => `y${i}`),
    opset: options.opset,
    seed: options.seed,
  });
}

/** The inputs of a case by name. */
export function feedsOf(name: string): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(REFERENCE[name]!.inputs.map((tensor, i) => [`x${i}`, tensor]));
}
