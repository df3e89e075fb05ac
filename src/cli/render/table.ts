/**
 * @file Tables of text for a terminal.
 */

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Longer cells are cut in the middle. Default: as wide as needed. */
  readonly max?: number;
}

/** Rows under their titles, columns two spaces apart, indented by two. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title), ...rows].map((row) =>
    row.map((cell, index) => shorten(cell, columns[index]?.max)),
  );
  const widths = columns.map((_column, index) => Math.max(...cells.map((row) => (row[index] ?? "").length)));
  return cells
    .map((row) =>
      `  ${row
        .map((cell, index) =>
          columns[index]?.align === "right" ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
        )
        .join("  ")}`.trimEnd(),
    )
    .join("\n");
}

/** "a_very_long…tail": the ends of names tell more than their middles. */
export function shorten(text: string, max = Number.POSITIVE_INFINITY): string {
  if (text.length <= max) return text;
  const head = Math.ceil((max - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (max - 1 - head))}`;
}
