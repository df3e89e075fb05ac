/**
 * @file One call from a model file to a smaller one, checked: what `tersor quantize` does.
 */
import { basename } from "node:path";
import { type Drop, judgeDrops } from "../analyze/drops.ts";
import { verifyFiles } from "../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../analyze/job.ts";
import { type Judgement, judge, keepsRules } from "../analyze/judge.ts";
import { compareLedgers, type Ledger, ledgerEntries } from "../analyze/ledger.ts";
import { UNFOLD } from "../analyze/measure-target.ts";
import { groupReasons } from "../analyze/reasons.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Budget } from "../measure/budget.ts";
import { describeMachine, type Machine } from "../measure/machine.ts";
import type { MetricSpec } from "../measure/meter.ts";
import { compressedSizes, type Sizes } from "../measure/size.ts";
import { nameFile, readFileBytes, writeModelFile } from "../onnx/file-node.ts";
import { cleanUp } from "../passes/clean-up.ts";
import { refuseQuantized } from "../quantize/candidates.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { DEFAULT_TARGETS, type TargetName } from "../runtime/targets.ts";
import type { DataSource } from "../step/data.ts";
import { runStep } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { GraphError, UnsupportedError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { loadSpecOf, type OpenModel, openCalibration, openModel, runnablePath } from "./open.ts";
import { defaultOutput, type PlannedScheme, planSchemes, refuseOverwrite } from "./quantize-plan.ts";
import { statisticsFile } from "./statistics-file.ts";
import { SCHEMES, type SchemeName } from "./steps.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface QuantizeFileOptions {
  /** Default "auto": static-int8 with data, else the better of dynamic-int8 and weight-int8 as measured. */
  readonly scheme?: SchemeName | "auto";
  /** Default: the input's name with `.int8` before its ending. */
  readonly output?: string;
  /** Samples: arrays, images, texts or a module (docs/data.md), or "random" for generated ones. */
  readonly data?: string;
  /** How they are read: preprocessing, labels, tokenizer, batches, order. */
  readonly load?: LoadSpec;
  /** Samples to calibrate on. Default 100. */
  readonly calibrationSamples?: number;
  /** A file that keeps statistics of calibration: made where it is not there, used where it is. */
  readonly statistics?: string;
  /** Samples to compare on. Default 100. */
  readonly samples?: number;
  readonly targets?: readonly TargetName[];
  /** Options of the scheme's step. */
  readonly step?: Readonly<Record<string, unknown>>;
  /** Shapes of generated inputs, by name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Sizes of symbolic dimensions of generated inputs. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Threads within an operator when measuring. Default 1. */
  readonly threads?: number;
  /** Milliseconds of timed runs per target. Default 3000; 0: no timing. */
  readonly budgetMs?: number;
  /** The browser for web-webgpu, and for web-wasm, which otherwise runs in Node. Default: the first that is found. */
  readonly browser?: BrowserSpec;
  /** Load, run, compare and time the file on its targets. Default true. */
  readonly check?: boolean;
  /** Measure peak memory. Default true. */
  readonly memory?: boolean;
  /** By what the result is judged. Default: the module's score, or top-1 where labels are classes. */
  readonly metrics?: MetricSpec;
  /** What a metric may lose. Default: no limit but the judgement's own. */
  readonly maxDrop?: Budget;
  readonly externalData?: boolean | "auto";
  readonly allowOutside?: boolean;
  readonly seed?: number;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** One scheme as it was tried. */
export interface Attempt {
  readonly scheme: SchemeName;
  readonly report: StepReport;
  readonly byteLength: number;
  /** Seconds that quantizing took, without reading and checking. */
  readonly seconds: number;
  /** Where the bytes were and are. */
  readonly ledger: Ledger;
}

export interface QuantizeFileResult {
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: { readonly path: string; readonly byteLength: number; readonly compressed: Sizes | undefined };
  readonly scheme: SchemeName;
  /** Why this scheme, where none was asked for. */
  readonly reason: string | undefined;
  readonly report: StepReport;
  readonly seconds: number;
  /** Where the bytes were, after clean-up, and are, tensor by tensor. */
  readonly ledger: Ledger;
  /** Schemes that were tried and not taken. */
  readonly others: readonly (Omit<Attempt, "ledger"> & { readonly judgements: readonly Judgement[] })[];
  /** The original and the result, per target; empty where nothing was checked. */
  readonly targets: readonly TargetMeasurement[];
  readonly judgements: readonly Judgement[];
  /** What was lost on each target, where there is a limit. */
  readonly drops: readonly Drop[];
  /** False: it does not load, disagrees, is slower or loses more than it may on a target. */
  readonly ok: boolean;
  readonly machine: Machine;
}

/** An attempt and its files: the model first, then its data files. */
interface Made extends Attempt {
  readonly path: string;
  readonly files: readonly string[];
}

/** Files above it are not compressed to see how they travel: that would take minutes. */
const MAX_COMPRESS_BYTES = 300e6;

/**
 * Quantizes a model file and proves the result.
 * @throws InputError, FormatError, GraphError, OptionError, UnsupportedError: see DESIGN, section 3; nothing is written.
 */
export async function quantizeFile(path: string, options: QuantizeFileOptions = {}): Promise<QuantizeFileResult> {
  const opened = openModel(path, { allowOutside: options.allowOutside });
  const output = options.output ?? defaultOutput(path);
  const targets = options.targets ?? DEFAULT_TARGETS;
  const plan = planSchemes(options, targets);
  refuseOverwrite(opened, output);
  if (plan.some(({ scheme }) => scheme !== "weight-int8")) refuseQuantizedFile(opened);

  const workspace = openWorkspace(output);
  try {
    const runtime = await createAnyRuntime();
    const original = runnablePath(opened, () => workspace.path("original"));
    const calibration = await calibrationFor(plan, opened, original, options, runtime);
    const attempts: Made[] = [];
    let obstacle: string | undefined;
    for (const entry of plan) {
      try {
        attempts.push(await attempt(entry, opened, calibration, runtime, workspace, options));
      } catch (error) {
        const impossible = error instanceof UnsupportedError || error instanceof GraphError;
        if (!impossible) throw error;
        // Where there is a choice, what a model cannot take is a reason for the other scheme.
        if (entry === plan.at(-1) && attempts.length === 0) throw nameFile(error, path);
        obstacle = `${entry.scheme} is not possible: ${error.message}`;
      }
    }
    if (attempts.every(({ report }) => report.changed === 0)) throw nothingToQuantize(path, attempts);
    const data = evaluationData(path, plan, options);
    const measured: TargetMeasurement[] = [];
    for (const target of options.check === false ? [] : targets) {
      const job = {
        target,
        files: [
          { name: "original", path: original },
          ...attempts.map((entry) => ({
            name: entry.scheme as string,
            path: entry.path,
            config: configFor(entry.scheme, options.step ?? {}, target),
          })),
        ],
        data,
        threads: options.threads ?? 1,
        budgetMs: (options.budgetMs ?? 3000) * (attempts.length > 1 ? 1.5 : 1),
        seed: options.seed ?? 0,
        browser: options.browser,
        metrics: options.metrics ?? { fallback: options.maxDrop !== undefined },
      };
      const { progress, signal, memory } = options;
      measured.push(
        await verifyFiles(job, { progress, signal, memory }).catch((error) => Promise.reject(asInputFault(error))),
      );
    }
    const { index, reason = obstacle } = choose(attempts, measured, options.maxDrop);
    const chosen = attempts[index]!;
    const compressed =
      chosen.byteLength <= MAX_COMPRESS_BYTES ? await compressedSizes(chosen.files.map(readFileBytes)) : undefined;
    options.signal?.throwIfAborted();
    workspace.publish(chosen.path);
    return finish(opened, output, attempts, index, reason, measured, compressed, options.maxDrop);
  } finally {
    workspace.remove();
  }
}

function refuseQuantizedFile(opened: OpenModel): void {
  try {
    refuseQuantized(opened.model());
  } catch (error) {
    throw nameFile(error, opened.path);
  }
}

/** Only the original fails a verification with an error: that is the input's fault, not the result's. */
function asInputFault(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "VerificationError") return error;
  const fault = new UnsupportedError({ area: "verify", subject: "the original", problem: error.message, cause: error });
  fault.message = `${error.message} Nothing was written.`;
  return fault;
}

function nothingToQuantize(path: string, attempts: readonly Attempt[]): UnsupportedError {
  const reasons = groupReasons(attempts.at(-1)?.report.leftAlone ?? []);
  const found = reasons.slice(0, 3).map(({ count, opType, reason }) => `${count} ${opType ?? "value"}: ${reason}`);
  return new UnsupportedError({
    area: "quantize",
    subject: path,
    problem: `expected weights that can be quantized, found none${found.length > 0 ? ` (${found.join("; ")})` : ""}`,
    help: "Nothing was written. See tersor inspect for what is in it.",
  });
}

/** Samples that the schemes need: the user's, or generated ones where shapes are enough. */
async function calibrationFor(
  plan: readonly PlannedScheme[],
  opened: OpenModel,
  original: string,
  options: QuantizeFileOptions,
  runtime: Runtime,
): Promise<DataSource | undefined> {
  if (plan.every(({ scheme }) => scheme === "weight-int8")) return undefined;
  const spec = {
    data: options.data,
    limit: options.data === "random" ? 8 : calibrationCount(options),
    options: loadSpecOf(opened.path, options),
    shapes: options.shapes,
    dims: options.dims,
    // Other values than those that are compared on.
    seed: (options.seed ?? 0) + 1,
  };
  return openCalibration(opened, spec, runtime, original);
}

/** Samples to calibrate on. */
function calibrationCount(options: QuantizeFileOptions): number {
  return options.calibrationSamples ?? 100;
}

async function attempt(
  { scheme, step }: PlannedScheme,
  opened: OpenModel,
  calibration: DataSource | undefined,
  runtime: Runtime,
  workspace: Workspace,
  options: QuantizeFileOptions,
): Promise<Made> {
  const context = {
    runtime,
    calibration,
    progress: options.progress,
    signal: options.signal,
    seed: options.seed,
    statistics: options.statistics === undefined ? undefined : statisticsFile(options.statistics, opened),
  };
  const start = performance.now();
  const model = opened.model();
  await cleanUp(model, context);
  const before = ledgerEntries(model);
  const report = await runStep(model, SCHEMES[scheme], step, context);
  model.metadata.set("tersor", JSON.stringify({ scheme, source: basename(opened.path) }));
  const path = workspace.path(scheme);
  const files = writeModelFile(path, toOnnx(model), {
    externalData: opened.external.length > 0 ? (options.externalData ?? true) : options.externalData,
  });
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return {
    scheme,
    report,
    byteLength,
    seconds: (performance.now() - start) / 1000,
    ledger: compareLedgers(before, ledgerEntries(model)),
    path,
    files: files.map((file) => file.path),
  };
}

/** Session configuration that a scheme's files need on a target. */
function configFor(
  scheme: SchemeName,
  step: Readonly<Record<string, unknown>>,
  target: TargetName,
): Readonly<Record<string, string>> | undefined {
  const folded = scheme === "weight-int8" && step["storage"] === "dequantize-linear";
  return folded && target === "web-wasm" ? UNFOLD : undefined;
}

/** Samples to compare on: those after the calibration samples, where there are enough of them. */
function evaluationData(model: string, plan: readonly PlannedScheme[], options: QuantizeFileOptions): DataSpec {
  const { data: path, samples = 100 } = options;
  if (path === undefined || path === "random") {
    return { kind: "generated", shapes: options.shapes, dims: options.dims, count: Math.min(samples, 4) };
  }
  // Ranges come from the first ones; the rest, if it is enough to judge by, was not seen.
  const seen = plan.some(({ scheme }) => scheme === "static-int8") ? calibrationCount(options) : 0;
  return { kind: "path", path, limit: samples, skip: seen, options: loadSpecOf(model, options) };
}

/** The best attempt as measured: usable everywhere, then faster, then smaller. */
function choose(
  attempts: readonly Attempt[],
  measured: readonly TargetMeasurement[],
  maxDrop: Budget | undefined,
): { readonly index: number; readonly reason: string | undefined } {
  if (attempts.length === 1) return { index: 0, reason: undefined };
  const run = measured.filter((result) => result.notRunHere === undefined);
  const [dynamic, weights] = attempts;
  if (dynamic!.report.changed === 0) return { index: 1, reason: "nothing in it gains from dynamic-int8" };
  const smaller = dynamic!.byteLength < weights!.byteLength;
  if (run.length === 0)
    return { index: smaller ? 0 : 1, reason: "its file is not the larger one (nothing was measured)" };
  const judged = (which: number): Judgement[] => run.map(({ files }) => judge(files[which + 1]!, files[0]));
  const [dynamicJudged, weightsJudged] = [judged(0), judged(1)];
  const text = (kinds: (kind: string) => boolean): string | undefined =>
    dynamicJudged.flatMap(({ findings }) => findings).find(({ kind }) => kinds(kind))?.text;
  // A loss that the other one has, too, speaks for neither.
  if (agreementRank(dynamicJudged) < agreementRank(weightsJudged)) {
    return { index: 1, reason: `dynamic-int8 ${text((kind) => kind !== "slower")}` };
  }
  const missed = (which: number): boolean =>
    maxDrop !== undefined &&
    judgeDrops(
      run.map((result) => ({ ...result, files: [result.files[0]!, result.files[which + 1]!] })),
      maxDrop,
    ).some(({ ok }) => !ok);
  if (missed(0) && !missed(1)) return { index: 1, reason: `dynamic-int8 may lose more than ${maxDrop?.text}` };
  const slower = text((kind) => kind === "slower");
  if (slower !== undefined) return { index: 1, reason: `dynamic-int8 is ${slower}` };
  const agrees = agreementRank(dynamicJudged) === 2 ? "agrees with the original and " : "";
  const faster = run.some(({ files }) => files[1]!.latency?.verdict === "faster");
  if (faster) return { index: 0, reason: `it ${agrees}runs faster` };
  return smaller
    ? { index: 0, reason: `it ${agrees}is the smaller one` }
    : { index: 1, reason: "dynamic-int8 runs no faster" };
}

/** 2: agrees on every target, 1: differs on one, 0: disagrees, or does not load or run. */
function agreementRank(judgements: readonly Judgement[]): number {
  return Math.min(...judgements.map(({ usable, agreement }) => (!usable ? 0 : agreement === "agrees" ? 2 : 1)));
}

function finish(
  opened: OpenModel,
  output: string,
  attempts: readonly Attempt[],
  index: number,
  reason: string | undefined,
  measured: readonly TargetMeasurement[],
  compressed: Sizes | undefined,
  maxDrop: Budget | undefined,
): Promise<QuantizeFileResult> {
  const chosen = attempts[index]!;
  const pick = (which: number): TargetMeasurement[] =>
    measured.map((result) =>
      result.files.length === 0
        ? { ...result, ...(result.rules && { rules: result.rules.slice(which, which + 1) }) }
        : { ...result, files: [result.files[0]!, result.files[which + 1]!] },
    );
  const targets = pick(index);
  const judgementsOf = (results: readonly TargetMeasurement[]): Judgement[] =>
    results.filter((result) => result.files.length > 1).map((result) => judge(result.files[1]!, result.files[0]));
  const judgements = judgementsOf(targets);
  const drops = maxDrop === undefined ? [] : judgeDrops(targets, maxDrop);
  const slower = targets.some((result) => result.files[1]?.latency?.verdict === "slower");
  return describeMachine().then((machine) => ({
    input: { path: opened.path, byteLength: opened.byteLength },
    output: { path: output, byteLength: chosen.byteLength, compressed },
    scheme: chosen.scheme,
    reason,
    report: chosen.report,
    seconds: chosen.seconds,
    ledger: chosen.ledger,
    others: attempts
      .map((entry, which) => ({
        scheme: entry.scheme,
        report: entry.report,
        byteLength: entry.byteLength,
        seconds: entry.seconds,
        judgements: judgementsOf(pick(which)),
      }))
      .filter((_entry, which) => which !== index),
    targets,
    judgements,
    drops,
    ok: judgements.every((entry) => entry.usable) && !slower && drops.every((drop) => drop.ok) && keepsRules(targets),
    machine,
  }));
}
