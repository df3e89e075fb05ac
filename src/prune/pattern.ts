/**
 * @file What goes together: single weights, n of m, blocks, rows, columns.
 *
 * Patterns see every weight as a matrix [outputs, inputs]: a row is what makes one output channel, a column is one input of
 * all of them, in the order of the weight's other axes (for Conv [O, I, h, w]: I, then h, then w).
 * Source: n:m as in Mishra et al. 2021 (2:4: at most 2 of 4 are not zero); blocks as in Gray et al. 2017.
 */
import { OptionError } from "../util/errors.ts";

export type Pattern =
  | { readonly kind: "unstructured" }
  /** At most `n` of `m` neighbours in a row are kept; at the end of a row the group may be smaller. */
  | { readonly kind: "n:m"; readonly n: number; readonly m: number }
  /** Blocks of outputs × inputs; at the edges they may be smaller. */
  | { readonly kind: "block"; readonly rows: number; readonly columns: number }
  | { readonly kind: "row" }
  | { readonly kind: "column" };

/** What {@link parsePattern} takes, for messages and help. */
export const PATTERN_FORMS = "unstructured, n:m (2:4), outputs x inputs (4x1), row, column";

/** @throws OptionError for anything but {@link PATTERN_FORMS}. */
export function parsePattern(text: string): Pattern {
  if (text === "unstructured" || text === "row" || text === "column") return { kind: text };
  const [, a, separator, b] = /^(\d+)([:x×])(\d+)$/.exec(text) ?? [];
  const [first, second] = [Number(a), Number(b)];
  if (separator === ":" && first >= 1 && first < second) return { kind: "n:m", n: first, m: second };
  if (separator !== undefined && separator !== ":" && first >= 1 && second >= 1) {
    return { kind: "block", rows: first, columns: second };
  }
  throw new OptionError({
    area: "prune",
    subject: "pattern",
    problem: `expected ${PATTERN_FORMS}, got ${text}`,
    help: separator === ":" ? "n:m keeps n of m: n is at least 1 and less than m." : undefined,
  });
}

export function patternText(pattern: Pattern): string {
  if (pattern.kind === "n:m") return `${pattern.n}:${pattern.m}`;
  return pattern.kind === "block" ? `${pattern.rows}x${pattern.columns}` : pattern.kind;
}

/** A weight as a matrix. Element i of the tensor, in row-major order, is in row `row(i)` and column `column(i)`. */
export interface MatrixView {
  readonly rows: number;
  readonly columns: number;
  row(i: number): number;
  column(i: number): number;
  /** Element at a row and a column. */
  at(row: number, column: number): number;
}

/** @param axis Of the outputs. */
export function matrixView(dims: readonly number[], axis: number): MatrixView {
  const product = (part: readonly number[]): number => part.reduce((a, b) => a * b, 1);
  const rows = dims[axis] ?? 1;
  const inner = product(dims.slice(axis + 1));
  const columns = product(dims.slice(0, axis)) * inner;
  if (inner === columns) {
    return {
      rows,
      columns,
      row: (i) => Math.floor(i / columns),
      column: (i) => i % columns,
      at: (r, c) => r * columns + c,
    };
  }
  const outer = rows * inner;
  return {
    rows,
    columns,
    row: (i) => Math.floor(i / inner) % rows,
    column: (i) => Math.floor(i / outer) * inner + (i % inner),
    at: (r, c) => Math.floor(c / inner) * outer + r * inner + (c % inner),
  };
}

/** Which unit each element belongs to. */
export interface Units {
  readonly count: number;
  /** Undefined: every element is one. */
  readonly of: Uint32Array | undefined;
}

/** The units that a pattern makes of a weight; n:m has none that could be ranked. */
export function unitsIn(pattern: Exclude<Pattern, { kind: "n:m" }>, view: MatrixView): Units {
  const { rows, columns } = view;
  const size = rows * columns;
  switch (pattern.kind) {
    case "unstructured":
      return { count: size, of: undefined };
    case "row":
      return { count: rows, of: fill(size, (i) => view.row(i)) };
    case "column":
      return { count: columns, of: fill(size, (i) => view.column(i)) };
    case "block": {
      const across = Math.ceil(columns / pattern.columns);
      const unit = (i: number): number =>
        Math.floor(view.row(i) / pattern.rows) * across + Math.floor(view.column(i) / pattern.columns);
      return { count: Math.ceil(rows / pattern.rows) * across, of: fill(size, unit) };
    }
  }
}

function fill(size: number, unit: (i: number) => number): Uint32Array {
  const of = new Uint32Array(size);
  for (let i = 0; i < size; i++) of[i] = unit(i);
  return of;
}
