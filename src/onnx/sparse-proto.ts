/**
 * @file SparseTensorProto to an ordinary tensor and back: non-zero elements and their positions (COO).
 * Source: onnx/onnx-ml.proto, SparseTensorProto; the checks are those of onnx/checker.cc, check_sparse_tensor.
 */
import { byteLengthOf, DTYPES, type DType, elementCount } from "../tensor/dtype.ts";
import { Tensor, type TensorSource } from "../tensor/tensor.ts";
import { FormatError } from "../util/errors.ts";
import { chunksLength, encodeSparseTensor } from "./encode.ts";
import type { ExternalData } from "./external-data.ts";
import { MAX_SPARSE_DENSE_BYTES } from "./limits.ts";
import type { SparseTensorProto } from "./messages.ts";
import { tensorFromProto, tensorToProto } from "./tensor-proto.ts";
import { varintLength } from "./wire.ts";

/**
 * Data of a tensor that is stored as its non-zero elements: remembers the message, which is written back as it was. The
 * dense bytes are made anew at every call.
 */
export class SparseSource implements TensorSource {
  readonly proto: SparseTensorProto;
  /** `[NNZ]`; their own message may lie in another file. */
  readonly values: Tensor;
  /** `[NNZ]` or `[NNZ, rank]`; undefined where there are no values. */
  readonly indices: Tensor | undefined;
  readonly byteLength: number;
  readonly #fetch: () => Uint8Array;

  constructor(parts: Pick<SparseSource, "proto" | "values" | "indices">, byteLength: number, fetch: () => Uint8Array) {
    this.proto = parts.proto;
    this.values = parts.values;
    this.indices = parts.indices;
    this.byteLength = byteLength;
    this.#fetch = fetch;
  }

  bytes(): Uint8Array {
    return this.#fetch();
  }
}

/** Whether a tensor goes out in the sparse form. */
export function isStoredSparse(tensor: Tensor): boolean {
  return tensor.source instanceof SparseSource;
}

/** Bytes that a tensor takes in a file: those of its sparse form where it has one, else of its elements. */
export function storedByteLength(tensor: Tensor): number {
  if (!isStoredSparse(tensor)) return tensor.byteLength;
  return chunksLength(encodeSparseTensor(tensorToSparseProto(tensor, undefined)));
}

/**
 * The dense tensor that a sparse one stands for. Positions are checked here, contents are read later.
 * @throws FormatError where values, positions and dimensions do not fit together, positions are not sorted, come twice
 * or lie outside, or the dense form would be too large to exist.
 */
export function tensorFromSparseProto(proto: SparseTensorProto, external?: ExternalData): Tensor {
  const fail = failureOf(proto);
  if (proto.values === undefined) throw fail("expected values, got none", "values");
  const values = tensorFromProto(proto.values, external);
  if (values.dims.length !== 1) throw fail(`expected values in one dimension, got ${shape(values.dims)}`, "values");
  const dims = proto.dims ?? [];
  if (dims.length === 0) throw fail("expected at least one dimension, got none", "dims");
  if (dims.some((dim) => dim <= 0)) throw fail(`expected dimensions of 1 or more, got ${shape(dims)}`, "dims");
  const { dtype } = values;
  const byteLength = dtype === "string" ? elementCount(dims) : byteLengthOf(dtype, elementCount(dims));
  if (byteLength > MAX_SPARSE_DENSE_BYTES) {
    throw fail(`expected at most ${MAX_SPARSE_DENSE_BYTES} bytes when dense, got ${dtype} ${shape(dims)}`, "dims");
  }
  const indices = proto.indices === undefined ? undefined : tensorFromProto(proto.indices, external);
  const positions = (): Float64Array => readPositions(indices, dims, values.size, fail);
  const found = positions();
  const parts = { proto, values, indices };
  if (dtype === "string") {
    const strings = new Array<string>(elementCount(dims)).fill("");
    found.forEach((position, i) => {
      strings[position] = values.strings![i]!;
    });
    return new Tensor(dtype, dims, new SparseSource(parts, 0, () => new Uint8Array(0)), strings);
  }
  const fetch = (): Uint8Array => scatter(values.bytes(), positions(), DTYPES[dtype].bits, byteLength);
  return new Tensor(dtype, dims, new SparseSource(parts, byteLength, fetch));
}

type Fail = (problem: string, field: "values" | "indices" | "dims") => FormatError;

function failureOf(proto: SparseTensorProto): Fail {
  const subject = `sparse tensor ${JSON.stringify(proto.values?.name ?? "")}`;
  return (problem, field) =>
    new FormatError({
      area: "onnx",
      subject,
      problem,
      field: `SparseTensorProto.${field}`,
      help: "The tool that wrote it is wrong: a sparse tensor has INT64 positions in rising order, each once.",
    });
}

function shape(dims: readonly number[]): string {
  return `[${dims.join(", ")}]`;
}

/** Positions in row-major order, from either form: linear `[NNZ]`, or one coordinate per dimension `[NNZ, rank]`. */
function readPositions(indices: Tensor | undefined, dims: readonly number[], count: number, fail: Fail): Float64Array {
  const positions = new Float64Array(count);
  if (indices === undefined) {
    if (count > 0) throw fail(`expected positions of ${count} values, got none`, "indices");
    return positions;
  }
  if (indices.dtype !== "int64") throw fail(`expected int64, got ${indices.dtype}`, "indices");
  const rank = dims.length;
  const linear = indices.dims.length === 1;
  const fits = indices.dims[0] === count && (linear || (indices.dims.length === 2 && indices.dims[1] === rank));
  if (!fits) throw fail(`expected [${count}] or [${count}, ${rank}], got ${shape(indices.dims)}`, "indices");
  const bytes = indices.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const limits = linear ? [elementCount(dims)] : dims;
  let before = -1;
  for (let i = 0; i < count; i++) {
    let position = 0;
    for (let axis = 0; axis < limits.length; axis++) {
      const at = (i * limits.length + axis) * 8;
      const index = view.getUint32(at, true) + view.getInt32(at + 4, true) * 2 ** 32;
      const limit = limits[axis]!;
      if (index < 0 || index >= limit) {
        const where = linear ? "" : ` on axis ${axis}`;
        throw fail(`expected position ${i}${where} within 0 to ${limit - 1}, got ${index}`, "indices");
      }
      position = position * limit + index;
    }
    // Row-major order of coordinates is the order of linear positions.
    if (position <= before) {
      const how = position === before ? "the same as the one before" : "one before it";
      throw fail(`expected rising positions, got for value ${i} ${how}`, "indices");
    }
    positions[i] = position;
    before = position;
  }
  return positions;
}

/** Elements to their places among zeros. */
function scatter(values: Uint8Array, positions: Float64Array, bits: number, byteLength: number): Uint8Array {
  const dense = new Uint8Array(byteLength);
  if (bits % 8 === 0) {
    const width = bits / 8;
    for (let i = 0; i < positions.length; i++) {
      const to = positions[i]! * width;
      for (let byte = 0; byte < width; byte++) dense[to + byte] = values[i * width + byte]!;
    }
    return dense;
  }
  // Sub-byte types are packed from the low bits up.
  for (let i = 0; i < positions.length; i++) {
    for (let bit = 0; bit < bits; bit++) {
      const from = i * bits + bit;
      const to = positions[i]! * bits + bit;
      if (((values[from >> 3]! >> (from & 7)) & 1) === 1) dense[Math.floor(to / 8)]! |= 1 << (to % 8);
    }
  }
  return dense;
}

/** Types in which a set sign bit alone is zero, too: a mask that multiplies leaves such zeros behind. */
const SIGNED_ZERO: ReadonlySet<DType> = new Set(["float16", "bfloat16", "float32", "float64"]);

/**
 * Where elements are not zero, in row-major order. −0 counts as zero, whatever made it.
 * @returns undefined for types whose elements are not whole bytes.
 */
export function nonZeroPositions(tensor: Tensor): Uint32Array | undefined {
  const { bits } = DTYPES[tensor.dtype];
  if (tensor.dtype === "string" || bits % 8 !== 0) return undefined;
  const width = bits / 8;
  const bytes = tensor.bytes();
  const signed = SIGNED_ZERO.has(tensor.dtype);
  const positions = new Uint32Array(tensor.size);
  let count = 0;
  for (let i = 0; i < positions.length; i++) {
    const last = i * width + width - 1;
    let any = signed ? bytes[last]! & 0x7f : bytes[last]!;
    for (let at = i * width; at < last; at++) any |= bytes[at]!;
    if (any !== 0) positions[count++] = i;
  }
  return positions.slice(0, count);
}

/**
 * The same tensor in the sparse form: values, and linear positions as varints, which takes 1 to 4 bytes each where
 * `raw_data` takes 8. −0 becomes 0.
 * @returns undefined for types whose elements are not whole bytes, and for scalars, which have no sparse form.
 */
export function toSparse(tensor: Tensor): Tensor | undefined {
  if (tensor.dims.length === 0 || tensor.size === 0) return undefined;
  const positions = nonZeroPositions(tensor);
  if (positions === undefined) return undefined;
  const { dtype, dims } = tensor;
  const width = DTYPES[dtype].bits / 8;
  const bytes = tensor.bytes();
  const rawData = new Uint8Array(positions.length * width);
  positions.forEach((position, i) => {
    for (let byte = 0; byte < width; byte++) rawData[i * width + byte] = bytes[position * width + byte]!;
  });
  return tensorFromSparseProto({
    values: { dims: [positions.length], dataType: DTYPES[dtype].code, rawData },
    indices: { dims: [positions.length], dataType: DTYPES.int64.code, int64Data: packVarints(positions) },
    dims: [...dims],
  });
}

/** The same tensor in the ordinary form. */
export function toDense(tensor: Tensor): Tensor {
  if (!isStoredSparse(tensor)) return tensor;
  if (tensor.strings !== undefined) return Tensor.strings(tensor.dims, tensor.strings);
  return Tensor.deferred(tensor.dtype, tensor.dims, () => tensor.bytes());
}

/** Whole numbers as protobuf packs them. */
function packVarints(numbers: Uint32Array): Uint8Array {
  const packed = new Uint8Array(numbers.reduce((sum, value) => sum + varintLength(value), 0));
  let at = 0;
  for (const number of numbers) {
    let rest = number;
    for (; rest >= 0x80; rest >>>= 7) packed[at++] = (rest & 0x7f) | 0x80;
    packed[at++] = rest;
  }
  return packed;
}

/** The message for a tensor that is stored sparse: as it came from a file, with the given name and all within it. */
export function tensorToSparseProto(tensor: Tensor, name: string | undefined): SparseTensorProto {
  const { proto, values, indices } = tensor.source as SparseSource;
  const dims = proto.dims ?? [];
  const reshaped = dims.length !== tensor.dims.length || dims.some((dim, axis) => dim !== tensor.dims[axis]);
  // Coordinates are of the dimensions that they were written for.
  if (reshaped) return tensorToSparseProto(toSparse(toDense(tensor))!, name);
  return {
    ...proto,
    values: tensorToProto(values, name),
    ...(indices && { indices: tensorToProto(indices, proto.indices?.name) }),
  };
}
