/**
 * @file Channels along an axis of one weight, as torch.nn.utils.prune takes them: those whose norm is smallest, or others.
 * Source: PyTorch 2.13, RandomStructured and LnStructured in torch/nn/utils/prune.py; torch.norm.
 */
import { OptionError } from "../util/errors.ts";
import { type Amount, unitsOf } from "./amount.ts";
import { type MatrixView, matrixView } from "./pattern.ts";
import { topk } from "./topk.ts";
import type { PrunableWeight } from "./weights.ts";

/** As torch.norm's p: (Σ|w|ⁿ)^(1/n), the largest ("inf") or the smallest ("-inf") absolute value; fro is 2. */
export type NormOrder = number | "inf" | "-inf" | "fro";

/**
 * Drops rows along an axis; rows that are all gone do not count.
 * @param scores One per row: the lowest go.
 * @returns 1 for each element that stays.
 * @throws OptionError for an axis that the weight has not.
 */
export function selectRows(
  { name, tensor, kept }: Pick<PrunableWeight, "name" | "tensor" | "kept">,
  dim: number,
  amount: Amount,
  scores: (view: MatrixView) => Float32Array,
): Uint8Array {
  const { dims, size } = tensor;
  const axis = dim < 0 ? dim + dims.length : dim;
  if (!Number.isInteger(axis) || axis < 0 || axis >= dims.length) {
    throw new OptionError({
      area: "prune",
      subject: name,
      problem: `expected a dim from ${-dims.length} to ${dims.length - 1} for [${dims}], got ${dim}`,
    });
  }
  const view = matrixView(dims, axis);
  const there = new Uint8Array(view.rows);
  for (let i = 0; i < size; i++) if (kept?.[i] !== 0) there[view.row(i)] = 1;
  const left = Array.from(there.keys()).filter((row) => there[row] === 1);
  const all = scores(view);
  const stay = left.length - unitsOf(amount, left.length, name);
  // PyTorch asks for the largest, which stay: among equal ones that decides.
  const keep = new Uint8Array(view.rows);
  const values = Float32Array.from(left, (row) => all[row]!);
  for (const i of topk(values, stay, true)) keep[left[i]!] = 1;
  return Uint8Array.from({ length: size }, (_item, i) => (keep[view.row(i)] === 1 && kept?.[i] !== 0 ? 1 : 0));
}

/** The norm of each row; what a mask took out counts as 0. */
export function rowNorms(
  values: Float32Array,
  kept: Uint8Array | undefined,
  { rows, row }: MatrixView,
  n: NormOrder,
): Float32Array {
  const order = n === "inf" ? Infinity : n === "-inf" ? -Infinity : n === "fro" ? 2 : n;
  const sums = new Float64Array(rows).fill(order === -Infinity ? Infinity : 0);
  for (let i = 0; i < values.length; i++) {
    const r = row(i);
    const size = kept?.[i] === 0 ? 0 : Math.abs(values[i]!);
    if (order === Infinity) sums[r] = Math.max(sums[r]!, size);
    else if (order === -Infinity) sums[r] = Math.min(sums[r]!, size);
    else if (order === 0) sums[r]! += size === 0 ? 0 : 1;
    else sums[r]! += size ** order;
  }
  const root = Number.isFinite(order) && order !== 0;
  return Float32Array.from(sums, (sum) => (root ? sum ** (1 / order) : sum));
}
