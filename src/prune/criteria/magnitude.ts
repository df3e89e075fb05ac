/**
 * @file Criteria that need nothing but the weights.
 */
import { createRandom } from "../../util/random.ts";
import type { Criterion } from "./criterion.ts";

/** s = |w| */
export const l1: Criterion = {
  name: "l1",
  summary: "absolute values (Han et al. 2015); of units their mean",
  needs: [],
  scope: "global",
  score: (_model, weights) => weights.map(({ tensor }) => tensor.floats().map(Math.abs)),
};

/** s = w²; of single weights the order is that of l1. */
export const l2: Criterion = {
  name: "l2",
  summary: "squares; of units their mean, which is the order of their L2 norms",
  needs: [],
  scope: "global",
  score: (_model, weights) => weights.map(({ tensor }) => tensor.floats().map((w) => w * w)),
};

/** s = |w| ÷ √(mean of w² in its tensor): a global threshold that does not empty layers of small weights. */
export const l1Normalized: Criterion = {
  name: "l1-normalized",
  summary: "absolute values divided by their tensor's root mean square, to compare layers of different scales",
  needs: [],
  scope: "global",
  score: (_model, weights) =>
    weights.map(({ tensor }) => {
      const values = tensor.floats();
      let sum = 0;
      for (const w of values) sum += w * w;
      const scale = 1 / Math.max(Math.sqrt(sum / values.length), Number.MIN_VALUE);
      return values.map((w) => Math.abs(w) * scale);
    }),
};

/** By chance: what others are measured against. */
export const random: Criterion = {
  name: "random",
  summary: "by chance, seeded: what other criteria are measured against",
  needs: [],
  scope: "global",
  score: (_model, weights, { seed = 0 }) => {
    const generator = createRandom(seed);
    return weights.map(({ tensor }) => Float32Array.from({ length: tensor.size }, () => generator.next()));
  },
};
