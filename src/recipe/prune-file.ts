/**
 * @file One call from a model file to a pruned one, checked: what `tersor prune` does.
 */
import { basename, dirname, extname, join } from "node:path";
import { type Drop, judgeDrops } from "../analyze/drops.ts";
import { verifyFiles } from "../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../analyze/job.ts";
import { type Judgement, judge } from "../analyze/judge.ts";
import {
  type ChannelEstimate,
  type SparseFiles,
  type SparseVerdict,
  sparseFiles,
  sparseVerdict,
} from "../analyze/sparse-verdict.ts";
import { zerosOf } from "../analyze/zeros.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Budget } from "../measure/budget.ts";
import { describeMachine, type Machine } from "../measure/machine.ts";
import type { MetricSpec } from "../measure/meter.ts";
import { compressedSizes, type Sizes } from "../measure/size.ts";
import { chunkBytes, encodeModel } from "../onnx/encode.ts";
import { nameFile, writeModelFile } from "../onnx/file-node.ts";
import { upgradeOpset } from "../passes/upgrade-opset.ts";
import type { ChannelHistory } from "../prune/channels/history.ts";
import { pruneChannels } from "../prune/channels/prune-channels.ts";
import type { Criterion } from "../prune/criteria/criterion.ts";
import { criterionOf as findCriterion } from "../prune/criteria/list.ts";
import { prune, pruneOptions } from "../prune/prune.ts";
import { type Sparsity, sparsity } from "../prune/sparsity.ts";
import { isPruned, remove, undo } from "../prune/torch.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { DEFAULT_TARGETS, type TargetName } from "../runtime/targets.ts";
import { parseOptions, runStep } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { OptionError, UnsupportedError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { loadSpecOf, type OpenModel, openCalibration, openModel, runnablePath } from "./open.ts";
import {
  type ChannelReport,
  channelsOf,
  readHistoryFile,
  replayHistory,
  writeHistoryFile,
} from "./prune-channels-file.ts";
import { type PrunePlan, planPrune, pruneFileOptions } from "./prune-options.ts";
import { refuseOverwrite } from "./quantize-plan.ts";
import { openWorkspace } from "./workspace.ts";

export interface PruneFileOptions {
  /** Default: the input's name with `.pruned` before its ending. */
  readonly output?: string | undefined;
  /** prune: set masks. undo: take those away that are there. remove: make them permanent. Default prune. */
  readonly action?: "prune" | "undo" | "remove" | undefined;
  /** Options of the step, or of channel pruning with pattern "channel". */
  readonly step?: Readonly<Record<string, unknown>> | undefined;
  /** Channels: a file for what went, in the original's numbering. */
  readonly history?: string | undefined;
  /** Channels: take out what such a file says, instead of choosing. */
  readonly replay?: string | undefined;
  /** Samples to compare on, and for criteria that need some; "random" or undefined: generated. */
  readonly data?: string | undefined;
  readonly load?: LoadSpec | undefined;
  /** Samples that a criterion sees. Default 128. */
  readonly calibrationSamples?: number | undefined;
  /** Samples to compare on. Default 100. */
  readonly samples?: number | undefined;
  readonly targets?: readonly TargetName[] | undefined;
  readonly shapes?: Readonly<Record<string, readonly number[]>> | undefined;
  readonly threads?: number | undefined;
  /** Milliseconds of timed runs per target. Default 3000; 0: no timing. */
  readonly budgetMs?: number | undefined;
  readonly browser?: BrowserSpec | undefined;
  /** Load, run, compare and time the result on its targets. Default true. */
  readonly check?: boolean | undefined;
  readonly memory?: boolean | undefined;
  readonly metrics?: MetricSpec | undefined;
  readonly maxDrop?: Budget | undefined;
  readonly externalData?: boolean | "auto" | undefined;
  readonly allowOutside?: boolean | undefined;
  readonly seed?: number | undefined;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PruneFileResult {
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: { readonly path: string; readonly byteLength: number };
  readonly action: "prune" | "undo" | "remove";
  readonly report: StepReport;
  /** With pattern channel. */
  readonly channels: ChannelReport | undefined;
  readonly sparsity: { readonly before: Sparsity; readonly after: Sparsity };
  /** With the masks made permanent, weights dense and sparse; undefined where the model is too large to try. */
  readonly permanent: SparseFiles | undefined;
  /** The original. */
  readonly original: Sizes | undefined;
  /** What the zeros are worth per target, in words; undefined where masks were taken away. */
  readonly verdict: SparseVerdict | undefined;
  readonly targets: readonly TargetMeasurement[];
  readonly judgements: readonly Judgement[];
  readonly drops: readonly Drop[];
  /** False: it does not load or run, disagrees, or lost more than it may on a target. */
  readonly ok: boolean;
  readonly machine: Machine;
}

/** Models above it are not compressed to see how they travel: that would take minutes. */
const MAX_COMPRESS_BYTES = 300e6;
const CALIBRATION_SAMPLES = 128;

/**
 * Prunes a model file and proves the result. Inputs, outputs and structure stay; masks stay in the file unless the step's
 * `permanent` says otherwise, so that they can be undone, added to, and kept by a fine-tuning.
 * @throws InputError, FormatError, GraphError, OptionError, UnsupportedError; then nothing is written.
 */
export async function pruneFile(path: string, options: PruneFileOptions = {}): Promise<PruneFileResult> {
  const action = options.action ?? "prune";
  parseOptions({ name: "prune", options: pruneFileOptions }, options.step);
  const plan = planPrune(options.step ?? {});
  const history = options.replay === undefined ? undefined : readHistoryFile(options.replay);
  if (options.history !== undefined && plan.kind === "masks") {
    throw new OptionError({ area: "prune", subject: "--history", problem: "expected --pattern channel, got masks" });
  }
  const opened = openModel(path, { allowOutside: options.allowOutside });
  const output = options.output ?? defaultOutput(path);
  refuseOverwrite(opened, output);
  const workspace = openWorkspace(output);
  try {
    const original = runnablePath(opened, () => workspace.path("original"));
    const model = opened.model();
    if (model.opset < MASK_OPSET) upgradeOpset(model, MASK_OPSET);
    const before = sparsity(model);
    const { report, channels } = await change(model, plan, history, opened, original, options).catch((error) =>
      Promise.reject(nameFile(error, path)),
    );
    const after = sparsity(model);
    const place = workspace.path("pruned");
    const external = opened.external.length > 0 ? (options.externalData ?? true) : options.externalData;
    const files = writeModelFile(place, toOnnx(model), external === undefined ? {} : { externalData: external });
    const measured = await measure(original, place, skippedSamples(plan, options), path, options);
    options.signal?.throwIfAborted();
    const small = opened.byteLength <= MAX_COMPRESS_BYTES;
    const final = withoutMasks(model);
    const permanent = small ? await sparseFiles(final) : undefined;
    const instead =
      plan.kind === "masks" && action === "prune"
        ? await estimateChannels(opened, original, after, options)
        : undefined;
    const originalSizes = small ? await sizesOf(opened.model()) : undefined;
    options.signal?.throwIfAborted();
    workspace.publish(place);
    if (options.history !== undefined && channels !== undefined) writeHistoryFile(options.history, channels.history);
    // Without its masks a model answers otherwise: that is the wish.
    const judgements = measured
      .filter(({ files: found }) => found.length > 1)
      .map(({ files: found }) =>
        action === "undo" ? judge({ ...found[1]!, outputs: [] }) : judge(found[1]!, found[0]),
      );
    const drops = options.maxDrop === undefined ? [] : judgeDrops(measured, options.maxDrop);
    return {
      input: { path, byteLength: opened.byteLength },
      output: { path: output, byteLength: files.reduce((sum, { byteLength }) => sum + byteLength, 0) },
      action,
      report,
      channels,
      sparsity: { before, after },
      permanent,
      original: originalSizes,
      verdict:
        action === "undo" || after.zeros === 0
          ? undefined
          : sparseVerdict(
              {
                zeros: zerosOf(final),
                measured,
                ...(permanent && { files: permanent }),
                ...(originalSizes && { original: originalSizes }),
                ...(instead && { channels: instead }),
              },
              options.targets ?? DEFAULT_TARGETS,
            ),
      targets: measured,
      judgements,
      drops,
      ok: judgements.every(({ usable }) => usable) && drops.every(({ ok }) => ok),
      machine: await describeMachine(),
    };
  } finally {
    workspace.remove();
  }
}

/** Where-9 */
const MASK_OPSET = 9;

interface Changed {
  readonly report: StepReport;
  readonly channels?: ChannelReport;
}

async function change(
  model: Model,
  plan: PrunePlan,
  history: ChannelHistory | undefined,
  opened: OpenModel,
  original: string,
  options: PruneFileOptions,
): Promise<Changed> {
  const { action = "prune", progress, signal, seed } = options;
  if (action !== "prune") {
    const names = action === "undo" ? undo(model) : remove(model);
    return { report: { changed: names.length, changes: names.map((name) => `${name}: ${DONE[action]}`) } };
  }
  if (history !== undefined) return replayed(model, history, opened, original, options);
  if (plan.kind === "channels") return channelsOut(model, plan.options, opened, original, options);
  const { needs } = criterionOf(plan)!;
  const runtime = needs.length > 0 ? await createAnyRuntime() : undefined;
  const calibration =
    runtime && needs.includes("calibration") ? await calibrationOf(opened, original, runtime, options) : undefined;
  const report = await runStep(model, prune, plan.options, given({ runtime, calibration, progress, signal, seed }));
  const [first] = report.leftAlone ?? [];
  if (report.changed === 0) throw nothing("weights", first && `${first.subject}: ${first.reason}`);
  return { report };
}

async function channelsOut(
  model: Model,
  step: (PrunePlan & { kind: "channels" })["options"],
  opened: OpenModel,
  original: string,
  options: PruneFileOptions,
): Promise<Changed> {
  options.progress?.("finding channels", 0, 1);
  const sizes = await sampleOf(opened, original, options);
  const channels = await channelsOf(model, step, { ...sizes, seed: options.seed });
  options.progress?.("finding channels", 1, 1);
  const { removed, kept, forbidden } = channels;
  const leftAlone = [
    ...kept.map(({ value, reason = "its channels matter more than others" }) => ({ subject: value, reason })),
    ...forbidden.map(({ value, subject, opType, reason }) => ({
      subject: value,
      ...(opType !== undefined && { opType }),
      reason: `${subject} forbids it: ${reason}`,
    })),
  ];
  if (removed.length === 0)
    throw nothing("channels", leftAlone[0] && `${leftAlone[0].subject}: ${leftAlone[0].reason}`);
  const changes = removed.map(
    (group) => `${group.value}: ${group.channels} → ${group.channels - group.removed} channels`,
  );
  return { report: { changed: removed.length, changes, leftAlone }, channels };
}

async function replayed(
  model: Model,
  history: ChannelHistory,
  opened: OpenModel,
  original: string,
  options: PruneFileOptions,
): Promise<Changed> {
  const exactness = await replayHistory(model, history, await sampleOf(opened, original, options));
  const { removals } = history;
  const text = `replayed; SQNR against zeros in their place ${exactness.toFixed(0)} dB`;
  return { report: { changed: removals.length, changes: removals.map(({ value }) => `${value}: ${text}`) } };
}

function nothing(what: string, example: string | undefined): UnsupportedError {
  return new UnsupportedError({
    area: "prune",
    subject: "the model",
    problem: `expected ${what} that can be pruned, found none${example === undefined ? "" : ` (${example})`}`,
    help: "Nothing was written. See tersor inspect for what is in it.",
  });
}

/** One sample, the user's or a generated one, for sizes of values. */
async function sampleOf(
  opened: OpenModel,
  original: string,
  options: PruneFileOptions,
): Promise<{ readonly runtime: Runtime; readonly feeds: Tensors }> {
  const runtime = await createAnyRuntime();
  const { data = "random", shapes, seed = 0 } = options;
  const spec = { data, limit: 1, options: loadSpecOf(opened.path, options), ...(shapes && { shapes }), seed };
  const source = await openCalibration(opened, spec, runtime, original);
  for await (const { inputs } of source.samples()) return { runtime, feeds: inputs };
  throw nothing("samples", undefined);
}

/** What channels would give that are as many parameters as the zeros: undefined where that cannot be known. */
async function estimateChannels(
  opened: OpenModel,
  original: string,
  { sparsity: share }: Sparsity,
  options: PruneFileOptions,
): Promise<ChannelEstimate | undefined> {
  if (options.check === false || share === 0) return undefined;
  try {
    const found = await pruneChannels(
      opened.model(),
      { amount: Math.min(share, 1), of: "parameters" },
      await sampleOf(opened, original, options),
    );
    const gone = (after: number, before: number): number => 1 - after / before;
    if (found.removed.length === 0) return undefined;
    return {
      macs: gone(found.macsAfter, found.macsBefore),
      bytes: gone(found.parametersAfter, found.parametersBefore),
    };
  } catch {
    // A model whose channels are not understood: nothing is promised.
    return undefined;
  }
}

/** Samples at the beginning that the criterion has seen. */
function skippedSamples(plan: PrunePlan, { calibrationSamples = CALIBRATION_SAMPLES }: PruneFileOptions): number {
  return plan.kind === "masks" && criterionOf(plan)?.needs.includes("calibration") ? calibrationSamples : 0;
}

function criterionOf({ options }: PrunePlan & { kind: "masks" }): Criterion | undefined {
  return findCriterion(pruneOptions.parse(options).criterion);
}

const DONE = { undo: "its mask is taken away", remove: "its mask is permanent" } as const;

function given<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}

async function calibrationOf(
  opened: OpenModel,
  original: string,
  runtime: Awaited<ReturnType<typeof createAnyRuntime>>,
  options: PruneFileOptions,
): Promise<Awaited<ReturnType<typeof openCalibration>>> {
  const { data, calibrationSamples = CALIBRATION_SAMPLES, shapes, seed = 0 } = options;
  if (data === undefined) {
    throw new OptionError({
      area: "prune",
      subject: "--criterion",
      problem: "expected samples for a criterion that looks at activations, got none",
      help: "Give some with --data, or --data random to try it out.",
    });
  }
  const spec = {
    data,
    limit: data === "random" ? 8 : calibrationSamples,
    options: loadSpecOf(opened.path, options),
    ...(shapes && { shapes }),
    seed: seed + 1,
  };
  return openCalibration(opened, spec, runtime, original);
}

async function measure(
  original: string,
  pruned: string,
  skip: number,
  path: string,
  options: PruneFileOptions,
): Promise<TargetMeasurement[]> {
  const { data, samples = 100, shapes, progress, signal, memory } = options;
  const spec: DataSpec =
    data === undefined || data === "random"
      ? { kind: "generated", ...(shapes && { shapes }), count: Math.min(samples, 4) }
      : {
          kind: "path",
          path: data,
          limit: samples,
          skip,
          options: loadSpecOf(path, options),
        };
  const measured: TargetMeasurement[] = [];
  for (const target of options.check === false ? [] : (options.targets ?? DEFAULT_TARGETS)) {
    const job = {
      target,
      files: [
        { name: "original", path: original },
        { name: "pruned", path: pruned },
      ],
      data: spec,
      threads: options.threads ?? 1,
      budgetMs: options.budgetMs ?? 3000,
      seed: options.seed ?? 0,
      browser: options.browser,
      metrics: options.metrics ?? { fallback: options.maxDrop !== undefined },
    };
    measured.push(await verifyFiles(job, { progress, signal, memory }));
  }
  return measured;
}

/** A copy with zeros in the place of masks. */
function withoutMasks(model: Model): Model {
  const copy = cloneModel(model);
  if (isPruned(copy)) remove(copy);
  return copy;
}

function sizesOf(model: Model): Promise<Sizes> {
  return compressedSizes(encodeModel(toOnnx(model)).map(chunkBytes));
}

/** "model.pruned.onnx" beside "model.onnx". */
function defaultOutput(path: string): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.pruned${extension || ".onnx"}`);
}
