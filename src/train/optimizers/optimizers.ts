/**
 * @file THE list of optimizers.
 */
import { z } from "zod";
import { adam, adamW } from "./adam.ts";
import type { Optimizer } from "./optimizer.ts";
import { rmsprop } from "./rmsprop.ts";
import { sgd } from "./sgd.ts";

export const OPTIMIZERS = [sgd, adam, adamW, rmsprop] as const;

export const optimizerOptions = z.discriminatedUnion("kind", [
  sgd.options,
  adam.options,
  adamW.options,
  rmsprop.options,
]);

export type OptimizerOptions = z.output<typeof optimizerOptions>;

/** The optimizer of a kind. */
export function optimizerOf(kind: OptimizerOptions["kind"]): Optimizer {
  return OPTIMIZERS.find((optimizer) => optimizer.kind === kind) as unknown as Optimizer;
}
