/**
 * @file `tersor prune`: masks over the weights that matter least, checked on the targets.
 */
import type { Command } from "commander";
import type { SparseVerdict } from "../../analyze/sparse-verdict.ts";
import type { GroupResult } from "../../prune/channels/prune-channels.ts";
import type { WeightSparsity } from "../../prune/sparsity.ts";
import { type PruneFileResult, pruneFile } from "../../recipe/prune-file.ts";
import { pruneFileOptions } from "../../recipe/prune-options.ts";
import { checkReportPath } from "../../recipe/report-file.ts";
import { OptionError } from "../../util/errors.ts";
import { formatBytes, formatCount } from "../../util/format.ts";
import {
  addMeasureFlags,
  addMetricFlags,
  addStepFlags,
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
import { paragraph, renderTable, WIDTH } from "../render/table.ts";
import { reportVerify } from "../report.ts";

interface Flags extends MeasureFlags, MetricFlags, Readonly<Record<string, unknown>> {
  readonly output?: string;
  readonly calibrationSamples?: number;
  readonly history?: string;
  readonly replay?: string;
  readonly undo?: boolean;
  readonly remove?: boolean;
  readonly check: boolean;
  readonly externalData?: boolean;
  readonly verbose?: boolean;
}

export function addPrune(program: Command, signal: AbortSignal): void {
  const command = program
    .command("prune")
    .summary("take out the weights that matter least, reversibly, and check the result")
    .description(
      "Masks weights of MODEL by a criterion, a pattern and an amount, then loads, runs, compares and times the result " +
        "on each target. Masks stay in the file: tersor finetune keeps them, a second run adds to them, --undo takes them " +
        "away, --remove leaves zeros in their place.",
    )
    .argument("<model>", "an .onnx file")
    .option("-o, --output <file>", "where to write (default: MODEL with .pruned before its ending)")
    .option("--undo", "take the masks of MODEL away: its weights are what they were")
    .option("--remove", "make the masks of MODEL permanent, and prune nothing more")
    .option("--history <file>", "pattern channel: write what went, to be replayed on MODEL")
    .option("--replay <file>", "take out the channels that such a file names, instead of choosing")
    .option("--calibration-samples <number>", "samples that the criterion sees (default: 128)", parseCount)
    .option("--no-check", "write without loading and measuring the result")
    .option("--external-data", "write the weights into a data file beside the model")
    .option("--verbose", "list every weight");
  addMeasureFlags(command);
  const metrics = addMetricFlags(command);
  const names = addStepFlags(command, [pruneFileOptions], []);
  command.action(async (model: string, flags: Flags) => {
    const progress = createProgress();
    const given = names.filter((name) => command.getOptionValueSource(name) === "cli");
    try {
      const { report } = flags;
      if (report !== undefined) checkReportPath(report, [model, flags.output, flags.data]);
      const result = await pruneFile(model, {
        ...measureOptions(flags),
        action: actionOf(flags, given),
        step: Object.fromEntries(given.map((name) => [name, flags[name]])),
        history: flags.history,
        replay: flags.replay,
        output: flags.output,
        calibrationSamples: flags.calibrationSamples,
        metrics: metrics.spec(flags),
        maxDrop: flags.maxDrop,
        check: flags.check,
        externalData: flags.externalData,
        progress: progress.update,
        signal,
      });
      if (report !== undefined) {
        const { input, output, targets, drops, ok, machine } = result;
        const run = { progress: progress.update, signal };
        await reportVerify(report, flags, [input, output], { targets, drops, ok, machine }, run);
      }
      progress.clear();
      if (flags.json) printJson({ command: "prune", ...result });
      else print(render(result, flags.verbose ?? false));
      process.exitCode = result.ok ? 0 : 1;
    } finally {
      progress.clear();
    }
  });
}

function actionOf({ undo, remove }: Flags, given: readonly string[]): "prune" | "undo" | "remove" {
  const action = undo ? "undo" : remove ? "remove" : "prune";
  if ((undo && remove) || (action !== "prune" && given.length > 0)) {
    throw new OptionError({
      area: "prune",
      subject: `--${action}`,
      problem: `expected no other wish beside it, got ${undo && remove ? "--remove" : given.map((name) => `--${name}`).join(", ")}`,
    });
  }
  return action;
}

/** Weights that are listed without --verbose. */
const SHOWN = 12;

function render(result: PruneFileResult, verbose: boolean): string {
  const { input, output, action, report, sparsity, verdict, targets, machine } = result;
  const { before, after } = sparsity;
  const blocks = [renderHead(input.path, output.path, action), ""];
  const say = (text: string): unknown => blocks.push(...paragraph(text, WIDTH, "  "));
  const left = after.size - after.zeros;
  const { channels } = result;
  if (channels !== undefined) {
    const { removed, macsBefore, macsAfter, parametersBefore, parametersAfter, exactness } = channels;
    const of = (now: number, before: number): string =>
      `${formatCount(before)} → ${formatCount(now)} (${percent(now / before)})`;
    say(`${removed.length} groups of channels are narrower`);
    say(`multiplications ${of(macsAfter, macsBefore)}; parameters ${of(parametersAfter, parametersBefore)}`);
    say(
      `Beside the original with zeros in their place: ${exactness === Infinity ? "equal" : `SQNR ${exactness.toFixed(0)} dB`} on one sample.`,
    );
  }
  if (channels === undefined && after.zeros + before.zeros > 0)
    say(
      `${formatCount(left)} of ${formatCount(after.size)} weights are not zero: sparsity ${percent(before.sparsity)} → ${percent(after.sparsity)}${left > 0 && left < after.size ? ` (${(after.size / left).toFixed(1)}× fewer)` : ""}`,
    );
  const masked = after.weights.some((weight) => weight.masked);
  say(`${formatBytes(input.byteLength)} → ${formatBytes(output.byteLength)}${masked ? ", masks included" : ""}`);
  if (masked) say("The masks can be undone (--undo), kept by tersor finetune, and made permanent (--remove).");
  const groups = channels?.removed ?? [];
  if (groups.length > 0) blocks.push("", channelTable(verbose ? groups : groups.slice(0, SHOWN)));
  if (groups.length > SHOWN && !verbose) blocks.push(`  ${groups.length - SHOWN} more with --verbose`);
  if (groups.length === 0) blocks.push("", ...weightsTable(after.weights, verbose));
  if (verdict !== undefined) blocks.push("", ...renderVerdictOnZeros(verdict, masked));
  const leftAlone = renderLeftAlone(report.leftAlone ?? [], verbose);
  if (leftAlone !== "") blocks.push("", leftAlone.replace("Left in float", "Left whole"));
  const run = targets.filter(({ notRunHere }) => notRunHere === undefined);
  if (targets.length > 0) blocks.push("", renderTargets(targets));
  if (run.length > 0) blocks.push("", renderConditions(targets, machine));
  const problems = run.flatMap(({ target }, i) =>
    (result.judgements[i]?.problems ?? []).map((problem) => `! ${target}: ${problem}`),
  );
  const lines = [...problems, ...renderDrops(result.drops)];
  if (lines.length > 0) blocks.push("", ...lines.flatMap((line) => paragraph(line, WIDTH, "  ")));
  if (!result.ok && action === "prune") {
    blocks.push("");
    const how = channels === undefined ? ", which keeps the masks" : ` and --teacher ${input.path}`;
    say(`Fine-tuning brings back what pruning loses: tersor finetune with this file${how}.`);
  }
  const marked = lines.filter((line) => line.startsWith("!")).length;
  if (run.length > 0) blocks.push("", renderVerdict(result.ok, run.map(({ target }) => target).join(", "), marked));
  else if (targets.length > 0) blocks.push("", "  Not checked: none of the targets runs here.");
  else blocks.push("", "  Not checked: it was neither loaded nor run (--no-check).");
  return blocks.join("\n");
}

function channelTable(groups: readonly GroupResult[]): string {
  const columns = [
    { title: "channels of", max: 40 },
    { title: "made by", max: 24 },
    { title: "before", align: "right" },
    { title: "left", align: "right" },
  ] as const;
  const rows = groups.map(({ value, nodes, channels, removed }) => [
    value,
    `${nodes[0] ?? ""}${nodes.length > 1 ? ` + ${nodes.length - 1}` : ""}`,
    formatCount(channels),
    formatCount(channels - removed),
  ]);
  return renderTable(columns, rows, WIDTH);
}

function weightsTable(weights: readonly WeightSparsity[], verbose: boolean): string[] {
  const shown = verbose ? weights : weights.filter(({ masked }) => masked).slice(0, SHOWN);
  const rows = shown.map(({ name, dims, size, zeros, sparsity: share }) => [
    name,
    dims.join("×"),
    formatCount(size - zeros),
    percent(share),
  ]);
  const more = weights.length - shown.length;
  const columns = [
    { title: "weight", max: 40 },
    { title: "dims" },
    { title: "left", align: "right" },
    { title: "zero", align: "right" },
  ] as const;
  const lines = rows.length === 0 ? [] : [renderTable(columns, rows, WIDTH)];
  return more > 0 && !verbose ? [...lines, `  ${more} more weights with --verbose`] : lines;
}

/** What the zeros are worth: speed per target, bytes, and what would be faster. */
function renderVerdictOnZeros({ targets, storage, instead }: SparseVerdict, masked: boolean): string[] {
  const storing = masked && storage.length > 0 ? ["Once the masks are permanent:", ...storage] : storage;
  const blocks = [
    ...targets.map(({ target, sentences }) => `${target}: ${sentences.join(" ")}`),
    storing.join(" "),
    instead.join(" "),
  ];
  return ["  What the zeros are worth:", ...blocks.flatMap((text) => paragraph(text, WIDTH, "    "))];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
