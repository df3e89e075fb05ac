/**
 * @file Types and tensors of the textual syntax.
 * Source: onnx/docs/Syntax.md (ONNX 1.23).
 */
import { DTYPES, dtypeFromCode } from "../tensor/dtype.ts";
import {
  DATA_LOCATION,
  type DimensionProto,
  type StringStringEntryProto,
  type TensorProto,
  type TypeProto,
} from "./messages.ts";
import type { Scanner } from "./text-scanner.ts";
import { dtypeFromText, literalBytes, literalCount, randomBytes } from "./text-tensor.ts";
import { encodeString } from "./wire.ts";

/** Nested graphs and types: stops stack overflow by a text of nothing but nesting. */
export const MAX_TEXT_DEPTH = 100;

/** Elements of one tensor: contents are written out or random, and both are meant for small models. */
const MAX_TEXT_ELEMENTS = 2 ** 26;

const TYPE_WORDS: ReadonlySet<string> = new Set(["seq", "map", "optional", "sparse_tensor", "opaque"]);

/** `item (',' item)*` up to `close`, which is taken; nothing at all is allowed. */
export function readList<T>(s: Scanner, close: string, item: () => T): T[] {
  const items: T[] = [];
  if (s.takes(close)) return items;
  do items.push(item());
  while (s.takes(","));
  s.expect(close);
  return items;
}

/** `["key": "value", …]` */
export function readEntries(s: Scanner): StringStringEntryProto[] {
  s.expect("[");
  return readList(s, "]", () => {
    const key = s.string();
    s.expect(":");
    return { key, value: s.string() };
  });
}

/** Whether a type comes next, and not the name of a graph or value. */
export function nextIsType(s: Scanner): boolean {
  const word = s.peekIdentifier();
  return word !== undefined && (TYPE_WORDS.has(word) || dtypeFromText(word) !== undefined);
}

/** A primitive type with dimensions: none is a scalar, `[]` an unknown rank. */
export function readType(s: Scanner, depth = MAX_TEXT_DEPTH): TypeProto {
  const at = s.skipBlank();
  const word = s.identifier("a type");
  const dtype = dtypeFromText(word);
  if (dtype !== undefined) return { tensorType: { elemType: DTYPES[dtype].code, ...readShape(s) } };
  if (!TYPE_WORDS.has(word)) throw s.fail("a type", at);
  if (depth === 0) throw s.problem(`expected at most ${MAX_TEXT_DEPTH} nested types, got more`, at);
  s.expect("(");
  const type = compoundType(s, word, depth);
  s.expect(")");
  return type;
}

function compoundType(s: Scanner, word: string, depth: number): TypeProto {
  if (word === "seq") return { sequenceType: { elemType: readType(s, depth - 1) } };
  if (word === "optional") return { optionalType: { elemType: readType(s, depth - 1) } };
  if (word === "opaque") {
    const parts: string[] = [];
    if (s.peek() === ")") return { opaqueType: {} };
    do parts.push(s.identifier("a name"));
    while (s.takes("."));
    const domain = parts.join(".");
    return { opaqueType: s.takes(",") ? { domain, name: s.identifier("a name") } : { name: domain } };
  }
  const at = s.skipBlank();
  const dtype = dtypeFromText(s.identifier("a primitive type"));
  if (dtype === undefined) throw s.fail("a primitive type", at);
  const { code } = DTYPES[dtype];
  if (word === "sparse_tensor") return { sparseTensorType: { elemType: code, ...readShape(s) } };
  s.expect(",");
  return { mapType: { keyType: code, valueType: readType(s, depth - 1) } };
}

function readShape(s: Scanner): { shape?: { dim?: DimensionProto[] } } {
  if (!s.takes("[")) return { shape: {} };
  if (s.takes("]")) return {};
  const dim = readList(s, "]", (): DimensionProto => {
    if (s.takes("?")) return {};
    const symbol = s.optionalName();
    return symbol !== undefined ? { dimParam: symbol } : { dimValue: s.integer("a dimension") };
  });
  return { shape: { dim } };
}

/** `{…}`, `random(seed)`, or `["location": "…"]` for external data, after a type with known dimensions. */
export function readTensor(s: Scanner, type: TypeProto, name: string | undefined): TensorProto {
  const dtype = dtypeFromCode(type.tensorType?.elemType);
  const shape = type.tensorType?.shape;
  const dims = (shape?.dim ?? []).map((dim) => dim.dimValue);
  if (dtype === undefined || shape === undefined || !dims.every((dim) => dim !== undefined && dim >= 0)) {
    throw s.problem("expected a tensor type with numbers as dimensions before the contents");
  }
  const known = dims as number[];
  const base = { ...(known.length > 0 && { dims: known }), dataType: DTYPES[dtype].code, ...(name && { name }) };
  if (s.peek() === "[") return { ...base, dataLocation: DATA_LOCATION.external, externalData: readEntries(s) };
  const count = literalCount(dtype, known);
  if (count > MAX_TEXT_ELEMENTS) throw s.problem(`expected at most ${MAX_TEXT_ELEMENTS} elements, got ${count}`);
  const at = s.skipBlank();
  if (s.peekIdentifier() === "random") {
    s.identifier("random");
    s.expect("(");
    const rawData = randomBytes(dtype, count, s.integer("a seed"));
    if (rawData === undefined)
      throw s.problem(`expected a float type of 16 bits or more for random(), got ${dtype}`, at);
    s.expect(")");
    return { ...base, rawData };
  }
  s.expect("{");
  const literals = readList(s, "}", () => s.literal("a number or a string"));
  if (literals.length !== count) {
    throw s.problem(`expected ${count} numbers for ${dtype} [${known.join(", ")}], got ${literals.length}`, at);
  }
  if (dtype !== "string") return { ...base, rawData: literalBytes(s, dtype, literals) };
  const number = literals.find((literal) => literal.kind !== "string");
  if (number !== undefined) throw s.fail("a string", number.at);
  return { ...base, ...(count > 0 && { stringData: literals.map(({ text }) => encodeString(text)) }) };
}
