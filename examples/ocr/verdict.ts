/** @file What a file's results mean, in one sentence. */

import { formatRatio } from "../../src/util/format.ts";
import { type FileReport, type FileResult, LIMITS, points, slack } from "./report.ts";

/** "static-int8: 0.29× the bytes; 1.72× faster on node-cpu, …; reads as well as the original (…)". */
export function verdictOf(file: FileReport): string {
  const failed = file.results.filter(({ error }) => error !== undefined);
  if (failed.length > 0) {
    return `${file.name}: unusable: ${failed.map(({ target, error }) => `${error} (${target})`).join("; ")}`;
  }
  const speed = file.results.map(speedOf).filter((text) => text !== undefined);
  return [`${file.name}: ${formatRatio(file.ratio)} the bytes`, speed.join(", "), readingOf(file.results)]
    .filter((part) => part !== "")
    .join("; ");
}

function speedOf({ target, latency }: FileResult): string | undefined {
  if (latency?.ratio === undefined) return undefined;
  const times = formatRatio(latency.ratio.median);
  switch (latency.verdict) {
    case "faster":
      return `${times} faster on ${target}`;
    case "slower":
      return `slower on ${target} (${times} its speed)`;
    default:
      return `as fast on ${target}`;
  }
}

/** Judged on the target where it reads worst. */
function readingOf(results: readonly FileResult[]): string {
  const judged = results.filter(({ difference }) => difference !== undefined);
  if (judged.length === 0) return "";
  if (judged.every(({ score }) => score?.agreement === 1)) return "reads every sample as the original does";
  const worst = judged.reduce((a, b) => (b.difference!.cer.difference > a.difference!.cer.difference ? b : a));
  const { cer, exact } = worst.difference!;
  const interval = `interval ${points(cer.low)} … ${points(cer.high)}`;
  const figures = `(CER ${points(cer.difference)} points, ${interval}; exact match ${points(exact.difference)})`;
  return `${levelOf(worst)} ${figures}`;
}

function levelOf({ score, difference }: FileResult): string {
  const { cer, exact } = difference!;
  const wider = slack(score!.samples);
  const close = cer.difference <= LIMITS.cer * wider && -exact.difference <= LIMITS.exact * wider;
  if (cer.high < 0) return "reads better than the original";
  if (close) return cer.low > 0 ? "reads a little worse than the original" : "reads as well as the original";
  return cer.low > 0 || exact.high < 0 ? "reads worse than the original" : "may read worse than the original";
}
