/**
 * @file For tests: another protobuf implementation (protobuf-es in onnx-buf) as the judge of ours, and hand-made bytes.
 */
import { createRegistry, type DescField, equals, fromBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { file_onnx, ModelProtoSchema } from "onnx-buf";
import { Reader } from "../src/onnx/wire.ts";

const registry = createRegistry(file_onnx);

/** Whether protobuf-es reads the same model from both, unknown fields included. */
export function sameModel(a: Uint8Array, b: Uint8Array): boolean {
  const [left, right] = [fromBinary(ModelProtoSchema, a), fromBinary(ModelProtoSchema, b)];
  return equals(ModelProtoSchema, left, right, { registry, unknown: true });
}

/** Where our decoded model and protobuf-es' reading of the same bytes differ: paths, empty where they agree. */
export function differences(ours: object, bytes: Uint8Array): string[] {
  const found: string[] = [];
  compare(ours as Plain, reflect(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes)), "model", found);
  return found;
}

type Plain = Readonly<Record<string, unknown>>;
type Reflected = ReturnType<typeof reflect>;

function compare(ours: Plain, theirs: Reflected, path: string, found: string[]): void {
  const set = theirs.fields.filter((field) => theirs.isSet(field));
  const names = new Set(set.map((field) => field.localName));
  for (const key of Object.keys(ours)) {
    if (key !== "unknown" && !names.has(key)) found.push(`${path}.${key}: only ours has it`);
  }
  for (const field of set) {
    const where = `${path}.${field.localName}`;
    const mine = ours[field.localName];
    if (mine === undefined) found.push(`${where}: only theirs has it`);
    else if (field.fieldKind === "list") {
      const items = [...(theirs.get(field) as Iterable<unknown>)];
      const list = mine instanceof Uint8Array ? unpack(mine, field) : (mine as readonly unknown[]);
      if (list.length !== items.length) found.push(`${where}: ${list.length} items, theirs ${items.length}`);
      else for (const [i, item] of items.entries()) same(list[i], item, `${where}[${i}]`, found);
    } else same(mine, theirs.get(field), where, found);
  }
}

function same(mine: unknown, theirs: unknown, where: string, found: string[]): void {
  if (theirs instanceof Uint8Array) {
    if (!Buffer.from(theirs).equals(mine as Uint8Array)) found.push(`${where}: other bytes`);
  } else if (typeof theirs === "object" && theirs !== null) compare(mine as Plain, theirs as Reflected, where, found);
  else {
    const equal = typeof theirs === "bigint" ? BigInt(mine as number | bigint) === theirs : Object.is(mine, theirs);
    if (!equal) found.push(`${where}: ${String(mine)}, theirs ${String(theirs)}`);
  }
}

/** Our packed payloads as the numbers that protobuf-es makes of them. */
function unpack(payload: Uint8Array, field: DescField): unknown[] {
  const reader = new Reader(payload);
  const values: unknown[] = [];
  while (reader.position < payload.byteLength) {
    if (field.fieldKind === "list" && field.listKind === "scalar" && field.number === 4) {
      values.push(reader.view.getFloat32(reader.position, true));
      reader.position += 4;
    } else if (field.number === 10) {
      values.push(reader.view.getFloat64(reader.position, true));
      reader.position += 8;
    } else {
      reader.varint(payload.byteLength);
      values.push(
        field.number === 5 ? reader.low | 0 : field.number === 11 ? BigInt.asUintN(64, reader.int64()) : reader.int64(),
      );
    }
  }
  return values;
}

/** The varint of an integer; negative ones take ten bytes. */
export function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

/** A field of numbers. */
export function scalar(number: number, value: number | bigint): number[] {
  return [...varint(number * 8), ...varint(value)];
}

/** A field with a length: text, bytes, messages, packed numbers. */
export function span(number: number, content: string | readonly number[] | Uint8Array): number[] {
  const bytes = typeof content === "string" ? [...new TextEncoder().encode(content)] : [...content];
  return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
}

/** A model whose graph has these bytes beside its name. */
export function modelWithGraph(graph: readonly number[]): Uint8Array {
  return Uint8Array.from([...scalar(1, 8), ...span(7, [...span(2, "g"), ...graph])]);
}
