/**
 * @file How sparse a model is at each update of its training: pure functions of the number of the update.
 *
 * With the sparsity s_f at the end, s_i at first, the updates t₀ (begin) and t₁ (end), and p = (t − t₀) / (t₁ − t₀):
 *
 *   one-shot   s_f from t₀ on
 *   constant   s_f from t₀ on; masks are chosen again until t₁: for regrowth
 *   linear     s_f + (s_i − s_f) · (1 − p)
 *   cubic      s_f + (s_i − s_f) · (1 − p)³
 *   iterative  1 − (1 − s_f)^(c / k) in the c-th of k cycles: each takes the same share of what is left
 *
 * Source: Zhu & Gupta 2017, equation 1 (cubic); Han et al. 2015, section 3 (iterative); TensorFlow Model Optimization's
 * ConstantSparsity and PolynomialDecay.
 */
import { z } from "zod";

const share = (description: string, standard: number) =>
  z.number().min(0).max(1).default(standard).describe(description);
const begin = share("share of all updates before the first pruning", 0);
const end = (standard: number) => share("share of all updates after which masks stay as they are", standard);
const every = z.number().int().min(1).default(100).describe("updates between two prunings");
const initial = share("sparsity at the first pruning", 0);

export const sparsityScheduleOptions = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("one-shot"), begin }),
  z.strictObject({ kind: z.literal("constant"), begin, end: end(0.75), every }),
  z.strictObject({ kind: z.literal("linear"), begin, end: end(0.5), every, initial }),
  z.strictObject({ kind: z.literal("cubic"), begin, end: end(0.5), every, initial }),
  z.strictObject({
    kind: z.literal("iterative"),
    begin,
    end: end(0.5),
    cycles: z
      .number()
      .int()
      .min(1)
      .default(5)
      .describe("how often it is pruned and trained on; the last cycle lasts to the end"),
  }),
]);

export type SparsitySchedule = z.output<typeof sparsityScheduleOptions>;

/**
 * The updates after which masks are chosen, ascending; 0 is before the first update.
 * @param total Updates of the whole training.
 */
export function pruningUpdates(schedule: SparsitySchedule, total: number): readonly number[] {
  const [first, last] = bounds(schedule, total);
  if (schedule.kind === "one-shot") return [first];
  if (schedule.kind === "iterative") {
    const { cycles } = schedule;
    const at = (c: number): number => (cycles === 1 ? first : first + Math.round((c * (last - first)) / (cycles - 1)));
    return [...new Set(Array.from({ length: cycles }, (_item, c) => at(c)))];
  }
  const found: number[] = [];
  for (let update = first; update < last; update += schedule.every) found.push(update);
  return [...found, last];
}

/**
 * The sparsity from a pruning on; between two of them it is that of the one before.
 * @param final Sparsity at the end, 0 to 1.
 * @param update One of {@link pruningUpdates}; what lies between them has what the formula gives.
 */
export function sparsityAt(schedule: SparsitySchedule, final: number, update: number, total: number): number {
  const [first, last] = bounds(schedule, total);
  if (update < first) return 0;
  switch (schedule.kind) {
    case "one-shot":
    case "constant":
      return final;
    case "iterative": {
      const updates = pruningUpdates(schedule, total);
      const cycle = updates.filter((at) => at <= update).length;
      // Exactly s_f in the last: a power of 1 might round.
      return cycle === updates.length ? final : 1 - (1 - final) ** (cycle / updates.length);
    }
    case "linear":
    case "cubic": {
      if (update >= last) return final;
      const left = 1 - (update - first) / (last - first);
      return final + (schedule.initial - final) * left ** (schedule.kind === "cubic" ? 3 : 1);
    }
  }
}

/** One stretch of training between two cuts of the sparsity. */
export interface Cycle {
  /** Its first update, from 0. */
  readonly begin: number;
  readonly length: number;
}

/** The cycle that an update (from 0) belongs to; schedules that are not iterative cut at most once. */
export function cycleAt(schedule: SparsitySchedule, update: number, total: number): Cycle {
  const cuts = schedule.kind === "iterative" || schedule.kind === "one-shot" ? pruningUpdates(schedule, total) : [];
  const begin = Math.max(0, ...cuts.filter((at) => at <= update));
  const next = Math.min(total, ...cuts.filter((at) => at > update));
  return { begin, length: next - begin };
}

function bounds(schedule: SparsitySchedule, total: number): readonly [number, number] {
  const first = Math.round(schedule.begin * total);
  return [first, Math.max(first, "end" in schedule ? Math.round(schedule.end * total) : first)];
}
