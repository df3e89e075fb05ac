/**
 * @file `tersor verify`: one file: loads, runs, how fast; two: compared on every target.
 */
import type { Command } from "commander";
import type { DeviceMeasurement } from "../../analyze/device.ts";
import { type Drop, judgeDrops } from "../../analyze/drops.ts";
import { verifyFiles } from "../../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../../analyze/job.ts";
import { judge, keepsRules } from "../../analyze/judge.ts";
import { describeMetric } from "../../analyze/metric-text.ts";
import { whyNotHere } from "../../analyze/open-runtime.ts";
import { describeMachine, type Machine } from "../../measure/machine.ts";
import { isRuled } from "../../quantize/placement/rules.ts";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import { compareFiles, ledgerOfFiles } from "../../recipe/compare-files.ts";
import { openModel } from "../../recipe/open.ts";
import { checkReportPath, scanFile } from "../../recipe/report-file.ts";
import { runnableFiles } from "../../recipe/runnable.ts";
import type { BrowserSpec } from "../../runtime/browser/chromium.ts";
import { DEFAULT_TARGETS, TARGET_NAMES, TARGETS, type TargetName } from "../../runtime/targets.ts";
import { OptionError } from "../../util/errors.ts";
import { formatBytes, formatMilliseconds, formatRatio } from "../../util/format.ts";
import {
  addMeasureFlags,
  addMetricFlags,
  browserSpec,
  loadSpec,
  type MeasureFlags,
  type MetricFlags,
  parseCount,
} from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { renderConditions, renderDrops, renderHead, renderTargets, renderVerdict } from "../render/measurement.ts";
import { paragraph, plain, renderTable, WIDTH } from "../render/table.ts";
import { renderLedger, renderTensorErrors } from "../render/tensors.ts";
import { reportVerify } from "../report.ts";
import { deviceMachine, deviceOk, type ServeFlags, serveVerify } from "./verify-serve.ts";

/** The samples that the flags ask for; without data, generated inputs. */
export function dataSpec(flags: MeasureFlags, model: string): DataSpec {
  const { data, samples, shape } = flags;
  const options = loadSpec(flags, model);
  if (data === undefined || data === "random") return { kind: "generated", shapes: shape, count: samples ?? 4 };
  return { kind: "path", path: data, limit: samples ?? 100, options };
}

interface Flags extends MeasureFlags, MetricFlags, ServeFlags {
  readonly perTensor?: boolean;
  readonly ledger?: boolean;
}

export function addVerify(program: Command, signal: AbortSignal): void {
  const command = program
    .command("verify")
    .summary("load, run, compare and time one or two models on each target")
    .description(
      "One file: does it load and run, how fast, with how much memory. Two files: the second against the first, " +
        "on the same inputs. Exit status 1 where a file does not load, disagrees or is slower.",
    )
    .argument("<original>", "an .onnx file")
    .argument("[other]", "the file to compare with it");
  addMeasureFlags(command);
  const metrics = addMetricFlags(command);
  command
    .option("--per-tensor", "compare every value inside the two models, too: where the error enters and grows")
    .option("--ledger", "list the tensors of both files with their bytes")
    .option("--serve", "print a URL that any device's browser opens, and collect the verdict from there")
    .option("--port <number>", "with --serve: the port (default: any that is free)", parseCount)
    .option("--host <address>", "with --serve: the address to listen on (default: every network)")
    .option("--devices <number>", "with --serve: devices to wait for (default: 1)", parseCount)
    .option("--cert <file>", "with --serve: a certificate in PEM, for HTTPS")
    .option("--key <file>", "with --serve: the certificate's key in PEM");
  command.action(async (original: string, other: string | undefined, flags: Flags) => {
    const progress = createProgress();
    const runnable = runnableFiles(flags.allowExternalOutside);
    try {
      if (!flags.serve) await requireRuntime(flags.target, browserSpec(flags));
      if (flags.report !== undefined) checkReportPath(flags.report, [original, other, flags.data]);
      const sizes = [original, ...(other === undefined ? [] : [other])].map(
        (path) => openModel(path, { allowOutside: flags.allowExternalOutside }).byteLength,
      );
      const files = [
        { name: "original", path: runnable.path(original) },
        ...(other === undefined ? [] : [{ name: "other", path: runnable.path(other) }]),
      ];
      const saturation = other === undefined ? undefined : scanFile(other, flags.allowExternalOutside);
      const sized = [original, ...(other === undefined ? [] : [other])].map((path, index) => ({
        path,
        byteLength: sizes[index]!,
      }));
      const run = { progress: progress.update, signal };
      const job = {
        files,
        data: dataSpec(flags, original),
        threads: flags.threads ?? 1,
        budgetMs: flags.time ?? 3000,
        seed: flags.seed ?? 0,
        browser: browserSpec(flags),
        metrics: metrics.spec(flags),
      };
      const dropsOf = (measured: readonly TargetMeasurement[]): readonly Drop[] =>
        flags.maxDrop === undefined ? [] : judgeDrops(measured, flags.maxDrop);
      if (flags.serve) {
        const onResult = (result: DeviceMeasurement): void => {
          if (flags.json) return;
          const drops = dropsOf(result.targets);
          const machine = deviceMachine(result.host);
          const ok = deviceOk(result, drops);
          const report = render(original, other, sizes, result.targets, machine, ok, drops, saturation);
          const errors = result.errors.map(({ target, message }) => `! ${target}: ${message}`);
          print(
            [`${result.host.name}\n`, report, ...errors.flatMap((line) => paragraph(line, WIDTH, "  ")), ""].join("\n"),
          );
        };
        const devices = await serveVerify({ flags, targets: flags.target, job, progress, dropsOf, onResult, signal });
        const ok = devices.every((result) => deviceOk(result, dropsOf(result.targets)));
        for (const [index, result] of flags.report === undefined ? [] : devices.entries()) {
          const drops = dropsOf(result.targets);
          const machine = deviceMachine(result.host);
          const found = { targets: result.targets, drops, ok: deviceOk(result, drops), machine, saturation };
          await reportVerify(numbered(flags.report!, index), flags, sized, found, run);
        }
        if (flags.json) printJson({ command: "verify", original, other, sizes, ok, devices });
        process.exitCode = ok ? 0 : 1;
        return;
      }
      const targets: TargetMeasurement[] = [];
      for (const target of flags.target ?? DEFAULT_TARGETS) {
        targets.push(
          await verifyFiles({ ...job, target }, { progress: progress.update, signal, memory: flags.memory }),
        );
      }
      const perTensor =
        flags.perTensor && other !== undefined
          ? await compareFiles(
              original,
              other,
              { ...flags, load: loadSpec(flags) },
              { progress: progress.update, signal },
            )
          : undefined;
      const ledger =
        flags.ledger && other !== undefined
          ? await ledgerOfFiles(original, other, flags.allowExternalOutside)
          : undefined;
      const machine = await describeMachine();
      const judgements = targets.flatMap((result) => result.files.slice(1).map((file) => judge(file, result.files[0])));
      const drops = dropsOf(targets);
      const ok =
        keepsRules(targets) &&
        drops.every((drop) => drop.ok) &&
        targets.every((result) =>
          result.files
            .slice(1)
            .every((file) => judge(file, result.files[0]).usable && file.latency?.verdict !== "slower"),
        );
      if (flags.report !== undefined) {
        await reportVerify(flags.report, flags, sized, { targets, drops, ok, machine, saturation, ledger }, run);
      }
      progress.clear();
      if (flags.json)
        printJson({
          command: "verify",
          original,
          other,
          sizes,
          ok,
          targets,
          judgements,
          drops,
          machine,
          perTensor,
          ledger,
          saturation,
        });
      else {
        print(render(original, other, sizes, targets, machine, ok, drops, saturation));
        if (perTensor !== undefined) print(`\n${renderTensorErrors(perTensor)}`);
        if (ledger !== undefined) print(`\n${renderLedger(ledger)}`);
      }
      process.exitCode = ok ? 0 : 1;
    } finally {
      progress.clear();
      runnable.remove();
    }
  });
}

/** "report.html" for the first device, "report-2.html" for the second. */
function numbered(path: string, index: number): string {
  return index === 0 ? path : path.replace(/(\.[^./\\]*)?$/, `-${index + 1}$1`);
}

/** @throws OptionError where none of the targets can be run: what is not measured is not verified. */
export async function requireRuntime(
  targets: readonly TargetName[] = DEFAULT_TARGETS,
  browser?: BrowserSpec,
): Promise<void> {
  const reasons = await Promise.all(targets.map((target) => whyNotHere(target, browser)));
  if (reasons.some((reason) => reason === undefined) || targets.some(isRuled)) return;
  const here = TARGET_NAMES.filter((target) => TARGETS[target].runtime !== undefined);
  throw new OptionError({
    area: "verify",
    subject: "--target",
    problem: `expected a target that runs here (${here.join(", ")}), got ${targets.join(", ")}: ${[...new Set(reasons)].join("; ")}`,
    help: "Nothing was measured.",
  });
}

function render(
  original: string,
  other: string | undefined,
  sizes: readonly number[],
  targets: readonly TargetMeasurement[],
  machine: Machine,
  ok: boolean,
  drops: readonly Drop[],
  saturation: SaturationScan | undefined,
): string {
  if (other === undefined) {
    const rows = targets.map((result) => {
      const [file] = result.files;
      if (file === undefined) return [result.target, "not run here", "", "", ""];
      return [
        result.target,
        "loads and runs",
        file.latency ? formatMilliseconds(file.latency.p50) : "",
        file.latency ? formatMilliseconds(file.latency.p95) : "",
        file.peakMemory === undefined ? "" : formatBytes(file.peakMemory),
      ];
    });
    const columns = [
      { title: "target" },
      { title: "verdict" },
      ...["latency p50", "p95", "peak memory"].map((title) => ({ title, align: "right" as const })),
    ];
    return [
      `${plain(original)}   ${formatBytes(sizes[0]!)}`,
      "",
      renderTable(columns, rows, WIDTH),
      ...targets.flatMap(({ target, files }) =>
        (files[0]?.metrics ?? []).flatMap((metric) =>
          paragraph(`${target}: ${metric.name} ${describeMetric(metric)}`, WIDTH, "  "),
        ),
      ),
      "",
      renderConditions(targets, machine),
      ...renderSkipped(targets),
    ].join("\n");
  }
  const problems = targets.flatMap((result) =>
    result.files
      .slice(1)
      .flatMap((file) => judge(file, result.files[0]).problems.map((problem) => `! ${result.target}: ${problem}`)),
  );
  const lines = [...problems, ...renderDrops(drops)];
  const sizeNote = `${formatBytes(sizes[0]!)} → ${formatBytes(sizes[1]!)}  ${formatRatio(sizes[1]! / sizes[0]!)}`;
  const names = targets
    .filter(({ files }) => files.length > 0)
    .map(({ target }) => target)
    .join(", ");
  return [
    renderHead(original, other, sizeNote),
    "",
    renderTargets(targets),
    "",
    renderConditions(targets, machine, saturation),
    "",
    ...lines.flatMap((line) => paragraph(line, WIDTH, "  ")),
    ...(lines.length > 0 ? [""] : []),
    renderVerdict(ok, names, lines.filter((line) => line.startsWith("!")).length),
  ].join("\n");
}

/** Targets that cannot be run here, and why. */
export function renderSkipped(targets: readonly TargetMeasurement[]): string[] {
  return targets
    .filter(({ notRunHere }) => notRunHere !== undefined)
    .flatMap(({ target, notRunHere }) => paragraph(`${target}: not run here: ${notRunHere}`, WIDTH, "  "));
}
