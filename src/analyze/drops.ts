/**
 * @file What files lost on each target, against what they may lose.
 */
import { type Budget, type BudgetVerdict, judgeBudget } from "../measure/budget.ts";
import type { TargetName } from "../runtime/targets.ts";
import type { TargetMeasurement } from "./job.ts";

export interface Drop extends BudgetVerdict {
  readonly target: TargetName;
  /** The file's name in the job. */
  readonly file: string;
}

/** Its outputs were not of the kind that the metric takes. */
const NOT_MEASURED = {
  metric: "none",
  ok: false,
  loss: Number.NaN,
  bound: Number.NaN,
  text: "what it answers cannot be measured: its outputs are not those of the original",
} as const;

/**
 * Every file that ran, on every target. Where several metrics decide, each has an entry.
 * @throws OptionError where the budget cannot be applied to what was measured.
 */
export function judgeDrops(targets: readonly TargetMeasurement[], budget: Budget): readonly Drop[] {
  return targets.flatMap(({ target, files, generated }) =>
    files.slice(1).flatMap((file) => {
      // What does not run has been judged by that.
      if (file.error !== undefined) return [];
      const metrics = file.metrics ?? [];
      if (metrics.length === 0)
        return [{ ...NOT_MEASURED, limit: budget.amount, kind: budget.kind, target, file: file.name }];
      return judgeBudget(metrics, budget).map((verdict) => ({
        ...verdict,
        text: generated ? `${verdict.text}, on generated inputs` : verdict.text,
        target,
        file: file.name,
      }));
    }),
  );
}
