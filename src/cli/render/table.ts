/**
 * @file Text for a terminal: tables and paragraphs that keep to its width.
 */
import { wrap } from "../../util/format.ts";

/** Columns of a terminal that every report fits into. */
export const WIDTH = 80;

/** Columns that are cut to make a table fit keep at least this much. */
const LEAST = 8;

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Longer cells are cut in the middle; columns with a maximum also give way where the table is too wide. Default: as wide as needed. */
  readonly max?: number;
}

/** Rows under their titles, columns two spaces apart, indented by two. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string {
  const all = [columns.map((column) => column.title), ...rows].map((row) => row.map(plain));
  const widths = columns.map(({ max }, index) =>
    Math.min(max ?? Number.POSITIVE_INFINITY, Math.max(...all.map((row) => (row[index] ?? "").length))),
  );
  for (let excess = sum(widths) + 2 * widths.length - width; excess > 0; excess--) {
    // The widest column that may be cut gives one character at a time.
    const give = widths
      .map((size, index) => ({ size, index }))
      .filter(({ size, index }) => columns[index]!.max !== undefined && size > LEAST)
      .sort((a, b) => b.size - a.size)[0];
    if (give === undefined) break;
    widths[give.index]!--;
  }
  return all
    .map((row) =>
      `  ${row
        .map((cell, index) => shorten(cell, widths[index]))
        .map((cell, index) =>
          columns[index]?.align === "right" ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
        )
        .join("  ")}`.trimEnd(),
    )
    .join("\n");
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** Names come from files: what would move the cursor or colour the terminal becomes a mark. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "�");
}

/** "a_very_long…tail": the ends of names tell more than their middles. */
export function shorten(text: string, max = Number.POSITIVE_INFINITY): string {
  if (text.length <= max) return text;
  const head = Math.ceil((max - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (max - 1 - head))}`;
}

/** A paragraph: wrapped at spaces, words that are longer than a line cut in the middle. */
export function paragraph(text: string, width = WIDTH, indent = ""): string[] {
  const words = text.split(/\s+/).map((word) => shorten(plain(word), width - indent.length));
  return wrap(words.join(" "), width, indent);
}
