/**
 * @file Binary cross-entropy of logits.
 *
 *   loss = (1 − t) · z + (1 + (w − 1) · t) · log(1 + e^−z)        w: weight of positive targets
 *
 * Softplus computes the logarithm without overflow, and its gradient is a Sigmoid.
 * Source: PyTorch's BCEWithLogitsLoss.
 */
import { z } from "zod";
import { Tensor } from "../../tensor/tensor.ts";
import { binaryLogits } from "./logits.ts";
import { commonOptions, defineLoss, reduceAll, reductionOption, sameShape } from "./loss.ts";

export const binaryCrossEntropy = defineLoss({
  kind: "bce",
  summary: "Binary cross-entropy of logits",
  options: z.strictObject({
    kind: z.literal("bce"),
    ...commonOptions,
    positiveWeight: z
      .union([z.number().min(0), z.array(z.number().min(0))])
      .optional()
      .describe("factor of positive targets: one, or one per index of the last axis"),
    reduction: reductionOption,
  }),
  build(c, { target, positiveWeight, reduction }) {
    const { b } = c;
    const [logits, t] = [binaryLogits(c), sameShape(c, target)];
    let softplus = b.op("Softplus", [b.neg(logits)]);
    if (positiveWeight !== undefined) {
      const list = typeof positiveWeight === "number" ? [positiveWeight] : positiveWeight;
      const last = c.output.dims.at(-1) ?? 1;
      if (list.length !== 1 && list.length !== last)
        throw c.refuse(`expected 1 or ${last} weights, got ${list.length}`);
      const less = b.initializer(
        Tensor.float32(
          list.length === 1 ? [] : [last],
          list.map((weight) => weight - 1),
        ),
      );
      softplus = b.mul(b.offset(b.mul(t, less), 1), softplus);
    }
    const negative = b.mul(b.sub(b.scalar(1), t), logits);
    return reduceAll(b, b.add(negative, softplus), reduction);
  },
});
