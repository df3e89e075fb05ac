/** @file The demo's table: one row per file and target, then a verdict per file, the bounds, and the conditions. */

import { renderTable } from "../../src/cli/render/table.ts";
import type { Machine } from "../../src/measure/machine.ts";
import { formatBytes, formatMilliseconds, formatRatio, wrap } from "../../src/util/format.ts";
import { CALIBRATION_SAMPLES, SEED } from "./data.ts";
import type { TargetReadings } from "./evaluate.ts";
import { type Bound, type FileReport, type FileResult, FULL_SAMPLES, passes } from "./report.ts";
import { verdictOf } from "./verdict.ts";

/** Everything that the demo reports; `--json` prints it as it is. */
export interface Report {
  readonly files: readonly (FileReport & { readonly verdict?: string })[];
  readonly bounds: readonly Bound[];
  readonly ok: boolean;
  /** Samples asked for. */
  readonly samples: number;
  readonly seed: number;
  readonly calibrationSamples: number;
  readonly targets: readonly (Pick<TargetReadings, "target" | "runtime" | "samples"> & { readonly rounds: number })[];
  /** Lines of which the timed runs were made. */
  readonly timedSamples: number;
  readonly machine: Machine;
  /** Processes that wanted a core in the minute before; 0 where the platform does not tell. */
  readonly load: number;
  readonly seconds: number;
  /** Contact sheets. */
  readonly sheets: readonly string[];
}

const WIDTH = 100;

const COLUMNS = [
  { title: "file" },
  { title: "bytes", align: "right" },
  { title: "ratio", align: "right" },
  { title: "target" },
  { title: "CER", align: "right" },
  { title: "exact", align: "right" },
  { title: "agrees", align: "right" },
  { title: "p50", align: "right" },
  { title: "speed (95 % interval)" },
] as const;

const percent = (share: number | undefined): string => (share === undefined ? "" : `${(100 * share).toFixed(1)} %`);

function cells({ target, error, score, latency }: FileResult): string[] {
  if (error !== undefined) return [target, "", "", "", "", "fails"];
  const p50 = latency === undefined ? "" : formatMilliseconds(latency.p50);
  const ratio = latency?.ratio;
  const speed =
    ratio === undefined
      ? ""
      : `${formatRatio(ratio.median)} ${latency?.verdict} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`;
  return [target, percent(score?.cer), percent(score?.exact), percent(score?.agreement), p50, speed];
}

/** The report as text of at most 100 columns; `place` shows a path. */
export function renderReport(report: Report, place: (path: string) => string = (path) => path): string {
  const rows = report.files.flatMap((file) =>
    file.results.map((result, i) => [
      ...(i === 0 ? [file.name, formatBytes(file.bytes), formatRatio(file.ratio)] : ["", "", ""]),
      ...cells(result),
    ]),
  );
  const paragraph = (text: string): string => {
    const [first = "", ...rest] = wrap(text, WIDTH - 4);
    return [`  ${first}`, ...rest.map((line) => `    ${line}`)].join("\n");
  };
  return [
    renderTable(COLUMNS, rows),
    "",
    ...report.files.slice(1).map((file) => paragraph(verdictOf(file))),
    "",
    ...report.bounds.map(renderBound),
    "",
    ...conditions(report).map(paragraph),
    "",
    ...report.files.map(({ path }) => `  ${place(path)}`),
    ...report.sheets.map((path) => `  ${place(path)}`),
    "",
    `  ${outcome(report)}, ${report.seconds.toFixed(0)} s`,
  ].join("\n");
}

function outcome({ bounds, targets, samples }: Report): string {
  if (!passes(bounds)) return "NOT OK: see the lines with ! above";
  return targets.some((target) => target.samples < samples) ? "OK as far as it was scored (time ran out)" : "OK";
}

function renderBound({ text, got, ok, enforced }: Bound): string {
  const [mark, note] = ok ? ["✓", ""] : enforced ? ["!", ""] : ["~", " (not enforced)"];
  return wrap(`${mark} ${text}: ${got}${note}`, WIDTH - 4)
    .map((line, i) => `  ${i === 0 ? "" : "  "}${line}`)
    .join("\n");
}

/** What was measured, on what. */
function conditions(report: Report): string[] {
  const { machine, samples, targets, timedSamples } = report;
  const short = targets.filter((target) => target.samples < samples);
  const scored = short.map((target) => `${target.target} on the first ${target.samples}`).join(", ");
  const subset = short.length > 0 ? ` Time ran out: scored ${scored} only (--all takes the time).` : "";
  const few = samples < FULL_SAMPLES;
  const vnni = machine.vnni === undefined ? "" : machine.vnni ? ", VNNI" : ", no VNNI: u8×s8 may saturate";
  const rounds = targets.map(({ target, rounds }) => `${rounds} rounds on ${target}`).join(", ");
  const busy = report.load > machine.cores / 2 ? ` The machine was busy before (load ${report.load.toFixed(1)}).` : "";
  return [
    `PP-OCRv4 recognition reads ${samples} rendered lines (seed ${SEED}); ranges calibrated on ${CALIBRATION_SAMPLES} others, no text in common.${subset} CER: wrong characters; exact: lines right, white space aside; agrees: lines read as by the original. Intervals: 95 %, paired bootstrap.`,
    `Times: ${timedSamples} lines in turn, the files interleaved, ${rounds}, nothing else of the demo running.${
      few
        ? ` Fewer than ${FULL_SAMPLES} samples: bounds on accuracy are wider by what chance adds, speed is only reported.`
        : ""
    }`,
    `${machine.processor}${vnni}, ${machine.cores} cores, 1 thread; ${machine.platform}, ${machine.host}, ${targets.map(({ runtime }) => runtime).join(", ")}.${busy}`,
  ];
}
