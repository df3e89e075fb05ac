/**
 * @file What it was measured on and with, how to do it again, and what the words mean.
 */
import type { Machine } from "../../../measure/machine.ts";
import { VERSION } from "../../../version.ts";
import type { TargetMeasurement } from "../../job.ts";
import { formatConfig } from "../../judge.ts";
import { type Html, html, type Part } from "../html.ts";
import type { ReportAbout, Section } from "../page.ts";
import { proofText } from "./verdict.ts";

export function conditionsSection(
  targets: readonly TargetMeasurement[],
  machine: Machine,
  about: ReportAbout,
  more: readonly (readonly [string, Part])[] = [],
): Section {
  const vnni = machine.vnni === undefined ? "not known" : machine.vnni ? "yes" : "no";
  const rows: (readonly [string, Part])[] = [
    ["processor", `${machine.processor}, ${machine.cores} ${machine.cores === 1 ? "core" : "cores"} usable`],
    ["VNNI", vnni],
    ["platform", `${machine.platform}, ${machine.host}`],
    ["Tersor", about.version ?? VERSION],
    ["seed", about.seed ?? 0],
    ...more,
  ];
  return {
    id: "conditions",
    title: "Conditions and command",
    body: html`${about.command !== undefined && html`<p>The command that made this report:</p><pre><code>${about.command}</code></pre>`}
${list(rows)}${targets.map((result) => html`<h3>${result.target}</h3>${list(targetRows(result))}`)}${words()}`,
  };
}

function targetRows(result: TargetMeasurement): (readonly [string, Part])[] {
  if (result.notRunHere !== undefined) return [["verdict", `not run here: ${result.notRunHere}`]];
  const options = result.files.map(
    ({ name, config }) => `${name}: ${config === undefined ? "defaults" : formatConfig(config)}`,
  );
  const shapes = Object.entries(result.shapes ?? {}).map(([name, dims]) => `${name} [${dims.join(", ")}]`);
  return [
    ["verdict", proofText(result)],
    ["runtime", result.runtime ?? "unknown"],
    ...hostRows(result),
    ["threads", result.threads ?? "unknown"],
    ["session options", [...new Set(options)].map((text) => html`${text}<br />`)],
    ...(shapes.length > 0 ? [["first input", shapes.join(", ")] as const] : []),
  ];
}

/** The browser that it was in. */
function hostRows({ host, notes = [] }: TargetMeasurement): (readonly [string, Part])[] {
  const said = notes.map((note) => ["note", note] as const);
  if (host === undefined) return said;
  const { gpu } = host;
  const adapter = gpu && `${gpu.vendor} ${gpu.architecture}${gpu.software ? ", in software" : ""}`;
  return [
    ["browser", `${host.name}, ${host.isolated ? "cross-origin isolated" : "not cross-origin isolated"}`],
    ["user agent", host.userAgent],
    ...(adapter === undefined ? [] : [["GPU", adapter] as const]),
    ...said,
  ];
}

function list(rows: readonly (readonly [string, Part])[]): Html {
  return html`<dl>${rows.map(([term, text]) => html`<dt>${term}</dt><dd>${text}</dd>`)}</dl>
`;
}

function words(): Html {
  return html`<details><summary>What the words mean</summary><dl>
<dt>proven</dt><dd>loaded, run and compared with the original on your own samples, on this target</dd>
<dt>smoke-tested</dt><dd>loaded and run on generated inputs: its accuracy is unknown</dd>
<dt>not run here</dt><dd>this machine has no runtime for the target: nothing was measured</dd>
<dt>agrees</dt><dd>SQNR of at least 20 dB, or the same largest element in 98 % of rows; with labels, at most 2 % of the metric lost</dd>
<dt>differs</dt><dd>between agreeing and disagreeing</dd>
<dt>disagrees</dt><dd>SQNR under 10 dB and another largest element in over 10 % of rows; with labels, a fifth of the metric lost</dd>
<dt>faster, same, slower</dt><dd>by the interval of the median ratio of times, original over result, and at least 2 %</dd>
<dt>SQNR</dt><dd>10 · log10 of the signal’s power over that of the error, in decibels</dd>
<dt>p50, p95</dt><dd>half of the runs, and 95 % of them, took less</dd>
<dt>interval</dt><dd>of 95 %, by the bootstrap over samples or rounds</dd>
</dl></details>`;
}
