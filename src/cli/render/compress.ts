/**
 * @file The result of a search as a person reads it: the verdict first, then what was tried, then how to make it again.
 */

import { agreementText, speedText } from "../../analyze/measurement-text.ts";
import { describeMetric } from "../../analyze/metric-text.ts";
import type { CompressResult, TargetOutcome } from "../../recipe/compress/compress-file.ts";
import type { Tried } from "../../recipe/compress/record.ts";
import type { TargetName } from "../../runtime/targets.ts";
import { formatBytes, formatMilliseconds, formatRatio } from "../../util/format.ts";
import { renderConditions } from "./measurement.ts";
import { type Column, paragraph, plain, renderTable, WIDTH } from "./table.ts";

/** Rows of the table of what was tried, and nodes of a ranking. */
const MOST_ROWS = 24;
const MOST_NODES = 5;

export function renderCompress(result: CompressResult): string {
  const { input, files, targets, machine } = result;
  const blocks = [
    `${plain(input.path)} → ${plain(result.output)}/   ${formatBytes(input.byteLength)}, at most ${result.budget.text} lost`,
  ];
  for (const file of files) {
    const { gzip, brotli } = file.compressed ?? {};
    const travel = [
      gzip === undefined ? "" : `gzip ${formatBytes(gzip)}`,
      brotli === undefined ? "" : `brotli ${formatBytes(brotli)}`,
    ];
    const ratio = formatRatio(file.byteLength / input.byteLength);
    blocks.push(
      "",
      `  ${plain(file.path)}   for ${file.targets.join(", ")}`,
      `    ${file.candidate.name}`,
      `    ${[`${formatBytes(file.byteLength)}  ${ratio}`, ...travel].filter((part) => part !== "").join(", ")}`,
    );
  }
  for (const outcome of targets) blocks.push("", ...renderOutcome(outcome, result));
  const measured = targets.flatMap(({ original }) => original ?? []);
  if (measured.length > 0) blocks.push("", renderConditions(measured, machine));
  blocks.push("", renderTried(result));
  const commands = [...new Set(targets.flatMap(({ command }) => command ?? []))];
  if (commands.length > 0) blocks.push("", "  To make it without a search:", ...commands.flatMap(breakCommand));
  blocks.push("", ...renderEnd(result));
  return blocks.join("\n");
}

/** A command in lines that a shell takes as one. */
function breakCommand(command: string): string[] {
  const parts: string[] = [];
  for (const part of plain(command).split(/ (?=--?[a-z])/)) {
    // Not within quotes.
    const open = parts.length > 0 && parts.at(-1)!.split("'").length % 2 === 0;
    if (open) parts.push(`${parts.pop()} ${part}`);
    else parts.push(part);
  }
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + part.length + 9 <= WIDTH) lines[lines.length - 1] = `${line} ${part}`;
    else lines.push(part);
  }
  return lines.map((line, i) => `${i === 0 ? "    " : "      "}${line}${i < lines.length - 1 ? " \\" : ""}`);
}

function renderOutcome(outcome: TargetOutcome, { ranking }: CompressResult): string[] {
  const { target, proof, best, original } = outcome;
  if (outcome.notRunHere !== undefined) {
    return paragraph(`${target}: not run here: ${outcome.notRunHere}`, WIDTH, "  ");
  }
  const found = outcome.file !== undefined;
  const verdict = found ? (original?.generated ? "smoke-tested" : "proven") : "nothing within the budget";
  const lines = [`  ${target}  ${verdict}`];
  const row = (title: string, text: string): void => {
    if (text === "") return;
    lines.push(...paragraph(text, WIDTH - 17).map((line, i) => `    ${(i === 0 ? title : "").padEnd(13)}${line}`));
  };
  if (!found && best !== undefined) row("nearest", best.name);
  if (proof === undefined) {
    row("nothing", "no candidate was proven there");
    return lines;
  }
  const { measurement, drops, judgement } = proof;
  if (measurement.error !== undefined)
    row("error", `does not ${measurement.error.stage}: ${measurement.error.message}`);
  else row("agreement", agreementText(measurement));
  for (const metric of measurement.metrics ?? []) row(metric.name, describeMetric(metric));
  const before = proof.originalMs;
  if (measurement.latency !== undefined && before !== undefined) {
    row(
      "latency p50",
      `${formatMilliseconds(before)} → ${formatMilliseconds(measurement.latency.p50)}, ${speedText(measurement)}`,
    );
  }
  for (const drop of drops) lines.push(...paragraph(`${drop.ok ? "✓" : "!"} ${drop.text}`, WIDTH, "    "));
  if (!found) {
    for (const problem of judgement.problems) lines.push(...paragraph(`! ${problem}`, WIDTH, "    "));
    if (ranking !== undefined) lines.push(...renderRanking(ranking));
  }
  return lines;
}

function renderRanking({ of, nodes }: NonNullable<CompressResult["ranking"]>): string[] {
  const worst = nodes
    .slice(0, MOST_NODES)
    .map(({ node, opType, loss }) => `${node} (${opType}, ${(100 * loss).toPrecision(2)} %)`);
  return paragraph(`most noise in ${of}, each node alone: ${worst.join(", ")}`, WIDTH, "    ");
}

function renderTried({ tried, targets, input, evaluated, files, budget }: CompressResult): string {
  const here = targets.filter(({ notRunHere }) => notRunHere === undefined).map(({ target }) => target);
  const taken = new Set(files.map(({ candidate }) => candidate.name));
  const columns: Column[] = [
    { title: "tried", max: 60 },
    { title: "bytes", align: "right" },
    { title: "dB", align: "right" },
    ...here.map((target): Column => ({ title: target, align: "right" })),
    { title: "" },
  ];
  const looked = tried.filter(isLooked).toSorted((a, b) => rank(a, taken) - rank(b, taken));
  const rows = looked
    .slice(0, MOST_ROWS)
    .map((entry) => [
      shortName(entry),
      formatRatio(entry.proxy!.byteLength / input.byteLength),
      Number.isFinite(entry.proxy!.sqnr) ? entry.proxy!.sqnr.toFixed(1) : "∞",
      ...here.map((target) => speedOf(entry, target)),
      taken.has(entry.name) ? "taken" : whyNot(entry, here, budget.kind === "points" ? "pt" : "%"),
    ]);
  const more = looked.length > MOST_ROWS ? [`  … and ${looked.length - MOST_ROWS} more in compress.json`] : [];
  const note = `dB: SQNR on a few samples. Times the original's speed; with ~ estimated, without proven on ${evaluated ?? 0} samples.`;
  return [renderTable(columns, rows, WIDTH), ...more, ...paragraph(note, WIDTH, "  "), ...renderDeclined(tried)].join(
    "\n",
  );
}

function isLooked({ proxy, why }: Tried): boolean {
  return proxy !== undefined && why === undefined;
}

/** What came to nothing, by the reason. */
function renderDeclined(tried: readonly Tried[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const entry of tried) {
    if (isLooked(entry) || entry.why === undefined) continue;
    const reason = entry.why.startsWith("the same file")
      ? "make the same files as others"
      : entry.why.replace(/^[a-z]+: /, "").replace(/\.$/, "");
    byReason.set(reason, [...(byReason.get(reason) ?? []), shortName(entry)]);
  }
  return [...byReason].flatMap(([reason, names]) =>
    paragraph(`Not in the table (${reason}): ${names.join("; ")}.`, WIDTH, "  "),
  );
}

/** All schemes so far are of 8 bits. */
function shortName({ name }: Tried): string {
  return name.replace(/^([a-z]+)-int8/, "$1");
}

/** Taken ones, proven ones, those that were looked at, and the others. */
function rank(entry: Tried, taken: ReadonlySet<string>): number {
  if (taken.has(entry.name)) return 0;
  if (Object.keys(entry.proofs).length > 0) return 1;
  return entry.proxy === undefined ? 3 : 2;
}

function speedOf({ proxy, proofs }: Tried, target: TargetName): string {
  const proven = proofs[target]?.measurement.latency?.ratio?.median;
  if (proven !== undefined) return formatRatio(proven);
  const estimated = proxy?.speed[target];
  return estimated === undefined ? "" : `~${formatRatio(estimated)}`;
}

function whyNot(entry: Tried, targets: readonly TargetName[], unit: string): string {
  for (const target of targets) {
    const proof = entry.proofs[target];
    if (proof === undefined || proof.ok) continue;
    if (proof.measurement.error !== undefined) return `does not ${proof.measurement.error.stage}`;
    const worst = proof.drops.find(({ ok }) => !ok);
    if (worst !== undefined && !Number.isNaN(worst.bound)) return `may lose ${(100 * worst.bound).toFixed(1)} ${unit}`;
    return proof.measurement.latency?.verdict === "slower" ? "slower" : "disagrees";
  }
  return Object.keys(entry.proofs).length > 0 ? "good, not best" : "";
}

function renderEnd({ ok, targets, seconds, timeUp, reused, tried, files, output }: CompressResult): string[] {
  const kept = reused > 0 ? `, ${reused} of them taken from ${output}/compress.json` : "";
  const cut = timeUp ? "; the time was up before everything was tried" : "";
  const lines = paragraph(`${tried.length} candidates in ${seconds.toFixed(0)} s${kept}${cut}.`, WIDTH, "  ");
  const names = files.flatMap((file) => file.targets).join(", ");
  if (ok) return [...lines, `  OK on ${names}`];
  const missing = targets.filter(({ file, notRunHere }) => file === undefined && notRunHere === undefined);
  return [...lines, `  NOT OK: nothing keeps to the budget on ${missing.map(({ target }) => target).join(", ")}`];
}
