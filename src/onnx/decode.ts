/**
 * @file Bytes to messages. Tensor contents stay spans of the input; nothing is copied but names and small numbers.
 */
import { FormatError } from "../util/errors.ts";
import { MAX_DEPTH, MAX_IR_VERSION, MAX_MESSAGES, MAX_MODEL_BYTES } from "./limits.ts";
import type { ModelProto, TensorProto } from "./messages.ts";
import { ModelSchema, type NamedField, type Schema, TensorSchema } from "./schema.ts";
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
  const { byTag } = schema;
  if (depth === 0) throw reader.fail(`expected at most ${MAX_DEPTH} nested messages, got more`, schema.name);
  if (++state.messages > MAX_MESSAGES) throw reader.fail(`expected at most ${MAX_MESSAGES} messages, got more`);
  const message: Draft = {};
  let seen = 0;
  while (reader.position < end) {
    const start = reader.position;
    const tag = reader.varint(end);
    if (reader.high !== 0 || tag < 8) throw reader.fail("expected a field number of 1 or more", schema.name, start);
    const field = (tag < byTag.length ? byTag[tag] : undefined) ?? listAsSpan(schema, tag);
    if (field === undefined) {
      reader.skip(tag & 7, end, depth);
      const bytes = reader.span(start, reader.position);
      if (message.unknown === undefined) message.unknown = [bytes];
      else message.unknown.push(bytes);
      continue;
    }
    const value = readField(state, field, tag, end, depth);
    if ((seen & field.bit) === 0) message[field.key] = value;
    else joinField(message, field, value);
    seen |= field.bit;
  }
  return message;
}

/** Repeated scalars may come packed or not, whatever the schema says. */
function listAsSpan(schema: Schema<object>, tag: number): NamedField | undefined {
  const field = schema.byNumber[tag >>> 3];
  return field?.repeated === true && (tag & 7) === WIRE.bytes ? field : undefined;
}

function readField(state: State, field: NamedField, tag: number, end: number, depth: number): unknown {
  switch (field.kind) {
    case "packed32":
    case "packed64":
    case "packedVarint":
      return readPacked(state.reader, field, tag & 7, end);
    default:
      if (!field.repeated) return readSingle(state, field, end, depth);
      return tag === field.tag ? readRun(state, field, end, depth) : readSpanned(state, field, end, depth);
  }
}

/** A field that comes again: the last value counts, lists go on, messages are merged. */
function joinField(message: Draft, field: NamedField, value: unknown): void {
  const { key, kind } = field;
  const earlier = message[key];
  if (earlier === undefined) message[key] = value;
  else if (kind.startsWith("packed")) message[key] = joinSpans(earlier as Uint8Array, value as Uint8Array);
  else if (field.repeated) for (const item of (value as unknown[] | undefined) ?? []) (earlier as unknown[]).push(item);
  else message[key] = kind === "message" ? merge(earlier as Draft, value as Draft, field.schema!()) : value;
}

function readMessage(state: State, schema: Schema<object>, end: number, depth: number): Draft {
  if (schema.shared === undefined) return decodeMessage(state, schema, end, depth);
  const { reader, sharing } = state;
  const start = reader.position;
  const slot = sharing.slot(end);
  const known = sharing.find(slot, schema, end);
  if (known !== undefined) {
    reader.position = end;
    return known as Draft;
  }
  const message = decodeMessage(state, schema, end, depth);
  sharing.keep(slot, schema, start, end, message);
  return message;
}

/** Moves past the next tag where it is the same again. */
function nextIs(reader: Reader, tag: number, end: number): boolean {
  const { position } = reader;
  if (position >= end) return false;
  if (reader.varint(end) === tag && reader.high === 0) return true;
  reader.position = position;
  return false;
}

/** List elements that follow each other, each with its tag. Most lists have one or two. */
function readRun(state: State, field: NamedField, end: number, depth: number): unknown[] {
  const { reader, items } = state;
  const first = readSingle(state, field, end, depth);
  if (!nextIs(reader, field.tag, end)) return [first];
  const second = readSingle(state, field, end, depth);
  if (!nextIs(reader, field.tag, end)) return [first, second];
  const base = state.top;
  items[state.top++] = first;
  items[state.top++] = second;
  do {
    const item = readSingle(state, field, end, depth);
    items[state.top++] = item;
  } while (nextIs(reader, field.tag, end));
  return takeItems(state, base);
}

/** List elements in one span; none are no field at all. */
function readSpanned(state: State, field: NamedField, end: number, depth: number): unknown[] | undefined {
  const { reader, items } = state;
  const base = state.top;
  const spanEnd = reader.spanEnd(end, field.where);
  while (reader.position < spanEnd) items[state.top++] = readSingle(state, field, spanEnd, depth);
  return state.top === base ? undefined : takeItems(state, base);
}

/** Takes the elements above `base` off the stack. */
function takeItems(state: State, base: number): unknown[] {
  const taken = state.items.slice(base, state.top);
  state.top = base;
  return taken;
}

function readPacked(reader: Reader, { kind, where }: NamedField, wireType: number, end: number): Uint8Array {
  const start = reader.position;
  if (wireType !== WIRE.bytes) {
    reader.skip(wireType, end, 0);
    return reader.span(start, reader.position);
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
  const span = reader.span(reader.position, spanEnd);
  reader.position = spanEnd;
  return span;
}

/** One value of any kind but the packed ones. */
function readSingle(state: State, field: NamedField, end: number, depth: number): unknown {
  const { reader } = state;
  switch (field.kind) {
    case "string":
      return reader.string(reader.spanEnd(end, field.where));
    case "message":
      return readMessage(state, field.schema!(), reader.spanEnd(end, field.where), depth - 1);
    case "bytes":
      return readSpan(reader, field.where, end);
    case "float":
      return reader.float32(end, field.where);
    case "int64":
      reader.varint(end);
      return reader.int64();
    case "int32":
      return reader.varint(end) | 0;
    default:
      reader.varint(end);
      return reader.safeInteger(field.where);
  }
}

/** Unpacked elements arrive one span each: a growing buffer keeps that linear. */
const growing = new WeakMap<Uint8Array, Uint8Array>();

function joinSpans(earlier: Uint8Array, span: Uint8Array): Uint8Array {
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
  return joined;
}

/** protobuf: later occurrences of a singular message are merged into the earlier one. */
function merge(first: Draft, later: Draft, schema: Schema<object>): Draft {
  const merged = { ...first };
  for (const [key, value] of Object.entries(later)) {
    const field = schema.byKey.get(key);
    if (Array.isArray(value)) merged[key] = [...((merged[key] as unknown[] | undefined) ?? []), ...value];
    else if (field === undefined) merged[key] = value;
    else joinField(merged, field, value);
  }
  return merged;
}
