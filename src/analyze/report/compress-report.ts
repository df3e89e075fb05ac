/**
 * @file The report of a search for the smallest and fastest file on each target.
 */
import type { Interval } from "../../measure/interval.ts";
import type { Machine } from "../../measure/machine.ts";
import type { Sizes } from "../../measure/size.ts";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { StepReport } from "../../step/step.ts";
import { formatBytes, formatRatio } from "../../util/format.ts";
import type { Drop } from "../drops.ts";
import type { TargetMeasurement } from "../job.ts";
import { judge } from "../judge.ts";
import type { Ledger } from "../ledger.ts";
import { shortDecibels } from "../measurement-text.ts";
import type { Sensitivity } from "../sensitivity.ts";
import type { ReportDetails } from "./collect.ts";
import { type Html, html, name, type Part } from "./html.ts";
import { fileName, type ReportAbout, renderPage, type Section, table } from "./page.ts";
import { accuracySection } from "./sections/accuracy.ts";
import { conditionsSection } from "./sections/conditions.ts";
import { declinedSection } from "./sections/declined.ts";
import { histogramSection } from "./sections/histograms.ts";
import { latencySection } from "./sections/latency.ts";
import { perLayerSection } from "./sections/per-layer.ts";
import { saturationSection } from "./sections/saturation.ts";
import { sensitivitySection } from "./sections/sensitivity.ts";
import { ledgerTable, sizeSection } from "./sections/size.ts";
import {
  problemsOf,
  samplesSentence,
  sizeSentence,
  targetCards,
  targetSentence,
  verdictBox,
} from "./sections/verdict.ts";

/** The file that a target gets. */
export interface CompressWinner {
  readonly target: TargetName;
  readonly path: string;
  readonly byteLength: number;
  readonly compressed?: Sizes;
  /** What was done to get it, in a few words: "static-int8, entropy, 3 nodes in float". */
  readonly settings: string;
  /** Of this target: the original, then the file. */
  readonly measurement: TargetMeasurement;
  readonly drops?: readonly Drop[];
  readonly report?: StepReport;
  readonly saturation?: SaturationScan;
  readonly ledger?: Ledger;
  readonly details?: ReportDetails;
}

/** Something that was tried. Whatever was not measured is undefined. */
export interface CompressCandidate {
  /** As {@link CompressWinner.settings}. */
  readonly settings: string;
  readonly byteLength?: number;
  /** SQNR on a few samples, dB: what decided whether it was measured further. */
  readonly proxy?: number;
  /** The metric of the task in words, as `describeMetric` has it. */
  readonly metric?: string;
  /** Time of the original over its time, on the targets where it was timed. */
  readonly speed?: Readonly<Partial<Record<TargetName, Interval>>>;
  /** Targets that took it. */
  readonly taken?: readonly TargetName[];
  /** Why no target took it: "loses 2.1 points, over 1pt", "larger and slower than …", "time was up". */
  readonly why?: string;
}

export interface CompressReport extends ReportAbout {
  readonly input: { readonly path: string; readonly byteLength: number; readonly compressed?: Sizes };
  /** What may be lost, as it was written: "1pt". */
  readonly budget?: string;
  /** By what metric, in words; without labels that says so. */
  readonly judgedBy?: string;
  /** Seconds that were taken, and that were allowed. */
  readonly seconds?: number;
  readonly allowedSeconds?: number;
  /** False: no candidate keeps to the budget on some target. */
  readonly ok: boolean;
  /** Whole sentences: what stands in the way where it is not ok. */
  readonly obstacles?: readonly string[];
  readonly winners: readonly CompressWinner[];
  /** Best first. */
  readonly tried: readonly CompressCandidate[];
  readonly sensitivity?: Sensitivity;
  readonly machine: Machine;
}

export function renderCompressReport(data: CompressReport): string {
  const { input, winners, tried, ok, machine, budget, sensitivity, obstacles = [] } = data;
  const heading = fileName(input.path);
  const targets = winners.map(named);
  const drops = winners.flatMap((winner) => (winner.drops ?? []).map((drop) => ({ ...drop, file: labelOf(winner) })));
  const sentences = winners.map((winner, index) => {
    const [original, file] = winner.measurement.files;
    const size = sizeSentence(input.byteLength, winner.byteLength);
    return `${targetSentence(targets[index]!, file, file && judge(file, original))}, ${size}: ${fileName(winner.path)}`;
  });
  const kept = budget === undefined ? "" : `Allowed loss: ${budget}${data.judgedBy ? ` of ${data.judgedBy}` : ""}. `;
  const problems = [...obstacles, ...problemsOf(targets, drops)];
  const word = ok ? "OK" : "No file keeps to the budget on every target";
  return renderPage({
    title: `${heading}: ${word}`,
    command: "compress",
    heading: name(heading),
    lead: html`${verdictBox(ok, word, html`${kept}${sentences.map((text) => html`${text}. `)}${samplesSentence(targets)}`, problems)}${targetCards(targets, drops)}`,
    sections: [
      accuracySection(targets, drops),
      sizeSection([
        { label: heading, byteLength: input.byteLength, compressed: input.compressed },
        ...uniqueFiles(winners),
      ]),
      latencySection(targets),
      triedSection(tried, input.byteLength, data),
      ...distinct(winners).flatMap((winner, index, all) =>
        winnerSections(winner, machine, all.length > 1 ? index + 1 : undefined),
      ),
      sensitivity && sensitivitySection(sensitivity),
      conditionsSection(targets, machine, data, [
        ["input", input.path],
        ...winners.map(({ target, path }) => [`file for ${target}`, path] as const),
      ]),
    ],
    about: data,
  });
}

/** Several targets may share a file: it is told apart by its name. */
function labelOf({ path }: CompressWinner): string {
  return fileName(path);
}

function named(winner: CompressWinner): TargetMeasurement {
  const { measurement } = winner;
  const files = measurement.files.map((file, index) => (index === 0 ? file : { ...file, name: labelOf(winner) }));
  return { ...measurement, files };
}

function distinct(winners: readonly CompressWinner[]): CompressWinner[] {
  return winners.filter((winner, index) => winners.findIndex(({ path }) => path === winner.path) === index);
}

function uniqueFiles(winners: readonly CompressWinner[]) {
  return distinct(winners).map((winner) => {
    const { path, byteLength, compressed } = winner;
    const targets = winners.filter((other) => other.path === path).map(({ target }) => target);
    return { label: `${labelOf(winner)} (${targets.join(", ")})`, byteLength, compressed };
  });
}

function winnerSections(winner: CompressWinner, machine: Machine, number: number | undefined): (Section | undefined)[] {
  const { report, details, saturation, ledger } = winner;
  const head = html`<p>${winner.settings}</p>`;
  const sections = [
    details && perLayerSection(details),
    histogramSection(details?.histograms),
    report && declinedSection(report.changes ?? [], report.leftAlone ?? [], head),
    saturationSection(saturation, report?.saturation ?? [], machine, [winner.measurement]),
    ledger && { id: "ledger", title: "Bytes by tensor", body: ledgerTable(ledger) },
  ];
  if (number === undefined) return sections;
  return sections.map(
    (section) =>
      section && { ...section, id: `${section.id}-${number}`, title: `${section.title}: ${labelOf(winner)}` },
  );
}

function triedSection(
  tried: readonly CompressCandidate[],
  before: number,
  { seconds, allowedSeconds }: CompressReport,
): Section | undefined {
  if (tried.length === 0) return undefined;
  const targets = [...new Set(tried.flatMap(({ speed }) => Object.keys(speed ?? {})))] as TargetName[];
  const time =
    seconds === undefined
      ? ""
      : ` in ${seconds.toFixed(0)} s${allowedSeconds ? ` of ${allowedSeconds.toFixed(0)}` : ""}`;
  const optional = (there: boolean, column: { title: string; kind?: "number" | "wide" }) => (there ? [column] : []);
  const withProxy = tried.some(({ proxy }) => proxy !== undefined);
  const withMetric = tried.some(({ metric }) => metric !== undefined);
  const rows = tried.map((candidate): Part[] => [
    candidate.settings,
    outcome(candidate),
    candidate.byteLength === undefined
      ? ""
      : `${formatBytes(candidate.byteLength)}, ${formatRatio(candidate.byteLength / before)}`,
    ...(withProxy ? [candidate.proxy === undefined ? "" : shortDecibels(candidate.proxy)] : []),
    ...(withMetric ? [candidate.metric ?? ""] : []),
    ...targets.map((target) => speedText(candidate.speed?.[target])),
  ]);
  const body = html`<p class="note">${tried.length} ${tried.length === 1 ? "candidate" : "candidates"} tried${time}. SQNR on a few samples
says which are worth measuring; the metric of the task decides.</p>
${table(
  "Candidates, the best first",
  [
    { title: "settings", kind: "wide" },
    { title: "outcome", kind: "wide" },
    { title: "bytes", kind: "number" },
    ...optional(withProxy, { title: "SQNR", kind: "number" }),
    ...optional(withMetric, { title: "metric", kind: "wide" }),
    ...targets.map((title) => ({ title, kind: "number" as const })),
  ],
  rows,
)}`;
  return { id: "tried", title: "What was tried", body };
}

function outcome({ taken = [], why }: CompressCandidate): Html | string {
  if (taken.length > 0) {
    return html`<span class="good"><span class="tone">✓ taken for ${taken.join(", ")}</span></span>${why !== undefined && html` ${why}`}`;
  }
  return why ?? "not better";
}

function speedText(ratio: Interval | undefined): string {
  return ratio === undefined ? "" : `${formatRatio(ratio.median)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`;
}
