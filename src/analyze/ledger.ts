/**
 * @file Where the bytes of two versions of a model are, tensor by tensor.
 */
import type { Model } from "../graph/model.ts";
import { storedByteLength } from "../onnx/sparse-proto.ts";
import type { DType } from "../tensor/dtype.ts";
import { constantsOf } from "./constants.ts";

/** A tensor of the other model that stands for one of the original's, or for a part of it. */
export interface LedgerPart {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly byteLength: number;
}

export interface LedgerRow {
  /** The original's name; of tensors that it does not have, the other's. */
  readonly name: string;
  /** Operators that have it as an input, in the original. */
  readonly users: readonly string[];
  /** Of the original; undefined where it has none of the name. */
  readonly dtype: DType | undefined;
  readonly dims: readonly number[] | undefined;
  readonly before: number;
  readonly after: number;
  /** What the other model has for it, the largest first; empty where it is gone. */
  readonly parts: readonly LedgerPart[];
}

export interface Ledger {
  /** By bytes in the original, then in the other, the most first. */
  readonly rows: readonly LedgerRow[];
  /** Bytes of all tensors. */
  readonly before: number;
  readonly after: number;
}

/** One tensor of a model, as far as its size is concerned. */
export interface LedgerEntry extends LedgerPart {
  readonly users: readonly string[];
}

/** A model's tensors, in a form that outlives changes to the model. */
export function ledgerEntries(model: Model): LedgerEntry[] {
  return constantsOf(model).map(({ name, tensor, users }) => ({
    name,
    dtype: tensor.dtype,
    dims: tensor.dims,
    byteLength: storedByteLength(tensor),
    users: [...new Set(users.map(({ opType }) => opType))],
  }));
}

/**
 * Puts the tensors of two versions of a model side by side. A tensor of the other belongs to the original's of the same
 * name, or to the one whose name it continues after "_", as quantizers name codes, scales and zero points
 * ("w_int8", "w_scale", "w_quantized"), and "bias_fused": the longest of them.
 */
export function compareLedgers(original: readonly LedgerEntry[], other: readonly LedgerEntry[]): Ledger {
  // Two branches may have tensors of one name: their bytes count together.
  const rows = new Map<string, { entry: LedgerEntry | undefined; before: number; parts: LedgerPart[] }>();
  for (const entry of original) {
    const row = rows.get(entry.name);
    if (row === undefined) rows.set(entry.name, { entry, before: entry.byteLength, parts: [] });
    else row.before += entry.byteLength;
  }
  const names = new Set(rows.keys());
  for (const { users, ...part } of other) {
    const name = ownerOf(part.name, names) ?? part.name;
    let row = rows.get(name);
    if (row === undefined) {
      row = { entry: undefined, before: 0, parts: [] };
      rows.set(name, row);
    }
    row.parts.push(part);
  }
  const list = [...rows].map(
    ([name, { entry, before, parts }]): LedgerRow => ({
      name,
      users: entry?.users ?? [],
      dtype: entry?.dtype,
      dims: entry?.dims,
      before,
      after: sum(parts),
      parts: parts.sort((a, b) => b.byteLength - a.byteLength),
    }),
  );
  list.sort((a, b) => b.before - a.before || b.after - a.after);
  return { rows: list, before: sum(original), after: sum(other) };
}

function ownerOf(name: string, names: ReadonlySet<string>): string | undefined {
  if (names.has(name)) return name;
  for (let at = name.lastIndexOf("_"); at > 0; at = name.lastIndexOf("_", at - 1)) {
    const head = name.slice(0, at);
    if (names.has(head)) return head;
  }
  return undefined;
}

function sum(parts: readonly LedgerPart[]): number {
  return parts.reduce((total, { byteLength }) => total + byteLength, 0);
}

/** "int8 + float32": what stands for a tensor, in a few words. */
export function describeForm({ dtype, parts }: LedgerRow): string {
  const [main, ...rest] = parts;
  if (main === undefined) return "gone";
  if (dtype === undefined) return `new: ${main.dtype}`;
  // Zero points have the type of the codes: they say nothing new.
  const others = [...new Set(rest.map((part) => part.dtype).filter((other) => other !== main.dtype))];
  if (others.length > 0) return `${main.dtype} + ${others.join(", ")}`;
  return main.dtype === dtype ? `${dtype}, kept` : main.dtype;
}
