/**
 * @file `tersor finetune`: a model trained further from its file, compared with what it was.
 */
import type { Command } from "commander";
import { type FinetuneFileResult, finetuneFile } from "../../recipe/finetune-file.ts";
import { finetuneOptions } from "../../recipe/finetune-options.ts";
import { checkReportPath } from "../../recipe/report-file.ts";
import { formatDuration } from "../../train/events.ts";
import { formatBytes, formatCount } from "../../util/format.ts";
import {
  addMeasureFlags,
  addMetricFlags,
  addStepFlags,
  type MeasureFlags,
  type MetricFlags,
  measureOptions,
} from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { renderConditions, renderDrops, renderHead, renderTargets, renderVerdict } from "../render/measurement.ts";
import { paragraph, WIDTH } from "../render/table.ts";
import { reportVerify } from "../report.ts";

interface Flags extends MeasureFlags, MetricFlags, Readonly<Record<string, unknown>> {
  readonly output?: string;
  readonly check: boolean;
  readonly dryRun?: boolean;
  readonly externalData?: boolean;
  readonly verbose?: boolean;
}

export function addFinetune(program: Command, signal: AbortSignal): void {
  const command = program
    .command("finetune")
    .summary("train a model further from its file, with labels or without, and compare")
    .description(
      "Trains MODEL on --data, writes it with the same inputs, outputs, masks and fake quantizers, then loads, runs,\n" +
        "compares and times it on each target. Without labels it learns another model's outputs (--teacher).",
    )
    .argument("<model>", "an .onnx file")
    .option("-o, --output <file>", "where to write (default: MODEL with .finetuned before its ending)")
    .option("--dry-run", "say what would be trained, what not and why, and what it takes; then stop")
    .option("--no-check", "write without loading and measuring the result")
    .option("--external-data", "write the weights into a data file beside the model")
    .option("--verbose", "list everything that was decided, such as what is not trained and why");
  addMeasureFlags(command);
  const metrics = addMetricFlags(command);
  const names = addStepFlags(command, [finetuneOptions], []);
  command.action(async (model: string, flags: Flags) => {
    const progress = createProgress();
    const given = names.filter((name) => command.getOptionValueSource(name) === "cli");
    try {
      const { report } = flags;
      if (report !== undefined) checkReportPath(report, [model, flags.output, flags.data]);
      const result = await finetuneFile(model, {
        ...measureOptions(flags),
        finetune: Object.fromEntries(given.map((name) => [name, flags[name]])),
        output: flags.output,
        metrics: metrics.spec(flags),
        maxDrop: flags.maxDrop,
        check: flags.check,
        dryRun: flags.dryRun,
        externalData: flags.externalData,
        progress: progress.update,
        signal,
      });
      if (report !== undefined && !flags.dryRun) {
        const { input, output, targets, drops, ok, machine, training } = result;
        await reportVerify(
          report,
          flags,
          [input, output],
          { targets, drops, ok, machine, training },
          { progress: progress.update, signal },
        );
      }
      progress.clear();
      if (flags.json) printJson({ command: "finetune", ...result });
      else print(flags.dryRun ? renderPlan(result) : render(result, flags.verbose ?? false));
      process.exitCode = result.ok ? 0 : 1;
    } finally {
      progress.clear();
    }
  });
}

/** What is trained, one line each, then what is not, then what it takes. */
function renderPlan({ input, output, loss, training }: FinetuneFileResult): string {
  const { trained, parameters, memory, notes } = training;
  const width = Math.max(...trained.map(({ name }) => name.length));
  const count = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);
  return [
    renderHead(input.path, output.path, loss),
    "",
    `  Trained, ${formatCount(parameters)} numbers in ${formatCount(trained.length)} tensors:`,
    ...trained.map(({ name, dims }) => `    ${name.padEnd(width)}  [${dims.join(", ")}]  ${formatCount(count(dims))}`),
    "",
    ...notes.flatMap((note) => paragraph(`· ${note}`, WIDTH, "  ")),
    `  About ${formatBytes(memory.peak)} of memory. Nothing was trained or written (--dry-run).`,
  ].join("\n");
}

/** Notes that are shown without --verbose. */
const SHOWN_NOTES = 4;

function render(result: FinetuneFileResult, verbose: boolean): string {
  const { input, output, training, loss, targets, machine } = result;
  const blocks = [renderHead(input.path, output.path, loss), ""];
  const say = (text: string): unknown => blocks.push(...paragraph(text, WIDTH, "  "));
  const epochs = `${training.epochs} epoch${training.epochs === 1 ? "" : "s"}`;
  say(
    `${formatCount(training.steps)} steps, ${epochs}${training.stopped === "patience" ? ", stopped early" : ""}; ${formatCount(training.parameters)} parameters; ${formatDuration(training.seconds)}, ${formatCount(Math.round(training.samplesPerSecond))} samples/s; about ${formatBytes(training.memory.peak)} of memory`,
  );
  const [first] = training.validations;
  const end = training.best ?? training.validations.at(-1);
  if (first !== undefined && end !== undefined) {
    const from =
      end.step === 0 ? "no step was better than the model as it was" : `step ${formatCount(end.step)} is the best`;
    const metric = first.metric === "loss" ? "" : `, ${first.metric} ${round(first.value)} → ${round(end.value)}`;
    say(`validation: loss ${round(first.loss)} → ${round(end.loss)}${metric}; ${from}`);
  } else if (training.loss !== undefined) say(`loss ${round(training.loss)} at the end, not validated`);
  const notes = verbose ? training.notes : training.notes.slice(0, SHOWN_NOTES);
  for (const note of notes) say(`· ${note}`);
  const more = training.notes.length - notes.length;
  if (more > 0) say(`· ${more} more with --verbose`);
  const run = targets.filter(({ notRunHere }) => notRunHere === undefined);
  if (targets.length > 0) blocks.push("", renderTargets(targets));
  if (run.length > 0) blocks.push("", renderConditions(targets, machine));
  const lines = [...result.problems.map((problem) => `! ${problem}`), ...renderDrops(result.drops)];
  if (lines.length > 0) blocks.push("", ...lines.flatMap((line) => paragraph(line, WIDTH, "  ")));
  const marked = lines.filter((line) => line.startsWith("!")).length;
  if (run.length > 0) blocks.push("", renderVerdict(result.ok, run.map(({ target }) => target).join(", "), marked));
  else if (targets.length > 0) blocks.push("", "  Not checked: none of the targets runs here.");
  else blocks.push("", "  Not checked: it was neither loaded nor run (--no-check).");
  return blocks.join("\n");
}

const round = (value: number): string => String(Number(value.toPrecision(4)));
