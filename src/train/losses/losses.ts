/**
 * @file THE list of losses.
 */
import { z } from "zod";
import { binaryCrossEntropy } from "./binary.ts";
import { cosine } from "./cosine.ts";
import { crossEntropy, nll } from "./cross-entropy.ts";
import { ctc } from "./ctc.ts";
import { distillation } from "./distillation.ts";
import type { Loss } from "./loss.ts";
import { huber, l1Loss, meanSquaredError, smoothL1 } from "./regression.ts";

export const LOSSES = [
  crossEntropy,
  nll,
  binaryCrossEntropy,
  meanSquaredError,
  l1Loss,
  huber,
  smoothL1,
  cosine,
  distillation,
  ctc,
] as const;

export const lossOptions = z.discriminatedUnion("kind", [
  crossEntropy.options,
  nll.options,
  binaryCrossEntropy.options,
  meanSquaredError.options,
  l1Loss.options,
  huber.options,
  smoothL1.options,
  cosine.options,
  distillation.options,
  ctc.options,
]);

export type LossOptions = z.output<typeof lossOptions>;

/** The loss of a kind. */
export function lossOf(kind: LossOptions["kind"]): Loss {
  return LOSSES.find((loss) => loss.kind === kind) as unknown as Loss;
}
