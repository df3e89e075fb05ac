/**
 * @file Where Q/DQ go, per target. One row for an operator that a target computes on integers; what is not named stays in
 * float: Softmax, LayerNormalization and everything transcendental lose most in 8 bits and cost least in float.
 *
 * Sources: ONNX Runtime 1.30, `core/optimizer/qdq_transformer` (which nodes it fuses to integer kernels, tried for each row
 * on both runtimes); TensorRT Developer Guide, "Working with Quantized Types" (explicit quantization); OpenVINO, "Low
 * Precision Transformations".
 */
import type { Node } from "../../graph/node.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { OpPlacement, Placement } from "./placement.ts";

const compute: OpPlacement = { role: "compute" };
const pass: OpPlacement = { role: "pass" };
const unary: OpPlacement = { role: "unary" };

/** Interpolated elements are no codes of the input: only nearest neighbours pass. */
function nearest(node: Node): true | string {
  return node.string("mode", "nearest") === "nearest" || "it interpolates";
}

/** An integer kernel pads with its own zero: any other value would need the code of it. */
function padsZero(node: Node): true | string {
  const value = node.inputs[2];
  if (node.string("mode", "constant") !== "constant" || value === undefined) return true;
  return value.constant?.numbers()[0] === 0 || "it pads with something else than zero";
}

/** Indices of maxima are a second output, which has no integer form. */
function oneOutput(node: Node): true | string {
  return node.outputs.length === 1 || "its second output is wanted";
}

/** What ONNX Runtime's CPU provider runs on 8-bit codes, natively and in WASM. */
const ONNXRUNTIME: Placement["ops"] = {
  Conv: compute,
  Gemm: compute,
  MatMul: compute,
  Add: { role: "binary", pattern: "static-add" },
  Mul: { role: "binary", pattern: "static-mul" },
  AveragePool: { role: "unary", pattern: "static-average-pool" },
  GlobalAveragePool: { role: "unary", pattern: "static-average-pool" },
  MaxPool: { role: "pass", pattern: "static-max-pool", check: oneOutput },
  Concat: { role: "join", pattern: "static-concat" },
  Flatten: pass,
  Reshape: pass,
  Squeeze: pass,
  Transpose: pass,
  Unsqueeze: pass,
};

const onnxruntime = {
  activations: { dtype: "uint8", symmetric: false },
  activationTypes: ["uint8", "int8", "uint16", "int16"],
  weightTypes: ["int8", "uint8", "int4"],
  outputs: true,
  bias: "int32",
} as const;

export const PLACEMENTS = {
  "node-cpu": {
    ...onnxruntime,
    name: "node-cpu",
    summary: "onnxruntime-node: uint8 activations, int8 weights per channel, int32 biases",
    ops: ONNXRUNTIME,
  },
  "web-wasm": {
    ...onnxruntime,
    name: "web-wasm",
    summary: "onnxruntime-web in WASM: as node-cpu",
    ops: ONNXRUNTIME,
  },
  "web-webgpu": {
    ...onnxruntime,
    name: "web-webgpu",
    summary: "weights only: WebGPU has no integer kernels",
    ops: {},
  },
  generic: {
    ...onnxruntime,
    name: "generic",
    summary: "every operator that has an integer form, for runtimes that are not listed",
    ops: {
      ...ONNXRUNTIME,
      DepthToSpace: pass,
      Expand: pass,
      Gather: pass,
      GlobalMaxPool: pass,
      LeakyRelu: unary,
      Pad: { role: "pass", check: padsZero },
      Resize: { role: "pass", check: nearest },
      Sigmoid: unary,
      Slice: pass,
      SpaceToDepth: pass,
      Split: pass,
      Tile: pass,
    },
  },
  tensorrt: {
    name: "tensorrt",
    summary: "int8 with zero points of 0, pairs in front of what is computed on integers, biases in float",
    activations: { dtype: "int8", symmetric: true },
    activationTypes: ["int8"],
    weightTypes: ["int8"],
    outputs: false,
    bias: "float",
    ops: { Conv: compute, Gemm: compute, MatMul: compute, Add: { role: "binary" }, AveragePool: unary },
  },
  openvino: {
    name: "openvino",
    summary: "uint8 activations, int8 weights per channel, biases in float",
    activations: { dtype: "uint8", symmetric: false },
    activationTypes: ["uint8", "int8"],
    weightTypes: ["int8"],
    outputs: false,
    bias: "float",
    ops: {
      Conv: compute,
      Gemm: compute,
      MatMul: compute,
      Add: { role: "binary" },
      AveragePool: unary,
      Concat: { role: "join" },
      MaxPool: { role: "pass", check: oneOutput },
    },
  },
} as const satisfies Readonly<Record<TargetName | "generic", Placement>>;

export type PlacementName = keyof typeof PLACEMENTS;

export const PLACEMENT_NAMES = Object.keys(PLACEMENTS) as PlacementName[];
