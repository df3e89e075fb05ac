/**
 * @file Tensor contents of the textual syntax: literals to raw bytes and back, and type names.
 */
import { byteLengthOf, DTYPES, type DType, elementCount } from "../tensor/dtype.ts";
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from "../tensor/float16.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { type Literal, literalNumber, type Scanner } from "./text-scanner.ts";

/** The syntax has C's names for two types; all others are ours. */
export function dtypeFromText(name: string): DType | undefined {
  if (name === "float") return "float32";
  if (name === "double") return "float64";
  if (name === "float32" || name === "float64") return undefined;
  return Object.hasOwn(DTYPES, name) ? (name as DType) : undefined;
}

export function dtypeToText(dtype: DType): string {
  return dtype === "float32" ? "float" : dtype === "float64" ? "double" : dtype;
}

/** Standard deviation of `random(seed)`. */
const RANDOM_SCALE = 0.1;

/** Contents of `random(seed)`: normal with standard deviation 0.1, the same on every platform. */
export function randomBytes(dtype: DType, count: number, seed: number): Uint8Array | undefined {
  const random = createRandom(seed);
  const values = Array.from({ length: count }, () => random.normal() * RANDOM_SCALE);
  return floatBytes(dtype, values);
}

/** Values as bytes of a float type that has a conversion; undefined for all other types. */
function floatBytes(dtype: DType, values: readonly number[]): Uint8Array | undefined {
  const width = DTYPES[dtype].bits / 8;
  const put: ((view: DataView, at: number, value: number) => void) | undefined = {
    float32: (view: DataView, at: number, value: number) => view.setFloat32(at, value, true),
    float64: (view: DataView, at: number, value: number) => view.setFloat64(at, value, true),
    float16: (view: DataView, at: number, value: number) => view.setUint16(at, numberToFloat16(value), true),
    bfloat16: (view: DataView, at: number, value: number) => view.setUint16(at, numberToBfloat16(value), true),
  }[dtype as string];
  if (put === undefined) return undefined;
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    put(view, i * width, value);
  });
  return bytes;
}

/**
 * Literals as `raw_data`. As in ONNX's own parser, whole numbers in a 16-bit float tensor are bit patterns; written
 * with a point (`1.0`) they are values, which is our addition. Smaller floats are bit patterns only.
 */
export function literalBytes(scanner: Scanner, dtype: DType, literals: readonly Literal[]): Uint8Array {
  const { bits, kind } = DTYPES[dtype];
  const wrong = literals.find((literal) => literal.kind === "string");
  if (wrong !== undefined) throw scanner.fail(`a number for ${dtypeToText(dtype)}`, wrong.at);
  if (kind === "complex") return floatBytes(bits === 64 ? "float32" : "float64", literals.map(literalNumber))!;
  const isHalf = dtype === "float16" || dtype === "bfloat16";
  const floats = literals.filter((literal) => literal.kind === "float");
  if (kind === "float" && (bits >= 32 || (isHalf && floats.length > 0))) {
    const bitPattern = isHalf ? literals.find((literal) => literal.kind === "int") : undefined;
    if (bitPattern !== undefined) {
      throw scanner.problem(
        `expected either bit patterns (whole numbers) or values (with a point) in one ${dtype} tensor, got both`,
        bitPattern.at,
      );
    }
    return floatBytes(dtype, literals.map(literalNumber))!;
  }
  if (floats.length > 0) {
    const as = kind === "float" ? "the bit pattern as a whole number" : "a whole number";
    throw scanner.fail(`${as} for ${dtype}`, floats[0]!.at);
  }
  const size = BigInt(bits);
  const low = kind === "signed" ? -(1n << (size - 1n)) : 0n;
  const high = kind === "bool" ? 1n : kind === "signed" ? (1n << (size - 1n)) - 1n : (1n << size) - 1n;
  const codes = literals.map(({ text, at }) => {
    const value = BigInt(text);
    if (value < low || value > high) throw scanner.fail(`${low} to ${high} for ${dtype}`, at);
    return BigInt.asUintN(bits, value);
  });
  return packBits(bits, codes);
}

/** Bits of each code one after another, from the low bits of each byte up. */
function packBits(bits: number, codes: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((bits * codes.length) / 8));
  codes.forEach((code, i) => {
    for (let bit = 0; bit < bits; bit += 1) {
      if ((code >> BigInt(bit)) & 1n) bytes[(i * bits + bit) >> 3]! |= 1 << ((i * bits + bit) & 7);
    }
  });
  return bytes;
}

/** How many literals a tensor takes: complex numbers are two each. */
export function literalCount(dtype: DType, dims: readonly number[]): number {
  return elementCount(dims) * (DTYPES[dtype].kind === "complex" ? 2 : 1);
}

/** The elements of a tensor as {@link literalBytes} reads them. */
export function tensorLiterals(tensor: Tensor): string[] {
  if (tensor.strings !== undefined) return tensor.strings.map(quote);
  const { dtype, size } = tensor;
  const bytes = tensor.bytes().slice(0, byteLengthOf(dtype, size));
  const view = new DataView(bytes.buffer);
  const { bits, kind } = DTYPES[dtype];
  const count = literalCount(dtype, tensor.dims);
  const list = (item: (i: number) => string): string[] => Array.from({ length: count }, (_, i) => item(i));
  switch (dtype) {
    case "float32":
    case "complex64":
      return list((i) => floatText(view.getFloat32(i * 4, true)));
    case "float64":
    case "complex128":
      return list((i) => pointed(view.getFloat64(i * 8, true)));
    case "float16":
      return list((i) => pointed(float16ToNumber(view.getUint16(i * 2, true))));
    case "bfloat16":
      return list((i) => pointed(bfloat16ToNumber(view.getUint16(i * 2, true))));
    default:
      return list((i) => {
        let code = 0n;
        for (let bit = bits - 1; bit >= 0; bit--) {
          const at = i * bits + bit;
          code = (code << 1n) | BigInt((bytes[at >> 3]! >> (at & 7)) & 1);
        }
        return String(kind === "signed" ? BigInt.asIntN(bits, code) : code);
      });
  }
}

/** The shortest decimal that reads back as the same binary32, always with a point or an exponent. */
export function floatText(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return pointed(short);
  }
  return pointed(Number(value.toPrecision(9)));
}

function pointed(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}
