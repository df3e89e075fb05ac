/**
 * @file Which nodes stay in float: those that lose most for what they cost, while the budget lasts.
 */

/** A node, what the model loses by quantizing it, and what keeping it in float costs (bytes or time, in the budget's unit). */
export interface RankedNode {
  readonly node: string;
  readonly loss: number;
  readonly cost: number;
}

/**
 * Greedy by loss per cost; nodes that lose nothing are never kept. A single node that loses more than all of those is
 * taken in their place: with it, the choice saves at least half of what the best one would (the knapsack problem's bound).
 * @returns Names, in the order in which they were chosen.
 */
export function keepFloat(ranked: readonly RankedNode[], budget: number): string[] {
  const harmful = ranked.filter(({ loss, cost }) => loss > 0 && cost <= budget);
  const order = harmful.toSorted((a, b) => value(b) - value(a) || b.loss - a.loss);
  const chosen: RankedNode[] = [];
  let left = budget;
  for (const entry of order) {
    if (entry.cost > left) continue;
    chosen.push(entry);
    left -= entry.cost;
  }
  const saved = chosen.reduce((sum, { loss }) => sum + loss, 0);
  const single = harmful.reduce<RankedNode | undefined>(
    (a, b) => (a === undefined || b.loss > a.loss ? b : a),
    undefined,
  );
  return single !== undefined && single.loss > saved ? [single.node] : chosen.map(({ node }) => node);
}

function value({ loss, cost }: RankedNode): number {
  return cost > 0 ? loss / cost : Number.POSITIVE_INFINITY;
}
