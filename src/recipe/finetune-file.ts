/**
 * @file One call from a model file to the same model, trained further and compared: what `tersor finetune` does.
 */
import { totalmem } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { type Drop, judgeDrops } from "../analyze/drops.ts";
import { verifyFiles } from "../analyze/isolated.ts";
import type { TargetMeasurement } from "../analyze/job.ts";
import { judge } from "../analyze/judge.ts";
import { createAugmenter } from "../data/augment.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import type { Model } from "../graph/model.ts";
import { PARAMETRIZATIONS } from "../graph/parametrization-kinds.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Budget } from "../measure/budget.ts";
import { describeMachine, type Machine } from "../measure/machine.ts";
import type { MetricSpec } from "../measure/meter.ts";
import { SCORE } from "../measure/metrics/list.ts";
import { DEFAULT_METRIC_OPTIONS } from "../measure/metrics/options.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { nameFile, writeModelFile } from "../onnx/file-node.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { DEFAULT_TARGETS, type TargetName } from "../runtime/targets.ts";
import { startWorkerRuntime, type WorkerRuntime } from "../runtime/worker.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { parseOptions } from "../step/run.ts";
import type { Augment } from "../train/batches.ts";
import { folderCheckpoints } from "../train/checkpoint-node.ts";
import type { TrainResult } from "../train/context.ts";
import { fileLog } from "../train/log-node.ts";
import { train } from "../train/trainer.ts";
import type { TrainerInput } from "../train/trainer-options.ts";
import { OptionError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { openFinetuneData } from "./finetune-data.ts";
import { firstFeeds, type Layers, layersOf, sameScalars } from "./finetune-layers.ts";
import { chooseLoss, type FinetuneLoss, type LossInput, lossesOf } from "./finetune-losses.ts";
import { type FinetuneInput, type FinetuneOptions, finetuneOptions } from "./finetune-options.ts";
import { ctcMetrics, textLabels } from "./finetune-texts.ts";
import { loadSpecOf, modelPorts, type OpenModel, openModel, runnablePath } from "./open.ts";
import { refuseOverwrite } from "./quantize-plan.ts";
import { openWorkspace } from "./workspace.ts";

export interface FinetuneFileOptions {
  /** Default: the input's name with `.finetuned` before its ending. */
  readonly output?: string | undefined;
  /** Samples: arrays, images, texts or a module (docs/data.md). */
  readonly data?: string | undefined;
  readonly load?: LoadSpec | undefined;
  readonly finetune?: FinetuneInput | undefined;
  /** What validation measures (the first), and by what the result is judged. */
  readonly metrics?: MetricSpec | undefined;
  readonly maxDrop?: Budget | undefined;
  /** Samples to compare on. Default 100. */
  readonly samples?: number | undefined;
  readonly targets?: readonly TargetName[] | undefined;
  /** Threads within an operator, in training and when measuring. Default 1. */
  readonly threads?: number | undefined;
  /** Milliseconds of timed runs per target. Default 3000; 0: no timing. */
  readonly budgetMs?: number | undefined;
  readonly browser?: BrowserSpec | undefined;
  /** Load, run, compare and time the result on its targets. Default true. */
  readonly check?: boolean | undefined;
  readonly memory?: boolean | undefined;
  readonly externalData?: boolean | "auto" | undefined;
  readonly allowOutside?: boolean | undefined;
  /** Only say what would be trained and what it takes; nothing is written. Default false. */
  readonly dryRun?: boolean | undefined;
  readonly seed?: number | undefined;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface FinetuneFileResult {
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: { readonly path: string; readonly byteLength: number };
  readonly teacher: string | undefined;
  readonly loss: FinetuneLoss;
  readonly training: TrainResult;
  /** Per target: the original (or the teacher, then the original), and the result. */
  readonly targets: readonly TargetMeasurement[];
  /** What is wrong with the result, per target. */
  readonly problems: readonly string[];
  readonly drops: readonly Drop[];
  /** False: it does not load or run, is slower, or lost more than it may. */
  readonly ok: boolean;
  readonly machine: Machine;
}

/** Share of the machine's memory that training may take by its estimate. */
const MEMORY_SHARE = 0.8;

/**
 * Trains a model file further and proves the result. Inputs, outputs, structure, masks and fake quantizers stay.
 * @throws InputError, FormatError, OptionError, UnsupportedError, DivergenceError; then nothing is written.
 */
export async function finetuneFile(path: string, options: FinetuneFileOptions = {}): Promise<FinetuneFileResult> {
  const finetune = parseOptions({ name: "finetune", options: finetuneOptions }, options.finetune);
  const { data } = options;
  if (data === undefined || data === "random") {
    throw new OptionError({
      area: "finetune",
      subject: "--data",
      problem: `expected samples to train on, got ${data === undefined ? "none" : "generated ones, from which nothing can be learned"}`,
      help: "Give a folder of .npz files, images, texts or a module with --data; labels are not needed (--loss distill).",
    });
  }
  checkPair(finetune);
  const metrics = ctcMetrics(path, finetune, options);
  const opened = openModel(path, { allowOutside: options.allowOutside });
  const output = options.output ?? defaultOutput(path);
  refuseOverwrite(opened, output);
  const log = finetune.log === undefined ? undefined : fileLog(finetune.log);
  const workspace = openWorkspace(output);
  let runtime: WorkerRuntime | undefined;
  try {
    runtime = await startRuntime();
    const model = opened.model();
    const load = { ...loadSpecOf(path, options), batch: undefined, ...textLabels(finetune, options) };
    const ports = modelPorts(model);
    const samples = options.samples ?? 100;
    const { training, validation, comparison } = await openFinetuneData(
      data,
      ports,
      load,
      finetune.validation,
      samples,
    );
    const loss = finetune.loss ?? (await defaultLoss(model, training, runtime, options));
    const metricOptions = { ...DEFAULT_METRIC_OPTIONS, ...metrics?.options };
    const losses = lossesOf(loss, model, finetune, metricOptions);
    const teacher = loss === "distill" ? teacherOf(opened, finetune, options) : undefined;
    const constantInputs = finetune.constantInputs ?? (await sameScalars(model, training));
    // Under masks and fake quantizers the weights are the teacher's own: what is to be learned is how the whole makes up for them.
    const alone = finetune.layerwise ?? (model.parametrizations.size > 0 ? 0 : undefined);
    const layers =
      teacher === undefined || alone === 0
        ? undefined
        : await layersOf(
            model,
            teacher,
            { feeds: await firstFeeds(model, training), runtime, constantInputs, signal: options.signal },
            alone !== undefined,
          );
    const augment = augmentation(finetune, options.seed ?? 0);
    const input = trainerInput(
      finetune,
      losses,
      { ...options, metrics },
      { distill: loss === "distill", layers, constantInputs },
    );
    const result = await train(model, input, {
      runtime,
      data: training,
      validation,
      teacher,
      ...augment,
      ...(finetune.checkpoint !== undefined && {
        checkpoints: folderCheckpoints(finetune.checkpoint, { keep: finetune.keepCheckpoints }),
      }),
      resume: finetune.resume,
      planOnly: options.dryRun,
      log,
      progress: options.progress,
      signal: options.signal,
    }).catch((error) => Promise.reject(nameFile(error, path)));
    await runtime.close();
    const about = { input: { path, byteLength: opened.byteLength }, teacher: finetune.teacher, loss, training: result };
    if (options.dryRun) {
      const none = { targets: [], problems: [], drops: [] };
      return { ...about, output: { path: output, byteLength: 0 }, ...none, ok: true, machine: await describeMachine() };
    }
    const place = workspace.path("finetuned");
    const external = opened.external.length > 0 ? (options.externalData ?? true) : options.externalData;
    const files = writeModelFile(place, toOnnx(model), external === undefined ? {} : { externalData: external });
    const before = runnablePath(opened, () => workspace.path("original"));
    const measured: TargetMeasurement[] = [];
    for (const target of options.check === false ? [] : (options.targets ?? DEFAULT_TARGETS)) {
      const { progress, signal, memory } = options;
      const job = {
        target,
        files: [
          ...(finetune.teacher === undefined ? [] : [{ name: "teacher", path: finetune.teacher }]),
          { name: "original", path: before },
          { name: "finetuned", path: place },
        ],
        data: comparison,
        threads: options.threads ?? 1,
        budgetMs: options.budgetMs ?? 3000,
        seed: options.seed ?? 0,
        browser: options.browser,
        metrics: { ...metrics, fallback: options.maxDrop !== undefined },
      };
      measured.push(await verifyFiles(job, { progress, signal, memory }));
    }
    options.signal?.throwIfAborted();
    workspace.publish(place);
    const problems = problemsOf(measured, finetune.teacher !== undefined);
    const pairs = measured.map((one) =>
      one.files.length > 1 ? { ...one, files: [one.files[0]!, one.files.at(-1)!] } : one,
    );
    const drops = options.maxDrop === undefined ? [] : judgeDrops(pairs, options.maxDrop);
    return {
      ...about,
      output: { path: output, byteLength: files.reduce((sum, { byteLength }) => sum + byteLength, 0) },
      targets: measured,
      problems,
      drops,
      ok: problems.length === 0 && drops.every((drop) => drop.ok),
      machine: await describeMachine(),
    };
  } finally {
    await runtime?.close();
    workspace.remove();
  }
}

/** Options that only others give a meaning. */
function checkPair({ resume, checkpoint, loss, teacher, hidden, layerwise }: FinetuneOptions): void {
  const fail = (subject: string, problem: string): OptionError =>
    new OptionError({ area: "finetune", subject, problem });
  if (resume && checkpoint === undefined)
    throw fail("--resume", "expected --checkpoint with the folder to go on from, got none");
  if (loss === undefined || loss === "distill") return;
  if (teacher !== undefined) throw fail("--teacher", `expected --loss distill, got ${loss}`);
  if (layerwise !== undefined) throw fail("--layerwise", `expected --loss distill, got ${loss}`);
  if (hidden.length > 0) throw fail("--hidden", `expected --loss distill, got ${loss}`);
}

/** The first runtime that is installed, in a worker: the event loop stays free for signals and the bar. */
async function startRuntime(): Promise<WorkerRuntime> {
  try {
    return await startWorkerRuntime("onnxruntime-node");
  } catch (error) {
    return startWorkerRuntime("onnxruntime-web").catch(() => Promise.reject(error));
  }
}

async function defaultLoss(
  model: Model,
  data: DataSource,
  runtime: Runtime,
  { metrics }: FinetuneFileOptions,
): Promise<FinetuneLoss> {
  const sample = await data.at!(0);
  if (sample.label === undefined) return "distill";
  const session = await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(model))) });
  try {
    return chooseLoss(sample, await session.run(sample.inputs), { ...DEFAULT_METRIC_OPTIONS, ...metrics?.options });
  } finally {
    await session.release();
  }
}

/** The model that distillation learns from. @throws OptionError where that would be the model as it is. */
function teacherOf(opened: OpenModel, { teacher }: FinetuneOptions, { allowOutside }: FinetuneFileOptions): Model {
  if (teacher !== undefined) return openModel(teacher, { allowOutside }).model();
  const model = opened.model();
  const entries = [...model.parametrizations];
  if (entries.length === 0) {
    throw new OptionError({
      area: "finetune",
      subject: "--teacher",
      problem:
        "expected a model to learn from: MODEL gives its own outputs already, and has no masks or fake quantizers",
      help: "Give the original with --teacher, or labels and --loss cross-entropy.",
    });
  }
  for (const [value, { kind }] of entries) PARAMETRIZATIONS[kind].remove(model, value);
  return model;
}

function augmentation(
  { augment }: FinetuneOptions,
  seed: number,
): { readonly augment?: Augment; readonly augmentName?: string } {
  if (augment === undefined) return {};
  const augmenter = createAugmenter(augment, { seed });
  const change: Augment = (sample: Sample, _random, { epoch, index }) => {
    const [name, images] =
      Object.entries(sample.inputs).find(([, { dims, dtype }]) => dims.length === 4 && dtype === "float32") ?? [];
    if (name === undefined || images === undefined) {
      throw new OptionError({
        area: "finetune",
        subject: "--augment",
        problem: `expected images, float32 [N, channels, height, width], got ${Object.values(sample.inputs).join(", ")}`,
      });
    }
    const rows = images.dims[0]!;
    const indices = Array.from({ length: rows }, (_, row) => index * rows + row);
    return { ...sample, inputs: { ...sample.inputs, [name]: augmenter.batch(images, indices, epoch) } };
  };
  return { augment: change, augmentName: typeof augment === "string" ? augment : JSON.stringify(augment) };
}

/** What follows from loss, teacher and data. */
interface Chosen {
  readonly distill: boolean;
  /** Values by which it goes layer by layer. */
  readonly layers: Layers | undefined;
  readonly constantInputs: readonly string[];
}

/** Of the updates; the rest is for what layers alone cannot see: how their errors add up. */
const LAYERWISE_SHARE = 0.7;

function trainerInput(
  finetune: FinetuneOptions,
  losses: LossInput[],
  { metrics, threads, seed }: FinetuneFileOptions,
  { distill, layers, constantInputs }: Chosen,
): TrainerInput {
  const { optimizer, momentum, warmUp, lr, maxMemory, layerwise, layerwiseLr, steps, clipNorm, ema, dropout } =
    finetune;
  const { patience, validateEvery, checkpointEvery, epochs, batchSize, accumulate, train: only, freeze } = finetune;
  const { batchNorm, timeWays, missing } = finetune;
  // Warm-up, because moments are new where the whole begins; no pull to 0, because the teacher's weights are what is wanted.
  const schedule = finetune.schedule ?? (distill ? "one-cycle" : "cosine");
  const weightDecay = finetune.weightDecay ?? (distill ? 0 : undefined);
  const metric = metrics?.names?.find((name) => name !== SCORE);
  const given = <T extends object>(object: T) =>
    Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;
  return {
    losses,
    optimizer: {
      kind: optimizer,
      ...(optimizer === "sgd" && { momentum }),
      ...(weightDecay !== undefined && { weightDecay }),
    } as TrainerInput["optimizer"],
    schedule: schedule === "one-cycle" ? { kind: schedule } : { kind: schedule, warmUp },
    learningRate: lr,
    epochs,
    batchSize,
    accumulate,
    train: only,
    freeze,
    batchNorm,
    timeWays,
    missing,
    constantInputs: [...constantInputs],
    ...(layers !== undefined &&
      layers.values.length > 0 && {
        layerwise: {
          values: [...layers.values],
          share: layerwise ?? LAYERWISE_SHARE,
          learningRate: layerwiseLr ?? layers.learningRate,
        },
      }),
    metricOptions: metrics?.options ?? {},
    memoryLimit: maxMemory === undefined ? MEMORY_SHARE * totalmem() : maxMemory * 1e6,
    threads: threads ?? 1,
    seed: seed ?? 0,
    ...given({ steps, clipNorm, ema, dropout, patience, validateEvery, checkpointEvery, metric }),
  };
}

/** Another answer is what training is for; what does not run, is slower or answers worse by labels is a problem. */
function problemsOf(measured: readonly TargetMeasurement[], teacher: boolean): string[] {
  return measured.flatMap((result) => {
    const last = result.files.at(-1);
    if (last === undefined || result.files.length < 2) return [];
    const kinds = teacher ? ["load", "run"] : ["load", "run", "score", "slower"];
    return judge(last, result.files[0])
      .findings.filter(({ kind }) => kinds.includes(kind))
      .map(({ text }) => `${result.target}: ${text}`);
  });
}

/** "model.finetuned.onnx" beside "model.onnx". */
function defaultOutput(path: string): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.finetuned${extension || ".onnx"}`);
}
