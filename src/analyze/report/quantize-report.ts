/**
 * @file The report of a quantization.
 */
import type { Machine } from "../../measure/machine.ts";
import type { Sizes } from "../../measure/size.ts";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import type { StepReport } from "../../step/step.ts";
import { formatBytes } from "../../util/format.ts";
import type { Drop } from "../drops.ts";
import type { TargetMeasurement } from "../job.ts";
import type { Judgement } from "../judge.ts";
import type { Ledger } from "../ledger.ts";
import type { Sensitivity } from "../sensitivity.ts";
import type { ReportDetails } from "./collect.ts";
import { comparedFiles } from "./compared.ts";
import { type Html, html, name } from "./html.ts";
import { fileName, type ReportAbout, renderPage, table } from "./page.ts";
import { accuracySection } from "./sections/accuracy.ts";
import { conditionsSection } from "./sections/conditions.ts";
import { declinedSection } from "./sections/declined.ts";
import { histogramSection } from "./sections/histograms.ts";
import { latencySection } from "./sections/latency.ts";
import { perLayerSection } from "./sections/per-layer.ts";
import { saturationSection } from "./sections/saturation.ts";
import { sensitivitySection } from "./sections/sensitivity.ts";
import { sizeSection } from "./sections/size.ts";
import {
  problemsOf,
  samplesSentence,
  sizeSentence,
  targetCards,
  targetSentence,
  verdictBox,
} from "./sections/verdict.ts";

/** What `quantizeFile` resolves to, as far as it is reported. */
export interface QuantizeReportResult {
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: { readonly path: string; readonly byteLength: number; readonly compressed: Sizes | undefined };
  readonly scheme: string;
  readonly reason: string | undefined;
  readonly report: StepReport;
  readonly seconds: number;
  readonly ledger: Ledger;
  readonly others: readonly {
    readonly scheme: string;
    readonly byteLength: number;
    readonly report: StepReport;
    readonly judgements: readonly Judgement[];
  }[];
  readonly targets: readonly TargetMeasurement[];
  readonly drops: readonly Drop[];
  readonly ok: boolean;
  readonly machine: Machine;
}

export interface QuantizeReport extends ReportAbout {
  readonly result: QuantizeReportResult;
  /** The original's weight over the network. */
  readonly compressed?: Sizes;
  readonly details?: ReportDetails;
  readonly sensitivity?: Sensitivity;
  readonly saturation?: SaturationScan;
}

export function renderQuantizeReport(data: QuantizeReport): string {
  const { result, details, sensitivity, saturation } = data;
  const { input, output, report, targets, drops, machine } = result;
  const names = [fileName(input.path), fileName(output.path)] as const;
  const checked = targets.some(({ files }) => files.length > 0);
  const compared = comparedFiles(targets);
  const sentences = targets.map((target) => {
    const entry = compared.find(({ result: own }) => own === target);
    return targetSentence(target, entry?.file, entry?.judgement);
  });
  const problems = problemsOf(targets, drops);
  if (output.byteLength >= input.byteLength) problems.push("It is not smaller than the original.");
  const facts = [sizeSentence(input.byteLength, output.byteLength), ...sentences].join("; ");
  const sentence = `${facts}. ${samplesSentence(targets)}`;
  const word = !checked ? "Not checked" : result.ok ? "OK" : "Not OK";
  return renderPage({
    title: `${names[1]}: ${word}`,
    command: "quantize",
    heading: html`${name(names[0])} → ${name(names[1])}`,
    lead: html`${verdictBox(checked ? result.ok : undefined, word, sentence, problems)}${targetCards(targets, drops)}`,
    sections: [
      accuracySection(targets, drops),
      sizeSection(
        [
          { label: names[0], byteLength: input.byteLength, compressed: data.compressed },
          { label: names[1], byteLength: output.byteLength, compressed: output.compressed },
        ],
        result.ledger,
      ),
      latencySection(targets),
      details && perLayerSection(details),
      sensitivity && sensitivitySection(sensitivity),
      histogramSection(details?.histograms),
      declinedSection(
        report.changes ?? [`${report.changed} weights stored in 8 bits`],
        report.leftAlone ?? [],
        alternatives(result),
      ),
      saturationSection(saturation, report.saturation ?? [], machine, targets),
      conditionsSection(targets, machine, data, [
        ["scheme", result.scheme],
        ["input", input.path],
        ["output", output.path],
        ["time to quantize", `${result.seconds.toFixed(1)} s`],
      ]),
    ],
    about: data,
  });
}

/** Schemes that were tried, where the choice was Tersor's. */
function alternatives({ scheme, reason, others, output }: QuantizeReportResult): Html | undefined {
  if (reason === undefined) return undefined;
  return html`<h3>The choice of the scheme</h3>
<p>${scheme} was taken because ${reason}.</p>
${
  others.length > 0 &&
  table(
    "Schemes that were tried",
    [{ title: "scheme" }, { title: "bytes", kind: "number" }, { title: "what was found", kind: "wide" }],
    [
      [scheme, formatBytes(output.byteLength), "taken"],
      ...others.map((other) => {
        const found = [...new Set(other.judgements.flatMap(({ problems }) => problems))];
        return [other.scheme, formatBytes(other.byteLength), found.join("; ") || "usable, not better"];
      }),
    ],
  )
}`;
}
