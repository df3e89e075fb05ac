/**
 * @file Which channels go: all are put in order, and a prefix of that order is as long as the amount asks for once every
 * group is rounded to whole multiples and kept above its minimum.
 */
import type { Cost, CostModel } from "./cost.ts";
import type { ChannelGroup } from "./groups.ts";
import type { ChannelOptions } from "./options.ts";

export interface ScoredGroup {
  readonly group: ChannelGroup;
  /** In the order of its channels. */
  readonly scores: readonly number[];
  /** Its own amount, where the options name it. */
  readonly amount?: number;
}

type PlanOptions = Pick<ChannelOptions, "amount" | "of" | "scope" | "rank" | "multiple" | "minimum" | "limit">;

/** Classes of ids that go. */
export function planRemovals(groups: readonly ScoredGroup[], costs: CostModel, options: PlanOptions): Set<number> {
  const orders = groups.map((scored) => orderOf(scored));
  const own = groups.flatMap(({ amount, group }, i) =>
    amount === undefined && options.scope === "global"
      ? []
      : goes(orders[i]!, roundedBy(group, options)(amount ?? options.amount)),
  );
  if (options.scope === "group") return new Set(own);
  const ranked = rank(
    groups.filter(({ amount }) => amount === undefined),
    costs,
    options,
  );
  const chosen = groups.map((scored, i) => ({ ...scored, order: orders[i]!, round: rounding(scored.group, options) }));
  const free = chosen.filter(({ amount }) => amount === undefined);
  const index = new Map(free.flatMap(({ group }, i) => group.channels.map(({ id }) => [id, i] as const)));
  const removed = (length: number): Set<number> => {
    const counts = free.map(() => 0);
    for (let i = 0; i < length; i++) counts[index.get(ranked[i]!)!]!++;
    return new Set([...own, ...free.flatMap(({ order, round }, i) => goes(order, round(counts[i]!)))]);
  };
  const total = measure(options.of, groups, costs.cost(new Set()), new Set());
  const wanted = total * (1 - options.amount);
  const isEnough = (length: number): boolean => {
    const gone = removed(length);
    return measure(options.of, groups, costs.cost(gone), gone) <= wanted * (1 + 1e-9);
  };
  // The shortest prefix that is enough; all, where none is.
  let [low, high] = [0, ranked.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isEnough(middle)) high = middle;
    else low = middle + 1;
  }
  return removed(low);
}

/** Channels of all groups, those that go first in front. */
function rank(groups: readonly ScoredGroup[], costs: CostModel, { rank: by }: PlanOptions): number[] {
  const savings = by === "score-per-mac" ? costs.savings() : undefined;
  const all = groups.flatMap(({ group, scores }) =>
    group.channels.map(({ id }, i) => ({
      id,
      score: savings ? scores[i]! / Math.max(savings.get(id) ?? 0, 1) : scores[i]!,
    })),
  );
  return all.sort((a, b) => a.score - b.score).map(({ id }) => id);
}

/** A group's channels, lowest score first. */
function orderOf({ group, scores }: ScoredGroup): readonly number[] {
  const order = group.channels.map(({ id }, i) => ({ id, score: scores[i]! }));
  return order.sort((a, b) => a.score - b.score).map(({ id }) => id);
}

const goes = (order: readonly number[], count: number): readonly number[] => order.slice(0, count);

const roundedBy = (group: ChannelGroup, options: PlanOptions) => {
  const round = rounding(group, options);
  return (amount: number): number => round(amount * group.channels.length);
};

/**
 * How many channels go where so many are wanted: what is left is the nearest multiple (counted in positions; channels of
 * at least that many positions, as heads are, count one by one), no less than the minimum and what the limit leaves.
 */
export function rounding(
  { channels }: ChannelGroup,
  { multiple, minimum, limit }: Pick<PlanOptions, "multiple" | "minimum" | "limit">,
): (wanted: number) => number {
  const count = channels.length;
  const positions = channels.reduce((sum, channel) => sum + channel.positions.length, 0) / count;
  const step = positions >= multiple ? 1 : Math.ceil(multiple / positions);
  const atLeast = Math.max(1, Math.ceil(minimum / positions), Math.ceil(count * (1 - limit)));
  const floor = Math.ceil(atLeast / step) * step;
  return (wanted) => {
    if (wanted <= 0 || floor >= count) return 0;
    const left = Math.max(floor, Math.round((count - wanted) / step) * step);
    return Math.max(0, count - left);
  };
}

function measure(
  of: PlanOptions["of"],
  groups: readonly ScoredGroup[],
  cost: Cost,
  removed: ReadonlySet<number>,
): number {
  if (of === "macs") return cost.macs;
  if (of === "parameters") return cost.parameters;
  let left = 0;
  for (const { group } of groups) {
    for (const { id, positions } of group.channels) if (!removed.has(id)) left += positions.length;
  }
  return left;
}
