/**
 * @file Messages to bytes, as a list of chunks: tensor contents are passed on, never copied.
 *
 * Two walks in the same order: the first finds the length of every nested message, the second writes. Small parts are
 * collected in one buffer; spans of {@link SPAN_BYTES} and more, and sources, become chunks of their own.
 */
import type { ByteSource, ModelProto, TensorProto } from "./messages.ts";
import { type Field, ModelSchema, type Schema, TensorSchema } from "./schema.ts";
import { asciiLength, encodeString, int64Length, varintLength, WIRE } from "./wire.ts";

/** Below it, copying is cheaper than a chunk of its own. */
const SPAN_BYTES = 4096;

/** A part of the output: bytes, or a source that is asked when its turn comes. */
export type Chunk = Uint8Array | ByteSource;

/** The serialized model in chunks, to be written one after another. */
export function encodeModel(model: ModelProto): Chunk[] {
  return encode(ModelSchema, model);
}

/** The serialized tensor in chunks. */
export function encodeTensor(tensor: TensorProto): Chunk[] {
  return encode(TensorSchema, tensor);
}

/** The bytes of one chunk. */
export function chunkBytes(chunk: Chunk): Uint8Array {
  return chunk instanceof Uint8Array ? chunk : chunk.bytes();
}

/** Total length of chunks without fetching any. */
export function chunksLength(chunks: readonly Chunk[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunk.byteLength;
  return total;
}

/** All chunks in one array: for small models and for runtimes that take one buffer. */
export function joinChunks(chunks: readonly Chunk[]): Uint8Array {
  if (chunks.length === 1) return chunkBytes(chunks[0]!);
  const joined = new Uint8Array(chunksLength(chunks));
  let position = 0;
  for (const chunk of chunks) {
    joined.set(chunkBytes(chunk), position);
    position += chunk.byteLength;
  }
  return joined;
}

function encode<T extends object>(schema: Schema<T>, message: T): Chunk[] {
  const lengths: number[] = [];
  const copied = { bytes: 0 };
  measure(schema as Schema<object>, message as Draft, lengths, copied);
  const writer = new Writer(copied.bytes);
  write(schema as Schema<object>, message as Draft, lengths, { next: 1 }, writer);
  return writer.finish();
}

type Draft = Readonly<Record<string, unknown>> & { readonly unknown?: readonly Uint8Array[] };

/** Stores the length of `message` and of all messages in it in `lengths`, in the order of the walk. */
function measure(schema: Schema<object>, message: Draft, lengths: number[], copied: { bytes: number }): number {
  const slot = lengths.length;
  lengths.push(0);
  let total = 0;
  const own = (bytes: number): void => {
    total += bytes;
    copied.bytes += bytes;
  };
  const span = (bytes: number): void => {
    total += bytes;
    if (bytes < SPAN_BYTES) copied.bytes += bytes;
  };
  for (const field of schema.ordered) {
    const value = message[field.key];
    if (value === undefined) continue;
    const tagBytes = varintLength(field.number << 3);
    if (field.kind.startsWith("packed")) {
      const { byteLength } = value as Uint8Array;
      own(tagBytes + varintLength(byteLength));
      span(byteLength);
      continue;
    }
    for (const item of field.repeated ? (value as readonly unknown[]) : [value]) {
      switch (field.kind) {
        case "message": {
          const inner = measure(field.schema!(), item as Draft, lengths, copied);
          own(tagBytes + varintLength(inner));
          total += inner;
          break;
        }
        case "bytes": {
          const { byteLength } = item as Chunk;
          own(tagBytes + varintLength(byteLength));
          span(byteLength);
          break;
        }
        case "string": {
          const ascii = asciiLength(item as string);
          const length = ascii >= 0 ? ascii : encodeString(item as string).byteLength;
          own(tagBytes + varintLength(length) + length);
          break;
        }
        default:
          own(tagBytes + scalarLength(field, item as number | bigint));
      }
    }
  }
  for (const bytes of message.unknown ?? []) span(bytes.byteLength);
  lengths[slot] = total;
  return total;
}

function scalarLength(field: Field, value: number | bigint): number {
  if (field.kind === "float") return 4;
  if (typeof value === "bigint") return int64Length(value);
  return value < 0 ? 10 : varintLength(value);
}

function write(
  schema: Schema<object>,
  message: Draft,
  lengths: readonly number[],
  cursor: { next: number },
  writer: Writer,
): void {
  for (const field of schema.ordered) {
    const value = message[field.key];
    if (value === undefined) continue;
    if (field.kind.startsWith("packed")) {
      writer.tag(field.number, WIRE.bytes);
      writer.span(value as Uint8Array);
      continue;
    }
    for (const item of field.repeated ? (value as readonly unknown[]) : [value]) {
      switch (field.kind) {
        case "message":
          writer.tag(field.number, WIRE.bytes);
          writer.varint(lengths[cursor.next++]!);
          write(field.schema!(), item as Draft, lengths, cursor, writer);
          break;
        case "bytes":
          writer.tag(field.number, WIRE.bytes);
          writer.span(item as Chunk);
          break;
        case "string":
          writer.tag(field.number, WIRE.bytes);
          writer.string(item as string);
          break;
        case "float":
          writer.tag(field.number, WIRE.fixed32);
          writer.float(item as number);
          break;
        default:
          writer.tag(field.number, WIRE.varint);
          if (typeof item === "bigint" || (item as number) < 0) writer.int64(BigInt(item as number | bigint));
          else writer.varint(item as number);
      }
    }
  }
  for (const bytes of message.unknown ?? []) writer.raw(bytes);
}

class Writer {
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  readonly #chunks: Chunk[] = [];
  #position = 0;
  #flushed = 0;

  constructor(capacity: number) {
    this.#buffer = new Uint8Array(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType);
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#position++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#position++] = rest;
  }

  int64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.#buffer[this.#position++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#position++] = Number(rest);
  }

  float(value: number): void {
    this.#view.setFloat32(this.#position, value, true);
    this.#position += 4;
  }

  string(text: string): void {
    const ascii = asciiLength(text);
    if (ascii < 0) {
      const bytes = encodeString(text);
      this.varint(bytes.byteLength);
      this.#buffer.set(bytes, this.#position);
      this.#position += bytes.byteLength;
      return;
    }
    this.varint(ascii);
    for (let i = 0; i < ascii; i++) this.#buffer[this.#position++] = text.charCodeAt(i);
  }

  span(chunk: Chunk): void {
    this.varint(chunk.byteLength);
    this.raw(chunk);
  }

  raw(chunk: Chunk): void {
    if (chunk.byteLength < SPAN_BYTES) {
      this.#buffer.set(chunkBytes(chunk), this.#position);
      this.#position += chunk.byteLength;
      return;
    }
    this.#flush();
    this.#chunks.push(chunk);
  }

  finish(): Chunk[] {
    this.#flush();
    return this.#chunks;
  }

  #flush(): void {
    if (this.#position > this.#flushed) this.#chunks.push(this.#buffer.subarray(this.#flushed, this.#position));
    this.#flushed = this.#position;
  }
}
