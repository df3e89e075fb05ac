/**
 * @file The options of a training program.
 */
import { z } from "zod";
import { lossOptions } from "./losses/losses.ts";
import { optimizerOptions } from "./optimizers/optimizers.ts";

const patterns = z.array(z.string());

export const parameterGroup = z.strictObject({
  match: patterns.min(1).describe("patterns of parameter names (* and ?)"),
  learningRate: z.number().min(0).default(1).describe("factor on the learning rate"),
  weightDecay: z.number().min(0).optional().describe("instead of the optimizer's"),
  frozen: z.boolean().default(false).describe("not trained"),
});

export type ParameterGroup = z.output<typeof parameterGroup>;

export const penalty = z.strictObject({
  kind: z.enum(["l1", "l2"]).describe("l1: the sum of absolute values, l2: of squares"),
  match: patterns.min(1).default(["*"]).describe("patterns of parameter names (* and ?)"),
  weight: z.number().min(0).describe("factor in the loss"),
});

export type Penalty = z.output<typeof penalty>;

export const trainingOptions = z.strictObject({
  losses: z.array(lossOptions).min(1).describe("losses whose weighted sum is minimized"),
  penalties: z.array(penalty).default([]).describe("added to the loss, for parameters by name"),
  optimizer: optimizerOptions.prefault({ kind: "sgd" }).describe("how gradients change parameters"),
  train: patterns.default([]).describe("only parameters whose name matches one of these patterns (* and ?)"),
  freeze: patterns.default([]).describe("no parameters whose name matches one of these patterns (* and ?)"),
  groups: z.array(parameterGroup).default([]).describe("other rates and decays by name; the first that matches holds"),
  clipNorm: z.number().positive().optional().describe("the norm to which all gradients together are limited"),
  batchNorm: z
    .enum(["frozen", "batch-statistics"])
    .default("frozen")
    .describe("normalize by the model's running statistics, or by the batch's own while these are updated"),
  dropout: z
    .union([z.literal("own"), z.number().min(0).max(0.99)])
    .default("own")
    .describe("ratio of all Dropout nodes, or their own; 0: none drops anything"),
  ema: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("decay of moving averages of the parameters; default: none are kept"),
  accumulate: z.boolean().default(false).describe("also build the graph that adds up gradients of several batches"),
  constantInputs: z
    .array(z.string())
    .default([])
    .describe("inputs that always have the sample batch's contents, a sample rate for example: they become constant"),
  updateMasked: z
    .boolean()
    .default(false)
    .describe("let decay and momentum change weights under a mask, too; default: they stay exactly as they are"),
  masks: z
    .strictObject({
      change: z.boolean().default(false).describe("masks are state: they may change between updates"),
      straightThrough: z
        .boolean()
        .default(false)
        .describe(
          "gradients of masked weights pass to weights under the mask, too: with updateMasked they go on moving",
        ),
      movement: z.boolean().default(false).describe("add up movement scores: S ← S − γ · w · ∂L/∂w"),
      gradients: z.boolean().default(false).describe("also build the graph that gives the gradients"),
    })
    .prefault({})
    .describe("how masks on parameters take part"),
  predictions: z.boolean().default(false).describe("let the step graph give the model's outputs, too"),
  missing: z
    .enum(["error", "freeze"])
    .default("error")
    .describe("what to do where an operator has no gradient: stop, or train what comes behind it"),
});

export type TrainingOptions = z.output<typeof trainingOptions>;
export type TrainingInput = z.input<typeof trainingOptions>;
