/**
 * @file The choice of nodes that steps leave to the user: names by pattern, and operator types.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { matchesName } from "../util/name-patterns.ts";

export const choiceOptions = {
  include: z.array(z.string()).default([]).describe("only nodes whose name matches one of these patterns (* and ?)"),
  exclude: z.array(z.string()).default([]).describe("no nodes whose name matches one of these patterns (* and ?)"),
  ops: z.array(z.string()).default([]).describe("only these operator types, for example MatMul,Gemm"),
  excludeOps: z.array(z.string()).default([]).describe("none of these operator types"),
} as const;

/** The choice of nodes that the options describe. */
export type NodeChoice = z.output<z.ZodObject<typeof choiceOptions>>;

/** Why the options leave a node out, or undefined where they do not. */
export function leftOut(node: Pick<Node, "label" | "opType">, options: NodeChoice): string | undefined {
  const matches = (patterns: readonly string[]): boolean => patterns.some((pattern) => matchesName(pattern, node));
  if (options.include.length > 0 && !matches(options.include)) return "include does not name it";
  if (matches(options.exclude)) return "exclude names it";
  if (options.ops.length > 0 && !options.ops.includes(node.opType)) return `ops does not name ${node.opType}`;
  if (options.excludeOps.includes(node.opType)) return `exclude-ops names ${node.opType}`;
  return undefined;
}
