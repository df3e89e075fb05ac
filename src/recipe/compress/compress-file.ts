/**
 * @file One call from a model file and samples to the best file for each target, proven: what `tersor compress` does.
 */
import { createHash } from "node:crypto";
import { renameSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { DataSpec, TargetMeasurement } from "../../analyze/job.ts";
import type { NodeSensitivity } from "../../analyze/sensitivity.ts";
import type { LoadSpec } from "../../data/load-spec.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import { type Budget, parseBudget } from "../../measure/budget.ts";
import { describeMachine, type Machine } from "../../measure/machine.ts";
import type { MetricSpec } from "../../measure/meter.ts";
import { compressedSizes, type Sizes } from "../../measure/size.ts";
import { nameFile, readFileBytes, writeModelFile } from "../../onnx/file-node.ts";
import { cleanUp } from "../../passes/clean-up.ts";
import { refuseQuantized } from "../../quantize/candidates.ts";
import type { BrowserSpec } from "../../runtime/browser/chromium.ts";
import { createAnyRuntime } from "../../runtime/create-node.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { DEFAULT_TARGETS, type TargetName } from "../../runtime/targets.ts";
import type { DataSource } from "../../step/data.ts";
import type { StepReport } from "../../step/step.ts";
import { UnsupportedError } from "../../util/errors.ts";
import type { Progress } from "../../util/progress.ts";
import { VERSION } from "../../version.ts";
import { loadSpecOf, type OpenModel, openCalibration, openModel, runnablePath } from "../open.ts";
import { refuseOverwrite } from "../quantize-plan.ts";
import { openWorkspace } from "../workspace.ts";
import { NodeBench } from "./bench.ts";
import { flagsOf, quantizeFlags, shellWord } from "./candidate.ts";
import { type Entry, leastLoss, objective, type Preference, type Proof } from "./choose.ts";
import { Looker } from "./looker.ts";
import {
  fingerprint,
  knownResults,
  readRecord,
  type SearchRecord,
  type Settings,
  type Tried,
  triedOf,
  writeRecord,
} from "./record.ts";
import { holdSamples, remembered } from "./samples.ts";
import { type SearchResult, search } from "./search.ts";
import { StaticFamilies } from "./static-family.ts";

export interface CompressOptions {
  /** A folder. Default: the model's name with `-compressed`, beside it. */
  readonly output?: string;
  /** Samples, as for {@link quantizeFile}; without them only schemes that need none are tried. */
  readonly data?: string;
  /** How the data are read. */
  readonly load?: LoadSpec;
  /** Samples to calibrate on. Default 100, at most a third of the data. */
  readonly calibrationSamples?: number;
  /** Samples of each proof. Default: as many as the time allows, 30 to 2,000. */
  readonly samples?: number;
  readonly targets?: readonly TargetName[];
  /** What a metric may lose, at the bad end of its interval. Default one point. */
  readonly maxDrop?: Budget;
  /** Default "balanced". */
  readonly prefer?: Preference;
  /** Milliseconds that the search may take. Default ten minutes. The first file is proven whatever it takes. */
  readonly timeMs?: number;
  /** Default: the module's score, top-1 where labels are classes, else agreement with the original. */
  readonly metrics?: MetricSpec;
  /** Proves files for web-wasm in a browser, too; web-webgpu always needs one. */
  readonly browser?: BrowserSpec;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly dims?: Readonly<Record<string, number>>;
  /** Threads within an operator. Default 1. */
  readonly threads?: number;
  readonly externalData?: boolean | "auto";
  readonly allowOutside?: boolean;
  readonly seed?: number;
  /** Measure again what an earlier run has measured. Default false. */
  readonly fresh?: boolean;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** A file that was written. */
export interface CompressedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly compressed: Sizes | undefined;
  /** The targets that it is proven on. */
  readonly targets: readonly TargetName[];
  readonly candidate: Tried;
  readonly report: StepReport;
}

export interface TargetOutcome {
  readonly target: TargetName;
  readonly notRunHere?: string;
  /** Path of the file for this target; undefined where none was proven. */
  readonly file?: string;
  /** Of the file; where there is none, of the candidate that lost least. */
  readonly best?: Tried;
  readonly proof?: Proof;
  /** bytes × time of it, each as a share of the original's, or what was preferred. */
  readonly objective?: number;
  /** Makes it without a search. */
  readonly command?: string;
  /** The original alone. */
  readonly original?: TargetMeasurement;
}

export interface CompressResult extends SearchRecord {
  readonly input: { readonly path: string; readonly byteLength: number };
  /** The folder that the files and compress.json are in. */
  readonly output: string;
  readonly files: readonly CompressedFile[];
  readonly targets: readonly TargetOutcome[];
  readonly budget: Budget;
  readonly prefer: Preference;
  /** Nodes by what quantizing each alone costs, of the candidate named; undefined where none were ranked. */
  readonly ranking: { readonly of: string; readonly nodes: readonly NodeSensitivity[] } | undefined;
  readonly seconds: number;
  /** The time was up before everything was tried. */
  readonly timeUp: boolean;
  /** Candidates whose results an earlier run has left. */
  readonly reused: number;
  /** Every target that runs here has a file. */
  readonly ok: boolean;
  readonly machine: Machine;
}

const CALIBRATION_SAMPLES = 100;
/** Files above it are not compressed to see how they travel: that would take minutes. */
const MAX_COMPRESS_BYTES = 300e6;
export const RECORD_NAME = "compress.json";

/**
 * Searches for the best file within a budget of accuracy and time, and writes one for each target, or one for all.
 * @throws InputError, FormatError, GraphError, OptionError, UnsupportedError as quantizing would; then nothing is written.
 */
export async function compressFile(path: string, options: CompressOptions = {}): Promise<CompressResult> {
  const start = performance.now();
  const opened = openModel(path, { allowOutside: options.allowOutside });
  try {
    refuseQuantized(opened.model());
  } catch (error) {
    throw nameFile(error, path);
  }
  const targets = options.targets ?? DEFAULT_TARGETS;
  const stem = basename(path, extname(path));
  const output = options.output ?? join(dirname(path), `${stem}-compressed`);
  for (const name of [SHARED, ...targets]) refuseOverwrite(opened, join(output, `${stem}.${name}.onnx`));
  const workspace = openWorkspace(join(output, `${stem}.onnx`));
  let looker: Looker | undefined;
  try {
    const runtime = await createAnyRuntime();
    const original = runnablePath(opened, () => workspace.path("original"));
    const { calibration, calibrated } = await calibrationFor(opened, original, options, runtime);
    const held = await holdSamples(calibration);
    const { threads = 1, timeMs = 600_000 } = options;
    looker = await Looker.open(original, targets, held, threads, timeMs);
    const cleaned = opened.model();
    await cleanUp(cleaned, { runtime, signal: options.signal }).catch((error) => Promise.reject(nameFile(error, path)));
    const settings: Settings = {
      tersor: VERSION,
      model: modelHash(opened),
      data: options.data,
      load: options.load ?? {},
      browser: options.browser ?? null,
      fingerprint: fingerprint(held),
      calibrationSamples: calibration.length ?? options.calibrationSamples,
      samples: options.samples,
      targets,
      metrics: options.metrics ?? {},
      threads,
      seed: options.seed ?? 0,
    };
    const shared = {
      source: path,
      original,
      cleaned,
      runtime,
      calibration,
      families: calibrated ? new StaticFamilies(cleaned, runtime, calibration) : undefined,
      looker,
      workspace,
      evaluation: evaluationFor(path, calibration, calibrated, options),
      samples: options.samples,
      timeMs,
      budget: options.maxDrop ?? parseBudget("1pt"),
      metrics: options.metrics ?? {},
      browser: options.browser,
      threads,
      seed: options.seed ?? 0,
      externalData: opened.external.length > 0 ? (options.externalData ?? true) : options.externalData,
    };
    const recordPath = join(output, RECORD_NAME);
    let known = options.fresh ? undefined : readRecord(recordPath, settings);
    for (;;) {
      const bench = new NodeBench(shared, known && { samples: known.evaluated!, originals: known.originals });
      const found = await search(bench, {
        targets,
        calibrated,
        originalBytes: opened.byteLength,
        prefer: options.prefer ?? "balanced",
        timeMs: timeMs - (performance.now() - start),
        known: known && knownResults(known, shared.budget),
        progress: options.progress,
        signal: options.signal,
      });
      if (found.notRunHere.size === targets.length) throw nothingRuns(found.notRunHere);
      const files = await makeFiles(found, bench, output, stem, options);
      if (files === undefined) {
        // What was measured was another file: everything is measured again.
        known = undefined;
        continue;
      }
      const result: CompressResult = {
        input: { path, byteLength: opened.byteLength },
        output,
        files: files.map(({ made: _, ...file }) => file),
        targets: outcomes(found, bench, files, opened, output, {
          ...options,
          calibrationSamples: calibration.length ?? options.calibrationSamples,
        }),
        budget: shared.budget,
        prefer: options.prefer ?? "balanced",
        settings,
        evaluated: bench.samples,
        originals: targets.flatMap((target) => bench.measurement(target) ?? []),
        tried: found.entries.map(triedOf),
        ranking: found.ranking && { of: found.ranking.of.name, nodes: found.ranking.nodes },
        seconds: (performance.now() - start) / 1000,
        timeUp: found.timeUp,
        reused: known === undefined ? 0 : known.tried.filter(({ proxy }) => proxy !== undefined).length,
        ok: targets.every((target) => found.notRunHere.has(target) || found.winners.has(target)),
        machine: await describeMachine(),
      };
      options.signal?.throwIfAborted();
      // From here on nothing waits: all of it is written, or a kill leaves whole files.
      for (const file of files) publish(file, shared.externalData);
      writeRecord(recordPath, result);
      return result;
    }
  } finally {
    await looker?.close();
    workspace.remove();
  }
}

/** The name of a file that serves all targets. */
const SHARED = "int8";

interface FileToWrite extends CompressedFile {
  /** The model in the workspace, then its data files. */
  readonly made: readonly string[];
}

/** The winners' files; undefined where one that was made now is not the one that was measured in an earlier run. */
async function makeFiles(
  found: SearchResult,
  bench: NodeBench,
  output: string,
  stem: string,
  { signal, progress, targets = DEFAULT_TARGETS }: CompressOptions,
): Promise<FileToWrite[] | undefined> {
  const served = new Map<Entry, TargetName[]>();
  for (const [target, entry] of found.winners) served.set(entry, [...(served.get(entry) ?? []), target]);
  const here = targets.filter((target) => !found.notRunHere.has(target));
  const files: FileToWrite[] = [];
  for (const [entry, own] of served) {
    const made = await bench.make(entry.candidate, { signal, progress, limitMs: Number.POSITIVE_INFINITY });
    if (made.hash !== entry.proxy!.hash) return undefined;
    const label = own.length === here.length ? SHARED : own.join("_");
    files.push({
      path: join(output, `${stem}.${label}.onnx`),
      byteLength: made.byteLength,
      compressed:
        made.byteLength <= MAX_COMPRESS_BYTES ? await compressedSizes(made.files.map(readFileBytes)) : undefined,
      targets: own,
      candidate: triedOf(entry),
      report: made.report,
      made: made.files,
    });
  }
  return files;
}

/** A data file's name is in the model: with one, the model is written again under its own name. */
function publish({ path, made }: FileToWrite, externalData: boolean | "auto" | undefined): void {
  if (made.length === 1) renameSync(made[0]!, resolve(path));
  else writeModelFile(path, toOnnx(openModel(made[0]!).model()), { externalData });
}

function outcomes(
  found: SearchResult,
  bench: NodeBench,
  files: readonly FileToWrite[],
  opened: OpenModel,
  output: string,
  options: CompressOptions,
): TargetOutcome[] {
  return (options.targets ?? DEFAULT_TARGETS).map((target) => {
    const notRunHere = found.notRunHere.get(target);
    if (notRunHere !== undefined) return { target, notRunHere };
    const entry = found.winners.get(target) ?? leastLoss(found.entries, target);
    const original = bench.measurement(target);
    if (entry === undefined) return { target, ...(original && { original }) };
    const file = files.find(({ targets }) => targets.includes(target))?.path;
    return {
      target,
      ...(file !== undefined && { file }),
      best: triedOf(entry),
      proof: entry.proofs.get(target),
      objective: objective(entry, target, opened.byteLength, options.prefer ?? "balanced"),
      command: commandFor(
        entry,
        opened.path,
        file ?? join(output, `${basename(opened.path, extname(opened.path))}.best.onnx`),
        options,
      ),
      ...(original && { original }),
    };
  });
}

/** `tersor quantize …` that makes an entry's file. */
function commandFor({ candidate }: Entry, path: string, output: string, options: CompressOptions): string {
  const words = ["tersor", "quantize", path, "-o", output, ...quantizeFlags(candidate)];
  if (options.data !== undefined) words.push("--data", options.data, ...loadFlags(options.load));
  const { calibrationSamples = CALIBRATION_SAMPLES } = options;
  if (calibrationSamples !== CALIBRATION_SAMPLES && candidate.scheme === "static-int8") {
    words.push("--calibration-samples", String(calibrationSamples));
  }
  return words.map(shellWord).join(" ");
}

/** Flags that read the data in the same way; a specification that is no file has none. */
function loadFlags({ model: _model, seed, preprocess, ...others }: LoadSpec = {}): string[] {
  const given = { ...others, ...(typeof preprocess === "string" && { preprocess }), ...(seed ? { seed } : {}) };
  return flagsOf(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
}

/** Samples to calibrate on, and to look at candidates with: never those of the proofs, where there are others. */
async function calibrationFor(
  opened: OpenModel,
  original: string,
  options: CompressOptions,
  runtime: Runtime,
): Promise<{ readonly calibration: DataSource; readonly calibrated: boolean }> {
  const { data, shapes, dims } = options;
  const calibrated = data !== undefined && data !== "random";
  const seed = (options.seed ?? 0) + 1;
  const open = (limit: number | undefined): Promise<DataSource> =>
    openCalibration(
      opened,
      { data, limit, options: loadSpecOf(opened.path, options), shapes, dims, seed },
      runtime,
      original,
    );
  if (!calibrated) return { calibration: await open(4), calibrated };
  const all = await open(undefined);
  const third = all.length === undefined ? CALIBRATION_SAMPLES : Math.max(1, Math.floor(all.length / 3));
  const limit = options.calibrationSamples ?? Math.min(CALIBRATION_SAMPLES, third);
  return { calibration: remembered(await open(limit)), calibrated };
}

function evaluationFor(
  model: string,
  calibration: DataSource,
  calibrated: boolean,
  options: CompressOptions,
): DataSpec {
  const { data, samples, shapes, dims } = options;
  if (!calibrated) return { kind: "generated", shapes, dims, count: Math.min(samples ?? 4, 16) };
  // The length of a module's samples is not known: any number says that they were seen.
  return {
    kind: "path",
    path: data!,
    limit: samples,
    skip: calibration.length ?? 1,
    options: loadSpecOf(model, options),
  };
}

function modelHash({ path, external }: OpenModel): string {
  const hash = createHash("sha256");
  for (const file of [path, ...external.map((location) => resolve(dirname(path), location))]) {
    hash.update(readFileBytes(file));
  }
  return hash.digest("hex").slice(0, 32);
}

function nothingRuns(reasons: ReadonlyMap<TargetName, string>): UnsupportedError {
  const [[target, reason] = []] = reasons;
  return new UnsupportedError({
    area: "compress",
    subject: [...reasons.keys()].join(", "),
    problem: `expected a target that runs here, got none (${target}: ${reason})`,
    help: "Nothing could be proven, and nothing was written. See tersor quantize, which writes without a proof.",
  });
}
