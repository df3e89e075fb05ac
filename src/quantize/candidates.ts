/**
 * @file The nodes that integer kernels could compute: Conv, MatMul and Gemm with a constant weight, and why not others.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { isDepthwise } from "../graph/ops/weights.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import type { SpeedFact } from "../runtime/speed.ts";
import { slowerOn, type TargetName } from "../runtime/targets.ts";
import { leftOut } from "../step/choice.ts";
import type { LeftAlone } from "../step/step.ts";
import { elementCount } from "../tensor/dtype.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";
import { UnsupportedError } from "../util/errors.ts";
import type { CommonOptions } from "./options.ts";

export type CandidateKind = "conv" | "conv-depthwise" | "matmul" | "gemm";

/** A node with a float weight that integer kernels could compute. */
export interface Candidate {
  readonly node: Node;
  readonly kind: CandidateKind;
  /** The left operand: activations. */
  readonly x: Value;
  readonly weight: Value;
  /** Constant bias of Conv; C of Gemm, constant or not. */
  readonly bias: Value | undefined;
  /** Axis of the output channels in the weight. */
  readonly axis: number;
}

const OPS: ReadonlySet<string> = new Set(["Conv", "MatMul", "Gemm", "ConvTranspose", "LSTM", "GRU", "RNN"]);

export interface Candidates {
  readonly found: readonly Candidate[];
  readonly leftAlone: readonly LeftAlone[];
}

/** All candidates of all graphs, in order. */
export function findCandidates(model: Model, options: CommonOptions): Candidates {
  const found: Candidate[] = [];
  const leftAlone: LeftAlone[] = [];
  for (const node of model.allNodes()) {
    if (node.domain !== "" || !OPS.has(node.opType)) continue;
    const candidate = leftOut(node, options) ?? asCandidate(node, options);
    if (typeof candidate === "string") leftAlone.push({ subject: node.label, opType: node.opType, reason: candidate });
    else found.push(candidate);
  }
  return { found, leftAlone };
}

function asCandidate(node: Node, options: CommonOptions): Candidate | string {
  if (isBarrier(node)) return "it belongs to a parametrization";
  const kind = KINDS[node.opType]?.(node);
  if (kind === undefined) return `no runtime here has an integer kernel for ${node.opType}`;
  const [x, weight, bias] = node.inputs;
  const tensor = weight?.constant;
  if (x === undefined || weight === undefined || tensor === undefined) return "both operands are activations";
  if (x.isConstant) return "its left operand is the constant one";
  if (tensor.dtype !== "float32") {
    return isFloatingPoint(tensor.dtype)
      ? `its weight is ${tensor.dtype}, not float32`
      : `its weight is ${tensor.dtype}`;
  }
  if (tensor.size < options.minElements) {
    return `its weight has ${tensor.size} elements, fewer than ${options.minElements}`;
  }
  const matrix = kind === "matmul" || kind === "gemm";
  if (matrix && tensor.dims.length !== 2) return `its weight has ${tensor.dims.length} dimensions, not 2`;
  if (node.int("transA", 0) !== 0) return "its left operand is transposed";
  if (kind === "conv" || kind === "conv-depthwise") {
    if (bias !== undefined && bias.constant === undefined) return "its bias is not constant";
  }
  const axis = matrix ? (node.int("transB", 0) !== 0 ? 0 : 1) : 0;
  return { node, kind, x, weight, bias, axis };
}

const KINDS: Readonly<Record<string, (node: Node) => CandidateKind>> = {
  Conv: (node) => (isDepthwise(node) ? "conv-depthwise" : "conv"),
  MatMul: () => "matmul",
  Gemm: () => "gemm",
};

/** Speed patterns of a candidate under a scheme. */
const PATTERNS: Readonly<Record<"dynamic" | "static", Readonly<Record<CandidateKind, SpeedFact["pattern"]>>>> = {
  dynamic: {
    conv: "dynamic-conv",
    "conv-depthwise": "dynamic-conv-depthwise",
    matmul: "dynamic-matmul",
    gemm: "dynamic-matmul",
  },
  static: {
    conv: "static-conv",
    "conv-depthwise": "static-conv-depthwise",
    matmul: "static-matmul",
    gemm: "static-matmul",
  },
};

/** Why a candidate should stay in float on one of the targets, or undefined. */
export function slowReason(
  candidate: Candidate,
  scheme: "dynamic" | "static",
  targets: readonly TargetName[],
  shapes: ReadonlyMap<Value, readonly number[]> | undefined,
): string | undefined {
  const size = sizeOf(candidate, shapes);
  for (const target of targets) {
    if (target === "web-webgpu") {
      return "web-webgpu has no integer kernels: it would run on the CPU, with copies in between";
    }
    const reason = slowerOn(target, PATTERNS[scheme][candidate.kind], size);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** What the speed of a candidate depends on: see {@link SpeedFact}. Undefined where it is not known. */
function sizeOf(
  { kind, x, weight }: Candidate,
  shapes: ReadonlyMap<Value, readonly number[]> | undefined,
): number | undefined {
  // W [O, I/g, kH, kW]: products per output element
  if (kind === "conv" || kind === "conv-depthwise") return elementCount(weight.initializer!.dims.slice(1));
  const shape = shapes?.get(x);
  // M: all dimensions of the left operand but the last.
  return shape === undefined ? undefined : elementCount(shape.slice(0, -1));
}

/** Operators that show that somebody quantized the model before. */
const QUANTIZED: ReadonlySet<string> = new Set([
  "QuantizeLinear",
  "DequantizeLinear",
  "DynamicQuantizeLinear",
  "MatMulInteger",
  "ConvInteger",
  "QLinearConv",
  "QLinearMatMul",
  "QLinearAdd",
  "QGemm",
  "QAttention",
  "MatMulNBits",
  "GatherBlockQuantized",
  "DynamicQuantizeMatMul",
  "DynamicQuantizeLSTM",
]);

/** The first node that quantizes, or undefined. */
export function findQuantized(model: Model): Node | undefined {
  for (const node of model.allNodes()) if (QUANTIZED.has(node.opType) && !isBarrier(node)) return node;
  return undefined;
}

/** @throws UnsupportedError where the model is quantized already: twice would only add error. */
export function refuseQuantized(model: Model): void {
  const node = findQuantized(model);
  if (node === undefined) return;
  throw new UnsupportedError({
    area: "quantize",
    subject: `node "${node.label}" (${node.opType})`,
    problem: "expected a model in float, got one that is quantized already",
    help: "Give the original. `tersor doctor` finds it in a folder.",
  });
}
