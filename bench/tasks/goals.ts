/** @file Whether a quantized file reaches what the road map asks of it. */
import type { Interval } from "../../src/measure/interval.ts";
import type { Estimate } from "./bootstrap.ts";
import type { Task } from "./task.ts";

export interface GoalResult {
  readonly text: string;
  readonly met: boolean;
}

/** What of a target's results goals are about; the first figure is the one that counts. */
export interface Judged {
  readonly target: string;
  readonly figures: readonly {
    readonly name: string;
    readonly value: Estimate;
    readonly difference: Estimate | undefined;
  }[];
  readonly latency: { readonly ratio: Pick<Interval, "median"> } | undefined;
}

/** `loss`: most that the first figure may lose; `value`: least it must be; `bytes`: largest share; `speed`: least ratio. */
export function goalsMet(task: Task, bytes: number, targets: readonly Judged[]): GoalResult[] {
  const [figure] = task.figures;
  return Object.entries(task.goals).flatMap(([goal, bound]): GoalResult[] => {
    if (goal === "bytes") return [{ text: `bytes ${bytes.toFixed(3)}x, goal at most ${bound}x`, met: bytes <= bound }];
    return targets.flatMap(({ target, figures: [own], latency }): GoalResult[] => {
      if (goal === "speed") {
        if (latency === undefined) return [];
        const { median } = latency.ratio;
        return [{ text: `${target}: ${median.toFixed(2)}x faster, goal at least ${bound}x`, met: median >= bound }];
      }
      if (own === undefined || figure === undefined) return [{ text: `${target}: does not run`, met: false }];
      const { name, value, difference } = own;
      if (goal === "value") {
        const text = `${target}: ${name} ${(100 * value.value).toFixed(2)} %, goal at least ${100 * bound} %`;
        return [{ text, met: value.value >= bound }];
      }
      const loss = (figure.better === "lower" ? 1 : -1) * difference!.value;
      const text = `${target}: ${name} ${(100 * loss).toFixed(2)} points worse, goal at most ${100 * bound}`;
      // Counts of pictures are whole: a tenth of a point of 10,000 is ten of them, not 10.000000001.
      return [{ text, met: loss <= bound + 1e-9 }];
    });
  });
}
