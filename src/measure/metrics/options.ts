/**
 * @file The options of metrics; flags, help and documentation come from this table.
 */
import { z } from "zod";

export const metricOptions = z.object({
  metricOutput: z.string().optional().describe("output that metrics look at (default: the first that fits)"),
  topK: z.number().int().min(1).default(5).describe("for top-k: the label may be among this many best"),
  f1Average: z
    .enum(["macro", "micro", "binary"])
    .default("macro")
    .describe("for f1: mean over classes, all counts together, or class 1 alone"),
  metricThreshold: z.number().default(0.5).describe("for outputs of one value per answer: from here on it is class 1"),
  ctcBlank: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("for cer, wer, exact-match of scores [T, C]: the blank's class"),
  ctcKeys: z.array(z.string()).optional().describe("for cer, wer, exact-match: text of each class"),
  ignoreLabel: z.number().int().optional().describe("label that is not counted, such as -100 or a padding id"),
});

export type MetricOptions = z.output<typeof metricOptions>;

/** The table's defaults. */
export const DEFAULT_METRIC_OPTIONS: MetricOptions = metricOptions.parse({});
