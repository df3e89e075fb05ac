/**
 * @file Messages to bytes, as a list of chunks: tensor contents are passed on, never copied.
 *
 * One walk from the last field to the first: the length of a message is known when its head is written. Small parts are
 * collected in buffers; spans of {@link SPAN_BYTES} and more, and sources, become chunks of their own.
 */
import type { ByteSource, ModelProto, SparseTensorProto, TensorProto } from "./messages.ts";
import { ModelSchema, type NamedField, type Schema, SparseTensorSchema, TensorSchema } from "./schema.ts";
import { encodeString, int64Length, varintLength } from "./wire.ts";

/** Below it, copying is cheaper than a chunk of its own. */
const SPAN_BYTES = 4096;

/** Size of the first buffer, and of the largest: each is twice as large as the one before. */
const FIRST_BUFFER_BYTES = 16 * 1024;
const LARGEST_BUFFER_BYTES = 1024 * 1024;

/** Longer strings go through TextEncoder, shorter ones are copied in a loop if they are ASCII. */
const LOOPED_STRING_LENGTH = 128;

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

/** The serialized sparse tensor in chunks. */
export function encodeSparseTensor(tensor: SparseTensorProto): Chunk[] {
  return encode(SparseTensorSchema, tensor);
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
  const writer = new Writer();
  writer.message(schema as Schema<object>, message as Draft);
  return writer.finish();
}

type Draft = Readonly<Record<string, unknown>> & { readonly unknown?: readonly Uint8Array[] };

/** Bytes within a buffer. */
interface Span {
  readonly buffer: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Fills buffers from their ends to their starts; chunks are collected in reverse. */
class Writer {
  readonly #chunks: Chunk[] = [];
  #buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  #view = new DataView(this.#buffer.buffer);
  /** Start of what is written in the buffer. */
  #position = FIRST_BUFFER_BYTES;
  /** Start of what went into chunks already. */
  #flushed = FIRST_BUFFER_BYTES;
  /** Bytes in chunks. */
  #total = 0;
  /** Fields that are set and their values, of all messages around the current one; `#top` of them are in use. */
  readonly #fields: NamedField[] = [];
  readonly #values: unknown[] = [];
  #top = 0;
  /** Where shared messages stand that were written already. */
  readonly #written: Map<object, Span> = new Map();
  /** Why: see Reader.kept. */
  static readonly kept: Writer = new Writer();

  get #length(): number {
    return this.#total + this.#flushed - this.#position;
  }

  /** Writes a message without its length. */
  message(schema: Schema<object>, message: Draft): void {
    if (message.unknown !== undefined) for (const bytes of message.unknown.toReversed()) this.#raw(bytes);
    const base = this.#top;
    this.#collect(schema, message);
    for (let i = this.#top - 1; i >= base; i--) {
      const field = this.#fields[i]!;
      const value = this.#values[i];
      if (!field.repeated || field.tag !== field.writtenTag) this.#field(field, value);
      else {
        const items = value as readonly unknown[];
        for (let k = items.length - 1; k >= 0; k--) this.#field(field, items[k]);
      }
    }
    this.#top = base;
  }

  /** Puts the fields that are set on the stack, by number. */
  #collect({ ordered, byKey }: Schema<object>, message: Draft): void {
    const base = this.#top;
    let expected = 0;
    for (const key in message) {
      const value = message[key];
      if (value === undefined) continue;
      // Most messages have their fields in order: the one that comes next is found without a look-up.
      while (expected < ordered.length && ordered[expected]!.key !== key) expected++;
      const field = expected < ordered.length ? ordered[expected++] : byKey.get(key);
      if (field === undefined) continue;
      let i = this.#top++;
      for (; i > base && this.#fields[i - 1]!.number > field.number; i--) {
        this.#fields[i] = this.#fields[i - 1]!;
        this.#values[i] = this.#values[i - 1];
      }
      this.#fields[i] = field;
      this.#values[i] = value;
    }
  }

  #field(field: NamedField, value: unknown): void {
    switch (field.kind) {
      case "message": {
        const end = this.#length;
        this.#submessage(field.schema!(), value as Draft);
        this.#varint(this.#length - end);
        break;
      }
      case "string":
        this.#string(value as string);
        break;
      case "float":
        this.#reserve(4);
        this.#view.setFloat32(this.#position, value as number, true);
        break;
      case "int64":
      case "size":
      case "int32":
        this.#integer(value as bigint | number);
        break;
      default: // bytes and packed payloads
        this.#raw(value as Chunk);
        this.#varint((value as Chunk).byteLength);
    }
    this.#varint(field.writtenTag);
  }

  /** A message that the reader shared (frozen) is copied from where it was written first. */
  #submessage(schema: Schema<object>, message: Draft): void {
    if (schema.shared === undefined || Object.isExtensible(message)) {
      this.message(schema, message);
      return;
    }
    const known = this.#written.get(message);
    if (known !== undefined) {
      const { buffer, start, end } = known;
      this.#reserve(end - start);
      const to = this.#position - start;
      for (let i = start; i < end; i++) this.#buffer[to + i] = buffer[i]!;
      return;
    }
    const before = this.#length;
    this.message(schema, message);
    const start = this.#position;
    const end = start + this.#length - before;
    // Where a buffer ran full in between, the start is in another one than the end.
    if (end <= this.#flushed) this.#written.set(message, { buffer: this.#buffer, start, end });
  }

  /** Makes room and moves the position to its start. */
  #reserve(bytes: number): void {
    if (this.#position < bytes) {
      this.#flush();
      const size = Math.max(bytes, Math.min(this.#buffer.byteLength * 2, LARGEST_BUFFER_BYTES));
      this.#buffer = new Uint8Array(size);
      this.#view = new DataView(this.#buffer.buffer);
      this.#position = size;
      this.#flushed = size;
    }
    this.#position -= bytes;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      this.#reserve(1);
      this.#buffer[this.#position] = value;
      return;
    }
    this.#reserve(varintLength(value));
    let position = this.#position;
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#buffer[position++] = (rest % 128) | 0x80;
    this.#buffer[position] = rest;
  }

  /** A signed integer of 64 bits as a varint. */
  #integer(value: bigint | number): void {
    const number = Number(value);
    if (number >= 0 && number <= Number.MAX_SAFE_INTEGER) {
      this.#varint(number);
      return;
    }
    const wide = BigInt(value);
    let low = Number(BigInt.asUintN(32, wide));
    let high = Number(BigInt.asUintN(32, wide >> 32n));
    this.#reserve(int64Length(wide));
    let position = this.#position;
    for (; high > 0 || low >= 0x80; high >>>= 7) {
      this.#buffer[position++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
    }
    this.#buffer[position] = low;
  }

  #string(text: string): void {
    const { length } = text;
    if (length > LOOPED_STRING_LENGTH) {
      this.#encoded(text);
      return;
    }
    this.#reserve(length);
    const position = this.#position;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        this.#position += length;
        this.#encoded(text);
        return;
      }
      this.#buffer[position + i] = code;
    }
    this.#varint(length);
  }

  #encoded(text: string): void {
    const bytes = encodeString(text);
    this.#raw(bytes);
    this.#varint(bytes.byteLength);
  }

  #raw(chunk: Chunk): void {
    if (chunk.byteLength < SPAN_BYTES) {
      this.#reserve(chunk.byteLength);
      this.#buffer.set(chunkBytes(chunk), this.#position);
      return;
    }
    this.#flush();
    this.#chunks.push(chunk);
    this.#total += chunk.byteLength;
  }

  #flush(): void {
    if (this.#position < this.#flushed) this.#chunks.push(this.#buffer.subarray(this.#position, this.#flushed));
    this.#total += this.#flushed - this.#position;
    this.#flushed = this.#position;
  }

  finish(): Chunk[] {
    this.#flush();
    return this.#chunks.reverse();
  }
}
