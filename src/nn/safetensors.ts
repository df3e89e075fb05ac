/**
 * @file Safetensors: bytes to tensors by name and back. A JSON header says where in the rest each tensor stands.
 * Source: https://github.com/huggingface/safetensors (README, "Format"); limits as in its Rust implementation.
 */
import { byteLengthOf, type DType, elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, UnsupportedError } from "../util/errors.ts";
import type { StateDict } from "./state.ts";

/** The format's own limit: stops a file of nothing but header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Elements of one tensor: above it, sizes leave the integers that a double holds exactly. */
const MAX_ELEMENTS = 2 ** 48;

const LENGTH_BYTES = 8;

/** Where tensors begin in files that we write, so that any element type can be read in place. */
const ALIGNMENT = 16;

const DTYPES_BY_NAME = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  I64: "int64",
  I32: "int32",
  I16: "int16",
  I8: "int8",
  U64: "uint64",
  U32: "uint32",
  U16: "uint16",
  U8: "uint8",
  BOOL: "bool",
  F8_E4M3: "float8e4m3fn",
  F8_E5M2: "float8e5m2",
} as const satisfies Record<string, DType>;

const NAMES = new Map<DType, string>(Object.entries(DTYPES_BY_NAME).map(([name, dtype]) => [dtype, name]));

const METADATA = "__metadata__";

export interface SafetensorsFile {
  /** Views of the file's bytes, in the order in which they stand there. */
  readonly tensors: StateDict;
  /** Text by key, often { format: "pt" }. */
  readonly metadata: Readonly<Record<string, string>>;
}

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Decodes a whole file. Tensors are views: the bytes must not change.
 * @param name what messages call the file.
 * @throws FormatError for a file that is cut off, whose header is none, or whose tensors overlap, leave gaps or do not have
 * the length that their shape says.
 */
export function decodeSafetensors(bytes: Uint8Array, name = "safetensors"): SafetensorsFile {
  const fail = (problem: string, field: string, offset = LENGTH_BYTES, help?: string): FormatError =>
    new FormatError({ area: "safetensors", subject: name, problem, field, offset, help });
  if (bytes.byteLength < LENGTH_BYTES) {
    throw fail(`expected at least ${LENGTH_BYTES} bytes, got ${bytes.byteLength}`, "header length", 0);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw fail(
      `expected at most ${MAX_HEADER_BYTES} bytes, got ${length}`,
      "header length",
      0,
      "Is it a safetensors file?",
    );
  }
  const start = LENGTH_BYTES + Number(length);
  if (start > bytes.byteLength) {
    throw fail(
      `expected ${length} bytes, got ${bytes.byteLength - LENGTH_BYTES}`,
      "header length",
      0,
      "The file is cut off.",
    );
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, start)));
  } catch {
    throw fail("expected JSON in UTF-8, got something else", "header");
  }
  if (!isRecord(header)) throw fail("expected a JSON object, got something else", "header");
  const { [METADATA]: metadata = {}, ...described } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw fail("expected text by key", METADATA);
  }
  const entries = Object.entries(described).map(([key, value]) => readEntry(key, value, fail));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const available = bytes.byteLength - start;
  let at = 0;
  for (const { name: key, begin, end } of entries) {
    if (begin !== at) {
      const what = begin < at ? "overlaps another tensor" : "leaves a gap before it";
      throw fail(`expected tensors one after the other, but [${begin}, ${end}] ${what}`, `${key}.data_offsets`);
    }
    if (end > available) {
      const help = "The file is cut off.";
      throw fail(`expected offsets up to ${available}, got ${end}`, `${key}.data_offsets`, bytes.byteLength, help);
    }
    at = end;
  }
  if (at !== available) throw fail(`expected ${at} bytes of tensors, got ${available}`, "data", start + at);
  const tensors = entries.map(({ name: key, dtype, dims, begin, end }) => {
    const own = bytes.subarray(start + begin, start + end);
    return [key, new Tensor(dtype, dims, { byteLength: own.byteLength, bytes: () => own })] as const;
  });
  return { tensors: Object.fromEntries(tensors), metadata: metadata as Record<string, string> };
}

function readEntry(name: string, value: unknown, fail: (problem: string, field: string) => FormatError): Entry {
  const { dtype: type, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const dtype = Object.hasOwn(DTYPES_BY_NAME, String(type))
    ? DTYPES_BY_NAME[type as keyof typeof DTYPES_BY_NAME]
    : undefined;
  if (dtype === undefined) {
    throw fail(
      `expected one of ${Object.keys(DTYPES_BY_NAME).join(" ")}, got ${JSON.stringify(type)}`,
      `${name}.dtype`,
    );
  }
  if (!isSizes(shape)) throw fail(`expected non-negative integers, got ${JSON.stringify(shape)}`, `${name}.shape`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`expected [begin, end], got ${JSON.stringify(offsets)}`, `${name}.data_offsets`);
  }
  const count = shape.includes(0) ? 0 : elementCount(shape);
  const [begin, end] = offsets as [number, number];
  if (count > MAX_ELEMENTS) throw fail(`expected at most ${MAX_ELEMENTS} elements, got ${count}`, `${name}.shape`);
  if (end - begin !== byteLengthOf(dtype, count)) {
    const problem = `expected ${byteLengthOf(dtype, count)} bytes for ${String(type)} [${shape.join(", ")}], got ${end - begin}`;
    throw fail(problem, `${name}.data_offsets`);
  }
  return { name, dtype, dims: shape, begin, end };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

const isSizes = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

/**
 * Encodes tensors by name, the widest element types first, each as it is.
 * @throws UnsupportedError for element types that the format has not (strings, complex, sub-byte types).
 */
export function encodeSafetensors(
  tensors: StateDict,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array {
  const entries = Object.entries(tensors).map(([name, tensor]) => {
    const type = NAMES.get(tensor.dtype);
    if (type !== undefined && name !== METADATA) return { name, tensor, type };
    const problem =
      type === undefined
        ? `expected an element type of the format, got ${tensor.dtype}`
        : "this name is the format's own";
    throw new UnsupportedError({ area: "safetensors", subject: `tensor "${name}"`, problem });
  });
  // Wide types first, so that all stand at multiples of their size.
  const width = ({ tensor }: (typeof entries)[number]): number => byteLengthOf(tensor.dtype, 1);
  entries.sort((a, b) => width(b) - width(a));
  let at = 0;
  const header: Record<string, unknown> = { [METADATA]: metadata };
  for (const { name, tensor, type } of entries) {
    header[name] = { dtype: type, shape: tensor.dims, data_offsets: [at, at + tensor.byteLength] };
    at += tensor.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((LENGTH_BYTES + text.byteLength) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(start + at).fill(0x20, 0, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - LENGTH_BYTES), true);
  bytes.set(text, LENGTH_BYTES);
  let offset = start;
  for (const { tensor } of entries) {
    bytes.set(tensor.bytes(), offset);
    offset += tensor.byteLength;
  }
  return bytes;
}
