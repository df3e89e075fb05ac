/**
 * @file The options that all schemes share, and the choice of nodes that they describe.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { DEFAULT_TARGETS, TARGET_NAMES } from "../runtime/targets.ts";
import { matchesName } from "../util/name-patterns.ts";

export const commonOptions = {
  target: z
    .array(z.enum(TARGET_NAMES))
    .min(1)
    .default([...DEFAULT_TARGETS])
    .describe("runtimes the file is meant for; what runs slower there stays in float"),
  include: z.array(z.string()).default([]).describe("only nodes whose name matches one of these patterns (* and ?)"),
  exclude: z.array(z.string()).default([]).describe("no nodes whose name matches one of these patterns (* and ?)"),
  ops: z.array(z.string()).default([]).describe("only these operator types, for example MatMul,Gemm"),
  excludeOps: z.array(z.string()).default([]).describe("none of these operator types"),
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

/** The choice of nodes that the options describe. */
export type NodeChoice = Pick<CommonOptions, "include" | "exclude" | "ops" | "excludeOps">;

/** Why the options leave a node out, or undefined where they do not. */
export function leftOut(node: Pick<Node, "label" | "opType">, options: NodeChoice): string | undefined {
  const matches = (patterns: readonly string[]): boolean => patterns.some((pattern) => matchesName(pattern, node));
  if (options.include.length > 0 && !matches(options.include)) return "include does not name it";
  if (matches(options.exclude)) return "exclude names it";
  if (options.ops.length > 0 && !options.ops.includes(node.opType)) return `ops does not name ${node.opType}`;
  if (options.excludeOps.includes(node.opType)) return `exclude-ops names ${node.opType}`;
  return undefined;
}
