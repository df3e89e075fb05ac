/**
 * @file What was measured in a few words, the same on the terminal and in reports.
 */
import type { NodePlacement } from "../runtime/runtime.ts";
import { formatRatio } from "../util/format.ts";
import type { FileMeasurement } from "./job.ts";
import { formatDecibels, percent, worstOutput } from "./judge.ts";
import { formatMetric } from "./metric-text.ts";
import type { Sensitivity } from "./sensitivity.ts";

/** Agreement of a file with the original: the worst output's SQNR, and its rows with the same largest element. */
export function agreementText(measured: FileMeasurement): string {
  const worst = worstOutput(measured);
  if (worst?.kind !== "float") return agreementCell(measured);
  const rows = worst.agreementArgmax === undefined ? "" : `, same top-1 ${percent(worst.agreementArgmax)}`;
  return `SQNR ${formatDecibels(worst.sqnr)}${rows}`;
}

/** The same in a few characters. */
export function agreementCell(measured: FileMeasurement): string {
  const worst = worstOutput(measured);
  if (worst === undefined) return "";
  if (worst.kind === "mismatch") return worst.problem;
  return worst.kind === "exact" ? `${percent(worst.equal)} equal` : formatDecibels(worst.sqnr);
}

/** "1.72× faster (1.70–1.74)". */
export function speedText(measured: FileMeasurement): string {
  const { latency } = measured;
  if (latency?.ratio === undefined) return "";
  const { median, low, high } = latency.ratio;
  const verdict = latency.verdict ?? "(no verdict)";
  return `${formatRatio(median)} ${verdict} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

/** "18 of 193 → 0 of 175 nodes (Clip 18)": what WebGPU leaves to the processor; "": nothing, in neither file. */
export function placementText(file: FileMeasurement, original?: FileMeasurement): string {
  const count = ({ onCpu }: NodePlacement): number => Object.values(onCpu).reduce((sum, number) => sum + number, 0);
  const placements = [original?.placement, file.placement].filter((placement) => placement !== undefined);
  if (file.placement === undefined || placements.every((placement) => count(placement) === 0)) return "";
  const counts = placements.map((placement) => `${count(placement)} of ${placement.nodes}`);
  const kinds = Object.entries(file.placement.onCpu).sort((a, b) => b[1] - a[1]);
  const list = kinds.slice(0, 4).map(([opType, number]) => `${opType} ${number}`);
  const named = list.length === 0 ? "" : ` (${list.join(", ")}${kinds.length > list.length ? ", …" : ""})`;
  return `${counts.join(" → ")} nodes${named}`;
}

/** "∞" where nothing differs: for narrow columns. */
export function shortDecibels(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "∞" : formatDecibels(value).replace(/^-/, "−");
}

/** A share as a percentage with two significant digits. */
export function shareText(value: number): string {
  const hundredths = 100 * value;
  if (hundredths > 0 && hundredths < 0.001) return "< 0.001 %";
  return `${hundredths >= 10 ? hundredths.toFixed(0) : Number(hundredths.toPrecision(2))} %`;
}

/** Two places, and no "-0.00". */
function fixed(value: number): string {
  const text = value.toFixed(2);
  return text === "-0.00" ? "0.00" : text.replace("-", "−");
}

/** What a node costs, or wins back, in the unit of the metric. */
export function lossText({ mode, metric, unit }: Pick<Sensitivity, "mode" | "metric" | "unit">, value: number): string {
  if (metric === "sqnr") return mode === "quantize-one" ? shareText(value) : `${fixed(value)} dB`;
  return unit === "share" ? `${fixed(100 * value)} points` : String(Number(value.toPrecision(3)));
}

/** A metric's value in a narrow column. */
export function valueText({ metric, unit }: Pick<Sensitivity, "metric" | "unit">, value: number): string {
  return metric === "sqnr" ? shortDecibels(value) : formatMetric(unit, value);
}
