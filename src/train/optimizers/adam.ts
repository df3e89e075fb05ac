/**
 * @file Adam, and AdamW, whose decay is apart from the gradient.
 *
 *   Adam:  g ← g + λ · θ          AdamW:  θ ← θ − γ · λ · θ
 *   m ← β₁ · m + (1 − β₁) · g
 *   v ← β₂ · v + (1 − β₂) · g²
 *   θ ← θ − γ / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
 *
 * Source: PyTorch's torch.optim.Adam and AdamW; Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2.
 */
import { z } from "zod";
import type { Value } from "../../graph/value.ts";
import { blend, defineOptimizer, type UpdateContext, weightDecayOption, withDecay } from "./optimizer.ts";

const shared = {
  beta1: z.number().min(0).max(1).default(0.9).describe("how slowly the mean of gradients changes"),
  beta2: z.number().min(0).max(1).default(0.999).describe("how slowly the mean of their squares changes"),
  epsilon: z.number().min(0).default(1e-8).describe("added to the root of the mean square"),
} as const;

export const adam = defineOptimizer({
  kind: "adam",
  summary: "Adam: a step size for each element",
  options: z.strictObject({ kind: z.literal("adam"), ...shared, weightDecay: weightDecayOption.default(0) }),
  moments: () => 2,
  update: (c, options) => c.b.sub(c.parameter, change(c, withDecay(c), options)),
});

export const adamW = defineOptimizer({
  kind: "adamw",
  summary: "Adam with weight decay apart from the gradient",
  options: z.strictObject({ kind: z.literal("adamw"), ...shared, weightDecay: weightDecayOption.default(0.01) }),
  moments: () => 2,
  update(c, options) {
    const { b, parameter, decayed, weightDecay } = c;
    const pull = (): Value => c.shared(`pull ${c.rate.name} ${weightDecay}`, () => b.scale(c.rate, weightDecay));
    const pulled = weightDecay === 0 ? parameter : b.sub(parameter, b.mul(decayed, pull()));
    return b.sub(pulled, change(c, c.gradient, options));
  },
});

function change(
  c: UpdateContext,
  g: Value,
  { beta1, beta2, epsilon }: { readonly beta1: number; readonly beta2: number; readonly epsilon: number },
): Value {
  const { b } = c;
  const m = blend(b, c.moment("mean"), g, beta1);
  const v = b.add(b.scale(c.moment("square"), beta2), b.scale(b.square(g), 1 - beta2));
  c.keep("mean", m);
  c.keep("square", v);
  // With c = √(1 − β₂ᵗ): m / (√v / c + ε) = c · m / (√v + c · ε), and the factors are scalars.
  const root = c.shared("root", () => b.op("Sqrt", [c.biasCorrection(beta2)]));
  const least = c.shared("least", () => b.scale(root, epsilon));
  const rate = c.shared(`rate ${c.rate.name}`, () => b.mul(b.div(c.rate, c.biasCorrection(beta1)), root));
  return b.mul(b.div(m, b.add(b.op("Sqrt", [v]), least)), rate);
}
