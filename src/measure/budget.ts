/**
 * @file How much of a metric may be lost: "1pt" and "1%", and whether a result keeps to it.
 */
import { OptionError } from "../util/errors.ts";
import type { MetricResult } from "./meter.ts";

/** A loss that is allowed: in points (a point is 0.01 of the metric), or as a share of the original's value. */
export interface Budget {
  readonly kind: "points" | "relative";
  /** 0.01 for "1pt" and for "1%". */
  readonly amount: number;
  /** As it was written. */
  readonly text: string;
}

export interface BudgetVerdict {
  readonly metric: string;
  readonly ok: boolean;
  /** What was lost, in the budget's kind: above 0 = worse than the original. */
  readonly loss: number;
  /** The loss at the bad end of the interval: what decides. */
  readonly bound: number;
  /** The loss that is allowed. */
  readonly limit: number;
  /** The budget's. */
  readonly kind: Budget["kind"];
  /** One sentence. */
  readonly text: string;
}

const PATTERN = /^(\d+(?:\.\d+)?)\s*(pt|%)$/;

/**
 * "1pt": one point, an absolute 0.01 (98 % → 97 %). "1%": a hundredth of the original's value (98 % → 97.02 %).
 * @throws OptionError for anything else.
 */
export function parseBudget(text: string): Budget {
  const match = PATTERN.exec(text.trim());
  if (match !== null) {
    return { kind: match[2] === "pt" ? "points" : "relative", amount: Number(match[1]) / 100, text: text.trim() };
  }
  throw new OptionError({
    area: "measure",
    subject: "--max-drop",
    problem: `expected points or a percentage, such as 1pt or 0.5%, got ${JSON.stringify(text)}`,
    help: "1pt: from 98 % to 97 %. 1%: from 98 % to 97.02 %.",
  });
}

/** Whether the budget can be applied to the metric: points to shares and scores, a percentage to what is not 0. */
export function fitsBudget(result: MetricResult, budget: Budget): boolean {
  if (result.difference === undefined) return false;
  if (budget.kind === "points") return result.unit === "share" || result.unit === "score";
  return Number.isFinite(result.original) && result.original !== 0;
}

/**
 * Decides at the bad end of the difference's interval, so that a few samples cannot prove what they do not show. Where
 * no sample differs the interval has no width: then the bound is the difference itself, and the sentence says how large
 * a loss that many samples would not have shown (the rule of three: 3 ÷ n at 95 %. Hanley & Lippman-Hand, If Nothing
 * Goes Wrong, Is Everything All Right?, JAMA 1983).
 * @throws OptionError where {@link fitsBudget} is false.
 */
export function withinBudget(result: MetricResult, budget: Budget): BudgetVerdict {
  const { name, difference, direction, original } = result;
  if (difference === undefined || !fitsBudget(result, budget)) {
    throw new OptionError({
      area: "measure",
      subject: `--max-drop ${budget.text}`,
      problem: `expected a metric that it can be applied to, got ${name} (${result.unit}, original ${original})`,
      help:
        budget.kind === "points"
          ? "Points are hundredths of a share: give a percentage."
          : "Give points, or another --metric.",
    });
  }
  const scale = budget.kind === "points" ? 1 : 1 / Math.abs(original);
  const loss = worse(direction, difference.value) * scale;
  const bound = scale * (direction === "higher" ? -difference.low : difference.high);
  // Rounding of the sums must not decide.
  const ok = bound <= budget.amount + 1e-9;
  const verdict = { metric: name, ok, loss, bound, limit: budget.amount, kind: budget.kind };
  return { ...verdict, text: describe(result, budget, verdict) };
}

const worse = (direction: MetricResult["direction"], difference: number): number =>
  direction === "higher" ? 0 - difference : difference;

function describe(result: MetricResult, budget: Budget, { ok, loss, bound }: Omit<BudgetVerdict, "text">): string {
  const amount = (value: number): string =>
    budget.kind === "points" ? `${(100 * value).toFixed(2)} points` : `${(100 * value).toFixed(2)} %`;
  const { name, samples, against, differing } = result;
  const what = against === "original" ? `${name} with the original` : name;
  const unseen = 3 / samples;
  const few =
    differing === 0 && unseen > budget.amount
      ? `; no answer differs, but ${samples} samples cannot show losses below ${(100 * unseen).toFixed(1)} points`
      : "";
  const change = loss > 0 ? `loses ${amount(loss)}` : loss < 0 ? `gains ${amount(-loss)}` : "loses nothing";
  if (ok) return `${what} ${change}, at worst ${amount(Math.max(0, bound))}, within ${budget.text}${few}`;
  const more = loss <= budget.amount ? "; more samples would narrow the interval" : "";
  return `${what} ${change}, at worst ${amount(bound)} (95 %, ${samples} samples): over ${budget.text}${more}`;
}

/**
 * The verdicts on a file: of the metrics that know labels where there are some, else of those against the original.
 * @throws OptionError where the budget can be applied to none of them.
 */
export function judgeBudget(results: readonly MetricResult[], budget: Budget): readonly BudgetVerdict[] {
  const fitting = results.filter((result) => fitsBudget(result, budget));
  const task = fitting.filter(({ against }) => against === "labels");
  const chosen = task.length > 0 ? task : fitting;
  if (chosen.length > 0) return chosen.map((result) => withinBudget(result, budget));
  if (results[0] !== undefined) withinBudget(results[0], budget);
  throw new OptionError({
    area: "measure",
    subject: `--max-drop ${budget.text}`,
    problem: "expected a metric to apply it to, got none",
    help: "Choose one with --metric; see docs/evaluation.md.",
  });
}
