/**
 * @file Distillation layer by layer, which comes before that of the whole: every layer reads what the teacher's reads, and is
 * compared with what the teacher's gives. No layer has to wait for those before it, no error goes through more than one of
 * them, and each is close to a linear regression: what was disturbed comes back in a tenth of the steps.
 *
 * Source: Wang et al., Progressive Blockwise Knowledge Distillation (2018); Li et al., Blockwisely Supervised Neural
 * Architecture Search with Knowledge Distillation (2020), section 3.2; Li et al., BRECQ (2021), section 3.2. That a net is
 * trained on the right values in place of its own is teacher forcing: Williams & Zipser 1989.
 */
import { z } from "zod";
import type { LossOptions } from "./losses/losses.ts";
import type { StateEntry } from "./program.ts";

export const layerwiseOptions = z.strictObject({
  values: z.array(z.string()).min(1).describe("values by name that both models have, which layers read"),
  share: z.number().min(0).max(1).default(0.7).describe("share of all updates that go layer by layer"),
  learningRate: z.number().min(0).default(3e-3).describe("learning rate of these updates, the highest of the schedule"),
});

export type LayerwiseOptions = z.output<typeof layerwiseOptions>;

/** The whole's losses, from which the layers before the outputs learn, and one for each value. */
export function layerwiseLosses(losses: readonly LossOptions[], values: readonly string[]): LossOptions[] {
  return [
    ...losses,
    ...values.map(
      (name): LossOptions => ({
        kind: "mse",
        name: `layer ${name}`,
        output: name,
        target: `teacher:${name}`,
        // Values of any size count alike: their error is measured by their spread.
        relative: true,
        forced: true,
        weight: 1 / values.length,
        reduction: "mean",
      }),
    ),
  ];
}

/** Whether one state serves two programs: the same tensors in both. */
export function sameState(a: readonly StateEntry[], b: readonly StateEntry[]): boolean {
  const names = (entries: readonly StateEntry[]): string =>
    entries
      .map(({ name, initial }) => `${name} ${initial}`)
      .sort()
      .join("\n");
  return names(a) === names(b);
}
