/**
 * @file What a measurement means, in words: usable or not, and why.
 */
import type { OutputComparison } from "../measure/compare.ts";
import type { MetricResult } from "../measure/meter.ts";
import type { FileMeasurement, TargetMeasurement } from "./job.ts";
import { describeMetric } from "./metric-text.ts";

/** SQNR from which on outputs count as the same, in decibels: an error of a tenth of the signal. */
const AGREES_DB = 20;
/** SQNR below which outputs have little to do with the original's: an error of a third of the signal. */
const DISAGREES_DB = 10;
/** Share of rows with the same largest element from which on a classification counts as the same. */
const AGREES_ARGMAX = 0.98;
/** Share below which it counts as another one. */
const DISAGREES_ARGMAX = 0.9;

export type Agreement = "agrees" | "differs" | "disagrees";

/** What can be wrong with a file on a target. */
export type FindingKind = "load" | "run" | "score" | "output" | "slower";

export interface Finding {
  readonly kind: FindingKind;
  /** One sentence without its subject. */
  readonly text: string;
}

export interface Judgement {
  /** Loads, runs and does not disagree with the original. */
  readonly usable: boolean;
  readonly agreement: Agreement | undefined;
  /** Empty for a file with which all is well. */
  readonly findings: readonly Finding[];
  /** The findings' texts. */
  readonly problems: readonly string[];
}

function judgement(usable: boolean, agreement: Agreement | undefined, findings: readonly Finding[]): Judgement {
  return { usable, agreement, findings, problems: findings.map(({ text }) => text) };
}

/**
 * Loss of a metric that knows labels up to which a file counts as as good: a share of the original's value; of error
 * rates, whose values may be tiny, points.
 */
const AGREES_LOSS = 0.02;
/** Loss from which on a file counts as another model. */
const DISAGREES_LOSS = 0.2;

/**
 * Judges one file of a measurement; the original is judged by loading alone.
 * @param original The original's measurement: where there is a metric that knows labels, or both have the user's score
 * (higher is better), that decides whether they agree, not the distance of their outputs.
 */
export function judge(measured: FileMeasurement, original?: FileMeasurement): Judgement {
  if (measured.error !== undefined) {
    const { stage, message } = measured.error;
    return judgement(false, undefined, [{ kind: stage, text: `does not ${stage}: ${message}` }]);
  }
  const findings: Finding[] = [];
  const outputs = measured.outputs ?? [];
  let agreement: Agreement | undefined = outputs.length > 0 ? "agrees" : undefined;
  const scored = taskAgreement(measured, original);
  for (const { level, text } of scored) {
    if (level === "agrees") continue;
    if (agreement !== "disagrees") agreement = level;
    findings.push({ kind: "score", text });
  }
  for (const output of outputs) {
    const broken = output.kind === "mismatch" || (output.kind === "float" && output.nonFinite.differing > 0);
    if (scored.length > 0 && !broken) continue;
    const level = agreementOf(output);
    if (level === "agrees") continue;
    if (level === "disagrees" || agreement === "agrees") agreement = level;
    const how = level === "disagrees" ? "disagrees with" : "differs from";
    findings.push({ kind: "output", text: `${how} the original: ${describeOutput(output)}` });
  }
  const { latency, withConfig } = measured;
  if (latency?.verdict === "slower" && latency.ratio !== undefined) {
    const cure = withConfig
      ? ` (${withConfig.ratio.median.toFixed(2)}× with the session option ${formatConfig(withConfig.config)})`
      : "";
    findings.push({
      kind: "slower",
      text: `slower than the original: ${latency.ratio.median.toFixed(2)}× its speed${cure}`,
    });
  }
  return judgement(agreement !== "disagrees", agreement, findings);
}

/** Whether no file breaks a rule of a target that is known by its rules only. */
export function keepsRules(targets: readonly TargetMeasurement[]): boolean {
  return targets.every(({ rules = [] }) => rules.every(({ broken }) => broken.length === 0));
}

interface TaskAgreement {
  readonly level: Agreement;
  readonly text: string;
}

/** What the metrics that know labels say, and the user's score. Empty: there are none. */
function taskAgreement(measured: FileMeasurement, original: FileMeasurement | undefined): TaskAgreement[] {
  const metrics = (measured.metrics ?? []).filter(({ against, name }) => against === "labels" && name !== "score");
  const found = metrics.map((result) => ({
    level: metricAgreement(result),
    text: `is worse than the original: ${result.name} ${describeMetric(result)}`,
  }));
  const level = scoreAgreement(measured.score, original?.score);
  if (level === undefined) return found;
  const text = `scores lower than the original: ${original!.score!.toFixed(4)} → ${measured.score!.toFixed(4)}`;
  return [{ level, text }, ...found];
}

function metricAgreement({ direction, unit, value, original }: MetricResult): Agreement {
  if (direction === "higher") return scoreAgreement(value, original) ?? "disagrees";
  const loss = (value - original) / (unit === "share" ? 1 : Math.max(Math.abs(original), Number.MIN_VALUE));
  if (loss <= AGREES_LOSS) return "agrees";
  return loss < DISAGREES_LOSS ? "differs" : "disagrees";
}

function scoreAgreement(score: number | undefined, original: number | undefined): Agreement | undefined {
  if (score === undefined || original === undefined) return undefined;
  if (!Number.isFinite(score)) return Number.isFinite(original) ? "disagrees" : undefined;
  const loss = (original - score) / Math.max(Math.abs(original), Number.MIN_VALUE);
  if (loss <= AGREES_LOSS) return "agrees";
  return loss < DISAGREES_LOSS ? "differs" : "disagrees";
}

function agreementOf(output: OutputComparison): Agreement {
  switch (output.kind) {
    case "mismatch":
      return "disagrees";
    case "exact":
      return output.equal >= AGREES_ARGMAX ? "agrees" : output.equal >= DISAGREES_ARGMAX ? "differs" : "disagrees";
    case "float": {
      if (output.nonFinite.differing > 0) return "disagrees";
      const rows = output.agreementArgmax;
      if (output.sqnr >= AGREES_DB || (rows !== undefined && rows >= AGREES_ARGMAX)) return "agrees";
      if (output.sqnr < DISAGREES_DB && (rows === undefined || rows < DISAGREES_ARGMAX)) return "disagrees";
      return "differs";
    }
  }
}

/** One output's comparison in words. */
export function describeOutput(output: OutputComparison): string {
  const name = `output "${output.name}"`;
  switch (output.kind) {
    case "mismatch":
      return `${name}: ${output.problem}`;
    case "exact":
      return `${name}: ${percent(output.equal)} equal`;
    case "float": {
      if (output.nonFinite.differing > 0) return `${name}: NaN or infinite in ${output.nonFinite.differing} places`;
      const rows =
        output.agreementArgmax === undefined ? "" : `, same largest element in ${percent(output.agreementArgmax)}`;
      return `${name}: SQNR ${formatDecibels(output.sqnr)}${rows}`;
    }
  }
}

/** The worst output of a file, or undefined where there is nothing to compare. */
export function worstOutput(measured: FileMeasurement): OutputComparison | undefined {
  const rank = (output: OutputComparison): number => {
    if (output.kind === "mismatch") return Number.NEGATIVE_INFINITY;
    return output.kind === "exact" ? output.equal * 100 : output.sqnr;
  };
  return [...(measured.outputs ?? [])].sort((a, b) => rank(a) - rank(b))[0];
}

/** "proven" with the user's data, "smoke-tested" with generated inputs, "not run here" without the runtime. */
export function verdictOf(result: TargetMeasurement): "proven" | "smoke-tested" | "not run here" {
  if (result.notRunHere !== undefined) return "not run here";
  return result.generated ? "smoke-tested" : "proven";
}

export function formatDecibels(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "∞ (equal)";
  return `${value.toFixed(1)} dB`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** A session configuration as it is written in JavaScript. */
export function formatConfig(config: Readonly<Record<string, string>>): string {
  const inner = Object.entries(config).map(([key, value]) => `${key.replace(/^session\./, "")}: '${value}'`);
  return `{ extra: { session: { ${inner.join(", ")} } } }`;
}
