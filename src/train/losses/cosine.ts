/**
 * @file 1 − the cosine between outputs and targets.
 * Source: PyTorch's CosineEmbeddingLoss with target 1, and cosine_similarity for lengths near 0.
 */
import { z } from "zod";
import type { Value } from "../../graph/value.ts";
import { axisOf, commonOptions, defineLoss, reduceAll, reductionOption, sameShape } from "./loss.ts";

/** Vectors shorter than this count as this long. */
const SHORTEST = 1e-8;

export const cosine = defineLoss({
  kind: "cosine",
  summary: "One minus the cosine between outputs and targets",
  options: z.strictObject({
    kind: z.literal("cosine"),
    ...commonOptions,
    axis: z.number().int().default(-1).describe("the axis of the vectors"),
    reduction: reductionOption,
  }),
  build(c, options) {
    const { b } = c;
    const axis = axisOf(c, options.axis);
    const [x, t] = [c.output.value, sameShape(c, options.target)];
    // The bound is under the root, whose slope at 0 is infinite.
    const length = (v: Value): Value =>
      b.op("Sqrt", [b.op("Max", [b.sum(b.square(v), [axis], false), b.scalar(SHORTEST ** 2)])]);
    const similarity = b.div(b.sum(b.mul(x, t), [axis], false), b.mul(length(x), length(t)));
    return reduceAll(b, b.sub(b.scalar(1), similarity), options.reduction);
  },
});
