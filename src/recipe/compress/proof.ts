/**
 * @file From a file's measurement to a proof under a budget. The budget may change between runs; measurements stay.
 */
import { judgeDrops } from "../../analyze/drops.ts";
import type { FileMeasurement, TargetMeasurement } from "../../analyze/job.ts";
import { judge } from "../../analyze/judge.ts";
import type { Budget } from "../../measure/budget.ts";
import type { Proof } from "./choose.ts";

/**
 * @param result The target's measurement, the original first.
 * @throws OptionError where the budget cannot be applied to what was measured.
 */
export function proofOf(result: TargetMeasurement, file: FileMeasurement, budget: Budget): Proof {
  const [original] = result.files;
  const judgement = judge(file, original);
  const drops = judgeDrops([{ ...result, files: [original!, file] }], budget);
  // The same as `tersor verify` wants, and the budget.
  const ok = judgement.usable && file.latency?.verdict !== "slower" && drops.every((drop) => drop.ok);
  const originalMs = original!.latency?.p50;
  return { measurement: file, ...(originalMs !== undefined && { originalMs }), judgement, drops, ok };
}
