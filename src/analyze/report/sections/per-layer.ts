/**
 * @file Where the error enters and where it grows.
 */
import { shareText, shortDecibels } from "../../measurement-text.ts";
import { worstTensors } from "../../tensor-errors.ts";
import { sqnrStrip } from "../charts/strip.ts";
import type { ReportDetails } from "../collect.ts";
import { type Html, html, name } from "../html.ts";
import { type Column, type Section, table } from "../page.ts";

const MARKED = 6;

const COLUMNS: readonly Column[] = [
  { title: "node", kind: "wide" },
  { title: "operator" },
  { title: "SQNR in", kind: "number" },
  { title: "out", kind: "number" },
  { title: "noise added", kind: "number" },
];

export function perLayerSection({ tensors, leftOut }: ReportDetails): Section | undefined {
  if (tensors === undefined && leftOut.length === 0) return undefined;
  const notes = leftOut.map((text) => html`<p class="note">${text}</p>`);
  return { id: "layers", title: "Error by layer", body: html`${tensors && layers(tensors)}${notes}` };
}

function layers({ values, missing, samples }: NonNullable<ReportDetails["tensors"]>): Html {
  if (values.length === 0)
    return html`<p>There are no values to compare: the two models have none of the same name.</p>`;
  const adding = worstTensors(values).filter(({ added }) => added > 0);
  const marked = adding.slice(0, MARKED);
  const others = missing > 0 ? ` ${missing} have no counterpart in the result.` : "";
  return html`<p class="note">${values.length} values inside both models, compared on ${samples} ${samples === 1 ? "sample" : "samples"}.${others}</p>
<figure>${sqnrStrip(values, marked)}
<figcaption>One point for each value, from the model’s input on the left to its output on the right: the longer the line, the
larger the error. ${marked.length > 0 && "The numbered ones add the most noise; the table names them."}</figcaption></figure>
${
  adding.length === 0
    ? html`<p>No value differs.</p>`
    : table(
        "Where most noise enters or grows",
        COLUMNS,
        adding.map(({ node, opType, input, sqnr, added }, index) => [
          html`${index + 1}. ${name(node)}`,
          opType,
          shortDecibels(input),
          shortDecibels(sqnr),
          shareText(added),
        ]),
        MARKED + 4,
      )
}
<p class="note">Noise is a share of the signal’s power, counted against the worst value that the node reads.</p>`;
}
