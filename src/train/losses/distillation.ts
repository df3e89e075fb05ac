/**
 * @file Distillation: the divergence from a teacher's distribution q to the model's p, both at temperature T.
 *
 *   loss = T² · Σ_c q_c · (log q_c − log p_c),   q = softmax(t / T), p = softmax(z / T)
 *
 * T² keeps the gradients' size when T changes. Source: Hinton, Vinyals, Dean 2015, section 2.
 */
import { z } from "zod";
import { givesProbabilities, logProbabilities } from "./logits.ts";
import { axisOf, commonOptions, defineLoss, reduceAll, reductionOption, sameShape } from "./loss.ts";

/** Probabilities under this count as this, so that their logarithm is finite. */
const LEAST = 1e-30;

export const distillation = defineLoss({
  kind: "distillation",
  summary: "Kullback–Leibler divergence from a teacher's outputs, at a temperature",
  options: z.strictObject({
    kind: z.literal("distillation"),
    ...commonOptions,
    target: commonOptions.target.default("teacher"),
    axis: z.number().int().default(-1).describe("the axis of the classes"),
    temperature: z.number().positive().default(1).describe("by which logits are divided: the higher, the softer"),
    teacher: z
      .enum(["auto", "logits", "probabilities"])
      .default("auto")
      .describe("what the teacher gives; auto: probabilities where the model ends in Softmax, else logits"),
    reduction: reductionOption,
  }),
  build(c, { target, temperature, teacher, reduction, ...rest }) {
    const { b } = c;
    const axis = axisOf(c, rest.axis);
    const soft = { axis: { int: axis } };
    const at = 1 / temperature;
    const fed = sameShape(c, target);
    const probabilities = teacher === "probabilities" || (teacher === "auto" && givesProbabilities(c, axis));
    const t = probabilities ? b.op("Log", [b.op("Max", [fed, b.scalar(LEAST)])]) : fed;
    // Logarithms of probabilities are logits, up to a constant that the softmax takes out.
    const logq = b.op("LogSoftmax", [b.scale(t, at)], soft);
    const z = logProbabilities(c, axis);
    const logp = temperature === 1 ? z : b.op("LogSoftmax", [b.scale(z, at)], soft);
    const rows = b.sum(b.mul(b.op("Exp", [logq]), b.sub(logq, logp)), [axis], false);
    return b.scale(reduceAll(b, rows, reduction), temperature ** 2);
  },
});
