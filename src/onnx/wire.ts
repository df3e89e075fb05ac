/**
 * @file Protocol buffers on the wire: varints, fixed words, length-delimited spans, UTF-8.
 * Source: https://protobuf.dev/programming-guides/encoding/
 *
 * Strings that are not UTF-8 (old exporters wrote GBK paths into doc strings) survive a round trip: each bad byte
 * becomes a lone low surrogate U+DC80…U+DCFF, as in Python's "surrogateescape", and is written back as that byte.
 */
import { FormatError } from "../util/errors.ts";

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

const utf8Strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** Attributes are full of small integers: shared ones cost no memory. */
const SMALL_INTEGERS: readonly bigint[] = Array.from({ length: 1024 }, (_, i) => BigInt(i));

/** Longer strings (doc strings, metadata) hardly repeat. */
const SHARED_STRING_BYTES = 64;

/** A list of each length, to be filled with character codes: `apply` then makes a flat string. */
const charCodes: readonly number[][] = Array.from({ length: SHARED_STRING_BYTES + 1 }, (_, i) => Array(i).fill(0));

interface Latin1 {
  latin1Slice(start: number, end: number): string;
}

/** A cursor over bytes. Varints leave their halves in `low` and `high` (unsigned) so that no bigint is made in vain. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  position: number;
  low = 0;
  high = 0;
  /** Node's Buffer makes strings twice as fast as the language does. */
  readonly #buffer: Latin1 | undefined;
  /**
   * V8 forgets a class's shape, and all code compiled for it, when it collects garbage while no instance is alive. This one
   * has read a number of 64 bits: `low` and `high` are doubles in it as in every reader that meets a negative number.
   */
  static readonly kept: Reader = new Reader(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 1));
  static {
    Reader.kept.varint(10);
  }

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    if (typeof Buffer !== "undefined" && "latin1Slice" in Buffer.prototype) {
      this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) as unknown as Latin1;
    }
  }

  fail(problem: string, field?: string, offset = this.position): FormatError {
    return new FormatError({
      area: "onnx",
      subject: "model bytes",
      problem,
      offset,
      field,
      help: "The file is damaged, truncated or not an ONNX model.",
    });
  }

  /** Reads a varint of up to 64 bits into `low` and `high`; returns `low`. */
  varint(end: number): number {
    const bytes = this.bytes;
    let position = this.position;
    if (position >= end) throw this.fail("expected a number, got the end of the data");
    let byte = bytes[position++]!;
    if (byte < 0x80) {
      this.position = position;
      this.high = 0;
      this.low = byte;
      return byte;
    }
    let low = byte & 0x7f;
    let high = 0;
    let shift = 7;
    for (;;) {
      if (position >= end) throw this.fail("expected a number, got the end of the data");
      byte = bytes[position++]!;
      const seven = byte & 0x7f;
      if (shift < 28) low |= seven << shift;
      else if (shift === 28) {
        low |= seven << 28;
        high = seven >>> 4;
      } else high |= seven << (shift - 32);
      if (byte < 0x80) break;
      shift += 7;
      if (shift > 63) throw this.fail("expected a number of at most 10 bytes, got a longer one");
    }
    this.position = position;
    this.low = low >>> 0;
    this.high = high >>> 0;
    return this.low;
  }

  /** The varint just read as a signed 64-bit integer. */
  int64(): bigint {
    if (this.high === 0) return this.low < SMALL_INTEGERS.length ? SMALL_INTEGERS[this.low]! : BigInt(this.low);
    return BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low));
  }

  /** The varint just read as a signed integer that a double holds exactly. */
  safeInteger(field: string): number {
    if (this.high === 0) return this.low;
    const signedHigh = this.high | 0;
    const value = signedHigh * 4294967296 + this.low;
    if (!Number.isSafeInteger(value)) throw this.fail(`expected an integer within ±2^53, got ${this.int64()}`, field);
    return value;
  }

  /** Reads a length and returns the end of that span. */
  spanEnd(end: number, field: string): number {
    const start = this.position;
    const length = this.varint(end);
    if (this.high !== 0 || length > end - this.position) {
      const got = this.high * 4294967296 + length;
      throw this.fail(`expected at most ${end - this.position} more bytes, got a length of ${got}`, field, start);
    }
    return this.position + length;
  }

  need(count: number, end: number, field: string): void {
    if (count > end - this.position) {
      throw this.fail(`expected ${count} bytes, got ${end - this.position}`, field);
    }
  }

  float32(end: number, field: string): number {
    this.need(4, end, field);
    const value = this.view.getFloat32(this.position, true);
    this.position += 4;
    return value;
  }

  /** A view of the bytes at a place; half the time of `subarray`, and never a Buffer. */
  span(start: number, end: number): Uint8Array {
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, end - start);
  }

  /** Names repeat (every value is made and used): strings read before and where they start, by hash; the last stays. */
  #strings: string[] = [];
  #starts: Int32Array | undefined;

  /** The string from the current position up to `end`. */
  string(end: number): string {
    const { bytes, view } = this;
    const start = this.position;
    const length = end - start;
    this.position = end;
    if (length === 0) return "";
    if (length > SHARED_STRING_BYTES) return decodeString(this.span(start, end));
    this.#starts ??= new Int32Array(tableSize(bytes.byteLength)).fill(-1);
    const slot = hashBytes(view, start, end) & (this.#starts.length - 1);
    const other = this.#starts[slot]!;
    if (other >= 0) {
      const known = this.#strings[slot]!;
      if (known.length === length && sameBytes(view, other, start, length)) return known;
    } else if (this.#strings.length === 0) this.#strings = new Array<string>(this.#starts.length).fill("");
    const text = this.#ascii(start, end) ?? decodeString(this.span(start, end));
    this.#strings[slot] = text;
    this.#starts[slot] = start;
    return text;
  }

  /** Bytes as text, or undefined where they are not ASCII. */
  #ascii(start: number, end: number): string | undefined {
    if (!isAscii(this.view, start, end)) return undefined;
    if (this.#buffer !== undefined) return this.#buffer.latin1Slice(start, end);
    const codes = charCodes[end - start]!;
    for (let i = start; i < end; i++) codes[i - start] = this.bytes[i]!;
    return String.fromCharCode.apply(null, codes);
  }

  /** Moves past a field of the given wire type. Groups are skipped whole. */
  skip(wireType: number, end: number, depth: number): void {
    switch (wireType) {
      case WIRE.varint:
        this.varint(end);
        return;
      case WIRE.fixed64:
        this.need(8, end, "unknown");
        this.position += 8;
        return;
      case WIRE.bytes:
        this.position = this.spanEnd(end, "unknown");
        return;
      case WIRE.fixed32:
        this.need(4, end, "unknown");
        this.position += 4;
        return;
      case WIRE.startGroup: {
        if (depth <= 0) throw this.fail("expected shallower nesting of groups");
        for (;;) {
          const inner = this.varint(end) & 7;
          if (inner === WIRE.endGroup) return;
          this.skip(inner, end, depth - 1);
        }
      }
      default:
        throw this.fail(`expected a wire type of 0, 1, 2 or 5, got ${wireType}`);
    }
  }
}

/** FNV-1a over words of four bytes, folded so that the low bits depend on all of them. */
export function hashBytes(view: DataView, start: number, end: number): number {
  const words = end - ((end - start) & 3);
  let hash = 0x811c9dc5;
  let i = start;
  for (; i < words; i += 4) {
    const word = view.getInt32(i, true);
    hash = Math.imul(hash ^ word ^ (word >>> 15), 0x01000193);
  }
  for (; i < end; i++) hash = Math.imul(hash ^ view.getUint8(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

function isAscii(view: DataView, start: number, end: number): boolean {
  let all = 0;
  let i = start;
  for (; i + 4 <= end; i += 4) all |= view.getInt32(i, true);
  for (; i < end; i++) all |= view.getUint8(i);
  return (all & 0x80808080) === 0;
}

/** Whether the bytes at two places are equal. */
export function sameBytes(view: DataView, a: number, b: number, length: number): boolean {
  let i = 0;
  for (; i + 4 <= length; i += 4) if (view.getInt32(a + i, true) !== view.getInt32(b + i, true)) return false;
  for (; i < length; i++) if (view.getUint8(a + i) !== view.getUint8(b + i)) return false;
  return true;
}

/** A power of two: about one slot for every 64 bytes, within 256 and 65,536. */
function tableSize(byteLength: number): number {
  let size = 256;
  while (size < 65_536 && size * 64 < byteLength) size *= 2;
  return size;
}

/** UTF-8 to text; bytes that are not UTF-8 become U+DC80…U+DCFF. */
export function decodeString(bytes: Uint8Array): string {
  try {
    return utf8Strict.decode(bytes);
  } catch {
    let text = "";
    let position = 0;
    while (position < bytes.length) {
      const length = sequenceLength(bytes, position);
      if (length === 0) text += String.fromCharCode(0xdc00 | bytes[position++]!);
      else {
        text += utf8Strict.decode(bytes.subarray(position, position + length));
        position += length;
      }
    }
    return text;
  }
}

/** Length of the well-formed UTF-8 sequence at `position`, or 0. Table 3-7 of the Unicode standard. */
function sequenceLength(bytes: Uint8Array, position: number): number {
  const first = bytes[position]!;
  if (first < 0x80) return 1;
  const continues = (offset: number, low = 0x80, high = 0xbf): boolean => {
    const byte = bytes[position + offset];
    return byte !== undefined && byte >= low && byte <= high;
  };
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    return continues(1, first === 0xe0 ? 0xa0 : 0x80, first === 0xed ? 0x9f : 0xbf) && continues(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const second = continues(1, first === 0xf0 ? 0x90 : 0x80, first === 0xf4 ? 0x8f : 0xbf);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

/** Text to UTF-8, undoing {@link decodeString}'s escapes. */
export function encodeString(text: string): Uint8Array {
  if (!hasEscapes(text)) return utf8.encode(text);
  const parts: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const pair = unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1));
    if (!pair && unit >= 0xdc80 && unit <= 0xdcff) parts.push(unit & 0xff);
    else {
      for (const byte of utf8.encode(text.slice(i, i + (pair ? 2 : 1)))) parts.push(byte);
      if (pair) i++;
    }
  }
  return Uint8Array.from(parts);
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function hasEscapes(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) i++;
    else if (unit >= 0xdc80 && unit <= 0xdcff) return true;
  }
  return false;
}

/** Bytes of `text` in UTF-8 where it is ASCII, else -1. */
export function asciiLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return -1;
  return text.length;
}

/** Bytes of an unsigned varint given as a double below 2^53. */
export function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  let length = 4;
  for (let rest = Math.floor(value / 0x10000000); rest > 0; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Bytes of a signed 64-bit integer as a varint (negative ones take ten). */
export function int64Length(value: bigint): number {
  if (value < 0n) return 10;
  if (value <= 0xfffffffn) return varintLength(Number(value));
  let length = 4;
  for (let rest = value >> 28n; rest > 0n; rest >>= 7n) length++;
  return length;
}
