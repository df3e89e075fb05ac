/**
 * @file Metrics in words and numbers for people.
 */
import type { MetricResult } from "../measure/meter.ts";
import type { Unit } from "../measure/metrics/metric.ts";

/** A metric's value in its unit. */
export function formatMetric(unit: Unit, value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "undefined" : value > 0 ? "∞" : "−∞";
  switch (unit) {
    case "share":
      return `${bare(unit, value)} %`;
    case "dB":
    case "nats":
      return `${bare(unit, value)} ${unit}`;
    default:
      return bare(unit, value);
  }
}

/** The number alone: of a share its hundredths. */
function bare(unit: Unit, value: number): string {
  if (!Number.isFinite(value)) return formatMetric(unit, value);
  switch (unit) {
    case "share":
      return noMinusZero((100 * value).toFixed(1));
    case "dB":
      return noMinusZero(value.toFixed(1));
    case "score":
      return noMinusZero(value.toFixed(4));
    default:
      return noMinusZero(String(Number(value.toPrecision(3))));
  }
}

/** "−0.3", "+0.3", "0.0"; with the sign that typography has for it. */
function signed(unit: Unit, value: number): string {
  const text = bare(unit, value);
  return value > 0 && !/^[0.]+$/.test(text) ? `+${text}` : text;
}

function noMinusZero(text: string): string {
  return text.startsWith("-") ? (/^-[0.]+$/.test(text) ? text.slice(1) : `−${text.slice(1)}`) : text;
}

/** "98.2 % → 97.9 %  (−0.3 points, −0.6 … 0.0)"; without labels "97.9 %  (96.1 … 99.0) against the original". */
export function describeMetric(result: MetricResult, reference = "original"): string {
  const { unit, value, low, high, original, difference, against } = result;
  const range = `${bare(unit, low)} … ${bare(unit, high)}`;
  if (against === "original") return `${formatMetric(unit, value)}  (${range}) against the ${reference}`;
  if (difference === undefined) return `${formatMetric(unit, value)}  (${range})`;
  const points = unit === "share" ? " points" : unit === "dB" || unit === "nats" ? ` ${unit}` : "";
  const change = `${signed(unit, difference.value)}${points}, ${signed(unit, difference.low)} … ${signed(unit, difference.high)}`;
  return `${formatMetric(unit, original)} → ${formatMetric(unit, value)}  (${change})`;
}
