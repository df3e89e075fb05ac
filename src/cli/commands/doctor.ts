/**
 * @file `tersor doctor`: judges files that somebody made.
 */
import { basename } from "node:path";
import type { Command } from "commander";
import { type DoctorFile, type DoctorGroup, examine, type Family, findFamilies } from "../../analyze/doctor.ts";
import { agreementCell } from "../../analyze/measurement-text.ts";
import { describeMetric } from "../../analyze/metric-text.ts";
import { describeMachine } from "../../measure/machine.ts";
import { type SaturationScan, saturationNote } from "../../quantize/saturation/scan.ts";
import { checkReportPath, scanFile } from "../../recipe/report-file.ts";
import { runnableFiles } from "../../recipe/runnable.ts";
import { DEFAULT_TARGETS } from "../../runtime/targets.ts";
import { formatBytes, formatMilliseconds, formatRatio } from "../../util/format.ts";
import { addMeasureFlags, addMetricFlags, browserSpec, type MeasureFlags } from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { renderConditions } from "../render/measurement.ts";
import { paragraph, renderTable, WIDTH } from "../render/table.ts";
import { reportDoctor } from "../report.ts";
import { dataSpec, renderSkipped, requireRuntime } from "./verify.ts";

interface Flags extends MeasureFlags {
  readonly original?: string;
}

export function addDoctor(program: Command, signal: AbortSignal): void {
  const command = program
    .command("doctor")
    .summary("judge model files that someone made: load? agree? faster? as small as they should be?")
    .description(
      "Takes a folder (also in transformers.js' layout: model.onnx beside model_fp16.onnx, model_quantized.onnx, …) " +
        "or a file, finds the original, and says of each other file what is wrong with it on each target. " +
        "Exit status 1 where a file is unusable: does not load, does not run, or disagrees with the original.",
    )
    .argument("<path>", "a folder of .onnx files, or one file")
    .option("--original <file>", "the original, where it is not found by its name or size");
  addMeasureFlags(command);
  const metrics = addMetricFlags(command, { drop: false });
  command.action(async (path: string, flags: Flags) => {
    const progress = createProgress();
    const allowOutside = flags.allowExternalOutside;
    const runnable = runnableFiles(allowOutside);
    try {
      await requireRuntime(flags.target, browserSpec(flags));
      if (flags.report !== undefined) checkReportPath(flags.report, [flags.data, flags.original]);
      const groups: DoctorGroup[] = [];
      for (const family of findFamilies(path, { original: flags.original, allowOutside })) {
        groups.push(
          await examine(family, {
            targets: flags.target ?? DEFAULT_TARGETS,
            data: dataSpec(flags, family.original.path),
            threads: flags.threads ?? 1,
            budgetMs: flags.time ?? 3000,
            seed: flags.seed ?? 0,
            browser: browserSpec(flags),
            metrics: metrics.spec(flags),
            memory: flags.memory,
            progress: progress.update,
            runnable: (file) => (readable(family, file) ? runnable.path(file) : file),
            signal,
          }),
        );
      }
      progress.clear();
      const machine = await describeMachine();
      const files = groups.flatMap((group) => [group.original, ...group.others]);
      const saturation = scanFiles(groups, allowOutside);
      if (flags.report !== undefined) reportDoctor(flags.report, flags, { path, groups, machine, saturation });
      const unusable = files.filter((file) => !file.usable).length;
      if (flags.json)
        printJson({
          command: "doctor",
          path,
          ok: unusable === 0,
          groups,
          machine,
          saturation: Object.fromEntries(saturation),
        });
      else {
        for (const group of groups) print(`${render(group)}\n`);
        const measured = groups.find((group) => group.targets.some(({ samples }) => samples !== undefined));
        if (measured !== undefined) {
          print(`${renderConditions(measured.targets, machine, { products: 0, canSaturate: [] })}\n`);
        }
        const targets = measured?.targets.flatMap(({ target, samples }) => (samples === undefined ? [] : [target]));
        const notes = [...saturation].flatMap(([file, scan]) => {
          const note = saturationNote(scan, machine, targets);
          return note === undefined ? [] : paragraph(`${basename(file)}: ${note}`, WIDTH, "  ");
        });
        if (notes.length > 0) print(`${notes.join("\n")}\n`);
        const verdict =
          unusable === 0 ? "Every file is usable." : `${unusable} of ${files.length} files cannot be used.`;
        print(`  ${verdict}`);
      }
      process.exitCode = unusable === 0 ? 0 : 1;
    } finally {
      progress.clear();
      runnable.remove();
    }
  });
}

/** By path, of the files beside the originals that can be read. */
function scanFiles(groups: readonly DoctorGroup[], allowOutside: boolean | undefined): Map<string, SaturationScan> {
  const paths = groups.flatMap(({ others }) => others.map(({ path }) => path));
  return new Map(
    paths.flatMap((path) => {
      const scan = scanFile(path, allowOutside);
      return scan === undefined ? [] : [[path, scan] as const];
    }),
  );
}

function readable({ original, others }: Family, path: string): boolean {
  return [original, ...others].some((file) => file.path === path && file.problem === undefined);
}

function render(group: DoctorGroup): string {
  const run = group.targets.filter((result) => result.notRunHere === undefined);
  const speed = (file: DoctorFile, target: string): string => {
    const measured = file.perTarget[target];
    if (measured?.error !== undefined) return "–";
    const { latency } = measured ?? {};
    // Not timed: it runs all the same, unless the original has failed and nothing was run.
    if (latency === undefined) return file === group.original || measured?.outputs !== undefined ? "runs" : "";
    return latency.ratio
      ? `${formatRatio(latency.ratio.median)} ${latency.verdict ?? ""}`.trimEnd()
      : formatMilliseconds(latency.p50);
  };
  const agreement = (file: DoctorFile): string => {
    const first = run.map((result) => file.perTarget[result.target]).find((entry) => entry?.outputs !== undefined);
    return first === undefined ? "" : agreementCell(first);
  };
  const table = renderTable(
    [
      { title: "file", max: 40 },
      { title: "bytes", align: "right" },
      { title: "agreement", max: 16 },
      ...run.map((result) => ({ title: result.target })),
    ],
    [group.original, ...group.others].map((file) => [
      basename(file.path),
      formatBytes(file.byteLength),
      file === group.original ? "(original)" : agreement(file),
      ...run.map((result) => speed(file, result.target)),
    ]),
    WIDTH,
  );
  const lines = [group.original, ...group.others].flatMap((file) => {
    const name = basename(file.path);
    if (file.problems.length === 0) {
      return file === group.original ? [] : paragraph(`✓ ${name}: nothing wrong found`, WIDTH, "  ");
    }
    const mark = file.usable ? "!" : "✗";
    return file.problems.flatMap(({ targets, text }) =>
      paragraph(`${mark} ${name}${targets.length > 0 ? ` on ${targets.join(", ")}` : ""}: ${text}`, WIDTH, "  "),
    );
  });
  const measured = [group.original, ...group.others].flatMap((file) =>
    run.flatMap(({ target }) =>
      (file.perTarget[target]?.metrics ?? []).flatMap((metric) =>
        paragraph(`${basename(file.path)} on ${target}: ${metric.name} ${describeMetric(metric)}`, WIDTH, "  "),
      ),
    ),
  );
  const alone = group.others.length === 0 ? ["  There is no other file to compare it with."] : [];
  const guessed = group.guessed
    ? paragraph(
        "Taken for copies of one model by inputs, outputs and number of weights, not by name: --original says which it is.",
        WIDTH,
        "  ",
      )
    : [];
  return [
    table,
    "",
    ...measured,
    ...(measured.length > 0 ? [""] : []),
    ...lines,
    ...guessed,
    ...alone,
    ...renderSkipped(group.targets),
  ].join("\n");
}
