/**
 * @file What files weigh, on disk and over the network, and where the bytes are.
 */
import type { Sizes } from "../../../measure/size.ts";
import { formatBytes, formatRatio } from "../../../util/format.ts";
import { describeForm, type Ledger } from "../../ledger.ts";
import { type Bar, barChart } from "../charts/bars.ts";
import { type Html, html, name } from "../html.ts";
import { type Section, table } from "../page.ts";

export interface SizedFile {
  readonly label: string;
  readonly byteLength: number;
  readonly compressed?: Sizes;
}

/** @param files the original first. */
export function sizeSection(files: readonly SizedFile[], ledger?: Ledger): Section {
  const [original] = files;
  const bars = (["file", "gzip", "brotli"] as const).flatMap((form) => {
    const of = ({ byteLength, compressed }: SizedFile): number | undefined =>
      form === "file" ? byteLength : compressed?.[form];
    const before = original && of(original);
    return files.flatMap((file, index): Bar[] => {
      const bytes = of(file);
      if (bytes === undefined) return [];
      const ratio = index > 0 && before ? `, ${formatRatio(bytes / before)}` : "";
      const label = form === "file" ? file.label : `${file.label}, ${form}`;
      const text = `${formatBytes(bytes)}${ratio}`;
      return [{ label, title: label, text, value: bytes, tone: index === 0 ? "before" : "after" }];
    });
  });
  const travels = files.some(({ compressed }) => compressed !== undefined);
  const caption = travels ? "gzip and brotli: what it weighs over the network where the server compresses." : undefined;
  return { id: "size", title: "Size", body: html`${barChart(bars, { caption })}${ledger && ledgerTable(ledger)}` };
}

export function ledgerTable({ rows, before, after }: Ledger): Html {
  return html`<h3>Where the bytes are</h3>
<p class="note">Tensors take ${formatBytes(before)} before and ${formatBytes(after)} after. The original was cleaned up first, so that
names are those that the result continues.</p>
${table(
  "Tensors by their bytes in the original",
  [
    { title: "tensor", kind: "wide" },
    { title: "used by" },
    { title: "shape" },
    { title: "before", kind: "number" },
    { title: "after", kind: "number" },
    { title: "as" },
  ],
  rows.map((row) => [
    name(row.name),
    row.users.join(", "),
    row.dims === undefined ? "" : `[${row.dims.join(", ")}]`,
    row.before === 0 ? "" : formatBytes(row.before),
    formatBytes(row.after),
    describeForm(row),
  ]),
  8,
)}`;
}
