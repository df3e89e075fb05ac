/**
 * @file `tersor quantize`: a smaller file for the targets, checked on them.
 */
import type { Command } from "commander";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import { type QuantizeFileResult, quantizeFile } from "../../recipe/quantize-file.ts";
import { checkReportPath, scanFile } from "../../recipe/report-file.ts";
import { type FileSensitivity, sensitivityOfFile } from "../../recipe/sensitivity-file.ts";
import { SCHEME_ALIASES, SCHEME_NAMES, SCHEMES, type SchemeName } from "../../recipe/steps.ts";
import { OptionError } from "../../util/errors.ts";
import { formatBytes, formatRatio } from "../../util/format.ts";
import {
  addMeasureFlags,
  addMetricFlags,
  addStepFlags,
  loadSpec,
  type MeasureFlags,
  type MetricFlags,
  measureOptions,
  parseCount,
} from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import {
  renderConditions,
  renderDrops,
  renderHead,
  renderLeftAlone,
  renderTargets,
  renderVerdict,
} from "../render/measurement.ts";
import { paragraph, WIDTH } from "../render/table.ts";
import { renderSensitivity } from "../render/tensors.ts";
import { type Run, reportQuantize } from "../report.ts";

interface Flags extends MeasureFlags, MetricFlags, Readonly<Record<string, unknown>> {
  readonly output?: string;
  readonly scheme: string;
  readonly calibrationSamples?: number;
  readonly statistics?: string;
  readonly check: boolean;
  readonly externalData?: boolean;
  readonly verbose?: boolean;
  readonly sensitivity?: boolean;
}

/** Time for ranking nodes, in ms: each of them is a model that is made and run. */
const SENSITIVITY_MS = 60_000;

export function addQuantize(program: Command, signal: AbortSignal): void {
  const command = program
    .command("quantize")
    .summary("make a model smaller and faster, and check it on its targets")
    .description(
      "Quantizes MODEL, then loads, runs, compares and times the result on each target.\n" +
        "Without --data the best scheme that needs none is found by measuring; with --data it is static-int8.",
    )
    .argument("<model>", "an .onnx file")
    .option("-o, --output <file>", "where to write (default: MODEL with .int8 before its ending)")
    .option("--scheme <name>", `auto, ${SCHEME_NAMES.join(", ")}, or transformers.js' name (q8)`, "auto")
    .option("--calibration-samples <number>", "samples to calibrate on (default: 100)", parseCount)
    .option("--statistics <file>", "keep statistics of calibration in a file, and use them where it is there")
    .option("--no-check", "write without loading and measuring the result")
    .option("--external-data", "write the weights into a data file beside the model")
    .option("--sensitivity", "rank the nodes by what quantizing each costs, too, for a minute at most")
    .option("--verbose", "list every node that was left in float");
  addMeasureFlags(command);
  const metrics = addMetricFlags(command);
  const names = addStepFlags(
    command,
    Object.values(SCHEMES).map((step) => step.options),
    ["target"],
  );
  command.action(async (model: string, flags: Flags) => {
    const progress = createProgress();
    const step: Record<string, unknown> = {};
    for (const name of names) {
      if (command.getOptionValueSource(name) === "cli") step[name] = flags[name];
    }
    try {
      const { report } = flags;
      if (report !== undefined) checkReportPath(report, [model, flags.output, flags.data, flags.statistics]);
      const result = await quantizeFile(model, {
        ...measureOptions(flags),
        scheme: schemeOf(flags.scheme),
        output: flags.output,
        calibrationSamples: flags.calibrationSamples,
        statistics: flags.statistics,
        check: flags.check,
        metrics: metrics.spec(flags),
        maxDrop: flags.maxDrop,
        externalData: flags.externalData,
        step,
        progress: progress.update,
        signal,
      });
      const run = { progress: progress.update, signal };
      const saturation = scanFile(result.output.path, flags.allowExternalOutside);
      const sensitivity = flags.sensitivity ? await rank(model, result.scheme, step, flags, run) : undefined;
      if (report !== undefined) await reportQuantize(report, flags, result, { saturation, sensitivity }, run);
      progress.clear();
      if (flags.json) printJson({ command: "quantize", ...result, saturation, sensitivity });
      else print(render(result, flags.verbose ?? false, saturation, sensitivity));
      process.exitCode = result.ok ? 0 : 1;
    } finally {
      progress.clear();
    }
  });
}

function rank(
  model: string,
  scheme: SchemeName,
  step: Readonly<Record<string, unknown>>,
  flags: Flags,
  run: Run,
): Promise<FileSensitivity> {
  const known = Object.keys(SCHEMES[scheme].options.shape);
  const options = { ...step, ...(flags.target && { target: flags.target }) };
  return sensitivityOfFile(model, {
    scheme,
    step: Object.fromEntries(Object.entries(options).filter(([key]) => known.includes(key))),
    data: flags.data,
    load: loadSpec(flags),
    shapes: flags.shape,
    seed: flags.seed,
    budgetMs: SENSITIVITY_MS,
    allowOutside: flags.allowExternalOutside,
    ...run,
  });
}

function schemeOf(name: string): SchemeName | "auto" {
  const scheme = SCHEME_ALIASES[name] ?? name;
  if (scheme === "auto" || (SCHEME_NAMES as string[]).includes(scheme)) return scheme as SchemeName | "auto";
  throw new OptionError({
    area: "quantize",
    subject: "--scheme",
    problem: `expected auto, ${SCHEME_NAMES.join(", ")}, ${Object.keys(SCHEME_ALIASES).join(", ")}, got ${name}`,
    help: "See tersor quantize --help.",
  });
}

function render(
  result: QuantizeFileResult,
  verbose: boolean,
  saturation: SaturationScan | undefined,
  sensitivity: FileSensitivity | undefined,
): string {
  const { input, output, report } = result;
  const blocks: string[] = [];
  blocks.push(renderHead(input.path, output.path, result.scheme));
  if (result.reason !== undefined) {
    const others = result.others.map((other) => `${other.scheme} (${formatBytes(other.byteLength)})`);
    const tried = others.length > 0 ? ` Tried too: ${others.join(", ")}.` : "";
    blocks.push(...paragraph(`Chosen because ${result.reason}.${tried}`, WIDTH, "  "));
  }
  const travel = output.compressed;
  const compressed = [
    travel?.gzip === undefined ? "" : `gzip ${formatBytes(travel.gzip)}`,
    travel?.brotli === undefined ? "" : `brotli ${formatBytes(travel.brotli)}`,
  ].filter((part) => part !== "");
  blocks.push(
    "",
    `  ${formatBytes(input.byteLength)} → ${formatBytes(output.byteLength)}  ${formatRatio(output.byteLength / input.byteLength)}${compressed.length > 0 ? `   ${compressed.join(", ")}` : ""}`,
    ...(report.changes ?? [`${report.changed} weights stored in 8 bits`]).flatMap((line) =>
      paragraph(line, WIDTH, "  "),
    ),
    `  ${result.seconds.toFixed(1)} s to quantize`,
  );
  const left = renderLeftAlone(report.leftAlone ?? [], verbose);
  if (left !== "") blocks.push("", left);
  const run = result.targets.filter(({ notRunHere }) => notRunHere === undefined);
  if (result.targets.length > 0) blocks.push("", renderTargets(result.targets));
  if (run.length > 0) blocks.push("", renderConditions(result.targets, result.machine, saturation));
  if (sensitivity !== undefined) blocks.push("", renderSensitivity(sensitivity));
  const problems = run.flatMap((entry, index) =>
    (result.judgements[index]?.problems ?? []).map((problem) => `${entry.target}: ${problem}`),
  );
  if (output.byteLength >= input.byteLength) problems.push("not smaller than the original");
  const lines = [...problems.map((problem) => `! ${problem}`), ...renderDrops(result.drops)];
  if (lines.length > 0) blocks.push("", ...lines.flatMap((line) => paragraph(line, WIDTH, "  ")));
  const marked = lines.filter((line) => line.startsWith("!")).length;
  const names = run.map(({ target }) => target).join(", ");
  if (run.length > 0) blocks.push("", renderVerdict(result.ok, names, marked));
  else if (result.targets.length > 0) blocks.push("", "  Not checked: none of the targets runs here.");
  else blocks.push("", "  Not checked: it was neither loaded nor run (--no-check).");
  return blocks.join("\n");
}
