/**
 * @file What `tersor prune` does to the graph: masks, their end, channels that go, and what channels would give instead.
 */
import type { ChannelEstimate } from "../analyze/sparse-verdict.ts";
import type { Model } from "../graph/model.ts";
import type { ChannelHistory } from "../prune/channels/history.ts";
import { pruneChannels } from "../prune/channels/prune-channels.ts";
import type { Criterion } from "../prune/criteria/criterion.ts";
import { criterionOf as findCriterion } from "../prune/criteria/list.ts";
import { prune, pruneOptions } from "../prune/prune.ts";
import type { Sparsity } from "../prune/sparsity.ts";
import { remove, undo } from "../prune/torch.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { OptionError, UnsupportedError } from "../util/errors.ts";
import { loadSpecOf, type OpenModel, openCalibration } from "./open.ts";
import { type ChannelReport, channelsOf, replayHistory } from "./prune-channels-file.ts";
import type { PruneFileOptions } from "./prune-file.ts";
import type { PrunePlan } from "./prune-options.ts";

/** Samples that a criterion sees. */
const CALIBRATION_SAMPLES = 128;

/** What was done to the model. */
export interface Changed {
  readonly report: StepReport;
  readonly channels?: ChannelReport;
}

/**
 * Does what is asked for, in place.
 * @param original The model as a file that the runtime loads.
 * @throws UnsupportedError where nothing can be pruned, OptionError for missing samples or masks.
 */
export async function change(
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
export async function estimateChannels(
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
export function skippedSamples(
  plan: PrunePlan,
  { calibrationSamples = CALIBRATION_SAMPLES }: PruneFileOptions,
): number {
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
