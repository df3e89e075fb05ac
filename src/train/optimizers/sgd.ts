/**
 * @file Stochastic gradient descent.
 *
 *   g ← g + λ · θ
 *   b ← μ · b + (1 − τ) · g        (the first time: b ← g)
 *   g ← g + μ · b  (Nesterov),  g ← b  (else)
 *   θ ← θ − γ · g
 *
 * Source: PyTorch's torch.optim.SGD; Sutskever et al. 2013.
 */
import { z } from "zod";
import { addMoment, defineOptimizer, weightDecayOption, withDecay } from "./optimizer.ts";

export const sgd = defineOptimizer({
  kind: "sgd",
  summary: "Stochastic gradient descent, with momentum",
  options: z.strictObject({
    kind: z.literal("sgd"),
    momentum: z.number().min(0).default(0).describe("share of the last update that goes into the next"),
    dampening: z.number().min(0).max(1).default(0).describe("taken off the gradient's share in the momentum"),
    nesterov: z.boolean().default(false).describe("look ahead by the momentum"),
    weightDecay: weightDecayOption.default(0),
  }),
  moments: ({ momentum }) => (momentum > 0 ? 1 : 0),
  update(c, { momentum, dampening, nesterov }) {
    const { b } = c;
    let g = withDecay(c);
    if (momentum > 0) {
      const share = dampening === 0 ? g : b.mul(g, c.firstThen(1, 1 - dampening));
      const velocity = addMoment(c, c.moment("momentum"), share, momentum);
      c.keep("momentum", velocity);
      g = nesterov ? b.add(g, b.scale(velocity, momentum)) : velocity;
    }
    return b.sub(c.parameter, b.mul(g, c.rate));
  },
});
