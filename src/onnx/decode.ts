/**
 * @file Bytes to messages. Tensor contents stay spans of the input; nothing is copied but names and small numbers.
 */
import { FormatError } from "../util/errors.ts";
import { MAX_DEPTH, MAX_IR_VERSION, MAX_MESSAGES, MAX_MODEL_BYTES } from "./limits.ts";
import type { ModelProto, TensorProto } from "./messages.ts";
import { type Field, ModelSchema, type NamedField, type Schema, TensorSchema } from "./schema.ts";
import { Sharing } from "./sharing.ts";
import { Reader, WIRE } from "./wire.ts";

/**
 * Reads a serialized ModelProto. The result refers to `bytes`: keep them unchanged while the model is in use.
 * @throws FormatError where the bytes are no ONNX model, are truncated or damaged, or of a newer IR version.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  if (bytes.byteLength === 0) {
    throw notAModel("expected an ONNX model, got an empty file", "Was the download or the export interrupted?");
  }
  if (bytes.byteLength > MAX_MODEL_BYTES) {
    throw notAModel(
      `expected at most ${MAX_MODEL_BYTES} bytes, got ${bytes.byteLength}`,
      "Store the weights as external data: runtimes do not load larger files either.",
    );
  }
  rejectOtherFormats(bytes);
  const model = decode(ModelSchema, bytes);
  if (model.irVersion === undefined && model.graph === undefined) {
    throw notAModel("expected a ModelProto with ir_version and graph, found neither", "Is this an ONNX model file?");
  }
  if (model.irVersion !== undefined && model.irVersion > MAX_IR_VERSION) {
    throw new FormatError({
      area: "onnx",
      subject: "model",
      problem: `expected IR version ${MAX_IR_VERSION} or older, got ${model.irVersion}`,
      field: "ir_version",
      help: "Export with an older ONNX, or update Tersor.",
    });
  }
  if (model.graph === undefined) {
    throw notAModel("expected a graph, found none", "Was the file cut off while it was written?");
  }
  return model;
}

/** Reads a serialized TensorProto, such as the `.pb` files of ONNX's test data. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  return decode(TensorSchema, bytes);
}

function notAModel(problem: string, help: string): FormatError {
  return new FormatError({ area: "onnx", subject: "model bytes", problem, help });
}

/** The formats that people hand over by mistake get their name in the message. */
const OTHER_FORMATS: readonly { readonly magic: readonly number[]; readonly at?: number; readonly name: string }[] = [
  { magic: [0x50, 0x4b, 0x03, 0x04], name: "a zip archive (a PyTorch .pt or an .npz file?)" },
  { magic: [0x1f, 0x8b], name: "gzip data" },
  { magic: [0x89, 0x48, 0x44, 0x46], name: "an HDF5 file (a Keras .h5 model?)" },
  { magic: [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], name: "a NumPy .npy file" },
  { magic: [0x54, 0x46, 0x4c, 0x33], at: 4, name: "a TensorFlow Lite model" },
  { magic: [0x4f, 0x52, 0x54, 0x4d], at: 4, name: "a model in ORT format" },
  { magic: [0x47, 0x47, 0x55, 0x46], name: "a GGUF model" },
  { magic: [0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x20], name: "a Git LFS pointer, not the file itself" },
  { magic: [0x3c, 0x21], name: "an HTML page (a failed download?)" },
  { magic: [0x3c, 0x68, 0x74, 0x6d, 0x6c], name: "an HTML page (a failed download?)" },
];

function rejectOtherFormats(bytes: Uint8Array): void {
  for (const { magic, at = 0, name } of OTHER_FORMATS) {
    if (magic.every((byte, i) => bytes[at + i] === byte)) {
      throw notAModel(`expected an ONNX model, got ${name}`, "Give the .onnx file.");
    }
  }
}

function decode<T extends object>(schema: Schema<T>, bytes: Uint8Array): T {
  const reader = new Reader(bytes);
  const state: State = { reader, sharing: new Sharing(reader), messages: 0, items: [], top: 0 };
  return decodeMessage(state, schema as Schema<object>, bytes.byteLength, MAX_DEPTH) as T;
}

interface State {
  readonly reader: Reader;
  readonly sharing: Sharing;
  messages: number;
  /** A stack of list elements on their way into arrays of exactly their number; `top` of them are in use. */
  readonly items: unknown[];
  top: number;
}

type Draft = Record<string, unknown> & { unknown?: Uint8Array[] };

function decodeMessage(state: State, schema: Schema<object>, end: number, depth: number): Draft {
  const { reader } = state;
  if (depth === 0) throw reader.fail(`expected at most ${MAX_DEPTH} nested messages, got more`, schema.name);
  if (++state.messages > MAX_MESSAGES) throw reader.fail(`expected at most ${MAX_MESSAGES} messages, got more`);
  const message: Draft = {};
  while (reader.position < end) {
    const start = reader.position;
    const tag = reader.varint(end);
    const wireType = tag & 7;
    const number = tag >>> 3;
    if (reader.high !== 0 || number === 0) {
      throw reader.fail("expected a field number of 1 or more", schema.name, start);
    }
    const field = schema.byNumber[number];
    if (field === undefined || !fits(field, wireType)) {
      reader.skip(wireType, end, depth);
      const span = reader.bytes.subarray(start, reader.position);
      if (message.unknown === undefined) message.unknown = [span];
      else message.unknown.push(span);
      continue;
    }
    readField(state, message, field, tag, end, depth);
  }
  return message;
}

function readMessage(state: State, schema: Schema<object>, end: number, depth: number): Draft {
  if (schema.shared === undefined) return decodeMessage(state, schema, end, depth);
  return state.sharing.get(schema, end, () => decodeMessage(state, schema, end, depth));
}

const NATIVE_WIRE: Readonly<Record<Field["kind"], number>> = {
  int64: WIRE.varint,
  size: WIRE.varint,
  int32: WIRE.varint,
  float: WIRE.fixed32,
  string: WIRE.bytes,
  bytes: WIRE.bytes,
  message: WIRE.bytes,
  packed32: WIRE.fixed32,
  packed64: WIRE.fixed64,
  packedVarint: WIRE.varint,
};

/** Repeated scalars may come packed or not, whatever the schema says. */
function fits(field: Field, wireType: number): boolean {
  return wireType === NATIVE_WIRE[field.kind] || (field.repeated && wireType === WIRE.bytes);
}

function readField(state: State, message: Draft, field: NamedField, tag: number, end: number, depth: number): void {
  const { reader } = state;
  const { key, kind, where } = field;
  const wireType = tag & 7;
  if (kind === "packed32" || kind === "packed64" || kind === "packedVarint") {
    appendSpan(message, key, readPacked(reader, field, wireType, end));
  } else if (field.repeated) {
    const base = state.top;
    do readItem(state, field, wireType, end, depth);
    while (nextIs(reader, tag, end));
    appendItems(message, key, state, base);
  } else if (kind === "message") {
    const inner = readMessage(state, field.schema!(), reader.spanEnd(end, where), depth - 1);
    const earlier = message[key] as Draft | undefined;
    // protobuf: later occurrences of a singular message are merged into the earlier one.
    message[key] = earlier === undefined ? inner : merge(earlier, inner, field.schema!());
  } else message[key] = readSingle(reader, field, end);
}

/** Moves past the next tag where it is the same again. */
function nextIs(reader: Reader, tag: number, end: number): boolean {
  const { position } = reader;
  if (position >= end) return false;
  if (reader.varint(end) === tag && reader.high === 0) return true;
  reader.position = position;
  return false;
}

/** Puts one element on the stack, or all elements of a packed list. */
function readItem(state: State, field: NamedField, wireType: number, end: number, depth: number): void {
  const { reader } = state;
  if (field.kind === "message") {
    const inner = readMessage(state, field.schema!(), reader.spanEnd(end, field.where), depth - 1);
    state.items[state.top++] = inner;
  } else if (wireType !== WIRE.bytes || field.kind === "string" || field.kind === "bytes") {
    state.items[state.top++] = readSingle(reader, field, end);
  } else {
    const spanEnd = reader.spanEnd(end, field.where);
    while (reader.position < spanEnd) state.items[state.top++] = readSingle(reader, field, spanEnd);
  }
}

/** Takes the elements above `base` off the stack. */
function appendItems(message: Draft, key: string, state: State, base: number): void {
  if (state.top === base) return; // a packed list of nothing is no field at all
  const earlier = message[key] as unknown[] | undefined;
  if (earlier === undefined) message[key] = state.items.slice(base, state.top);
  else for (let i = base; i < state.top; i++) earlier.push(state.items[i]);
  state.top = base;
}

function readPacked(reader: Reader, { kind, where }: NamedField, wireType: number, end: number): Uint8Array {
  const start = reader.position;
  if (wireType !== WIRE.bytes) {
    reader.skip(wireType, end, 0);
    return reader.bytes.subarray(start, reader.position);
  }
  const span = readSpan(reader, where, end);
  const width = kind === "packed32" ? 4 : kind === "packed64" ? 8 : 1;
  if (span.byteLength % width !== 0) {
    throw reader.fail(`expected a multiple of ${width} bytes, got ${span.byteLength}`, where, start);
  }
  if (kind === "packedVarint" && span.byteLength > 0 && span[span.byteLength - 1]! >= 0x80) {
    throw reader.fail("expected whole numbers, got a cut-off one", where, start);
  }
  return span;
}

function readSpan(reader: Reader, where: string, end: number): Uint8Array {
  const spanEnd = reader.spanEnd(end, where);
  const span = reader.bytes.subarray(reader.position, spanEnd);
  reader.position = spanEnd;
  return span;
}

function readSingle(reader: Reader, { kind, where }: NamedField, end: number): string | Uint8Array | number | bigint {
  if (kind === "string") return reader.string(reader.spanEnd(end, where));
  if (kind === "bytes") return readSpan(reader, where, end);
  if (kind === "float") {
    reader.need(4, end, where);
    const value = reader.view.getFloat32(reader.position, true);
    reader.position += 4;
    return value;
  }
  reader.varint(end);
  if (kind === "int64") return reader.int64();
  return kind === "int32" ? reader.low | 0 : reader.safeInteger(where);
}

/** Unpacked elements arrive one span each: a growing buffer keeps that linear. */
const growing = new WeakMap<Uint8Array, Uint8Array>();

function appendSpan(message: Draft, key: string, span: Uint8Array): void {
  const earlier = message[key] as Uint8Array | undefined;
  if (earlier === undefined) {
    message[key] = span;
    return;
  }
  const total = earlier.byteLength + span.byteLength;
  let room = growing.get(earlier);
  if (room === undefined || room.byteLength < total) {
    const larger = new Uint8Array(total * 2);
    larger.set(earlier);
    room = larger;
  }
  room.set(span, earlier.byteLength);
  const joined = room.subarray(0, total);
  growing.set(joined, room);
  message[key] = joined;
}

function merge(first: Draft, later: Draft, schema: Schema<object>): Draft {
  const earlier = { ...first };
  for (const [key, value] of Object.entries(later)) {
    const before = earlier[key];
    const field = schema.byKey.get(key);
    if (before === undefined) earlier[key] = value;
    else if (value instanceof Uint8Array && field?.kind.startsWith("packed")) appendSpan(earlier, key, value);
    else if (Array.isArray(value)) earlier[key] = [...(before as unknown[]), ...value];
    else if (field?.kind === "message") earlier[key] = merge(before as Draft, value as Draft, field.schema!());
    else earlier[key] = value;
  }
  return earlier;
}
