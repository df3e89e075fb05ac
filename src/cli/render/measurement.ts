/**
 * @file Measurements as a person reads them.
 */
import type { Drop } from "../../analyze/drops.ts";
import type { FileRules, TargetMeasurement } from "../../analyze/job.ts";
import { formatConfig, verdictOf } from "../../analyze/judge.ts";
import { agreementText, placementText, speedText } from "../../analyze/measurement-text.ts";
import { describeMetric } from "../../analyze/metric-text.ts";
import { groupReasons } from "../../analyze/reasons.ts";
import type { Machine } from "../../measure/machine.ts";
import { type SaturationScan, saturationNote } from "../../quantize/saturation/scan.ts";
import type { LeftAlone } from "../../step/step.ts";
import { formatBytes, formatMilliseconds, formatRatio } from "../../util/format.ts";
import { paragraph, plain, WIDTH } from "./table.ts";

/** "a.onnx → b.onnx   note" in one line where it fits; paths are never cut: they are there to be copied. */
export function renderHead(from: string, to: string, note: string): string {
  const line = `${plain(from)} → ${plain(to)}   ${note}`;
  return line.length <= WIDTH ? line : [plain(from), `→ ${plain(to)}`, `  ${note}`].join("\n");
}

/** The last line of a comparison. */
export function renderVerdict(ok: boolean, targets: string, problems: number): string {
  if (!ok) return "  NOT OK: see the lines with ! above";
  return `  OK on ${targets}${problems > 0 ? "; mind the lines with ! above" : ""}`;
}

/** Broken rules that are listed; the rest is counted. */
const SHOWN_RULES = 5;

function renderRules({ nodes, rules, broken }: FileRules): string[] {
  if (nodes === 0) return ["    nothing in it is quantized"];
  if (broken.length === 0) return paragraph(`${nodes} Q/DQ nodes keep its ${rules.length} rules`, WIDTH, "    ");
  const more = broken.length > SHOWN_RULES ? [`and ${broken.length - SHOWN_RULES} more`] : [];
  return [...broken.slice(0, SHOWN_RULES), ...more].flatMap((line) => paragraph(`! ${line}`, WIDTH, "    "));
}

/** The original and one other file, one block per target. */
export function renderTargets(targets: readonly TargetMeasurement[]): string {
  return targets.map(renderTarget).join("\n");
}

function renderTarget(result: TargetMeasurement): string {
  const head = `  ${result.target}  ${verdictOf(result)}`;
  if (result.notRunHere !== undefined)
    return [
      ...paragraph(`${result.target}: not run here: ${result.notRunHere}`, WIDTH, "  "),
      ...(result.rules ?? []).flatMap(renderRules),
    ].join("\n");
  const [original, ...others] = result.files;
  const lines = [head];
  const row = (title: string, text: string): void => {
    if (text === "") return;
    lines.push(...paragraph(text, WIDTH - 17).map((line, i) => `    ${(i === 0 ? title : "").padEnd(13)}${line}`));
  };
  for (const file of others) {
    // Several: what each block is about has to be said.
    if (others.length > 1) lines.push(`    ${file.name}, beside the ${original?.name}`);
    if (file.error !== undefined) {
      row("error", `does not ${file.error.stage}: ${file.error.message}`);
      continue;
    }
    row("agreement", agreementText(file));
    for (const metric of file.metrics ?? []) row(metric.name, describeMetric(metric, original?.name));
    if (file.latency !== undefined && original?.latency !== undefined) {
      const p50 = `${formatMilliseconds(original.latency.p50)} → ${formatMilliseconds(file.latency.p50)}`;
      row("latency p50", `${p50}, ${speedText(file)}`);
      row("latency p95", `${formatMilliseconds(original.latency.p95)} → ${formatMilliseconds(file.latency.p95)}`);
    }
    if (file.peakMemory !== undefined && original?.peakMemory !== undefined) {
      row("peak memory", `${formatBytes(original.peakMemory)} → ${formatBytes(file.peakMemory)}`);
    }
    row("on the CPU", placementText(file, original));
    if (file.config !== undefined) row("load with", formatConfig(file.config));
    if (file.withConfig !== undefined) {
      row("note", `${formatRatio(file.withConfig.ratio.median)} with ${formatConfig(file.withConfig.config)}`);
    }
  }
  return lines.join("\n");
}

/** One line per metric and target: with ! where the file may have lost more than it may. */
export function renderDrops(drops: readonly Drop[]): string[] {
  return drops.map(({ ok, target, text }) => `${ok ? "✓" : "!"} ${target}: ${text}`);
}

/**
 * What was measured on what: one paragraph.
 * @param saturation of the file that was judged; undefined: not looked for.
 */
export function renderConditions(
  targets: readonly TargetMeasurement[],
  machine: Machine,
  saturation?: SaturationScan,
): string {
  const run = targets.filter((result) => result.samples !== undefined);
  const [first] = run;
  if (first === undefined) return "";
  const unknown = saturation === undefined ? ": u8×s8 may saturate" : "";
  const vnni = machine.vnni === undefined ? "" : machine.vnni ? ", VNNI" : `, no VNNI${unknown}`;
  const shapes = Object.entries(first.shapes ?? {}).map(([name, dims]) => `${name} [${dims.join(", ")}]`);
  const samples = `${first.samples} ${first.generated ? "generated inputs" : `samples of ${first.dataName}`}`;
  const seen = first.seenBefore ? " (which calibration has seen too: there were no others)" : "";
  const text = `Measured with ${samples}${seen}, first ${shapes.join(", ")}; ${machine.processor}${vnni}, ${first.threads} thread${first.threads === 1 ? "" : "s"}, ${machine.platform}, ${machine.host}, ${[...new Set(run.map((result) => result.runtime))].join(", ")}.`;
  const warning = first.generated
    ? ["Smoke-tested: it loads and runs; give your own samples with --data to prove its accuracy."]
    : [];
  const notes = run.flatMap(({ target, notes: own = [] }) => own.map((note) => `${target}: ${note}`));
  const measured = run.map(({ target }) => target);
  const note = saturation === undefined ? undefined : saturationNote(saturation, machine, measured);
  return [text, ...(note === undefined ? [] : [note]), ...notes, ...warning]
    .flatMap((line) => paragraph(line, WIDTH, "  "))
    .join("\n");
}

/** What was left alone, counted by operator and reason. */
export function renderLeftAlone(leftAlone: readonly LeftAlone[], verbose: boolean): string {
  if (leftAlone.length === 0) return "";
  if (verbose) {
    const each = leftAlone.flatMap(({ subject, opType, reason }) =>
      paragraph(`${subject}${opType === undefined ? "" : ` (${opType})`}: ${reason}`, WIDTH, "    "),
    );
    return ["  Left in float:", ...each].join("\n");
  }
  const lines = groupReasons(leftAlone).flatMap(({ count, opType, subject, reason }) => {
    const only = subject === undefined ? "" : ` "${subject}"`;
    return paragraph(`${count} ${opType ?? "value"}${only}: ${reason}`, WIDTH, "    ");
  });
  return ["  Left in float:", ...lines].join("\n");
}
