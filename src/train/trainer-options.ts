/**
 * @file The options of the trainer: those of the training program, and how it is run.
 */
import { z } from "zod";
import { metricOptions } from "../measure/metrics/options.ts";
import { layerwiseOptions } from "./layerwise.ts";
import { trainingOptions } from "./options.ts";
import { scheduleOptions } from "./schedules.ts";

const { accumulate: _accumulate, predictions: _predictions, ...program } = trainingOptions.shape;
const count = z.number().int().min(1);

export const trainerOptions = z.strictObject({
  ...program,
  epochs: count.default(10).describe("how often all samples are seen"),
  steps: count.optional().describe("updates after which training ends, whatever epoch that is"),
  batchSize: count.default(32).describe("samples per batch"),
  accumulate: count.default(1).describe("batches whose gradients make one update"),
  lastBatch: z
    .enum(["drop", "keep"])
    .default("drop")
    .describe(
      "what happens to samples that are too few for a batch at the end of an epoch; keep: a program of their own",
    ),
  learningRate: z.number().min(0).default(1e-3).describe("learning rate, the highest of the schedule"),
  schedule: scheduleOptions.prefault({ kind: "constant" }).describe("how the learning rate changes"),
  layerwise: layerwiseOptions
    .optional()
    .describe(
      "let each layer learn alone from the teacher's before all learn together; default: together from the start",
    ),
  validateEvery: count.optional().describe("updates between two validations; default: after each epoch"),
  metric: z
    .string()
    .optional()
    .describe(
      "what validation measures: loss, or a metric by name; default: top-1 where labels are classes, else loss",
    ),
  metricOptions: metricOptions.prefault({}).describe("options of the metric"),
  patience: count.optional().describe("validations without a better one after which training stops"),
  keepBest: z
    .boolean()
    .default(true)
    .describe("end with the parameters of the best validation, not with the last ones"),
  divergenceFactor: z
    .number()
    .min(1)
    .default(10)
    .describe(
      "a loss is too high above this many times its best running average, or a tenth of the first, if that is more",
    ),
  divergenceSteps: count.default(20).describe("updates in a row with too high a loss after which training stops"),
  memoryLimit: z.number().positive().optional().describe("bytes above which training is not begun, by the estimate"),
  maxShapes: count.default(8).describe("programs that are kept at once for batches of different dimensions"),
  timeWays: z
    .boolean()
    .default(false)
    .describe("time the ways of each gradient and take the fastest: two runs may then differ in rounding"),
  checkpointEvery: count.optional().describe("updates between two checkpoints; default: after each epoch"),
  logEvery: count.default(10).describe("updates between two records of the log"),
  threads: count.default(1).describe("threads within an operator"),
  seed: z.number().int().default(0).describe("of the order, of augmentation, of dropout"),
});

export type TrainerOptions = z.output<typeof trainerOptions>;
export type TrainerInput = z.input<typeof trainerOptions>;

/** Options that do not change what comes out. */
export const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "memoryLimit",
  "maxShapes",
  "checkpointEvery",
  "logEvery",
] satisfies readonly (keyof TrainerOptions)[]);
