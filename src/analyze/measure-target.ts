/**
 * @file Loads, runs, compares and times files on one target, in this process.
 */
import { generateInputs } from "../data/generate.ts";
import { type LoadedData, loadEvaluation } from "../data/load-node.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import { type Comparer, createComparer } from "../measure/compare.ts";
import { compareLatency } from "../measure/latency.ts";
import { type Answer, createMeter } from "../measure/meter.ts";
import { readModelFile } from "../onnx/file-node.ts";
import { checkRules, isRuled } from "../quantize/placement/rules.ts";
import type { Runtime, Session, Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { InputError, messageOf, VerificationError } from "../util/errors.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";
import type { FileMeasurement, FileRules, JobFile, TargetMeasurement, VerifyJob } from "./job.ts";
import { hostNotes, type OpenOptions, openRuntime, softwareOnly, whyNotHere } from "./open-runtime.ts";
import { findRunningShapes } from "./running-shapes.ts";
import { runtimeMessage } from "./runtime-message.ts";

/** Samples whose inputs are used for timing: a few, so that sizes vary as they do in the data. */
const TIMED_FEEDS = 8;

/** Configuration that unfolds weights at load: worth a try for files that are slower than the original. */
export const UNFOLD = { "session.disable_quant_qdq": "1" } as const;

interface Loaded {
  readonly file: JobFile;
  session: Session | undefined;
  measurement: { -readonly [K in keyof FileMeasurement]: FileMeasurement[K] };
}

/**
 * Carries out a job.
 * @param options.runtime the one to measure in; stays open. Default: the target's, in this process or in a browser.
 * @throws VerificationError where the original itself does not load or run: nothing can be compared with it.
 */
export async function measureTarget(
  job: VerifyJob,
  progress?: Progress,
  signal?: AbortSignal,
  options: MeasureOptions = {},
): Promise<TargetMeasurement> {
  if (options.runtime !== undefined) return measureOn(options.runtime, job, options, progress, signal);
  const notRunHere = await whyNotHere(job.target, job.browser);
  if (notRunHere !== undefined) {
    const rules = rulesOf(job);
    return { target: job.target, notRunHere, files: [], ...(rules && { rules }) };
  }
  const { runtime, close } = await openRuntime(job, { signal, ...options });
  try {
    return await measureOn(runtime, job, options, progress, signal);
  } finally {
    await close();
  }
}

/** How the job's files keep the rules of a target that cannot be run. */
function rulesOf({ target, files }: VerifyJob): FileRules[] | undefined {
  if (!isRuled(target)) return undefined;
  const judged = files.length > 1 ? files.slice(1) : files;
  return judged.map(({ name, path }) => {
    const { proto, external } = readModelFile(path);
    return { file: name, ...checkRules(fromOnnx(proto, external), target) };
  });
}

export interface MeasureOptions extends OpenOptions {
  /** Default: the target's, opened for the job. */
  readonly runtime?: Runtime;
  /** Gets the first sample's inputs, once they have run. */
  readonly onFeeds?: (feeds: Tensors) => void;
}

async function measureOn(
  runtime: Runtime,
  job: VerifyJob,
  { onFeeds }: MeasureOptions,
  progress: Progress | undefined,
  signal: AbortSignal | undefined,
): Promise<TargetMeasurement> {
  const loaded: Loaded[] = [];
  for (const file of job.files) {
    checkCancelled(signal);
    loaded.push(await load(runtime, file, job));
  }
  const [original] = loaded;
  const { host } = runtime;
  const notes = hostNotes(job.target, host, job.threads);
  const about = {
    target: job.target,
    runtime: `${runtime.name} ${runtime.version}${host ? ` in ${host.name}` : ""}`,
    threads: host === undefined || host.isolated ? job.threads : 1,
    ...(host && { host }),
    ...(notes.length > 0 && { notes }),
  };
  try {
    if (original?.session === undefined) throw originalFailed(job, original?.measurement.error?.message ?? "no file");
    const { source, score, seenBefore } = await openData(job, original.session);
    const { feeds, samples } = await compareAll(loaded, source, score, job, progress, signal);
    if (feeds[0] !== undefined) onFeeds?.(feeds[0]);
    await timeAll(loaded, feeds, runtime, job, progress, signal);
    await placeAll(loaded, runtime, job);
    return {
      ...about,
      samples,
      generated: source.generated === true,
      dataName: source.name,
      ...(seenBefore && { seenBefore }),
      shapes: Object.fromEntries(Object.entries(feeds[0] ?? {}).map(([name, tensor]) => [name, tensor.dims])),
      files: loaded.map(({ measurement }) => measurement),
    };
  } catch (error) {
    if (!job.tolerant || !(error instanceof OriginalError)) throw error;
    original!.measurement.error ??= { stage: "run", message: error.what };
    return { ...about, files: loaded.map(({ measurement }) => measurement) };
  } finally {
    for (const { session } of loaded) await session?.release();
  }
}

/** The original does not load or run. */
class OriginalError extends VerificationError {
  override readonly name = "VerificationError";
  readonly what: string;

  constructor(what: string, parts: ConstructorParameters<typeof VerificationError>[0]) {
    super(parts);
    this.what = what;
  }
}

function originalFailed(job: VerifyJob, problem: string, help?: string): OriginalError {
  const [original, ...others] = job.files;
  const compared = others.length > 0 ? " There is nothing to compare with." : "";
  return new OriginalError(problem, {
    area: "verify",
    subject: `${original?.path} on ${job.target}`,
    problem: `expected ${compared ? "the original" : "a model"} to load and run, got: ${problem}`,
    help: `${help ?? "Is it the right file? Another runtime may run it: see --target."}${compared}`,
  });
}

async function load(runtime: Runtime, file: JobFile, job: VerifyJob): Promise<Loaded> {
  const start = performance.now();
  try {
    const session = await runtime.load({ path: file.path }, { threads: job.threads, config: file.config });
    const loadMs = performance.now() - start;
    return { file, session, measurement: { name: file.name, loadMs, ...(file.config && { config: file.config }) } };
  } catch (error) {
    return {
      file,
      session: undefined,
      measurement: { name: file.name, error: { stage: "load", message: runtimeMessage(error) } },
    };
  }
}

/** The job's samples. Generated shapes are tried on the original until it runs. */
async function openData(
  job: VerifyJob,
  original: Session,
): Promise<{ readonly source: DataSource; readonly score: LoadedData["score"]; readonly seenBefore: boolean }> {
  const { data } = job;
  if (data.kind === "path") {
    const { path, skip, limit, options } = data;
    const { source, seenBefore } = await loadEvaluation(path, { ...options, inputs: original.inputs, skip, limit });
    return { source, score: source.score, seenBefore };
  }
  const options = { shapes: data.shapes, dims: data.dims, seed: job.seed };
  const found = await findRunningShapes(original, options);
  if ("problem" in found) throw originalFailed(job, found.problem, found.help);
  const source = generateInputs(original.inputs, { ...options, shapes: found.shapes, count: data.count });
  return { source, score: undefined, seenBefore: false };
}

async function compareAll(
  loaded: readonly Loaded[],
  source: DataSource,
  score: LoadedData["score"],
  job: VerifyJob,
  progress: Progress | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly feeds: Tensors[]; readonly samples: number }> {
  const [original, ...others] = loaded;
  const comparers = new Map<Loaded, Comparer>(others.map((other) => [other, createComparer()]));
  const meter = createMeter(job.metrics ?? {}, score !== undefined, job.seed);
  const scores = new Map<Loaded, number>();
  const feeds: Tensors[] = [];
  let samples = 0;
  for await (const sample of source.samples()) {
    checkCancelled(signal);
    let reference: Tensors;
    try {
      reference = await original!.session!.run(sample.inputs);
    } catch (error) {
      const help = "Do the samples have the shapes and values that it was trained with?";
      throw originalFailed(job, `sample ${samples + 1} of ${source.name}: ${runtimeMessage(error)}`, help);
    }
    const answer = async (entry: Loaded, outputs: Tensors): Promise<Answer> => {
      if (score === undefined) return { outputs };
      const value = await callScore(score, outputs, sample, source.name);
      scores.set(entry, (scores.get(entry) ?? 0) + value);
      return { outputs, score: value };
    };
    const originalAnswer = await answer(original!, reference);
    const answers = new Map<Loaded, Answer>();
    for (const other of others) {
      if (other.session === undefined) continue;
      let outputs: Tensors;
      try {
        outputs = await other.session.run(sample.inputs);
      } catch (error) {
        other.measurement.error = { stage: "run", message: runtimeMessage(error) };
        await other.session.release();
        other.session = undefined;
        continue;
      }
      comparers.get(other)!.add(reference, outputs);
      answers.set(other, await answer(other, outputs));
    }
    meter.add(
      sample,
      originalAnswer,
      others.map((other) => answers.get(other)),
    );
    if (feeds.length < TIMED_FEEDS) feeds.push(sample.inputs);
    samples++;
    progress?.(`comparing on ${job.target}`, samples, source.length);
  }
  for (const [entry, sum] of scores) entry.measurement.score = sum / samples;
  for (const [other, comparer] of comparers) {
    if (other.session !== undefined) other.measurement.outputs = comparer.result();
  }
  const measured = meter.results();
  [measured.original, ...measured.others].forEach((metrics, index) => {
    if (metrics.length > 0) loaded[index]!.measurement.metrics = metrics;
  });
  return { feeds, samples };
}

/** The user's function, whose failures are not ours. */
async function callScore(
  score: NonNullable<LoadedData["score"]>,
  outputs: Tensors,
  sample: Sample,
  name: string,
): Promise<number> {
  const fail = (problem: string, cause?: unknown): InputError =>
    new InputError({ area: "data", subject: `score() beside ${name}`, problem, help: "Correct the module.", cause });
  let value: unknown;
  try {
    value = await score(outputs, sample);
  } catch (error) {
    throw fail(`it threw ${error instanceof Error ? error.name : "an error"}: ${messageOf(error)}`, error);
  }
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw fail(`expected a number, got ${typeof value === "string" ? JSON.stringify(value) : String(value)}`);
}

/** Where speed gives no verdict, a run may take seconds: the figures are there to be looked at. */
const FEW_ROUNDS = { warmup: 1, minRounds: 3 } as const;

async function timeAll(
  loaded: readonly Loaded[],
  feeds: readonly Tensors[],
  runtime: Runtime,
  job: VerifyJob,
  progress: Progress | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const running = loaded.filter((entry) => entry.session !== undefined);
  const unreal = softwareOnly(job.target, runtime.host);
  if (feeds.length === 0 || job.budgetMs <= 0) return;
  progress?.(`timing on ${job.target}`, 0);
  const time = (entries: readonly Loaded[], budgetMs: number) =>
    compareLatency(
      entries.map((entry) => ({ name: entry.measurement.name, session: entry.session! })),
      feeds,
      { budgetMs, seed: job.seed, signal, interleave: runtime.interleave, ...(unreal && FEW_ROUNDS) },
    );
  const result = await time(running, job.budgetMs);
  running.forEach((entry, index) => {
    const { p50, p95, ratio, verdict } = result.sessions[index]!;
    entry.measurement.latency = { p50, p95, ...(ratio && { ratio }), ...(verdict && !unreal && { verdict }) };
  });
  // A slow file may be one whose weights the runtime keeps folded: say what it does when they are unfolded at load.
  for (const entry of running.slice(1)) {
    if (entry.measurement.latency?.verdict !== "slower" || entry.file.config !== undefined) continue;
    const other = await load(runtime, { ...entry.file, config: UNFOLD }, job);
    if (other.session === undefined) continue;
    const again = await time([running[0]!, other], job.budgetMs / 2);
    await other.session.release();
    const { ratio } = again.sessions[1]!;
    if (ratio !== undefined && ratio.median > 1.2 * entry.measurement.latency.ratio!.median) {
      entry.measurement.withConfig = { config: UNFOLD, ratio };
    }
  }
}

/** Where nodes are computed, of the files that run: it costs another load, which is timed nowhere. */
async function placeAll(loaded: readonly Loaded[], runtime: Runtime, job: VerifyJob): Promise<void> {
  if (runtime.placement === undefined) return;
  for (const { file, session, measurement } of loaded) {
    if (session === undefined) continue;
    const placement = await runtime.placement({ path: file.path }, { threads: job.threads, config: file.config });
    if (placement !== undefined) measurement.placement = placement;
  }
}
