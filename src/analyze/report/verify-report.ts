/**
 * @file The report of a verification: one file that runs, or a file beside its original.
 */
import type { Machine } from "../../measure/machine.ts";
import type { Sizes } from "../../measure/size.ts";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import { formatBytes } from "../../util/format.ts";
import type { Drop } from "../drops.ts";
import type { TargetMeasurement } from "../job.ts";
import type { Ledger } from "../ledger.ts";
import type { ReportDetails } from "./collect.ts";
import { comparedFiles } from "./compared.ts";
import { html, name } from "./html.ts";
import { fileName, type ReportAbout, renderPage } from "./page.ts";
import { accuracySection } from "./sections/accuracy.ts";
import { conditionsSection } from "./sections/conditions.ts";
import { histogramSection } from "./sections/histograms.ts";
import { latencySection } from "./sections/latency.ts";
import { perLayerSection } from "./sections/per-layer.ts";
import { saturationSection } from "./sections/saturation.ts";
import { sizeSection } from "./sections/size.ts";
import { type TrainingData, trainingSection } from "./sections/training.ts";
import {
  problemsOf,
  samplesSentence,
  sizeSentence,
  targetCards,
  targetSentence,
  verdictBox,
} from "./sections/verdict.ts";

export interface VerifiedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly compressed?: Sizes;
}

export interface VerifyReport extends ReportAbout {
  readonly original: VerifiedFile;
  /** Undefined where one file was run alone. */
  readonly other?: VerifiedFile;
  readonly targets: readonly TargetMeasurement[];
  readonly drops?: readonly Drop[];
  readonly ok: boolean;
  readonly machine: Machine;
  readonly details?: ReportDetails;
  readonly ledger?: Ledger;
  readonly saturation?: SaturationScan;
  /** Where the other file was made by training. */
  readonly training?: TrainingData;
}

export function renderVerifyReport(data: VerifyReport): string {
  const { original, other, targets, drops = [], ok, machine, details, ledger } = data;
  const files = [original, ...(other === undefined ? [] : [other])].map((file) => ({
    ...file,
    label: fileName(file.path),
  }));
  const compared = comparedFiles(targets);
  const sentences = targets.map((result) => {
    const entry = compared.find((own) => own.result === result);
    return targetSentence(result, other === undefined ? result.files[0] : entry?.file, entry?.judgement);
  });
  const size =
    other === undefined ? formatBytes(original.byteLength) : sizeSentence(original.byteLength, other.byteLength);
  const problems = problemsOf(targets, drops);
  const word = ok ? "OK" : "Not OK";
  const last = files.at(-1)!.label;
  return renderPage({
    title: `${last}: ${word}`,
    command: data.training === undefined ? "verify" : "finetune",
    heading: files
      .map(({ label }, index) => html`${index > 0 && " → "}${name(label)}`)
      .reduce((a, b) => html`${a}${b}`),
    lead: html`${verdictBox(ok, word, `${[size, ...sentences].join("; ")}. ${samplesSentence(targets)}`, problems)}${targetCards(targets, drops)}`,
    sections: [
      trainingSection(data.training),
      accuracySection(targets, drops),
      sizeSection(files, ledger),
      latencySection(targets),
      details && perLayerSection(details),
      histogramSection(details?.histograms),
      saturationSection(data.saturation, [], machine, targets),
      conditionsSection(
        targets,
        machine,
        data,
        files.map(({ path }, index) => [index === 0 ? "original" : "other", path] as const),
      ),
    ],
    about: data,
  });
}
