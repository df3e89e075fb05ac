/**
 * @file One call from a model file to a pruned one, checked: what `tersor prune` does.
 */
import { basename, dirname, extname, join } from "node:path";
import { type Drop, judgeDrops } from "../analyze/drops.ts";
import { verifyFiles } from "../analyze/isolated.ts";
import type { DataSpec, TargetMeasurement } from "../analyze/job.ts";
import { type Judgement, judge } from "../analyze/judge.ts";
import { type SparseFiles, type SparseVerdict, sparseFiles, sparseVerdict } from "../analyze/sparse-verdict.ts";
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
import { type Sparsity, sparsity } from "../prune/sparsity.ts";
import { isPruned, remove } from "../prune/torch.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import { DEFAULT_TARGETS, type TargetName } from "../runtime/targets.ts";
import { parseOptions } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { OptionError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { loadSpecOf, openModel, runnablePath } from "./open.ts";
import { change, estimateChannels, skippedSamples } from "./prune-change.ts";
import { type ChannelReport, readHistoryFile, writeHistoryFile } from "./prune-channels-file.ts";
import { planPrune, pruneFileOptions } from "./prune-options.ts";
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
  const chosen = Object.keys(options.step ?? {}).find((key) => key !== "pattern");
  if (history !== undefined && chosen !== undefined) {
    const problem = `expected no choice beside it: the file says what goes, got option ${chosen}`;
    throw new OptionError({ area: "prune", subject: "--replay", problem });
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
