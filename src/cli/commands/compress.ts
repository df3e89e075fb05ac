/**
 * @file `tersor compress`: the best file for each target within a budget of accuracy, searched for and proven.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Budget } from "../../measure/budget.ts";
import { PREFERENCES, type Preference } from "../../recipe/compress/choose.ts";
import { compressFile } from "../../recipe/compress/compress-file.ts";
import { checkReportPath } from "../../recipe/report-file.ts";
import type { TargetName } from "../../runtime/targets.ts";
import {
  addLoadFlags,
  addMetricFlags,
  browserSpec,
  type LoadFlags,
  loadSpec,
  type MetricFlags,
  parseCount,
  parseDuration,
  parseNumber,
  parseShape,
  parseTargets,
} from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { renderCompress } from "../render/compress.ts";
import { reportCompress } from "../report.ts";

interface Flags extends MetricFlags, LoadFlags {
  readonly output?: string;
  readonly browser?: string;
  readonly ortWeb?: string;
  readonly calibrationSamples?: number;
  readonly samples?: number;
  readonly target?: readonly TargetName[];
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly maxDrop?: Budget;
  readonly prefer: Preference;
  readonly time: number;
  readonly threads?: number;
  readonly seed?: number;
  readonly fresh?: boolean;
  readonly externalData?: boolean;
  readonly allowExternalOutside?: boolean;
  readonly report?: string;
  readonly json?: boolean;
}

export function addCompress(program: Command, signal: AbortSignal): void {
  const command = program
    .command("compress")
    .summary("search for the smallest, fastest file within a budget of accuracy")
    .description(
      "Tries schemes, ranges, corrections and nodes in float on MODEL, and proves the best of them on each target.\n" +
        "Writes one file for each target, or one for all, and compress.json with all that was tried. A later run\n" +
        "with the same settings takes up what is in it.\n" +
        "Exit status 1 where no file keeps to the budget on a target: nothing is written for it then.",
    )
    .argument("<model>", "an .onnx file")
    .option("-o, --output <folder>", "where to write (default: MODEL's name with -compressed)")
    .option("--data <path>", "samples, as for quantize; without them only schemes that need none are tried")
    .option("--browser <path>", "a Chrome, Chromium or Edge for web-wasm and web-webgpu; 'auto' finds one")
    .option("--ort-web <folder>", "another onnxruntime-web to load in the browser")
    .option("--calibration-samples <number>", "samples to calibrate on (default: 100, at most a third)", parseCount)
    .option("--samples <number>", "samples of each proof (default: 30 to 2,000, as the time allows)", parseCount)
    .option("--target <names>", "runtimes, comma-separated: node-cpu, web-wasm, web-webgpu", parseTargets)
    .option("--shape <name=dims>", "shape of a generated input, such as x=1,3,224,224", parseShape)
    .option(
      "--time <duration>",
      "time for the whole search; the first file is proven whatever it takes",
      parseTime,
      600_000,
    )
    .addOption(
      new Option("--prefer <what>", "what is best: bytes × time, or one of them")
        .choices(PREFERENCES)
        .default("balanced"),
    )
    .option("--threads <number>", "threads within an operator (default: 1)", parseCount)
    .option("--seed <number>", "seed of generated inputs and of intervals (default: 0)", parseNumber)
    .option("--fresh", "measure again what an earlier run has measured")
    .option("--external-data", "write the weights into a data file beside the model")
    .option("--allow-external-outside", "read external data outside of the model's folder")
    .option("--report <file>", "write a report for people, too: one HTML file that needs nothing else")
    .option("--json", "print one JSON document on standard output, and nothing else there");
  addLoadFlags(command);
  const metrics = addMetricFlags(command);
  command.action(async (model: string, flags: Flags) => {
    const progress = createProgress();
    try {
      const { report } = flags;
      if (report !== undefined) checkReportPath(report, [model, flags.output, flags.data]);
      const result = await compressFile(model, {
        output: flags.output,
        data: flags.data,
        load: loadSpec(flags),
        browser: browserSpec(flags),
        calibrationSamples: flags.calibrationSamples,
        samples: flags.samples,
        targets: flags.target,
        shapes: flags.shape,
        maxDrop: flags.maxDrop,
        prefer: flags.prefer,
        timeMs: flags.time,
        metrics: metrics.spec(flags),
        threads: flags.threads,
        seed: flags.seed,
        fresh: flags.fresh,
        externalData: flags.externalData,
        allowOutside: flags.allowExternalOutside,
        progress: progress.update,
        signal,
      });
      if (report !== undefined) await reportCompress(report, flags, result, { progress: progress.update, signal });
      progress.clear();
      if (flags.json) printJson({ command: "compress", ...result });
      else print(renderCompress(result));
      process.exitCode = result.ok ? 0 : 1;
    } finally {
      progress.clear();
    }
  });
}

/** As other durations; the help shows what it is by default. */
function parseTime(text: string): number {
  const value = parseDuration(text);
  if (value > 86_400_000) throw new InvalidArgumentError("Expected a day at most.");
  return value;
}
