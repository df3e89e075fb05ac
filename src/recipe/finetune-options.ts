/**
 * @file The options of fine-tuning a file: one table, from which flags, help and checks come. They are the trainer's, in
 * short forms and with defaults for models that are good already.
 */
import { z } from "zod";
import { AUGMENT } from "../data/augment.ts";

export const FINETUNE_LOSSES = [
  "distill",
  "cross-entropy",
  "nll",
  "bce",
  "mse",
  "l1",
  "huber",
  "smooth-l1",
  "cosine",
  "ctc",
] as const;

const count = z.number().int().min(1);

export const finetuneOptions = z.strictObject({
  loss: z
    .enum(FINETUNE_LOSSES)
    .optional()
    .describe("what is minimized (default: cross-entropy where labels are classes, distill where there are none)"),
  teacher: z
    .string()
    .optional()
    .describe(
      "for distill: the model whose outputs are learned (default: MODEL without its masks and fake quantizers)",
    ),
  hidden: z.array(z.string()).default([]).describe("for distill: values inside that are to be the teacher's, too"),
  layerwise: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "for distill: share of the updates in which each layer learns alone, from what the teacher's reads and gives (default: 0.7 where the teacher has MODEL's structure and MODEL no masks or fake quantizers, else 0)",
    ),
  layerwiseLr: z
    .number()
    .min(0)
    .optional()
    .describe("for distill: learning rate of these updates (default: 1.5 % of the usual size of weights)"),
  temperature: z.number().positive().default(1).describe("for distill: by which logits are divided"),
  lossOutput: z.string().optional().describe("output that the loss looks at (default: the only one; distill: all)"),
  labelSmoothing: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe("for cross-entropy: share of labels spread over all classes"),
  epochs: count.default(5).describe("how often all samples are seen"),
  steps: count.optional().describe("updates after which training ends, instead of epochs"),
  batchSize: count.default(32).describe("samples per batch"),
  accumulate: count.default(1).describe("batches whose gradients make one update"),
  lr: z.number().min(0).default(1e-4).describe("learning rate, the highest of the schedule"),
  optimizer: z.enum(["adamw", "adam", "sgd", "rmsprop"]).default("adamw").describe("how gradients change parameters"),
  schedule: z
    .enum(["cosine", "constant", "polynomial", "one-cycle"])
    .optional()
    .describe("how the learning rate changes (default: one-cycle for distill, else cosine)"),
  warmUp: z.number().int().min(0).default(0).describe("updates in which the learning rate grows"),
  weightDecay: z
    .number()
    .min(0)
    .optional()
    .describe("pull of parameters to 0 (default: 0.01 for adamw, 0 for distill and all others)"),
  momentum: z.number().min(0).max(1).default(0.9).describe("for sgd"),
  clipNorm: z.number().positive().optional().describe("limit on the norm of all gradients together"),
  train: z.array(z.string()).default([]).describe("only parameters whose name matches one of these patterns (* and ?)"),
  freeze: z.array(z.string()).default([]).describe("no parameters whose name matches one of these patterns (* and ?)"),
  batchNorm: z
    .enum(["frozen", "batch-statistics"])
    .default("frozen")
    .describe("normalize by the model's statistics, or by the batch's while these are updated"),
  dropout: z.number().min(0).max(0.99).optional().describe("ratio of all Dropout nodes (default: their own)"),
  validation: z
    .string()
    .default("0.1")
    .describe("share of the samples that is kept for validation, or a path of others; 0: none"),
  patience: count.optional().describe("validations without a better one after which training stops"),
  validateEvery: count.optional().describe("updates between two validations (default: an epoch)"),
  ema: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("decay of moving averages of the parameters, which are the result then"),
  augment: AUGMENT.optional(),
  checkpoint: z.string().optional().describe("folder for checkpoints (default: none are written)"),
  checkpointEvery: count.optional().describe("updates between two checkpoints (default: an epoch)"),
  keepCheckpoints: count.default(2).describe("how many are kept"),
  resume: z.boolean().default(false).describe("go on from the last checkpoint"),
  log: z.string().optional().describe("file to which records are appended, one JSON object a line"),
  timeWays: z
    .boolean()
    .default(false)
    .describe("time the ways of each gradient and take the fastest: two runs may then differ in rounding"),
  missing: z
    .enum(["error", "freeze"])
    .default("error")
    .describe("what to do where an operator has no gradient: stop, or train what comes behind it"),
  constantInputs: z
    .array(z.string())
    .optional()
    .describe(
      "inputs that are the same in all samples (default: whole numbers without dimensions that are, such as a sample rate)",
    ),
  maxMemory: z
    .number()
    .positive()
    .optional()
    .describe("MB above which training is not begun (default: 80 % of the machine's)"),
});

export type FinetuneOptions = z.output<typeof finetuneOptions>;
export type FinetuneInput = z.input<typeof finetuneOptions>;
