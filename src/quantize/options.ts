/**
 * @file The options that all schemes share.
 */
import { z } from "zod";
import { DEFAULT_TARGETS, TARGET_NAMES } from "../runtime/targets.ts";
import { choiceOptions } from "../step/choice.ts";

export const commonOptions = {
  target: z
    .array(z.enum(TARGET_NAMES))
    .min(1)
    .default([...DEFAULT_TARGETS])
    .describe("runtimes the file is meant for; what runs slower there stays in float"),
  ...choiceOptions,
  minSqnr: z
    .number()
    .default(20)
    .describe("weights whose signal-to-quantization-noise ratio is lower stay in float (decibels)"),
  minElements: z.number().int().min(1).default(256).describe("weights with fewer elements stay in float"),
  force: z.boolean().default(false).describe("quantize what would be slower or less exact, too"),
} as const;

/** Of the schemes that compute in 8 bits: small products gain less than the conversions around them cost, and lose most. */
export const computedOptions = {
  ...commonOptions,
  minElements: z
    .number()
    .int()
    .min(1)
    .default(2048)
    .describe("weights with fewer elements are not computed in 8 bits: it is slower and loses most"),
  storeRest: z.boolean().default(true).describe("store the weights that are not computed in 8 bits in 8 bits, too"),
  minStored: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe(
      "weights with fewer elements are not stored in 8 bits (default: 2048, 256 behind calibrated activations)",
    ),
} as const;

export type ComputedOptions = z.output<z.ZodObject<typeof computedOptions>>;

export type CommonOptions = z.output<z.ZodObject<typeof commonOptions>>;
