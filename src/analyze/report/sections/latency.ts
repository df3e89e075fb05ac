/**
 * @file How fast files run, beside the original.
 */
import { formatBytes, formatMilliseconds } from "../../../util/format.ts";
import type { FileMeasurement, TargetMeasurement } from "../../job.ts";
import { formatConfig } from "../../judge.ts";
import { speedText } from "../../measurement-text.ts";
import { barChart } from "../charts/bars.ts";
import { comparedFiles, labelOf, labelPart } from "../compared.ts";
import { html } from "../html.ts";
import { type Section, table } from "../page.ts";

export function latencySection(targets: readonly TargetMeasurement[]): Section | undefined {
  const timed = targets.filter(({ files }) => files.some(({ latency }) => latency !== undefined));
  if (timed.length === 0) return undefined;
  const compared = comparedFiles(timed);
  const bars = compared.flatMap((entry) => {
    const { ratio, verdict } = entry.file.latency ?? {};
    if (ratio === undefined) return [];
    const tone = verdict === "slower" ? ("mark" as const) : ("after" as const);
    const label = labelPart(entry, compared);
    const interval = { low: ratio.low, high: ratio.high };
    return [
      { label, title: labelOf(entry, compared), text: speedText(entry.file), value: ratio.median, interval, tone },
    ];
  });
  const rows = timed.flatMap((result) =>
    result.files.map((file) => [
      file.name,
      html`<span class="short">${result.target}</span>`,
      ...latencyCells(file),
      file.config ? formatConfig(file.config) : "",
    ]),
  );
  return {
    id: "latency",
    title: "Latency",
    body: html`${
      bars.length > 0 &&
      barChart(bars, {
        reference: 1,
        caption:
          "Time of the original over time of the result, run by turns: the dashed line is the original’s speed, right of it is faster. Median of the rounds with its interval of 95 %.",
      })
    }${table(
      "Times on each target",
      [
        { title: "file" },
        { title: "on" },
        { title: "p50", kind: "number" },
        { title: "p95", kind: "number" },
        { title: "load", kind: "number" },
        { title: "peak memory", kind: "number" },
        { title: "session options" },
      ],
      rows,
    )}`,
  };
}

function latencyCells({ latency, loadMs, peakMemory, error }: FileMeasurement): string[] {
  if (error !== undefined) return [`does not ${error.stage}`, "", "", ""];
  return [
    latency === undefined ? "" : formatMilliseconds(latency.p50),
    latency === undefined ? "" : formatMilliseconds(latency.p95),
    loadMs === undefined ? "" : formatMilliseconds(loadMs),
    peakMemory === undefined ? "" : formatBytes(peakMemory),
  ];
}
