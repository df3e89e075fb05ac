/**
 * @file Messages between Node and a browser's page in one piece: JSON, and behind it the bytes of every Uint8Array in it.
 * Layout, little-endian: u32 length of the JSON; the JSON, `{ value, lengths }`, in which `{ "$bytes": i }` stands for
 * array i; then each array at a multiple of 16 bytes, so that tensors are used where they arrived.
 */
import { FormatError } from "../../util/errors.ts";

const ALIGNMENT = 16;
const MARK = "$bytes";

const align = (position: number): number => Math.ceil(position / ALIGNMENT) * ALIGNMENT;

/** @param value plain data: what JSON takes, and Uint8Arrays. */
export function encodeFrame(value: unknown): Uint8Array<ArrayBuffer> {
  const arrays: Uint8Array[] = [];
  const replaced = JSON.stringify(value, (_key, item: unknown) => {
    if (!(item instanceof Uint8Array)) return item;
    arrays.push(item);
    return { [MARK]: arrays.length - 1 };
  });
  const lengths = JSON.stringify(arrays.map((array) => array.byteLength));
  const json = new TextEncoder().encode(`{"value":${replaced ?? "null"},"lengths":${lengths}}`);
  let size = align(4 + json.byteLength);
  for (const array of arrays) size = align(size + array.byteLength);
  const frame = new Uint8Array(size);
  new DataView(frame.buffer).setUint32(0, json.byteLength, true);
  frame.set(json, 4);
  let position = align(4 + json.byteLength);
  for (const array of arrays) {
    frame.set(array, position);
    position = align(position + array.byteLength);
  }
  return frame;
}

/** The value again; its arrays are views of the frame, unless that is a view at an odd place itself. @throws FormatError. */
export function decodeFrame(given: Uint8Array): unknown {
  const frame = given.byteOffset % ALIGNMENT === 0 ? given : given.slice();
  const fail = (problem: string): FormatError => new FormatError({ area: "runtime", subject: "a message", problem });
  if (frame.byteLength < 4) throw fail(`expected at least 4 bytes, got ${frame.byteLength}`);
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
  if (4 + length > frame.byteLength) throw fail(`expected ${length} bytes of JSON, got ${frame.byteLength - 4}`);
  let header: { readonly value: unknown; readonly lengths: readonly number[] };
  try {
    header = JSON.parse(new TextDecoder().decode(frame.subarray(4, 4 + length)));
  } catch (error) {
    throw fail(`expected JSON, got: ${error instanceof Error ? error.message : error}`);
  }
  let position = align(4 + length);
  const arrays = header.lengths.map((bytes) => {
    const start = position;
    position = align(start + bytes);
    if (start + bytes > frame.byteLength) throw fail(`expected ${start + bytes} bytes, got ${frame.byteLength}`);
    return frame.subarray(start, start + bytes);
  });
  const restore = (item: unknown): unknown => {
    if (typeof item !== "object" || item === null) return item;
    if (Array.isArray(item)) return item.map(restore);
    const entries = Object.entries(item);
    if (entries.length === 1 && entries[0]![0] === MARK) return arrays[Number(entries[0]![1])];
    return Object.fromEntries(entries.map(([key, inner]) => [key, restore(inner)]));
  };
  return restore(header.value);
}
