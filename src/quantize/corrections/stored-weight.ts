/**
 * @file The floats that a node of a quantized model reads as its weight or bias: an initializer, or codes behind
 * DequantizeLinear (a scale for all or along an axis) or behind Cast and Mul, as weight-int8 stores them.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { groupView } from "../granularity.ts";

/** Undefined where the value is no constant of one of these forms. */
export function storedFloats(value: Value): Float32Array | undefined {
  const tensor = value.constant;
  if (tensor !== undefined) return tensor.dtype === "float32" ? tensor.floats() : undefined;
  const dequantize = dequantizeOf(value);
  if (dequantize !== undefined) return dequantized(dequantize);
  return value.producer?.is("Mul") ? unpacked(value.producer) : undefined;
}

/** The DequantizeLinear that makes a value, of ONNX's own domain or of ONNX Runtime's (16-bit codes before opset 21). */
export function dequantizeOf({ producer }: Value): Node | undefined {
  return producer?.opType === "DequantizeLinear" && ["", "com.microsoft"].includes(producer.domain)
    ? producer
    : undefined;
}

function dequantized(node: Node): Float32Array | undefined {
  const [codes, scale, zeroPoint] = node.inputs.map((value) => value?.constant);
  if (codes === undefined || scale === undefined || node.int("block_size", 0) !== 0) return undefined;
  if (node.inputs[2] !== undefined && zeroPoint === undefined) return undefined;
  const scales = scale.floats();
  const zeros = zeroPoint === undefined ? undefined : codesOf(zeroPoint);
  const { outer, length, inner } = groupView(
    codes.dims,
    scales.length === 1 ? { kind: "per-tensor" } : { kind: "per-axis", axis: node.int("axis", 1) },
  );
  const numbers = codesOf(codes);
  const one = scales.length === 1;
  if (!one && scales.length !== length) return undefined;
  const result = new Float32Array(numbers.length);
  let i = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < length; c++) {
      const s = scales[one ? 0 : c]!;
      const zero = zeros?.[one ? 0 : c] ?? 0;
      for (let k = 0; k < inner; k++, i++) result[i] = (numbers[i]! - zero) * s;
    }
  }
  return result;
}

/** Mul(Cast(codes), scale): the scale has as many dimensions, 1 everywhere but on one axis, or is one number. */
function unpacked(node: Node): Float32Array | undefined {
  const [cast, scale] = node.inputs;
  const codes = cast?.producer?.is("Cast") ? cast.producer.input(0).constant : undefined;
  const factors = scale?.constant;
  if (codes === undefined || factors?.dtype !== "float32") return undefined;
  const scales = factors.floats();
  const axis = factors.dims.findIndex((dim) => dim > 1);
  const numbers = codesOf(codes);
  if (axis < 0) return Float32Array.from(numbers, (code) => code * scales[0]!);
  if (factors.dims.length !== codes.dims.length || scales.length !== codes.dims[axis]) return undefined;
  const inner = codes.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  return Float32Array.from(numbers, (code, i) => code * scales[Math.floor(i / inner) % scales.length]!);
}

/** Integer codes of a tensor; 4-bit ones come two to a byte, the low half first. */
function codesOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype !== "int4" && tensor.dtype !== "uint4") return tensor.data() as ArrayLike<number> & Int8Array;
  const bytes = tensor.bytes();
  return Int8Array.from({ length: tensor.size }, (_, i) => {
    const code = (bytes[i >> 1]! >> (i % 2 === 0 ? 0 : 4)) & 15;
    return tensor.dtype === "int4" && code > 7 ? code - 16 : code;
  });
}
