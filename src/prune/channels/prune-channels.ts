/**
 * @file Channel pruning: finds groups, scores channels, decides which go, and takes them out of the model.
 */
import type { z } from "zod";
import type { Model } from "../../graph/model.ts";
import { checkParametrizations } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import { verifyModel } from "../../graph/verify.ts";
import { constantInputs } from "../../passes/constant-inputs.ts";
import { hoistConstants } from "../../passes/hoist-constants.ts";
import { upgradeOpset } from "../../passes/upgrade-opset.ts";
import { observeShapes } from "../../runtime/collect.ts";
import type { Runtime, Tensors } from "../../runtime/runtime.ts";
import { parseOptions, runStep } from "../../step/run.ts";
import { OptionError } from "../../util/errors.ts";
import { createCostModel } from "./cost.ts";
import { type Dependencies, type DependencyOptions, findDependencies } from "./dependencies.ts";
import { type ChannelGroup, channelGroups } from "./groups.ts";
import { type ChannelHistory, mergeHistories, readHistory, writeHistory } from "./history.ts";
import { matchesAny } from "./names.ts";
import { type ChannelOptions, channelOptions } from "./options.ts";
import { planRemovals, rounding, type ScoredGroup } from "./plan.ts";
import { OLDEST_OPSET } from "./rules/table.ts";
import { type ChannelScore, scoreGroup } from "./scores.ts";
import { maskChannels, removeChannels } from "./shrink.ts";

/**
 * How sizes of values are found: by running the model once on a feed per input, or they are given, by name. MACs are
 * counted for them; what is pruned takes all sizes that the original takes.
 */
export type SizeContext =
  | { readonly runtime: Runtime; readonly feeds: Tensors }
  | { readonly shapes: ReadonlyMap<string, readonly number[]> };

export type ChannelContext = SizeContext & {
  /** Replaces the criterion. */
  readonly score?: ChannelScore;
  /** What earlier rounds removed: the new history will contain it. */
  readonly history?: ChannelHistory;
  /** Of criterion "random". Default 0. */
  readonly seed?: number;
};

/** A group of channels of which some went, or could have. */
export interface GroupResult {
  readonly value: string;
  readonly axis: number;
  /** Labels of the nodes whose weights make them. */
  readonly nodes: readonly string[];
  /** Channels before (a head is one). */
  readonly channels: number;
  /** Positions that a channel has on the axis. */
  readonly unit: number;
  readonly removed: number;
  /** Why none went, where the options say so. */
  readonly reason?: string;
}

/** Channels that cannot go. */
export interface ForbiddenGroup {
  readonly value: string;
  readonly axis: number;
  readonly nodes: readonly string[];
  readonly channels: number;
  /** The node that forbids it, or an output of the model. */
  readonly subject: string;
  readonly opType?: string;
  readonly reason: string;
}

export interface ChannelResult {
  /** Groups of which channels went. */
  readonly removed: readonly GroupResult[];
  /** Groups that may shrink and did not. */
  readonly kept: readonly GroupResult[];
  readonly forbidden: readonly ForbiddenGroup[];
  readonly macsBefore: number;
  readonly macsAfter: number;
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /** All that is gone, of earlier rounds, too: in the numbering of the original. */
  readonly history: ChannelHistory;
}

/**
 * Prunes channels, in place. Constant nodes become initializers and the opset becomes 13 at least.
 * @throws OptionError for options that do not fit; UnsupportedError where the opset cannot be raised.
 */
export async function pruneChannels(
  model: Model,
  options: z.input<typeof channelOptions>,
  context: ChannelContext,
): Promise<ChannelResult> {
  const parsed = parseOptions({ name: "prune channels", options: channelOptions }, options);
  const dependencies = await analyseChannels(model, context, parsed);
  const groups = channelGroups(dependencies);
  const costs = createCostModel(dependencies);
  const reasons = new Map<ChannelGroup, string>();
  const scored: ScoredGroup[] = [];
  for (const group of groups) {
    if (group.obstacle !== undefined) continue;
    const result = choose(dependencies, group, parsed, context);
    if (typeof result === "string") reasons.set(group, result);
    else scored.push(result);
  }
  const gone = planRemovals(scored, costs, parsed);
  const before = costs.cost(new Set());
  const after = costs.cost(gone);
  const own = writeHistory(dependencies, groups, gone);
  const history = context.history === undefined ? own : mergeHistories(context.history, own);
  const results = groups.flatMap((group) => (group.obstacle ? [] : [resultOf(group, gone, reasons.get(group))]));
  removeChannels(dependencies, gone);
  check(model);
  return {
    removed: results.filter(({ removed }) => removed > 0),
    kept: results.filter(({ removed }) => removed === 0),
    forbidden: groups.flatMap((group) =>
      group.obstacle ? [{ ...group.obstacle, ...placeOf(group), channels: group.channels.length }] : [],
    ),
    macsBefore: before.macs,
    macsAfter: after.macs,
    parametersBefore: before.parameters,
    parametersAfter: after.parameters,
    history,
  };
}

/** Takes the channels of a history out of its original, in place. @throws OptionError where it does not fit. */
export async function replayChannels(model: Model, history: ChannelHistory, context: SizeContext): Promise<void> {
  const dependencies = await analyseChannels(model, context, history);
  removeChannels(dependencies, readHistory(dependencies, history));
  check(model);
}

/**
 * Puts zeros where the channels of a history are summed up, in place: the model that pruning must equal.
 * @throws OptionError where the history does not fit.
 */
export async function maskRemoved(model: Model, history: ChannelHistory, context: SizeContext): Promise<void> {
  const dependencies = await analyseChannels(model, context, history);
  maskChannels(dependencies, readHistory(dependencies, history));
  check(model);
}

/** Brings a model into the form that rules are written for, in place, and finds dependencies. */
export async function analyseChannels(
  model: Model,
  context: SizeContext,
  options: DependencyOptions = {},
): Promise<Dependencies> {
  const shapes = await observeSizes(model, context);
  return findDependencies(model, ({ name }: Value) => shapes.get(name), options);
}

/** Sizes of all values by name, once the model, in place, has the form that rules are written for. */
export async function observeSizes(
  model: Model,
  context: SizeContext,
): Promise<ReadonlyMap<string, readonly number[]>> {
  await runStep(model, constantInputs, {});
  await runStep(model, hoistConstants, {});
  if (model.opset < OLDEST_OPSET) upgradeOpset(model, OLDEST_OPSET);
  for (const graph of model.graphs()) graph.sort();
  if ("shapes" in context) return context.shapes;
  const observed = await observeShapes(model, context.runtime, context.feeds);
  return new Map([...observed].map(([{ name }, dims]) => [name, dims]));
}

/** Scores of a group with the amount that is its own, or why it stays. */
function choose(
  dependencies: Dependencies,
  group: ChannelGroup,
  options: ChannelOptions,
  context: ChannelContext,
): ScoredGroup | string {
  const names = namesOf(group);
  if (matchesAny(options.protect, names)) return "protect names it";
  if (rounding(group, options)(group.channels.length) === 0) {
    return `fewer than ${options.multiple} more than the ${options.minimum} that have to be left`;
  }
  const scores = scoreGroup(dependencies, group, options, context.seed ?? 0, context.score);
  if (typeof scores === "string") return scores;
  const bad = scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    throw new OptionError({
      area: "prune",
      subject: `scores of "${group.value}"`,
      problem: `expected numbers, got ${scores[bad]} for channel ${bad}`,
    });
  }
  const amount = Object.entries(options.amounts).find(([pattern]) => matchesAny([pattern], names))?.[1];
  return { group, scores, ...(amount !== undefined && { amount }) };
}

const namesOf = ({ value, sources }: ChannelGroup): string[] => [
  value,
  ...sources.flatMap(({ node, weight, output }) => [node.label, weight.name, output.name]),
];

function placeOf({ value, axis, sources }: ChannelGroup): Pick<GroupResult, "value" | "axis" | "nodes"> {
  return { value, axis, nodes: [...new Set(sources.map(({ node }) => node.label))] };
}

function resultOf(group: ChannelGroup, gone: ReadonlySet<number>, reason: string | undefined): GroupResult {
  const { channels } = group;
  const positions = channels.reduce((sum, channel) => sum + channel.positions.length, 0);
  return {
    ...placeOf(group),
    channels: channels.length,
    unit: positions / channels.length,
    removed: channels.filter(({ id }) => gone.has(id)).length,
    ...(reason !== undefined && { reason }),
  };
}

function check(model: Model): void {
  for (const graph of model.graphs()) graph.sort();
  verifyModel(model);
  checkParametrizations(model);
}
