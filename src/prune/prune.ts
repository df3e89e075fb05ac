/**
 * @file Step prune: masks over weights by a criterion, a pattern and an amount, in one shot. What is pruned can be undone; what
 * was pruned before stays away, and amounts apply to what is left.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { OptionError } from "../util/errors.ts";
import { matchesName } from "../util/name-patterns.ts";
import { SCOPES } from "./criteria/criterion.ts";
import { CRITERION_NAMES, criterionOf } from "./criteria/list.ts";
import { setKept } from "./masks.ts";
import { PATTERN_FORMS, type Pattern, parsePattern, patternText } from "./pattern.ts";
import { type Scored, selectGlobal, selectLocal, selectWithinRows } from "./select.ts";
import { remove } from "./torch.ts";
import { findPrunable, type PrunableWeight } from "./weights.ts";

const patterns = z.array(z.string()).default([]);

export const pruneOptions = z.strictObject({
  amount: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of the weights (or rows, blocks) that goes, of what is left; n:m says it itself"),
  amounts: patterns.describe("other shares by weight, each by itself: pattern=share, for example fc1*=0.9"),
  pattern: z.string().default("unstructured").describe(`what goes together: ${PATTERN_FORMS}`),
  criterion: z.enum(CRITERION_NAMES).default("l1").describe("what decides: the lowest scores go"),
  scope: z
    .enum(SCOPES)
    .optional()
    .describe("what shares a threshold: all weights, each layer, each row (default: the criterion's own)"),
  parameters: patterns.describe("only weights whose name matches one of these patterns (* and ?)"),
  include: patterns.describe("only weights of nodes whose name matches one of these patterns (* and ?)"),
  exclude: patterns.describe("no weights that match one of these patterns, by their own or their node's name"),
  ops: patterns.describe("only weights of these operator types, for example Conv,Gemm"),
  minElements: z.number().int().min(1).default(256).describe("weights with fewer elements stay whole"),
  permanent: z.boolean().default(false).describe("leave zeros instead of masks: smaller, but it cannot be undone"),
});

export type PruneOptions = z.output<typeof pruneOptions>;

export const prune = defineStep({
  name: "prune",
  summary: "Mask the weights that matter least",
  options: pruneOptions,
  needs: [],
  async run(model, options, context): Promise<StepReport> {
    const pattern = parsePattern(options.pattern);
    const criterion = criterionOf(options.criterion)!;
    for (const need of criterion.needs) {
      const there = need === "runtime" ? context.runtime : need === "calibration" ? context.calibration : undefined;
      if (there === undefined) throw refusal("criterion", `${need} for ${criterion.name}`, "none");
    }
    const { weights, leftAlone } = chosen(model, options);
    if (weights.length === 0) return { changed: 0, leftAlone };
    context.progress?.(`scoring weights (${criterion.name})`, 0, weights.length);
    const scores = await criterion.score(model, weights, context);
    context.signal?.throwIfAborted();
    const items = weights.map((weight, i): Scored => ({ ...weight, scores: scores[i]! }));
    const masks = select(items, pattern, options, options.scope ?? criterion.scope);
    const changes: string[] = [];
    for (const [i, weight] of weights.entries()) {
      const { kept, amount } = masks[i]!;
      const event = {
        method: criterion.name,
        pattern: patternText(pattern),
        amount,
        scope: options.scope ?? criterion.scope,
      };
      setKept(model, weight.value, kept, event);
      const left = kept.reduce((sum, keep) => sum + keep, 0);
      changes.push(
        `${weight.name} [${weight.tensor.dims}]: ${left} of ${kept.length} left (${percent(left / kept.length)})`,
      );
    }
    if (options.permanent) {
      remove(
        model,
        weights.map(({ name }) => name),
      );
    }
    context.progress?.(`scoring weights (${criterion.name})`, weights.length, weights.length);
    return { changed: weights.length, changes, leftAlone };
  },
});

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const refusal = (subject: string, expected: string, got: string, help?: string): OptionError =>
  new OptionError({ area: "prune", subject, problem: `expected ${expected}, got ${got}`, help });

function chosen(
  model: Model,
  options: PruneOptions,
): { readonly weights: readonly PrunableWeight[]; readonly leftAlone: readonly LeftAlone[] } {
  const weights: PrunableWeight[] = [];
  const leftAlone: LeftAlone[] = [];
  const { parameters, include, ops, exclude } = options;
  const selection = {
    ...(parameters.length > 0 && { parameters }),
    ...(include.length > 0 && { nodes: include }),
    ...(ops.length > 0 && { ops }),
  };
  const all = findPrunable(model, Object.keys(selection).length > 0 ? selection : undefined);
  for (const weight of all) {
    const names = [weight.name, ...(weight.node ? [weight.node.label] : [])];
    const reason = exclude.some((pattern) => names.some((label) => matchesName(pattern, { label })))
      ? "exclude names it"
      : weight.tensor.size < options.minElements
        ? `it has ${weight.tensor.size} elements, fewer than ${options.minElements}`
        : undefined;
    if (reason === undefined) weights.push(weight);
    else leftAlone.push({ subject: weight.name, ...(weight.node && { opType: weight.node.opType }), reason });
  }
  return { weights, leftAlone };
}

interface Selected {
  readonly kept: Uint8Array;
  readonly amount: number;
}

function select(
  items: readonly Scored[],
  pattern: Pattern,
  { amount, amounts }: PruneOptions,
  scope: (typeof SCOPES)[number],
): Selected[] {
  const own = items.map(({ name }) => ownAmount(amounts, name));
  const one = (item: Scored, share: number): Uint8Array =>
    scope === "row" && pattern.kind === "unstructured"
      ? selectWithinRows(item, share)
      : selectLocal(item, pattern, share);
  if (pattern.kind === "n:m") {
    const share = 1 - pattern.n / pattern.m;
    return items.map((item) => ({ kept: one(item, share), amount: share }));
  }
  const shared = items.filter((_item, i) => own[i] === undefined);
  const together = scope === "global" ? selectGlobal(shared, pattern, amount) : shared.map((item) => one(item, amount));
  return items.map((item, i) => {
    const share = own[i];
    if (share !== undefined) return { kept: one(item, share), amount: share };
    return { kept: together[shared.indexOf(item)]!, amount };
  });
}

/** The share that a list of `pattern=share` gives a weight; the last that matches holds. */
function ownAmount(amounts: readonly string[], name: string): number | undefined {
  return amounts.map(parseAmount).findLast(([pattern]) => matchesName(pattern, { label: name }))?.[1];
}

/** `pattern=share` in its parts. @throws OptionError for anything else. */
export function parseAmount(text: string): readonly [pattern: string, share: number] {
  const at = text.lastIndexOf("=");
  const share = Number(text.slice(at + 1));
  if (at >= 1 && text.length > at + 1 && share >= 0 && share <= 1) return [text.slice(0, at), share];
  throw refusal("amounts", "pattern=share with a share from 0 to 1", text, "For example fc1*=0.9.");
}
