/**
 * @file Biases of integer kernels: int32 with the product of the scales of activation and weight, so that they are added
 * to the sums as they are. Source: Jacob et al. 2018, section 2.4.
 */
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Candidate } from "./candidates.ts";

/** A constant summand of one number per output channel, and where it is added. */
export interface Bias {
  readonly value: Value;
  /** The node itself, or the Add behind a MatMul. */
  readonly user: Node;
  readonly input: number;
  /** One number per channel, with Gemm's beta applied. */
  readonly values: Float64Array;
}

/**
 * The bias of a candidate; undefined where there is none that an integer kernel takes.
 *
 * A MatMul's is the constant that an Add behind it has. ONNX Runtime fuses the two to a Gemm before it looks for integer
 * kernels (MatMulAddFusion), and a Gemm becomes one only where its bias is quantized as well.
 */
export function findBias({ node, kind, bias }: Candidate, channels: number): Bias | undefined {
  let user = node;
  let input = 2;
  let value = bias;
  if (kind === "matmul") {
    const add = node.output().onlyUser;
    if (add === undefined || !add.is("Add") || add.graph !== node.graph || isBarrier(add)) return undefined;
    user = add;
    input = add.inputs[0] === node.output() ? 1 : 0;
    value = add.inputs[input];
  }
  const tensor = value?.constant;
  if (value === undefined || tensor?.dtype !== "float32" || tensor.size !== channels) return undefined;
  // A column [N, 1] is something else, and more dimensions than the product has are not fused.
  if ((tensor.dims.at(-1) ?? 1) !== channels || tensor.dims.length > 2) return undefined;
  const beta = kind === "gemm" ? node.float("beta", 1) : 1;
  return { value, user, input, values: Float64Array.from(tensor.floats(), (number) => beta * number) };
}

/** Largest code: half of int32, so that adding the products does not overflow. */
const MAX_CODE = 2 ** 30;

/**
 * The smallest scales of the weight's channels with which the bias fits 32 bits; undefined where `scale` fits.
 * A channel whose weights are next to nothing beside its bias needs a larger one. (Such channels come from batch
 * normalizations with a vanishing factor.)
 */
export function leastScales(bias: Bias, xScale: number, scale: Float32Array): Float32Array | undefined {
  if (bias.values.every((value, c) => Math.abs(value) <= MAX_CODE * xScale * scale[c]!)) return undefined;
  return Float32Array.from(bias.values, (value) => Math.abs(value) / (MAX_CODE * xScale));
}

/** The user reads int32 codes through a DequantizeLinear from now on. */
export function replaceBias({ value, user, input, values }: Bias, xScale: number, weightScale: Float32Array): void {
  const graph = user.graph!;
  const { name } = value;
  const channels = values.length;
  const scale = weightScale.map((w) => w * xScale);
  const codes = Int32Array.from(values, (number, c) => Math.round(number / scale[c]!));
  // In front of an Add the dimensions count.
  const dims = user.is("Add") ? value.constant!.dims : [channels];
  const axis = Math.max(dims.length - 1, 0);
  const dequantize = graph.add(
    "DequantizeLinear",
    [
      graph.addInitializer(`${name}_int32`, Tensor.of("int32", dims.length > 0 ? dims : [1], codes)),
      graph.addInitializer(`${name}_scale`, Tensor.float32([channels], scale)),
    ],
    { name: `${name}_dequantize`, before: user, attributes: { axis: { int: axis } } },
  );
  user.setInput(input, dequantize.output());
}
