/**
 * @file What is inside models, as a person reads it: errors of values, sensitivity of nodes, bytes of tensors.
 */
import { describeForm, type Ledger } from "../../analyze/ledger.ts";
import { lossText, shareText, shortDecibels, valueText } from "../../analyze/measurement-text.ts";
import type { Sensitivity } from "../../analyze/sensitivity.ts";
import { type TensorComparison, worstTensors } from "../../analyze/tensor-errors.ts";
import { formatBytes, formatRatio } from "../../util/format.ts";
import { paragraph, renderTable, WIDTH } from "./table.ts";

/** Rows that tables show; --json has them all. */
const ROWS = 10;

const right = (title: string) => ({ title, align: "right" as const });

/** Where the error comes from, and how many values were compared. */
export function renderTensorErrors({ values, missing, samples }: TensorComparison): string {
  if (values.length === 0) return "  No values to compare: the two models have none of the same name.";
  const worst = worstTensors(values)
    .filter(({ added }) => added > 0)
    .slice(0, ROWS);
  const table = renderTable(
    [
      { title: "error enters or grows at", max: 40 },
      { title: "", max: 12 },
      right("SQNR in"),
      right("out"),
      right("noise added"),
    ],
    worst.map(({ node, opType, input, sqnr, added }) => [
      node,
      opType,
      shortDecibels(input),
      shortDecibels(sqnr),
      shareText(added),
    ]),
    WIDTH,
  );
  const others = missing > 0 ? `; ${missing} have no counterpart` : "";
  const note = `${values.length} values compared on ${samples} samples${others}. Noise: of the signal's power, against the worst value that the node reads.`;
  return [worst.length > 0 ? table : "  No value differs.", ...paragraph(note, WIDTH, "  ")].join("\n");
}

export function renderLedger({ rows, before, after }: Ledger): string {
  const shown = rows.slice(0, ROWS);
  const table = renderTable(
    [
      { title: "tensor", max: 30 },
      { title: "used by", max: 10 },
      { title: "shape", max: 16 },
      right("before"),
      right("after"),
      { title: "as", max: 18 },
    ],
    shown.map((row) => [
      row.name,
      row.users.join(","),
      row.dims === undefined ? "" : `[${row.dims.join(",")}]`,
      row.before === 0 ? "" : formatBytes(row.before),
      formatBytes(row.after),
      describeForm(row),
    ]),
    WIDTH,
  );
  const more = rows.length > shown.length ? `  … and ${rows.length - shown.length} other tensors\n` : "";
  return `${table}\n${more}  ${formatBytes(before)} → ${formatBytes(after)} in tensors  ${formatRatio(after / before)}`;
}

export function renderSensitivity(found: Sensitivity): string {
  const { mode, metric, all, samples, nodes, untried } = found;
  const bySqnr = metric === "sqnr";
  const total = nodes.reduce((sum, { loss }) => sum + loss, 0);
  const alone = mode === "quantize-one";
  const table = renderTable(
    [
      { title: alone ? "quantized alone" : "kept in float alone", max: 40 },
      { title: "", max: 12 },
      right(metric),
      right(alone ? (bySqnr ? "noise" : "loss") : "won back"),
      ...(alone && bySqnr ? [right("of all")] : []),
      right(alone ? "saves" : "costs"),
    ],
    nodes.map(({ node, opType, value, loss: own, bytesSaved }) => [
      node,
      opType,
      valueText(found, value),
      lossText(found, own),
      ...(alone && bySqnr ? [total > 0 ? `${((100 * own) / total).toFixed(0)} %` : ""] : []),
      bytesSaved === undefined ? "" : formatBytes(bytesSaved),
    ]),
    WIDTH,
  );
  const whole = `With all of them quantized: ${metric} ${valueText(found, all)}, on ${samples} samples.`;
  const rest = untried.length > 0 ? ` ${untried.length} were not tried: time was up (--time).` : "";
  return [table, ...paragraph(`${whole}${rest}`, WIDTH, "  ")].join("\n");
}
