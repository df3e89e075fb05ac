/**
 * @file How far the answers are from the original's, and what that does to the task.
 */
import type { OutputComparison } from "../../../measure/compare.ts";
import type { MetricResult } from "../../../measure/meter.ts";
import type { Drop } from "../../drops.ts";
import type { TargetMeasurement } from "../../job.ts";
import { percent } from "../../judge.ts";
import { shortDecibels } from "../../measurement-text.ts";
import { describeMetric, formatMetric } from "../../metric-text.ts";
import { differenceChart } from "../charts/bars.ts";
import { number } from "../charts/histogram.ts";
import { type Compared, comparedFiles, labelOf, labelPart } from "../compared.ts";
import { type Html, html, name, type Part } from "../html.ts";
import { type Section, table } from "../page.ts";

export function accuracySection(
  targets: readonly TargetMeasurement[],
  drops: readonly Drop[] = [],
): Section | undefined {
  const all = comparedFiles(targets);
  const outputs = all.flatMap((entry) => (entry.file.outputs ?? []).map((output) => ({ entry, output })));
  const metrics = all.flatMap((entry) => (entry.file.metrics ?? []).map((metric) => ({ entry, metric })));
  if (outputs.length === 0 && metrics.length === 0) return undefined;
  const generated = targets.some((result) => result.generated);
  const body = html`${
    generated &&
    html`<p class="note">Inputs were generated. Real ones lie elsewhere: take these numbers for a sign of life, not for its accuracy.</p>`
  }${metrics.length > 0 && metricPart(metrics, all, drops)}${
    outputs.length > 0 &&
    html`<h3>Outputs beside the original’s</h3>
<p class="note">The same inputs go through both files. SQNR is the power of the original’s output over that of the difference: 20 dB
is an error of a tenth, 40 dB of a hundredth.</p>
${table(
  "Outputs of the result against those of the original",
  [
    { title: "output" },
    { title: "on" },
    { title: "SQNR", kind: "number" },
    { title: "cosine", kind: "number" },
    { title: "largest error", kind: "number" },
    { title: "same top-1", kind: "number" },
    { title: "note", kind: "wide" },
  ],
  outputs.map(({ entry, output }) => [name(output.name), labelPart(entry, all), ...outputCells(output)]),
)}`
  }`;
  return { id: "accuracy", title: "Accuracy", body };
}

function outputCells(output: OutputComparison): Part[] {
  switch (output.kind) {
    case "mismatch":
      return ["", "", "", "", `cannot be compared: ${output.problem}`];
    case "exact":
      return ["", "", "", "", `${percent(output.equal)} of ${output.elements} elements equal`];
    case "float": {
      const { sqnr, cosine, maxAbs, agreementArgmax, nonFinite } = output;
      const note = nonFinite.differing > 0 ? `NaN or infinite in ${nonFinite.differing} places` : "";
      const top1 = agreementArgmax === undefined ? "" : percent(agreementArgmax);
      return [shortDecibels(sqnr), cosine.toFixed(5), Number.isFinite(maxAbs) ? number(maxAbs) : "∞", top1, note];
    }
  }
}

interface Measured {
  readonly entry: Compared;
  readonly metric: MetricResult;
}

function metricPart(metrics: readonly Measured[], all: readonly Compared[], drops: readonly Drop[]): Html {
  const names = [...new Set(metrics.map(({ metric }) => metric.name))];
  return html`${names.map((metric) =>
    metricChart(
      metric,
      metrics.filter((entry) => entry.metric.name === metric),
      all,
      drops.find((drop) => drop.metric === metric),
    ),
  )}${table(
    "Metrics of the task, with intervals of 95 %",
    [
      { title: "metric" },
      { title: "on" },
      { title: "original → result, interval of the difference", kind: "wide" },
      { title: "samples", kind: "number" },
      { title: "answered differently", kind: "number" },
    ],
    metrics.map(({ entry, metric }) => [
      metric.name,
      labelPart(entry, all),
      describeMetric(metric),
      metric.samples,
      metric.differing ?? "",
    ]),
  )}${drops.length > 0 && html`<ul class="marks">${drops.map(({ ok, target, text }) => html`<li>${ok ? "✓" : "✗"} ${target}: ${text}</li>`)}</ul>`}`;
}

/** Differences from the original; without labels the share of equal answers is all there is. */
function metricChart(
  title: string,
  metrics: readonly Measured[],
  all: readonly Compared[],
  drop: Drop | undefined,
): Html | false {
  const rows = metrics.flatMap(({ entry, metric }) => {
    const { difference, unit } = metric;
    if (difference === undefined) return [];
    const { value, low, high } = difference;
    if (![value, low, high].every(Number.isFinite)) return [];
    const change = unit === "share" ? `${signed(100 * value, 1)} points` : `${signed(value, 4)}`;
    const text = `${formatMetric(unit, metric.original)} → ${formatMetric(unit, metric.value)}, ${change}`;
    return [{ label: labelPart(entry, all), title: labelOf(entry, all), text, value, low, high }];
  });
  if (rows.length === 0) return false;
  const [{ metric }] = metrics as [Measured];
  const better = metric.direction === "higher" ? "right is better" : "left is better";
  const sign = metric.direction === "higher" ? -1 : 1;
  // A share of the original's value differs from target to target: the first one's is drawn.
  const limit = drop && drop.limit * (drop.kind === "points" ? 1 : Math.abs(metric.original));
  const budget = limit === undefined ? "" : "; the dashed line is what may be lost";
  return html`<h3>${title}</h3>${differenceChart(rows, {
    ...(limit !== undefined && { limit: sign * limit }),
    caption: `Change of ${title} against the original with its interval of 95 %; the line in the middle is no change, ${better}${budget}.`,
  })}`;
}

function signed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  if (/^-?[0.]+$/.test(text)) return text.replace("-", "");
  return value > 0 ? `+${text}` : text.replace("-", "−");
}
