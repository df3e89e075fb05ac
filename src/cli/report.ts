/**
 * @file What `--report` writes for each command: its result, and what only a report looks at.
 */
import type { DoctorGroup } from "../analyze/doctor.ts";
import { describeMetric } from "../analyze/metric-text.ts";
import type { CompressWinner } from "../analyze/report/compress-report.ts";
import { type ReportAbout, shellCommand } from "../analyze/report/page.ts";
import type { VerifyReport } from "../analyze/report/verify-report.ts";
import type { Machine } from "../measure/machine.ts";
import type { SaturationScan } from "../quantize/saturation/scan.ts";
import { ledgerOfFiles } from "../recipe/compare-files.ts";
import type { CompressResult } from "../recipe/compress/compress-file.ts";
import type { QuantizeFileResult } from "../recipe/quantize-file.ts";
import { detailsOfFiles, scanFile, travelSizes, writeReport } from "../recipe/report-file.ts";
import type { FileSensitivity } from "../recipe/sensitivity-file.ts";
import type { Progress } from "../util/progress.ts";
import { type LoadFlags, loadSpec, type MeasureFlags } from "./flags.ts";

export interface Run {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What a report says about this run: the command as it was typed, with the seed even where it is the default. */
function aboutRun(seed = 0): ReportAbout {
  const words = process.argv.slice(2);
  const seeded = words.some((word) => /^--seed(=|$)/.test(word)) ? words : [...words, "--seed", String(seed)];
  const date = `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return { command: shellCommand(["tersor", ...seeded]), seed, date };
}

/** The values inside of both files, on the data of the flags. */
function detailsOf(
  original: string,
  other: string,
  flags: LoadFlags & Pick<MeasureFlags, "shape" | "allowExternalOutside">,
  run: Run,
) {
  const { data, shape, seed, allowExternalOutside } = flags;
  return detailsOfFiles(original, other, { data, load: loadSpec(flags), shape, seed, allowExternalOutside }, run);
}

export async function reportQuantize(
  path: string,
  flags: MeasureFlags,
  result: QuantizeFileResult,
  found: { readonly saturation?: SaturationScan; readonly sensitivity?: FileSensitivity },
  run: Run,
): Promise<void> {
  const { input, output } = result;
  const details = await detailsOf(input.path, output.path, flags, run);
  const compressed = await travelSizes(input.path, input.byteLength);
  writeReport(path, { kind: "quantize", ...aboutRun(flags.seed), result, compressed, details, ...found });
}

/** Paths with sizes: the original, and the file that was compared with it. */
export async function reportVerify(
  path: string,
  flags: MeasureFlags,
  files: readonly { readonly path: string; readonly byteLength: number }[],
  found: Pick<VerifyReport, "targets" | "drops" | "ok" | "machine" | "saturation" | "ledger" | "training">,
  run: Run,
): Promise<void> {
  const sized = await Promise.all(
    files.map(async (file) => ({ ...file, compressed: await travelSizes(file.path, file.byteLength) })),
  );
  const [original, other] = sized;
  const details = other && (await detailsOf(original!.path, other.path, flags, run));
  const ledger =
    found.ledger ?? (other && (await ledgerOfFiles(original!.path, other.path, flags.allowExternalOutside)));
  writeReport(path, { kind: "verify", ...aboutRun(flags.seed), ...found, original: original!, other, details, ledger });
}

export function reportDoctor(
  path: string,
  flags: MeasureFlags,
  found: {
    readonly path: string;
    readonly groups: readonly DoctorGroup[];
    readonly machine: Machine;
    readonly saturation: ReadonlyMap<string, SaturationScan>;
  },
): void {
  writeReport(path, { kind: "doctor", ...aboutRun(flags.seed), ...found });
}

export async function reportCompress(
  path: string,
  flags: LoadFlags & Pick<MeasureFlags, "shape" | "allowExternalOutside"> & { readonly time: number },
  result: CompressResult,
  run: Run,
): Promise<void> {
  const { input, files, targets, budget, seconds, ok, machine } = result;
  const winners: CompressWinner[] = [];
  for (const { target, file: name, proof } of targets) {
    const file = files.find((entry) => entry.path === name);
    const original = result.originals.find((measured) => measured.target === target);
    if (file === undefined || proof === undefined || original?.files[0] === undefined) continue;
    winners.push({
      target,
      path: file.path,
      byteLength: file.byteLength,
      ...(file.compressed && { compressed: file.compressed }),
      settings: file.candidate.name,
      measurement: { ...original, files: [original.files[0], proof.measurement] },
      drops: proof.drops,
      report: file.report,
      saturation: scanFile(file.path, flags.allowExternalOutside),
      ledger: await ledgerOfFiles(input.path, file.path, flags.allowExternalOutside),
      details: await detailsOf(input.path, file.path, flags, run),
    });
  }
  const tried = result.tried.map(({ name, proxy, proofs, why }) => {
    const proven = Object.values(proofs).find((proof) => proof !== undefined);
    const metric = proven?.measurement.metrics?.[0];
    const speed = Object.fromEntries(
      Object.entries(proofs).flatMap(([target, proof]) => {
        const ratio = proof?.measurement.latency?.ratio;
        return ratio === undefined ? [] : [[target, ratio] as const];
      }),
    );
    const taken = winners.filter(({ settings }) => settings === name).map(({ target }) => target);
    return {
      settings: name,
      ...(proxy && { byteLength: proxy.byteLength, proxy: proxy.sqnr }),
      ...(metric && { metric: describeMetric(metric) }),
      speed,
      taken,
      ...(why !== undefined && { why }),
    };
  });
  const obstacles = targets.flatMap(({ target, file, notRunHere, proof }) => {
    if (file !== undefined || notRunHere !== undefined) return [];
    const broken = (proof?.drops ?? []).filter((drop) => !drop.ok).map(({ text }) => text);
    const problems = [...broken, ...(proof?.judgement.problems ?? [])];
    return [`${target}: ${problems.join("; ") || "no candidate was proven there"}.`];
  });
  const about = { kind: "compress" as const, ...aboutRun(flags.seed), input, budget: budget.text, seconds };
  writeReport(path, { ...about, allowedSeconds: flags.time / 1000, ok, obstacles, winners, tried, machine });
}
