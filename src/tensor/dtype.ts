/**
 * @file The one table of element types. Numbers are those of `TensorProto.DataType`.
 * Source: onnx/onnx.proto, TensorProto.DataType (ONNX 1.23, IR version 14).
 */

/**
 * One row: `bits` as stored in `raw_data` (0 for strings); `array` is the typed array whose elements hold one value each
 * (or, for sub-byte types, several: 8 / bits); `kind` says how the bits are read.
 */
interface DTypeRow {
  readonly code: number;
  readonly bits: number;
  readonly kind: "float" | "signed" | "unsigned" | "bool" | "string" | "complex";
}

export const DTYPES = {
  float32: { code: 1, bits: 32, kind: "float" },
  uint8: { code: 2, bits: 8, kind: "unsigned" },
  int8: { code: 3, bits: 8, kind: "signed" },
  uint16: { code: 4, bits: 16, kind: "unsigned" },
  int16: { code: 5, bits: 16, kind: "signed" },
  int32: { code: 6, bits: 32, kind: "signed" },
  int64: { code: 7, bits: 64, kind: "signed" },
  string: { code: 8, bits: 0, kind: "string" },
  bool: { code: 9, bits: 8, kind: "bool" },
  float16: { code: 10, bits: 16, kind: "float" },
  float64: { code: 11, bits: 64, kind: "float" },
  uint32: { code: 12, bits: 32, kind: "unsigned" },
  uint64: { code: 13, bits: 64, kind: "unsigned" },
  complex64: { code: 14, bits: 64, kind: "complex" },
  complex128: { code: 15, bits: 128, kind: "complex" },
  bfloat16: { code: 16, bits: 16, kind: "float" },
  float8e4m3fn: { code: 17, bits: 8, kind: "float" },
  float8e4m3fnuz: { code: 18, bits: 8, kind: "float" },
  float8e5m2: { code: 19, bits: 8, kind: "float" },
  float8e5m2fnuz: { code: 20, bits: 8, kind: "float" },
  uint4: { code: 21, bits: 4, kind: "unsigned" },
  int4: { code: 22, bits: 4, kind: "signed" },
  float4e2m1: { code: 23, bits: 4, kind: "float" },
  float8e8m0: { code: 24, bits: 8, kind: "float" },
  uint2: { code: 25, bits: 2, kind: "unsigned" },
  int2: { code: 26, bits: 2, kind: "signed" },
  float6e2m3: { code: 27, bits: 6, kind: "float" },
  float6e3m2: { code: 28, bits: 6, kind: "float" },
} as const satisfies Record<string, DTypeRow>;

export type DType = keyof typeof DTYPES;

const BY_CODE: ReadonlyMap<number, DType> = new Map(
  (Object.entries(DTYPES) as [DType, DTypeRow][]).map(([name, row]) => [row.code, name]),
);

/** The type with this `TensorProto.DataType` number, or undefined where the number is 0 (UNDEFINED) or unknown. */
export function dtypeFromCode(code: number | undefined): DType | undefined {
  return code === undefined ? undefined : BY_CODE.get(code);
}

/** Bytes that `count` elements take in `raw_data`; sub-byte types are packed and rounded up to whole bytes. */
export function byteLengthOf(dtype: DType, count: number): number {
  return Math.ceil((DTYPES[dtype].bits * count) / 8);
}

/** Product of the dimensions: 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  let count = 1;
  for (const dim of dims) count *= dim;
  return count;
}
