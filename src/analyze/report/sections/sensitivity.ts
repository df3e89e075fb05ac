/**
 * @file What quantizing each node costs.
 */
import { formatBytes } from "../../../util/format.ts";
import { lossText, valueText } from "../../measurement-text.ts";
import type { Sensitivity } from "../../sensitivity.ts";
import { barChart } from "../charts/bars.ts";
import { html, name } from "../html.ts";
import { type Section, table } from "../page.ts";

const BARS = 12;

export function sensitivitySection(found: Sensitivity): Section {
  const { mode, metric, all, samples, nodes, untried } = found;
  const alone = mode === "quantize-one";
  const what = alone ? "quantized alone" : "kept in float alone, the others quantized";
  return {
    id: "sensitivity",
    title: "Sensitivity",
    body: html`<p class="note">Each node was ${what}, and ${metric} was measured on ${samples} ${samples === 1 ? "sample" : "samples"}.
With all of them quantized it is ${valueText(found, all)}. ${
      alone ? "The longest bars are what to keep in float first (--exclude)." : "The longest bars win back the most."
    }${untried.length > 0 && ` ${untried.length} nodes were not tried: time was up.`}</p>
${barChart(
  nodes.slice(0, BARS).map(({ node, opType, loss }) => ({
    label: name(node),
    title: node,
    text: `${lossText(found, loss)}, ${opType}`,
    value: Number.isFinite(loss) ? Math.max(0, loss) : undefined,
  })),
  { caption: alone ? "What each costs: noise of the output, or what is lost of the metric." : "What each wins back." },
)}${table(
  "All nodes that were tried",
  [
    { title: "node", kind: "wide" },
    { title: "operator" },
    { title: metric, kind: "number" },
    { title: alone ? "costs" : "wins back", kind: "number" },
    { title: alone ? "saves" : "takes", kind: "number" },
  ],
  nodes.map(({ node, opType, value, loss, bytesSaved }) => [
    name(node),
    opType,
    valueText(found, value),
    lossText(found, loss),
    bytesSaved === undefined ? "" : formatBytes(bytesSaved),
  ]),
  0,
)}`,
  };
}
