/**
 * @file The options of a training program.
 */
import { z } from "zod";

const common = {
  name: z.string().optional().describe("how logs call it; default its kind"),
  weight: z.number().default(1).describe("factor in the sum of all losses"),
  output: z
    .string()
    .optional()
    .describe("the model's output, or any other value by name; default: its only float output"),
  target: z.string().default("label").describe("name under which targets are fed with each batch"),
} as const;

const reduction = z.enum(["mean", "sum"]).default("mean").describe("over all elements (or samples) of the batch");

export const lossOptions = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("cross-entropy"),
    ...common,
    axis: z.number().int().default(-1).describe("the axis of the classes"),
    labelSmoothing: z.number().min(0).max(1).default(0).describe("share of the target spread over all classes"),
    classWeights: z.array(z.number()).optional().describe("one factor per class"),
    ignoreIndex: z.number().int().optional().describe("targets of this class count for nothing"),
    reduction,
  }),
  z.strictObject({ kind: z.literal("mse"), ...common, reduction }),
]);

export type LossOptions = z.output<typeof lossOptions>;

export const optimizerOptions = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("sgd"),
    momentum: z.number().min(0).default(0).describe("share of the last update that goes into the next"),
    dampening: z.number().min(0).max(1).default(0).describe("taken off the gradient's share in the momentum"),
    nesterov: z.boolean().default(false).describe("Nesterov's momentum"),
    weightDecay: z.number().min(0).default(0).describe("factor of the parameter added to its gradient"),
  }),
]);

export type OptimizerOptions = z.output<typeof optimizerOptions>;

export const parameterGroup = z.strictObject({
  match: z.array(z.string()).min(1).describe("patterns of parameter names (* and ?)"),
  learningRate: z.number().min(0).default(1).describe("factor on the learning rate"),
  weightDecay: z.number().min(0).optional().describe("instead of the optimizer's"),
  frozen: z.boolean().default(false).describe("not trained"),
});

export const trainingOptions = z.strictObject({
  losses: z.array(lossOptions).min(1).describe("losses whose weighted sum is minimized"),
  optimizer: optimizerOptions.prefault({ kind: "sgd" }).describe("how gradients change parameters"),
  train: z.array(z.string()).default([]).describe("only parameters whose name matches one of these patterns (* and ?)"),
  freeze: z.array(z.string()).default([]).describe("no parameters whose name matches one of these patterns (* and ?)"),
  groups: z.array(parameterGroup).default([]).describe("other rates and decays by name; the first that matches holds"),
  clipNorm: z.number().positive().optional().describe("the norm to which all gradients together are limited"),
  batchNorm: z
    .enum(["frozen", "batch-statistics"])
    .default("frozen")
    .describe("normalize by the model's running statistics, or by the batch's own while these are updated"),
  dropout: z.number().min(0).max(1).optional().describe("ratio of all Dropout nodes; default: none drops anything"),
  ema: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("decay of moving averages of the parameters; default: none are kept"),
  accumulate: z.boolean().default(false).describe("also build the graph that adds up gradients of several batches"),
  predictions: z.boolean().default(false).describe("let the step graph give the model's outputs, too"),
  missing: z.enum(["error", "freeze"]).default("error").describe("what to do where an operator has no gradient"),
});

export type TrainingOptions = z.output<typeof trainingOptions>;
export type TrainingInput = z.input<typeof trainingOptions>;
