/**
 * @file Cross-entropy of classes: of logits, with class indices or distributions as targets.
 */
import { z } from "zod";
import { classLoss, classOptions } from "./classes.ts";
import { logProbabilities } from "./logits.ts";
import { axisOf, commonOptions, defineLoss } from "./loss.ts";

export const crossEntropy = defineLoss({
  kind: "cross-entropy",
  summary: "Cross-entropy of logits, with class indices or distributions as targets",
  options: z.strictObject({
    kind: z.literal("cross-entropy"),
    ...commonOptions,
    ...classOptions,
    labelSmoothing: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("share of each target that is spread over all classes"),
  }),
  build(c, options) {
    const axis = axisOf(c, options.axis);
    return classLoss(c, logProbabilities(c, axis), axis, options, options.labelSmoothing);
  },
});

export const nll = defineLoss({
  kind: "nll",
  summary: "Negative log-likelihood of log-probabilities",
  options: z.strictObject({ kind: z.literal("nll"), ...commonOptions, ...classOptions }),
  build: (c, options) => classLoss(c, c.output.value, axisOf(c, options.axis), options),
});
