/**
 * @file `tersor doctor`: judges files that somebody made.
 */
import { basename } from "node:path";
import type { Command } from "commander";
import { type DoctorFile, type DoctorGroup, examine, findFamilies } from "../../analyze/doctor.ts";
import { verdictOf } from "../../analyze/judge.ts";
import { describeMachine } from "../../measure/machine.ts";
import { DEFAULT_TARGETS, type TargetName } from "../../runtime/targets.ts";
import { formatBytes, formatMilliseconds, formatRatio, wrap } from "../../util/format.ts";
import { addMeasureFlags } from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { agreementCell, renderConditions } from "../render/measurement.ts";
import { renderTable } from "../render/table.ts";
import { dataSpec } from "./verify.ts";

interface Flags {
  readonly original?: string;
  readonly data?: string;
  readonly samples?: number;
  readonly target?: readonly TargetName[];
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly threads?: number;
  readonly time?: number;
  readonly memory: boolean;
  readonly seed?: number;
  readonly json?: boolean;
}

export function addDoctor(program: Command, signal: AbortSignal): void {
  const command = program
    .command("doctor")
    .summary("judge model files that someone made: load? agree? faster? as small as they should be?")
    .description(
      "Takes a folder (also in transformers.js' layout: model.onnx beside model_fp16.onnx, model_quantized.onnx, …)\n" +
        "or a file, finds the original, and says of each other file what is wrong with it on each target.\n" +
        "Exit status 1 where a file is unusable: does not load, does not run, or disagrees with the original.",
    )
    .argument("<path>", "a folder of .onnx files, or one file")
    .option("--original <file>", "the original, where it is not found by its name or size");
  addMeasureFlags(command);
  command.action(async (path: string, flags: Flags) => {
    const progress = createProgress();
    try {
      const groups: DoctorGroup[] = [];
      for (const family of findFamilies(path, flags.original)) {
        groups.push(
          await examine(family, {
            targets: flags.target ?? DEFAULT_TARGETS,
            data: dataSpec(flags),
            threads: flags.threads ?? 1,
            budgetMs: flags.time ?? 3000,
            seed: flags.seed ?? 0,
            memory: flags.memory,
            progress: progress.update,
            signal,
          }),
        );
      }
      progress.clear();
      const machine = await describeMachine();
      const usable = groups.every((group) => group.others.every((file) => file.usable));
      if (flags.json) printJson({ command: "doctor", path, ok: usable, groups, machine });
      else {
        print(groups.map(render).join("\n\n"));
        print(`\n${renderConditions(groups[0]!.targets, machine)}`);
        print(usable ? "\n  Every file is usable." : "\n  Not every file is usable.");
      }
      process.exitCode = usable ? 0 : 1;
    } finally {
      progress.clear();
    }
  });
}

function render(group: DoctorGroup): string {
  const run = group.targets.filter((result) => result.notRunHere === undefined);
  const speed = (file: DoctorFile, target: string): string => {
    const measured = file.perTarget[target];
    if (measured?.error !== undefined) return "–";
    const { latency } = measured ?? {};
    if (latency === undefined) return "";
    return latency.ratio ? `${formatRatio(latency.ratio.median)} ${latency.verdict}` : formatMilliseconds(latency.p50);
  };
  const agreement = (file: DoctorFile): string => {
    const first = run.map((result) => file.perTarget[result.target]).find((entry) => entry?.outputs !== undefined);
    return first === undefined ? "" : agreementCell(first);
  };
  const table = renderTable(
    [
      { title: "file", max: 26 },
      { title: "bytes", align: "right" },
      { title: "agreement", max: 22 },
      ...run.map((result) => ({ title: result.target })),
    ],
    [
      [
        `${basename(group.original.path)}`,
        formatBytes(group.original.byteLength),
        "original",
        ...run.map((result) => speed(group.original, result.target)),
      ],
      ...group.others.map((file) => [
        basename(file.path),
        formatBytes(file.byteLength),
        agreement(file),
        ...run.map((result) => speed(file, result.target)),
      ]),
    ],
  );
  const lines = [group.original, ...group.others].flatMap((file) => {
    const name = basename(file.path);
    const merged = new Map<string, string[]>();
    for (const { target, text } of file.problems)
      merged.set(text, [...(merged.get(text) ?? []), ...(target ? [target] : [])]);
    if (merged.size === 0) return file === group.original ? [] : wrap(`✓ ${name}: nothing wrong found`, 80, "  ");
    const mark = file.usable ? "!" : "✗";
    return [...merged].flatMap(([text, targets]) =>
      wrap(`${mark} ${name}${targets.length > 0 ? ` on ${targets.join(", ")}` : ""}: ${text}`, 80, "  "),
    );
  });
  const skipped = group.targets
    .filter((result) => result.notRunHere !== undefined)
    .map((result) => `  ${result.target}: ${verdictOf(result)} (${result.notRunHere})`);
  return [table, "", ...lines, ...skipped].join("\n");
}
