/**
 * @file TensorProto to Tensor and back. The data stay where they are until somebody asks for them.
 * Source: onnx/onnx-ml.proto, TensorProto (which field holds which type, and how sub-byte types are packed).
 */
import { byteLengthOf, DTYPES, type DType, dtypeFromCode, elementCount } from "../tensor/dtype.ts";
import { Tensor, type TensorSource } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";
import { type ExternalData, externalReference } from "./external-data.ts";
import { MAX_ELEMENTS } from "./limits.ts";
import { DATA_LOCATION, type TensorProto } from "./messages.ts";
import { decodeString, encodeString, Reader } from "./wire.ts";

/** Data of a tensor that was read from a file: remembers the message, which is written back as it was. */
export class ProtoSource implements TensorSource {
  readonly proto: TensorProto;
  readonly byteLength: number;
  readonly #fetch: () => Uint8Array;

  constructor(proto: TensorProto, byteLength: number, fetch: () => Uint8Array) {
    this.proto = proto;
    this.byteLength = byteLength;
    this.#fetch = fetch;
  }

  get isExternal(): boolean {
    return this.proto.dataLocation === DATA_LOCATION.external;
  }

  bytes(): Uint8Array {
    return this.#fetch();
  }
}

/**
 * The tensor that a message describes. Sizes are checked here, contents are read later.
 * @throws FormatError where dimensions, type and data do not fit together.
 * @throws UnsupportedError for segments, which nothing writes and no runtime reads.
 */
export function tensorFromProto(proto: TensorProto, external?: ExternalData): Tensor {
  const fail = (problem: string, field: string): FormatError =>
    new FormatError({ area: "onnx", subject: `tensor ${JSON.stringify(proto.name ?? "")}`, problem, field });
  const dtype = dtypeFromCode(proto.dataType);
  if (dtype === undefined) {
    throw fail(`expected a data type of 1 to 28, got ${proto.dataType ?? "none"}`, "TensorProto.data_type");
  }
  if (proto.segment !== undefined) {
    throw new UnsupportedError({
      area: "onnx",
      subject: `tensor ${JSON.stringify(proto.name ?? "")}`,
      problem: "expected a tensor in one piece, got one with segments",
      help: "Export the model again: runtimes do not load segments either.",
    });
  }
  const dims = proto.dims ?? [];
  for (const dim of dims) {
    if (dim < 0) throw fail(`expected dimensions of 0 or more, got [${dims.join(", ")}]`, "TensorProto.dims");
  }
  const count = elementCount(dims);
  if (count > MAX_ELEMENTS) throw fail(`expected at most 2^48 elements, got [${dims.join(", ")}]`, "TensorProto.dims");

  if (dtype === "string") {
    const strings = (proto.stringData ?? []).map(decodeString);
    if (strings.length !== count) {
      throw fail(`expected ${count} strings for [${dims.join(", ")}], got ${strings.length}`, "string_data");
    }
    return new Tensor(dtype, dims, new ProtoSource(proto, 0, () => new Uint8Array(0)), strings);
  }

  const expected = byteLengthOf(dtype, count);
  const shape = `${dtype} [${dims.join(", ")}]`;
  if (proto.dataLocation === DATA_LOCATION.external) {
    const reference = externalReference(proto, expected, external);
    return new Tensor(dtype, dims, new ProtoSource(proto, expected, reference.read));
  }
  const { rawData } = proto;
  if (rawData !== undefined) {
    if (rawData.byteLength !== expected) {
      throw fail(`expected ${expected} bytes for ${shape}, got ${rawData.byteLength}`, "TensorProto.raw_data");
    }
    const fetch = rawData instanceof Uint8Array ? () => rawData : () => rawData.bytes();
    return new Tensor(dtype, dims, new ProtoSource(proto, expected, fetch));
  }
  const typed = typedField(proto, dtype);
  const elements = dtypeIsPacked(dtype) && DTYPES[dtype].bits !== 6 ? expected : count;
  const got = typed.kind === "varints" ? countVarints(typed.payload) : typed.payload.byteLength / typed.width;
  const wanted = typed.kind === "varints" ? elements : expected / typed.width;
  if (got !== wanted) throw fail(`expected ${wanted} values for ${shape}, got ${got}`, typed.field);
  if (typed.kind === "words") return new Tensor(dtype, dims, new ProtoSource(proto, expected, () => typed.payload));
  return new Tensor(
    dtype,
    dims,
    new ProtoSource(proto, expected, () => unpackVarints(typed.payload, dtype, count, expected)),
  );
}

/** The message for a tensor. One that came from a file and is inside it is passed on as it was, with the given name. */
export function tensorToProto(tensor: Tensor, name: string | undefined): TensorProto {
  const { source } = tensor;
  if (source instanceof ProtoSource && !source.isExternal && source.proto.dataType === DTYPES[tensor.dtype].code) {
    const { proto } = source;
    const dims = proto.dims ?? [];
    // A reshaped tensor has the same contents under other dimensions.
    const reshaped = dims.length !== tensor.dims.length || dims.some((dim, axis) => dim !== tensor.dims[axis]);
    if (reshaped) return { ...proto, name, dims: [...tensor.dims] };
    return proto.name === name ? proto : { ...proto, name };
  }
  const kept: TensorProto = source instanceof ProtoSource ? { ...source.proto } : {};
  delete kept.externalData;
  delete kept.dataLocation;
  const base: TensorProto = {
    ...kept,
    ...(tensor.dims.length > 0 ? { dims: [...tensor.dims] } : {}),
    dataType: DTYPES[tensor.dtype].code,
    name,
  };
  if (tensor.dtype === "string") return { ...base, stringData: (tensor.strings ?? []).map(encodeString) };
  return { ...base, rawData: source };
}

function dtypeIsPacked(dtype: DType): boolean {
  return DTYPES[dtype].bits < 8;
}

type TypedField =
  | { readonly kind: "words"; readonly field: string; readonly payload: Uint8Array; readonly width: number }
  | { readonly kind: "varints"; readonly field: string; readonly payload: Uint8Array };

/** Which of the typed fields holds the data of a type. */
function typedField(proto: TensorProto, dtype: DType): TypedField {
  const none = new Uint8Array(0);
  switch (dtype) {
    case "float32":
    case "complex64":
      return { kind: "words", field: "float_data", payload: proto.floatData ?? none, width: 4 };
    case "float64":
    case "complex128":
      return { kind: "words", field: "double_data", payload: proto.doubleData ?? none, width: 8 };
    case "int64":
      return { kind: "varints", field: "int64_data", payload: proto.int64Data ?? none };
    case "uint32":
    case "uint64":
      return { kind: "varints", field: "uint64_data", payload: proto.uint64Data ?? none };
    default:
      return { kind: "varints", field: "int32_data", payload: proto.int32Data ?? none };
  }
}

function countVarints(payload: Uint8Array): number {
  let count = 0;
  for (const byte of payload) if (byte < 0x80) count++;
  return count;
}

/** Packed varints to the layout of raw_data. */
function unpackVarints(payload: Uint8Array, dtype: DType, count: number, byteLength: number): Uint8Array {
  const reader = new Reader(payload);
  const end = payload.byteLength;
  const result = new Uint8Array(byteLength);
  const view = new DataView(result.buffer);
  const { bits } = DTYPES[dtype];
  if (bits === 64) {
    for (let i = 0; i < count; i++) {
      view.setUint32(i * 8, reader.varint(end), true);
      view.setUint32(i * 8 + 4, reader.high, true);
    }
  } else if (bits === 32) for (let i = 0; i < count; i++) view.setUint32(i * 4, reader.varint(end), true);
  else if (bits === 16) for (let i = 0; i < count; i++) view.setUint16(i * 2, reader.varint(end) & 0xffff, true);
  else if (bits === 6) {
    for (let i = 0; i < count; i++) {
      const code = reader.varint(end) & 0x3f;
      const bit = i * 6;
      result[bit >> 3]! |= (code << (bit & 7)) & 0xff;
      if ((bit & 7) > 2) result[(bit >> 3) + 1]! |= code >> (8 - (bit & 7));
    }
  } else for (let i = 0; i < byteLength; i++) result[i] = reader.varint(end) & 0xff; // 8 bits, or packed 4 and 2
  return result;
}
