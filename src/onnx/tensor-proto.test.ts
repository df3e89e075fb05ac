import { describe, expect, it } from "vitest";
import { scalar, span, varint } from "../../test/oracle.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";
import { decodeTensor } from "./decode.ts";
import { encodeTensor, joinChunks } from "./encode.ts";
import type { TensorProto } from "./messages.ts";
import { tensorFromProto, tensorToProto } from "./tensor-proto.ts";

const tensor = (dtype: DType, count: number, ...contents: readonly (readonly number[])[]): TensorProto =>
  decodeTensor(
    Uint8Array.from([...scalar(1, count), ...scalar(2, DTYPES[dtype].code), ...span(8, "w"), ...contents.flat()]),
  );

const varints = (...values: readonly (number | bigint)[]): number[] => values.flatMap(varint);

/** Field numbers of TensorProto. */
const FIELD = { float: 4, int32: 5, string: 6, int64: 7, raw: 9, double: 10, uint64: 11 } as const;

interface Case {
  readonly dtype: DType;
  readonly count: number;
  readonly raw: readonly number[];
  /** The same elements in the typed field that the specification gives the type. */
  readonly typed: readonly number[];
}

const word = (...bytes: readonly number[]): number[] => [...bytes];
const int32 = (...values: readonly number[]): number[] => span(FIELD.int32, varints(...values));

// Made by hand from onnx.proto: where each type's elements go, and how the small ones are packed.
const CASES: readonly Case[] = [
  {
    dtype: "float32",
    count: 2,
    raw: [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
    typed: span(4, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]),
  },
  { dtype: "float64", count: 1, raw: [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], typed: span(10, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]) },
  { dtype: "complex64", count: 1, raw: [1, 2, 3, 4, 5, 6, 7, 8], typed: span(4, [1, 2, 3, 4, 5, 6, 7, 8]) },
  { dtype: "complex128", count: 1, raw: Array(16).fill(1), typed: span(10, Array(16).fill(1)) },
  { dtype: "uint8", count: 2, raw: [0, 255], typed: int32(0, 255) },
  { dtype: "int8", count: 2, raw: [0x80, 0x7f], typed: int32(-128, 127) },
  { dtype: "uint16", count: 2, raw: [0xff, 0xff, 1, 0], typed: int32(65535, 1) },
  { dtype: "int16", count: 2, raw: [0xff, 0xff, 0, 0x80], typed: int32(-1, -32768) },
  { dtype: "int32", count: 2, raw: [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80], typed: int32(-1, -2147483648) },
  { dtype: "uint32", count: 1, raw: word(0xff, 0xff, 0xff, 0xff), typed: span(11, varints(4294967295)) },
  {
    dtype: "int64",
    count: 2,
    raw: [...Array(8).fill(255), 0, 0, 0, 0, 1, 0, 0, 0],
    typed: span(7, varints(-1, 2n ** 32n)),
  },
  { dtype: "uint64", count: 1, raw: Array(8).fill(255), typed: span(11, varints(2n ** 64n - 1n)) },
  { dtype: "bool", count: 3, raw: [1, 0, 1], typed: int32(1, 0, 1) },
  { dtype: "float16", count: 2, raw: [0x00, 0x3c, 0x00, 0xbc], typed: int32(0x3c00, 0xbc00) },
  { dtype: "bfloat16", count: 1, raw: [0x80, 0x3f], typed: int32(0x3f80) },
  { dtype: "float8e4m3fn", count: 2, raw: [0x38, 0xb8], typed: int32(0x38, 0xb8) },
  { dtype: "float8e4m3fnuz", count: 1, raw: [0x40], typed: int32(0x40) },
  { dtype: "float8e5m2", count: 1, raw: [0x3c], typed: int32(0x3c) },
  { dtype: "float8e5m2fnuz", count: 1, raw: [0x40], typed: int32(0x40) },
  { dtype: "float8e8m0", count: 1, raw: [127], typed: int32(127) },
  { dtype: "int4", count: 3, raw: [0xe1, 0x03], typed: int32(0xe1, 0x03) },
  { dtype: "uint4", count: 2, raw: [0xf1], typed: int32(0xf1) },
  { dtype: "float4e2m1", count: 3, raw: [0x21, 0x03], typed: int32(0x21, 0x03) },
  { dtype: "int2", count: 5, raw: [0b11100100, 0b01], typed: int32(0b11100100, 0b01) },
  { dtype: "uint2", count: 4, raw: [0b11100100], typed: int32(0b11100100) },
  // Six bits: a stream in raw_data, one element per entry in int32_data.
  { dtype: "float6e2m3", count: 5, raw: [0x81, 0x30, 0x10, 0x3f], typed: int32(1, 2, 3, 4, 63) },
  { dtype: "float6e3m2", count: 4, raw: [0xff, 0xff, 0xff], typed: int32(63, 63, 63, 63) },
];

describe.each(CASES)("$dtype", ({ dtype, count, raw, typed }) => {
  it("is read from raw_data and from its typed field alike", () => {
    const fromRaw = tensorFromProto(tensor(dtype, count, span(FIELD.raw, raw)));
    const fromTyped = tensorFromProto(tensor(dtype, count, typed));
    for (const read of [fromRaw, fromTyped]) {
      expect([read.dtype, read.dims, read.byteLength]).toEqual([dtype, [count], raw.length]);
      expect([...read.bytes()]).toEqual(raw);
    }
  });

  it("of a wrong size is refused by name", () => {
    const wrong = [
      tensor(dtype, count, span(FIELD.raw, raw.slice(1))),
      tensor(dtype, count, span(FIELD.raw, [...raw, 0])),
      tensor(dtype, count + 8, typed),
      tensor(dtype, count),
    ];
    for (const proto of wrong) {
      expect(() => tensorFromProto(proto)).toThrow(FormatError);
      expect(() => tensorFromProto(proto)).toThrow(/tensor "w": expected \d+/);
    }
  });

  it("is written as raw_data, or as it was read", () => {
    const proto = tensor(dtype, count, typed);
    const read = tensorFromProto(proto);
    expect(tensorToProto(read, "w")).toBe(proto);
    expect(tensorToProto(read, "v")).toEqual({ ...proto, name: "v" });
    const made = Tensor.deferred(dtype, [count], () => Uint8Array.from(raw));
    const written = decodeTensor(joinChunks(encodeTensor(tensorToProto(made, "w"))));
    expect(written).toEqual(tensor(dtype, count, span(FIELD.raw, raw)));
  });
});

describe("strings", () => {
  const proto = tensor("string", 2, span(FIELD.string, "a"), span(FIELD.string, [0xff, 0x41]));

  it("are read, bad UTF-8 kept", () => {
    const read = tensorFromProto(proto);
    expect(read.strings).toEqual(["a", "\udcffA"]);
    const again = tensorToProto(Tensor.strings([2], read.strings!), "w");
    expect(decodeTensor(joinChunks(encodeTensor(again)))).toEqual(proto);
  });

  it("of a wrong number are refused", () => {
    expect(() => tensorFromProto(tensor("string", 3, span(FIELD.string, "a")))).toThrow(/expected 3 strings.*got 1/);
  });
});

it("every type has a case", () => {
  expect(new Set([...CASES.map(({ dtype }) => dtype), "string"])).toEqual(new Set(Object.keys(DTYPES)));
});

describe("refused", () => {
  it.each([
    ["type 0", { dataType: 0, dims: [1], name: "w" }, /data type of 1 to 28, got 0/],
    ["no type", { dims: [1], name: "w" }, /got none/],
    ["an unknown type", { dataType: 99, name: "w" }, /got 99/],
    ["negative dimensions", { dataType: 1, dims: [-1], name: "w" }, /0 or more/],
    ["too many elements", { dataType: 1, dims: [2 ** 30, 2 ** 30], name: "w" }, /2\^48/],
    ["sizes that overflow", { dataType: 1, dims: Array(100).fill(2 ** 52), name: "w" }, /2\^48/],
  ])("%s", (_, proto, message) => {
    expect(() => tensorFromProto(proto)).toThrow(message);
    expect(() => tensorFromProto(proto)).toThrow(FormatError);
  });

  it("segments", () => {
    expect(() => tensorFromProto({ dataType: 1, dims: [1], segment: {} })).toThrow(UnsupportedError);
  });
});

it("nothing is read or allocated before the contents are asked for", () => {
  const huge: TensorProto = { dataType: 1, dims: [2 ** 40], name: "w", rawData: new Uint8Array(4) };
  expect(() => tensorFromProto(huge)).toThrow(/expected 4398046511104 bytes/);
  expect(tensorFromProto({ dataType: 1, dims: [0, 2 ** 47] }).byteLength).toBe(0);
});
