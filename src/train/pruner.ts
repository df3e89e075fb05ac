/**
 * @file Chooses masks between updates, from the state of a training: scores, selection, regrowth, and what becomes of
 * weights and moments.
 *
 * What happens to an entry:
 *  - When it is masked, the weight keeps its value under the mask, and its moments become 0. Until it comes back neither
 *    decay nor momentum moves it, unless gradients pass the mask (surgery): then weight and moments go on as if there
 *    were none.
 *  - When it comes back by gradient, it starts at 0 (an entry that was there before this pruning stays what it was); by
 *    surgery or scores, at the value that it has. Moments start at 0; Adam's count of updates is that of all entries.
 *
 * Source of regrowth: Guo et al. 2016 (surgery: two thresholds, here a margin between the ranks of what is there and what
 * is gone, so that the sparsity is exact); Evci et al. 2020, section 3 (gradient: drop by magnitude, grow by |∂L/∂w|).
 */
import type { Pattern } from "../prune/pattern.ts";
import { unitsIn } from "../prune/pattern.ts";
import { pruningUpdates, sparsityAt } from "../prune/schedule.ts";
import { type Scored, selectGlobal, selectLocal, smallest } from "../prune/select.ts";
import type { PrunableWeight } from "../prune/weights.ts";
import type { StateStore } from "../runtime/stateful.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { matchesName } from "../util/name-patterns.ts";
import { type GradientSums, gradientScores } from "./importance.ts";
import type { StateEntry } from "./program.ts";
import { checkPruneOptions, maskNeeds, type PruneOptions } from "./prune-options.ts";
import { lampScores, magnitudes, randomScores } from "./prune-scores.ts";

/** What one pruning did. */
export interface Pruning {
  /** Share of the chosen weights that is gone. */
  readonly sparsity: number;
  /** Elements that went, and that came back. */
  readonly pruned: number;
  readonly regrown: number;
  /** Sparsity by weight. */
  readonly weights: Readonly<Record<string, number>>;
}

type Weight = Pick<PrunableWeight, "name" | "view">;

/** What masks are chosen in one ranking, and their sparsity at the end. */
interface Group {
  readonly weights: readonly Weight[];
  readonly final: number;
}

/** When masks are chosen. */
interface Updates {
  readonly total: number;
  readonly all: ReadonlySet<number>;
  readonly last: number;
}

interface Now {
  readonly weights: Float32Array;
  readonly kept: Uint8Array;
}

export class Pruner {
  readonly #options: PruneOptions;
  readonly #pattern: Pattern;
  readonly #seed: number;
  #weights: readonly Weight[];
  #groups: readonly Group[];
  #updates: Updates | undefined;

  /** @throws OptionError for options that do not go together, or patterns that name no weight. */
  constructor(weights: readonly Weight[], options: PruneOptions, seed: number) {
    this.#pattern = checkPruneOptions(options);
    this.#options = options;
    this.#weights = weights;
    this.#groups = groupsOf(weights, options);
    this.#seed = seed;
  }

  get options(): PruneOptions {
    return this.#options;
  }

  /** What the training program must give. */
  get needs(): ReturnType<typeof maskNeeds> {
    return maskNeeds(this.#options);
  }

  /** Of the weights that it prunes. */
  get names(): ReadonlySet<string> {
    return new Set(this.#weights.map(({ name }) => name));
  }

  /**
   * Leaves out what the program does not train.
   * @returns Notes, one per weight. @throws OptionError where nothing is left.
   */
  fit(entries: readonly StateEntry[]): readonly string[] {
    const masks = masksIn(entries);
    const trained = new Set(entries.flatMap(({ kind, name }) => (kind === "parameter" ? [name] : [])));
    const [stay, go] = [true, false].map((wanted) =>
      this.#weights.filter(({ name }) => (trained.has(name) && masks.has(name)) === wanted),
    );
    if (stay!.length === 0) {
      throw new OptionError({
        area: "prune",
        subject: "weights",
        problem: `expected some that are trained, got ${go!.map(({ name }) => name).join(", ") || "none"}`,
        help: "See train, freeze and groups, and select.",
      });
    }
    this.#weights = stay!;
    this.#groups = groupsOf(stay!, this.#options);
    return go!.map(({ name }) => `${name} is not pruned: it is not trained`);
  }

  isDue(update: number, total: number): boolean {
    return this.#due(total).all.has(update);
  }

  #due(total: number): Updates {
    if (this.#updates?.total !== total) {
      const updates = pruningUpdates(this.#options.schedule, total);
      this.#updates = { total, all: new Set(updates), last: updates.at(-1)! };
    }
    return this.#updates;
  }

  /** Whether masks stay as they are after the pruning at this update. */
  isFinal(pruned: number | undefined, total: number): boolean {
    return pruned !== undefined && pruned >= this.#due(total).last;
  }

  /**
   * Chooses masks and writes them into the state.
   * @param entries The program's state.
   * @param gradients Sums over batches; asked for where gradients rank anything.
   */
  async prune(
    update: number,
    total: number,
    state: StateStore,
    entries: readonly StateEntry[],
    gradients: () => Promise<GradientSums>,
  ): Promise<Pruning> {
    const masks = masksIn(entries);
    const now = new Map<string, Now>();
    for (const { name } of this.#weights) {
      const [weights, kept] = [await state.get(name), await state.get(masks.get(name)!)];
      now.set(name, { weights: weights.floats(), kept: Uint8Array.from(kept.bytes()) });
    }
    const sums = this.needs.gradients ? await gradients() : undefined;
    const scores = new Map<string, Float32Array>();
    for (const [i, { name }] of this.#weights.entries())
      scores.set(name, await this.#scores(name, i, now, state, sums));
    const next = new Map<string, Uint8Array>();
    for (const group of this.#groups) this.#choose(group, update, total, now, scores, next, sums);

    const changes = new Map<string, Tensor>();
    let [pruned, regrown, gone, size] = [0, 0, 0, 0];
    const perWeight: Record<string, number> = {};
    for (const { name } of this.#weights) {
      const { kept, weights } = now.get(name)!;
      const after = next.get(name)!;
      const changed: number[] = [];
      let zeros = 0;
      for (let i = 0; i < after.length; i++) {
        zeros += 1 - after[i]!;
        if (after[i] === kept[i]) continue;
        changed.push(i);
        if (after[i] === 1) regrown++;
        else pruned++;
      }
      perWeight[name] = zeros / after.length;
      gone += zeros;
      size += after.length;
      if (changed.length === 0) continue;
      const { initial } = entries.find((entry) => entry.name === masks.get(name))!;
      changes.set(masks.get(name)!, Tensor.of("bool", initial.dims, after));
      if (this.needs.straightThrough) continue;
      for (const {
        name: moment,
        initial: { dims },
      } of entries.filter(({ kind, parameter }) => kind === "optimizer" && parameter === name)) {
        const values = (await state.get(moment)).floats().slice();
        for (const i of changed) values[i] = 0;
        changes.set(moment, Tensor.float32(dims, values));
      }
      if (this.#options.regrowth.kind === "gradient" && changed.some((i) => after[i] === 1)) {
        const values = weights.slice();
        for (const i of changed) if (after[i] === 1) values[i] = 0;
        changes.set(name, Tensor.float32(initial.dims, values));
      }
    }
    await state.restore(changes);
    return { sparsity: size === 0 ? 0 : gone / size, pruned, regrown, weights: perWeight };
  }

  async #scores(
    name: string,
    index: number,
    now: ReadonlyMap<string, Now>,
    state: StateStore,
    sums: GradientSums | undefined,
  ): Promise<Float32Array> {
    const { weights } = now.get(name)!;
    const { criterion } = this.#options;
    switch (criterion) {
      case "magnitude":
        return magnitudes(weights);
      case "lamp":
        return lampScores(this.#regrows ? weights : weights.map((w, i) => w * now.get(name)!.kept[i]!));
      case "random":
        return randomScores(weights.length, this.#seed, index);
      case "movement":
        return (await state.get(`${name}/movement`)).floats();
      case "taylor":
      case "snip":
        return gradientScores(criterion, weights, sums!, name);
    }
  }

  /** Whether what is gone takes part in the ranking. */
  get #regrows(): boolean {
    return this.#options.regrowth.kind === "surgery";
  }

  #choose(
    { weights, final }: Group,
    update: number,
    total: number,
    now: ReadonlyMap<string, Now>,
    scores: ReadonlyMap<string, Float32Array>,
    next: Map<string, Uint8Array>,
    sums: GradientSums | undefined,
  ): void {
    const { regrowth, schedule } = this.#options;
    const items = weights.map(({ name, view }): Scored => {
      const { kept } = now.get(name)!;
      if (regrowth.kind !== "surgery") return { name, view, scores: scores.get(name)!, kept };
      // m: what is gone is ranked lower by (1 − m) / (1 + m).
      const factor = (1 - regrowth.margin) / (1 + regrowth.margin);
      const ranked = scores
        .get(name)!
        .map((score, i) => (kept[i] === 1 ? score : score < 0 ? score / factor : score * factor));
      return { name, view, scores: ranked, kept: undefined };
    });
    const pattern = this.#pattern;
    if (pattern.kind === "n:m") {
      for (const item of items) next.set(item.name, selectLocal(item, pattern, 0));
      return;
    }
    const units = items.map(({ view, kept }) => unitsLeft(pattern, view, kept));
    const available = units.reduce((sum, { left }) => sum + left, 0);
    const all = units.reduce((sum, { count }) => sum + count, 0);
    const stay = Math.min(available, all - Math.round(all * sparsityAt(schedule, final, update, total)));
    const exchanged =
      regrowth.kind === "gradient" ? Math.round(stay * exchange(regrowth.share, update, this.#due(total).last)) : 0;
    const chosen = selectGlobal(items, pattern, { count: available - stay });
    for (const [i, { name }] of items.entries()) next.set(name, chosen[i]!);
    if (exchanged === 0) return;
    const fewer = selectGlobal(items, pattern, { count: available - stay + exchanged });
    items.forEach(({ name }, i) => {
      const there = fewer[i]!;
      const missing = chosen[i]!.reduce((sum, keep, j) => sum + keep - there[j]!, 0);
      const size = there.length;
      const sum = sums!.sum.get(name)!;
      // Each weight gets back as many as it gave, where the gradient is largest.
      const rank = Float32Array.from({ length: size }, (_item, j) =>
        there[j] === 1 ? Number.NEGATIVE_INFINITY : Math.abs(sum[j]!),
      );
      const others = smallest(rank, size - missing);
      next.set(
        name,
        Uint8Array.from(there, (keep, j) => (keep === 1 || others[j] === 0 ? 1 : 0)),
      );
    });
  }
}

/** α / 2 · (1 + cos(π · t / T)). Source: Evci et al. 2020, section 3. */
function exchange(share: number, update: number, last: number): number {
  return last === 0 ? 0 : (share / 2) * (1 + Math.cos((Math.PI * Math.min(update, last)) / last));
}

function unitsLeft(
  pattern: Exclude<Pattern, { kind: "n:m" }>,
  view: Weight["view"],
  kept: Uint8Array | undefined,
): { readonly count: number; readonly left: number } {
  const { count, of } = unitsIn(pattern, view);
  if (kept === undefined) return { count, left: count };
  if (of === undefined) return { count, left: kept.reduce((sum, keep) => sum + keep, 0) };
  const there = new Uint8Array(count);
  for (let i = 0; i < kept.length; i++) if (kept[i] === 1) there[of[i]!] = 1;
  return { count, left: there.reduce((sum, one) => sum + one, 0) };
}

/** Names of masks by parameter. */
export function masksIn(entries: readonly StateEntry[]): ReadonlyMap<string, string> {
  return new Map(
    entries.flatMap(({ kind, name, parameter }) => (kind === "mask" ? [[parameter!, name] as const] : [])),
  );
}

function groupsOf(weights: readonly Weight[], { amount, scope, layers }: PruneOptions): readonly Group[] {
  const patterns = Object.keys(layers);
  const unused = patterns.find((pattern) => !weights.some(({ name }) => matchesName(pattern, { label: name })));
  if (unused !== undefined) {
    throw new OptionError({
      area: "prune",
      subject: "option layers",
      problem: `expected patterns that match weights, got "${unused}", which matches none`,
      help: `They are: ${weights.map(({ name }) => name).join(", ")}.`,
    });
  }
  const own = (weight: Weight): number | undefined => {
    const pattern = patterns.find((one) => matchesName(one, { label: weight.name }));
    return pattern === undefined ? undefined : layers[pattern];
  };
  const rest = weights.filter((weight) => own(weight) === undefined);
  const groups: Group[] = weights
    .filter((weight) => own(weight) !== undefined)
    .map((weight) => ({ weights: [weight], final: own(weight)! }));
  if (scope === "global" && rest.length > 0) groups.push({ weights: rest, final: amount });
  else groups.push(...rest.map((weight) => ({ weights: [weight], final: amount })));
  return groups;
}
