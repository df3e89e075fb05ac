/**
 * @file Losses of differences d = z − t: squares, absolute values, Huber's mixture.
 *
 * Squares relative to the targets' own spread, Σd² / Σ(t − mean t)², have the same size whatever the values' scale is: sums of
 * such losses over many values need no weights.
 * Huber, with a = |d| and q = min(a, δ): q · (a − q/2), that is a²/2 up to δ and δ · (a − δ/2) beyond.
 * Source: PyTorch's MSELoss, L1Loss, HuberLoss, SmoothL1Loss.
 */
import { z } from "zod";
import type { Value } from "../../graph/value.ts";
import { commonOptions, defineLoss, type LossContext, reduceAll, reductionOption, sameShape } from "./loss.ts";

/** Added to a variance: targets that are all the same have none. */
const LEAST_SPREAD = 1e-6;

const difference = (c: LossContext, target: string): Value => c.b.sub(c.output.value, sameShape(c, target));

export const meanSquaredError = defineLoss({
  kind: "mse",
  summary: "Squared differences; with output and target a hidden value of the model and the teacher's",
  options: z.strictObject({
    kind: z.literal("mse"),
    ...commonOptions,
    reduction: reductionOption,
    forced: z
      .boolean()
      .default(false)
      .describe("what comes behind a value inside is trained on the target instead of on the value"),
    relative: z
      .boolean()
      .default(false)
      .describe("divided by the targets' variance in the batch: 1 is what their mean as a constant would have"),
  }),
  build(c, { target, reduction, relative }) {
    const { b } = c;
    const t = sameShape(c, target);
    const squares = reduceAll(b, b.square(b.sub(c.output.value, t)), reduction);
    if (!relative) return squares;
    const centred = b.sub(t, b.mean(t, undefined, true));
    return b.div(squares, b.offset(reduceAll(b, b.square(centred), reduction), LEAST_SPREAD));
  },
});

export const l1Loss = defineLoss({
  kind: "l1",
  summary: "Absolute differences",
  options: z.strictObject({ kind: z.literal("l1"), ...commonOptions, reduction: reductionOption }),
  build: (c, { target, reduction }) => reduceAll(c.b, c.b.op("Abs", [difference(c, target)]), reduction),
});

export const huber = defineLoss({
  kind: "huber",
  summary: "Squares of small differences, absolute values of large ones",
  options: z.strictObject({
    kind: z.literal("huber"),
    ...commonOptions,
    delta: z.number().positive().default(1).describe("where squares end"),
    reduction: reductionOption,
  }),
  build: (c, { target, delta, reduction }) => huberOf(c, target, delta, reduction, 1),
});

export const smoothL1 = defineLoss({
  kind: "smooth-l1",
  summary: "Huber's loss divided by its delta",
  options: z.strictObject({
    kind: z.literal("smooth-l1"),
    ...commonOptions,
    beta: z.number().positive().default(1).describe("where squares end"),
    reduction: reductionOption,
  }),
  build: (c, { target, beta, reduction }) => huberOf(c, target, beta, reduction, 1 / beta),
});

function huberOf(c: LossContext, target: string, delta: number, reduction: "mean" | "sum", factor: number): Value {
  const { b } = c;
  const a = b.op("Abs", [difference(c, target)]);
  const q = b.op("Min", [a, b.scalar(delta)]);
  return b.scale(reduceAll(b, b.mul(q, b.sub(a, b.scale(q, 0.5))), reduction), factor);
}
