/**
 * @file The options of pruning during training, and of the training around it.
 */
import { z } from "zod";
import type { PruneEvent } from "../prune/masks.ts";
import { type Pattern, parsePattern } from "../prune/pattern.ts";
import { sparsityScheduleOptions } from "../prune/schedule.ts";
import { OptionError } from "../util/errors.ts";
import { trainerOptions } from "./trainer-options.ts";

export const pruneOptions = z.strictObject({
  amount: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of the chosen weights that is gone at the end; n:m says itself how many stay"),
  pattern: z
    .string()
    .default("unstructured")
    .describe("what goes together: unstructured, n:m, outputs x inputs, row, column"),
  criterion: z
    .enum(["magnitude", "lamp", "random", "taylor", "snip", "movement"])
    .default("magnitude")
    .describe("how weights are ranked: the lowest go"),
  scope: z
    .enum(["global", "layer"])
    .default("global")
    .describe("one ranking of all weights, or the same share of each"),
  layers: z
    .record(z.string(), z.number().min(0).max(1))
    .default({})
    .describe("other shares by patterns of weight names, each of its own; the first that matches holds"),
  select: z.array(z.string()).default([]).describe("only weights whose name matches one of these patterns (* and ?)"),
  schedule: sparsityScheduleOptions.prefault({ kind: "cubic" }).describe("how sparsity grows over the updates"),
  regrowth: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("none") }),
      z.strictObject({
        kind: z.literal("surgery"),
        margin: z
          .number()
          .min(0)
          .max(0.99)
          .default(0.1)
          .describe("m: what is gone comes back above (1 + m) / (1 − m) times the lowest"),
      }),
      z.strictObject({
        kind: z.literal("gradient"),
        share: z
          .number()
          .min(0)
          .max(1)
          .default(0.3)
          .describe("of the weights that are left, exchanged at the first pruning; falls by a cosine to 0"),
      }),
    ])
    .prefault({ kind: "none" })
    .describe("whether pruned weights come back"),
  batches: z
    .number()
    .int()
    .min(1)
    .default(8)
    .describe("batches over which gradients are averaged where they rank weights"),
  rate: z
    .enum(["once", "restart"])
    .default("once")
    .describe("one learning rate schedule over all updates, or one for each cycle of prune and fine-tune"),
});

export type PruneOptions = z.output<typeof pruneOptions>;
export type PruneInput = z.input<typeof pruneOptions>;

/** The trainer's options, and `prune`. */
export const pruneAndTrainOptions = trainerOptions.extend({
  prune: pruneOptions.prefault({}).describe("what is pruned, and when"),
});

export type PruneAndTrainOptions = z.output<typeof pruneAndTrainOptions>;
export type PruneAndTrainInput = z.input<typeof pruneAndTrainOptions>;

/** @throws OptionError for options that do not go together. */
export function checkPruneOptions({ pattern, criterion, schedule, regrowth, scope }: PruneOptions): Pattern {
  const parsed = parsePattern(pattern);
  const refuse = (subject: string, problem: string, help?: string): never => {
    throw new OptionError({ area: "prune", subject, problem, help });
  };
  const gradual = schedule.kind !== "one-shot" && schedule.kind !== "constant";
  if (parsed.kind === "n:m" && gradual) {
    refuse(
      "schedule",
      `expected one-shot or constant with the pattern ${pattern}, got ${schedule.kind}`,
      "n:m has one sparsity only.",
    );
  }
  if (parsed.kind === "n:m" && regrowth.kind === "gradient") {
    refuse("regrowth", `expected none or surgery with the pattern ${pattern}, got gradient`);
  }
  if (regrowth.kind === "gradient" && parsed.kind !== "unstructured") {
    refuse("regrowth", `expected the pattern unstructured with gradient, got ${pattern}`);
  }
  if (
    criterion === "movement" &&
    schedule.begin === 0 &&
    (schedule.kind === "one-shot" || schedule.kind === "constant")
  ) {
    refuse(
      "schedule",
      `expected a begin above 0 for the criterion movement, got 0`,
      "Before the first update nothing has moved.",
    );
  }
  if (criterion === "lamp" && scope === "layer") {
    refuse("criterion", "expected scope global with lamp, got layer", "Within a layer it ranks as magnitude does.");
  }
  return parsed;
}

/** What the options ask of the training program. */
export function maskNeeds({ criterion, regrowth }: PruneOptions) {
  const movement = criterion === "movement";
  return {
    change: true,
    straightThrough: regrowth.kind === "surgery" && !movement,
    movement,
    gradients: criterion === "taylor" || criterion === "snip" || regrowth.kind === "gradient",
  } as const;
}

/** What a model remembers of it. */
export function pruneEvent(
  { amount, pattern, criterion, scope, layers, schedule, regrowth }: PruneOptions,
  updates: number,
): PruneEvent {
  return {
    method: "while-training",
    amount,
    pattern,
    criterion,
    scope,
    ...(Object.keys(layers).length > 0 && { layers }),
    schedule: schedule.kind,
    regrowth: regrowth.kind,
    updates,
  };
}
