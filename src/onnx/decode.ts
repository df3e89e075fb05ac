/**
 * @file Bytes to messages. Tensor contents stay spans of the input; nothing is copied but names and small numbers.
 */
import { FormatError } from "../util/errors.ts";
import { MAX_DEPTH, MAX_IR_VERSION, MAX_MESSAGES, MAX_MODEL_BYTES } from "./limits.ts";
import type { ModelProto, TensorProto } from "./messages.ts";
import { type Field, ModelSchema, type Schema, TensorSchema } from "./schema.ts";
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
  const state = { reader: new Reader(bytes), messages: 0 };
  return decodeMessage(state, schema as Schema<object>, bytes.byteLength, MAX_DEPTH) as T;
}

interface State {
  readonly reader: Reader;
  messages: number;
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
    readField(state, message, field, wireType, end, depth, schema);
  }
  return message;
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

function readField(
  state: State,
  message: Draft,
  field: Field & { readonly key: string },
  wireType: number,
  end: number,
  depth: number,
  schema: Schema<object>,
): void {
  const { reader } = state;
  const { key, kind, repeated } = field;
  const where = `${schema.name}.${key}`;
  switch (kind) {
    case "message": {
      const inner = decodeMessage(state, field.schema!(), reader.spanEnd(end, where), depth - 1);
      if (repeated) push(message, key, inner);
      else {
        const earlier = message[key] as Draft | undefined;
        // protobuf: later occurrences of a singular message are merged into the earlier one.
        message[key] = earlier === undefined ? inner : merge(earlier, inner, field.schema!());
      }
      return;
    }
    case "string": {
      const text = reader.string(reader.spanEnd(end, where));
      if (repeated) push(message, key, text);
      else message[key] = text;
      return;
    }
    case "bytes": {
      const spanEnd = reader.spanEnd(end, where);
      const span = reader.bytes.subarray(reader.position, spanEnd);
      reader.position = spanEnd;
      if (repeated) push(message, key, span);
      else message[key] = span;
      return;
    }
    case "packed32":
    case "packed64":
    case "packedVarint": {
      const start = reader.position;
      const spanStart = wireType === WIRE.bytes ? reader.spanEnd(end, where) : undefined;
      let span: Uint8Array;
      if (spanStart !== undefined) {
        span = reader.bytes.subarray(reader.position, spanStart);
        reader.position = spanStart;
        const width = kind === "packed32" ? 4 : kind === "packed64" ? 8 : 1;
        if (span.byteLength % width !== 0) {
          throw reader.fail(`expected a multiple of ${width} bytes, got ${span.byteLength}`, where, start);
        }
        if (kind === "packedVarint" && span.byteLength > 0 && span[span.byteLength - 1]! >= 0x80) {
          throw reader.fail("expected whole numbers, got a cut-off one", where, start);
        }
      } else {
        reader.skip(wireType, end, 0);
        span = reader.bytes.subarray(start, reader.position);
      }
      appendSpan(message, key, span);
      return;
    }
    default: {
      if (!repeated || wireType !== WIRE.bytes) {
        const value = readScalar(reader, kind, end, where);
        if (repeated) push(message, key, value);
        else message[key] = value;
        return;
      }
      const spanEnd = reader.spanEnd(end, where);
      while (reader.position < spanEnd) push(message, key, readScalar(reader, kind, spanEnd, where));
    }
  }
}

function readScalar(reader: Reader, kind: Field["kind"], end: number, where: string): number | bigint {
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

function push(message: Draft, key: string, value: unknown): void {
  const list = message[key] as unknown[] | undefined;
  if (list === undefined) message[key] = [value];
  else list.push(value);
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

function merge(earlier: Draft, later: Draft, schema: Schema<object>): Draft {
  for (const [key, value] of Object.entries(later)) {
    const before = earlier[key];
    const field = schema.fields[key as keyof typeof schema.fields] as Field | undefined;
    if (before === undefined) earlier[key] = value;
    else if (value instanceof Uint8Array && field?.kind.startsWith("packed")) appendSpan(earlier, key, value);
    else if (Array.isArray(value)) earlier[key] = [...(before as unknown[]), ...value];
    else if (field?.kind === "message") earlier[key] = merge(before as Draft, value as Draft, field.schema!());
    else earlier[key] = value;
  }
  return earlier;
}
