/**
 * @file NumPy's .npy files, versions 1 to 3: bytes to a tensor and back.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { DTYPES, type DType, elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59); // "\x93NUMPY"

/** NumPy's own limit is 10,000; version 2 headers of structured types, which we refuse, are the only longer ones. */
const MAX_HEADER_BYTES = 65_536;

/** NumPy 2 allows 64 dimensions. */
const MAX_RANK = 64;

/** Element types both sides know, by NumPy's type string without its byte order. */
const NUMERIC = {
  f2: "float16",
  f4: "float32",
  f8: "float64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  b1: "bool",
} as const satisfies Record<string, DType>;

const DESCR = new Map<DType, string>(Object.entries(NUMERIC).map(([descr, dtype]) => [dtype, descr]));

interface Header {
  readonly dtype: DType;
  /** "U" (UCS-4) or "S" (bytes) where dtype is string. */
  readonly text: "U" | "S" | undefined;
  readonly itemBytes: number;
  readonly bigEndian: boolean;
  readonly fortranOrder: boolean;
  readonly dims: readonly number[];
  readonly dataOffset: number;
}

/**
 * Decodes one .npy file. Fortran order becomes C order and big endian little endian; `U` and `S` become string tensors
 * (`S` read as UTF-8). The tensor owns its bytes: `bytes` may be reused.
 * @param name what messages call the file.
 * @throws FormatError for anything that is not a whole .npy file, and for element types no model input has (objects,
 * structures, dates, complex, 128-bit floats).
 */
export function decodeNpy(bytes: Uint8Array, name = "npy"): Tensor {
  const header = readHeader(bytes, name);
  const { dims, dataOffset, itemBytes } = header;
  // An empty product wins over a huge one: (0, 2**53 - 1) is legal and empty.
  const count = dims.includes(0) ? 0 : elementCount(dims);
  const available = bytes.byteLength - dataOffset;
  if (count * itemBytes !== available) {
    throw new FormatError({
      area: "npy",
      subject: name,
      problem: `expected ${count * itemBytes} bytes of data for shape (${dims.join(", ")}), got ${available}`,
      help: count * itemBytes > available ? "The file is cut off." : "Save one array per file.",
      offset: dataOffset,
      field: "data",
    });
  }
  // A copy, which starts where the runtime wants it (multiples of 16 bytes).
  const data = new Uint8Array(available);
  data.set(bytes.subarray(dataOffset));
  const ordered = header.fortranOrder && dims.length > 1 ? toRowMajor(data, dims, itemBytes) : data;
  if (header.text !== undefined) return Tensor.strings(dims, readStrings(ordered, header, count, name));
  if (header.bigEndian) swapBytes(ordered, itemBytes);
  if (header.dtype === "bool") for (let i = 0; i < count; i++) ordered[i] = ordered[i] === 0 ? 0 : 1;
  return new Tensor(header.dtype, dims, { byteLength: available, bytes: () => ordered });
}

function readHeader(bytes: Uint8Array, name: string): Header {
  const fail = (problem: string, offset: number, field: string, help?: string): never => {
    throw new FormatError({ area: "npy", subject: name, problem, help, offset, field });
  };
  if (bytes.byteLength < 10) fail(`expected at least 10 bytes, got ${bytes.byteLength}`, bytes.byteLength, "magic");
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) {
    fail('expected the magic bytes "\\x93NUMPY", got something else', 0, "magic", "Save it with numpy.save.");
  }
  const version = bytes[6]!;
  if (version < 1 || version > 3) fail(`expected version 1, 2 or 3, got ${version}`, 6, "version");
  const start = version === 1 ? 10 : 12;
  if (bytes.byteLength < start) fail(`expected ${start} bytes, got ${bytes.byteLength}`, 8, "header length");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES) fail(`expected at most ${MAX_HEADER_BYTES} bytes, got ${length}`, 8, "header length");
  const dataOffset = start + length;
  if (dataOffset > bytes.byteLength) {
    fail(`expected ${length} bytes, got ${bytes.byteLength - start}`, 8, "header length", "The file is cut off.");
  }
  const text = new TextDecoder().decode(bytes.subarray(start, dataOffset));

  const descr = /'descr'\s*:\s*(?:'([^']*)'|(\[))/.exec(text);
  if (descr === null) return fail("expected a header with 'descr', found none", start, "descr");
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text);
  if (order === null) return fail("expected 'fortran_order' True or False, found neither", start, "fortran_order");
  const shape = /'shape'\s*:\s*\(([^()]*)\)/.exec(text);
  if (shape === null) return fail("expected 'shape' with a tuple, found none", start, "shape");

  const parts = shape[1]!.split(",").map((part) => part.trim());
  if (parts.at(-1) === "") parts.pop(); // the comma of (3,) and of ()
  if (parts.length > MAX_RANK) fail(`expected at most ${MAX_RANK} dimensions, got ${parts.length}`, start, "shape");
  const dims = parts.map((part) => {
    const dim = /^\d+L?$/.test(part) ? Number.parseInt(part, 10) : Number.NaN; // Python 2 wrote 3L
    if (!Number.isSafeInteger(dim)) fail(`expected non-negative integers, got (${shape[1]})`, start, "shape");
    return dim;
  });
  return { ...readDescr(descr[1], fail), fortranOrder: order[1] === "True", dims, dataOffset };
}

function readDescr(
  descr: string | undefined,
  fail: (problem: string, offset: number, field: string, help?: string) => never,
): Pick<Header, "dtype" | "text" | "itemBytes" | "bigEndian"> {
  if (descr === undefined) {
    return fail("expected one element type, got a structured type", 10, "descr", "Save each field as its own array.");
  }
  const match = /^([<>|=]?)([a-zA-Z])(\d*)$/.exec(descr);
  const [, order, kind, size] = match ?? [];
  const bigEndian = order === ">";
  if (kind === "O") {
    const help = "Save a plain array instead: numpy.save(path, numpy.asarray(values, dtype=numpy.float32)).";
    return fail("expected numbers or strings, got pickled Python objects", 10, "descr", help);
  }
  if ((kind === "U" || kind === "S") && size !== undefined && /^[1-9]\d{0,8}$/.test(size)) {
    return { dtype: "string", text: kind, itemBytes: Number(size) * (kind === "U" ? 4 : 1), bigEndian };
  }
  const dtype = NUMERIC[`${kind}${size}` as keyof typeof NUMERIC] as DType | undefined;
  if (dtype === undefined) {
    const help = "Convert it before saving: numpy.save(path, array.astype(numpy.float32)).";
    return fail(`expected one of ${Object.keys(NUMERIC).join(" ")} U S, got '${descr}'`, 10, "descr", help);
  }
  return { dtype, text: undefined, itemBytes: DTYPES[dtype].bits / 8, bigEndian };
}

/** Elements of a column-major array in row-major order. */
function toRowMajor(data: Uint8Array, dims: readonly number[], itemBytes: number): Uint8Array {
  const result = new Uint8Array(data.byteLength);
  const index = dims.map(() => 0);
  const strides: number[] = []; // of the source, in bytes: the first dimension is the densest
  for (let axis = 0, stride = itemBytes; axis < dims.length; stride *= dims[axis++]!) strides.push(stride);
  let from = 0;
  for (let to = 0; to < result.length; to += itemBytes) {
    for (let byte = 0; byte < itemBytes; byte++) result[to + byte] = data[from + byte]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

function swapBytes(data: Uint8Array, itemBytes: number): void {
  if (itemBytes > 1) for (let at = 0; at < data.length; at += itemBytes) data.subarray(at, at + itemBytes).reverse();
}

function readStrings(data: Uint8Array, header: Header, count: number, name: string): string[] {
  const { itemBytes, bigEndian, text, dataOffset } = header;
  const utf8 = new TextDecoder();
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const strings: string[] = [];
  for (let i = 0; i < count; i++) {
    const start = i * itemBytes;
    if (text === "S") {
      let end = start + itemBytes;
      while (end > start && data[end - 1] === 0) end--;
      strings.push(utf8.decode(data.subarray(start, end)));
      continue;
    }
    let value = "";
    for (let at = start; at < start + itemBytes; at += 4) {
      const point = view.getUint32(at, !bigEndian);
      if (point > 0x10ffff) {
        const problem = `expected a Unicode code point, got ${point}`;
        throw new FormatError({ area: "npy", subject: name, problem, offset: dataOffset + at, field: "data" });
      }
      value += String.fromCodePoint(point);
    }
    strings.push(value.replace(/\0+$/, "")); // NumPy pads with zeros and drops them when reading
  }
  return strings;
}

/**
 * Encodes a tensor as .npy: little endian, C order, version 1. Strings become `U`.
 * @throws UnsupportedError for element types that NumPy has not (bfloat16, 8-bit and 4-bit types) and for complex.
 */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const kind = DESCR.get(tensor.dtype);
  const [descr, data] = kind ? [`${kind.endsWith("1") ? "|" : "<"}${kind}`, tensor.bytes()] : encodeStrings(tensor);
  const dims = tensor.dims.length === 1 ? `${tensor.dims[0]},` : tensor.dims.join(", ");
  const fields = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  // Padded so that the data start at a multiple of 64 bytes; the line end is the last byte of the header.
  const dataOffset = Math.ceil((10 + fields.length + 1) / 64) * 64;
  const result = new Uint8Array(dataOffset + data.byteLength).fill(0x20, 0, dataOffset);
  result.set(MAGIC);
  result[6] = 1;
  result[7] = 0;
  new DataView(result.buffer).setUint16(8, dataOffset - 10, true);
  result.set(new TextEncoder().encode(fields), 10);
  result[dataOffset - 1] = 0x0a;
  result.set(data, dataOffset);
  return result;
}

function encodeStrings(tensor: Tensor): [string, Uint8Array] {
  if (tensor.strings === undefined) {
    throw new UnsupportedError({
      area: "npy",
      subject: String(tensor),
      problem: `expected an element type that NumPy has, got ${tensor.dtype}`,
      help: "Convert the tensor to float32 or an integer type first.",
    });
  }
  const points = tensor.strings.map((text) => Array.from(text, (character) => character.codePointAt(0)!));
  const width = points.reduce((longest, item) => Math.max(longest, item.length), 1);
  const data = new Uint8Array(points.length * width * 4);
  const view = new DataView(data.buffer);
  points.forEach((item, i) => {
    item.forEach((point, j) => {
      view.setUint32((i * width + j) * 4, point, true);
    });
  });
  return [`<U${width}`, data];
}
