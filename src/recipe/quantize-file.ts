/**
 * @file One call from a model file to a smaller one, checked: what `tersor quantize` does.
 */
import { basename, dirname, extname, join, resolve } from "node:path";
import { type VerifyOptions, verifyFiles } from "../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../analyze/job.ts";
import { type Judgement, judge } from "../analyze/judge.ts";
import { UNFOLD } from "../analyze/measure-target.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { describeMachine, type Machine } from "../measure/machine.ts";
import { compressedSizes, type Sizes } from "../measure/size.ts";
import { readFileBytes, writeModelFile } from "../onnx/file-node.ts";
import { cleanUp } from "../passes/clean-up.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { DEFAULT_TARGETS, type TargetName } from "../runtime/targets.ts";
import type { DataSource } from "../step/data.ts";
import { parseOptions, runStep } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { InputError, OptionError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { type OpenModel, openCalibration, openModel, sameFile } from "./open.ts";
import { SCHEMES, type SchemeName } from "./steps.ts";
import { openWorkspace, type Workspace } from "./workspace.ts";

export interface QuantizeFileOptions {
  /** Default "auto": static-int8 with data, else the better of dynamic-int8 and weight-int8 as measured. */
  readonly scheme?: SchemeName | "auto";
  /** Default: the input's name with `.int8` before its ending. */
  readonly output?: string;
  /** Samples: a folder or file of .npz or .npy, a module, or "random" for generated ones. */
  readonly data?: string;
  /** Samples to calibrate on. Default 100. */
  readonly calibrationSamples?: number;
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
  /** Load, run, compare and time the file on its targets. Default true. */
  readonly check?: boolean;
  /** Measure peak memory. Default true. */
  readonly memory?: boolean;
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
}

export interface QuantizeFileResult {
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: { readonly path: string; readonly byteLength: number; readonly compressed: Sizes | undefined };
  readonly scheme: SchemeName;
  /** Why this scheme, where none was asked for. */
  readonly reason: string | undefined;
  readonly report: StepReport;
  readonly seconds: number;
  /** Schemes that were tried and not taken. */
  readonly others: readonly (Attempt & { readonly judgements: readonly Judgement[] })[];
  /** The original and the result, per target; empty where nothing was checked. */
  readonly targets: readonly TargetMeasurement[];
  readonly judgements: readonly Judgement[];
  /** False: it does not load, disagrees, or is slower on a target. */
  readonly ok: boolean;
  readonly machine: Machine;
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
  refuseOverwrite(opened, output);
  const schemes = chooseSchemes(options);
  const targets = options.targets ?? DEFAULT_TARGETS;
  const stepOptions = { ...options.step, target: [...targets] };
  for (const scheme of schemes) parseOptions(SCHEMES[scheme], stepOptions);

  const workspace = openWorkspace(output);
  try {
    const runtime = await createAnyRuntime();
    const calibration = await calibrationFor(schemes, opened, options, runtime);
    const attempts: (Attempt & { readonly path: string })[] = [];
    for (const scheme of schemes) {
      attempts.push(await attempt(scheme, opened, stepOptions, calibration, runtime, workspace, options));
    }
    const data = evaluationData(calibration, options);
    const measured: TargetMeasurement[] = [];
    if (options.check !== false) {
      for (const target of targets) {
        const job = {
          target,
          files: [
            { name: "original", path },
            ...attempts.map((entry) => ({
              name: entry.scheme as string,
              path: entry.path,
              config: configFor(entry.scheme, stepOptions, target),
            })),
          ],
          data,
          threads: options.threads ?? 1,
          budgetMs: (options.budgetMs ?? 3000) * (attempts.length > 1 ? 1.5 : 1),
          seed: options.seed ?? 0,
        };
        const verify: VerifyOptions = { progress: options.progress, signal: options.signal, memory: options.memory };
        measured.push(await verifyFiles(job, verify));
      }
    }
    const { index, reason } = choose(attempts, measured);
    const chosen = attempts[index]!;
    const compressed =
      chosen.byteLength <= MAX_COMPRESS_BYTES ? await compressedSizes(readFileBytes(chosen.path)) : undefined;
    options.signal?.throwIfAborted();
    workspace.publish(chosen.path);
    return finish(opened, output, attempts, index, reason, measured, compressed);
  } finally {
    workspace.remove();
  }
}

function defaultOutput(path: string): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.int8${extension || ".onnx"}`);
}

function refuseOverwrite(opened: OpenModel, output: string): void {
  const { path } = opened;
  const inputs = [path, ...opened.external.map((location) => join(dirname(path), location))];
  if (inputs.some((input) => resolve(input) === resolve(output) || sameFile(input, output))) {
    throw new InputError({
      area: "file",
      subject: output,
      problem: "expected another file than the input, got the input itself",
      help: "The original is never overwritten: choose another output with -o.",
    });
  }
  const data = `${resolve(output)}_data`;
  if (inputs.some((input) => resolve(input) === data)) {
    throw new InputError({
      area: "file",
      subject: output,
      problem: `its data file ${basename(data)} would be the input's own`,
      help: "Choose another output with -o.",
    });
  }
}

function chooseSchemes(options: QuantizeFileOptions): SchemeName[] {
  const { scheme = "auto", data } = options;
  if (scheme === "static-int8" && data === undefined) {
    throw new OptionError({
      area: "quantize",
      subject: "static-int8",
      problem: "expected calibration data, got none",
      help: "Give samples with --data (a folder of .npz files, or a module), or --data random to try it out.",
    });
  }
  if (scheme !== "auto") return [scheme];
  return data !== undefined && data !== "random" ? ["static-int8"] : ["dynamic-int8", "weight-int8"];
}

/** Samples that the schemes need: the user's, or generated ones where shapes are enough. */
async function calibrationFor(
  schemes: readonly SchemeName[],
  opened: OpenModel,
  options: QuantizeFileOptions,
  runtime: Runtime,
): Promise<DataSource | undefined> {
  if (!schemes.some((scheme) => scheme !== "weight-int8")) return undefined;
  const spec = {
    data: options.data,
    limit: options.data === "random" ? 8 : (options.calibrationSamples ?? 100),
    shapes: options.shapes,
    dims: options.dims,
    seed: options.seed,
  };
  return openCalibration(opened, spec, runtime);
}

async function attempt(
  scheme: SchemeName,
  opened: OpenModel,
  stepOptions: Readonly<Record<string, unknown>>,
  calibration: DataSource | undefined,
  runtime: Runtime,
  workspace: Workspace,
  options: QuantizeFileOptions,
): Promise<Attempt & { readonly path: string }> {
  const context = { runtime, calibration, progress: options.progress, signal: options.signal, seed: options.seed };
  const start = performance.now();
  const model = opened.model();
  await cleanUp(model, context);
  const report = await runStep(model, SCHEMES[scheme], stepOptions, context);
  model.metadata.set("tersor", JSON.stringify({ scheme, source: basename(opened.path) }));
  const path = workspace.path(scheme);
  const files = writeModelFile(path, toOnnx(model), {
    externalData: opened.external.length > 0 ? (options.externalData ?? true) : options.externalData,
  });
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { scheme, report, byteLength, seconds: (performance.now() - start) / 1000, path };
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
function evaluationData(calibration: DataSource | undefined, options: QuantizeFileOptions): DataSpec {
  const { data: path, samples = 100 } = options;
  if (path === undefined || path === "random") {
    return { kind: "generated", shapes: options.shapes, dims: options.dims, count: Math.min(samples, 4) };
  }
  // Calibration read the first ones; the rest, if it is enough to judge by, was not seen.
  return { kind: "path", path, limit: samples, skip: calibration?.length ?? 0 };
}

/** The best attempt as measured: usable everywhere, then faster, then smaller. */
function choose(
  attempts: readonly Attempt[],
  measured: readonly TargetMeasurement[],
): { readonly index: number; readonly reason: string | undefined } {
  if (attempts.length === 1) return { index: 0, reason: undefined };
  const run = measured.filter((result) => result.notRunHere === undefined);
  const [dynamic, weights] = attempts;
  if (dynamic!.report.changed === 0) return { index: 1, reason: "nothing in it gains from dynamic-int8" };
  const files = run.map((result) => result.files[1]!);
  const judgements = files.map((file, index) => judge(file, run[index]!.files[0]));
  const unusable = judgements.find((entry) => !entry.usable || entry.agreement !== "agrees");
  if (unusable !== undefined) return { index: 1, reason: `dynamic-int8 ${unusable.problems[0]}` };
  const slower = judgements.find((_entry, index) => files[index]!.latency?.verdict === "slower");
  if (slower !== undefined) return { index: 1, reason: `dynamic-int8 is ${slower.problems[0]}` };
  const faster = files.some((file) => file.latency?.verdict === "faster");
  if (faster) return { index: 0, reason: "it agrees with the original and runs faster" };
  const smaller = dynamic!.byteLength < weights!.byteLength;
  return smaller
    ? { index: 0, reason: "it agrees with the original and is the smaller one" }
    : { index: 1, reason: "dynamic-int8 runs no faster" };
}

function finish(
  opened: OpenModel,
  output: string,
  attempts: readonly Attempt[],
  index: number,
  reason: string | undefined,
  measured: readonly TargetMeasurement[],
  compressed: Sizes | undefined,
): Promise<QuantizeFileResult> {
  const chosen = attempts[index]!;
  const pick = (which: number): TargetMeasurement[] =>
    measured.map((result) =>
      result.files.length === 0 ? result : { ...result, files: [result.files[0]!, result.files[which + 1]!] },
    );
  const targets = pick(index);
  const judgementsOf = (results: readonly TargetMeasurement[]): Judgement[] =>
    results.filter((result) => result.files.length > 1).map((result) => judge(result.files[1]!, result.files[0]));
  const judgements = judgementsOf(targets);
  const slower = targets.some((result) => result.files[1]?.latency?.verdict === "slower");
  return describeMachine().then((machine) => ({
    input: { path: opened.path, byteLength: opened.byteLength },
    output: { path: output, byteLength: chosen.byteLength, compressed },
    scheme: chosen.scheme,
    reason,
    report: chosen.report,
    seconds: chosen.seconds,
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
    ok: judgements.every((entry) => entry.usable) && !slower,
    machine,
  }));
}
