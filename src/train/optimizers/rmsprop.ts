/**
 * @file RMSprop.
 *
 *   g ← g + λ · θ
 *   v ← α · v + (1 − α) · g²
 *   centered:  a ← α · a + (1 − α) · g,  v' = v − a²;  else v' = v
 *   b ← μ · b + g / (√v' + ε)
 *   θ ← θ − γ · b
 *
 * Source: PyTorch's torch.optim.RMSprop; Tieleman & Hinton 2012; centered: Graves 2013, section 4.2.
 */
import { z } from "zod";
import { blend, defineOptimizer, weightDecayOption, withDecay } from "./optimizer.ts";

export const rmsprop = defineOptimizer({
  kind: "rmsprop",
  summary: "RMSprop: gradients divided by the root of their mean square",
  options: z.strictObject({
    kind: z.literal("rmsprop"),
    alpha: z.number().min(0).max(1).default(0.99).describe("how slowly the mean of squares changes"),
    epsilon: z.number().min(0).default(1e-8).describe("added to the root of the mean square"),
    momentum: z.number().min(0).default(0).describe("share of the last update that goes into the next"),
    centered: z.boolean().default(false).describe("take the variance instead of the mean square"),
    weightDecay: weightDecayOption.default(0),
  }),
  moments: ({ momentum, centered }) => 1 + (momentum > 0 ? 1 : 0) + (centered ? 1 : 0),
  update(c, { alpha, epsilon, momentum, centered }) {
    const { b } = c;
    const g = withDecay(c);
    const v = b.add(b.scale(c.moment("square"), alpha), b.scale(b.square(g), 1 - alpha));
    c.keep("square", v);
    let spread = v;
    if (centered) {
      const a = blend(b, c.moment("mean"), g, alpha);
      c.keep("mean", a);
      spread = b.sub(v, b.square(a));
    }
    let step = b.div(g, b.offset(b.op("Sqrt", [spread]), epsilon));
    if (momentum > 0) {
      step = b.add(b.scale(c.moment("momentum"), momentum), step);
      c.keep("momentum", step);
    }
    return b.sub(c.parameter, b.mul(step, c.rate));
  },
});
