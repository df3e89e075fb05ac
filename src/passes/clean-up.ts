/**
 * @file The passes that every quantizer wants to have run: the same computation, written so that weights are found,
 * normalizations are fused and nothing is stored twice.
 */
import type { Model } from "../graph/model.ts";
import { runStep } from "../step/run.ts";
import type { StepContext, StepReport } from "../step/step.ts";
import { constantInputs } from "./constant-inputs.ts";
import { deduplicateInitializers } from "./deduplicate-initializers.ts";
import { eliminateDead } from "./eliminate-dead.ts";
import { eliminateIdentity } from "./eliminate-identity.ts";
import { foldConstants } from "./fold-constants.ts";
import { fuseAffine } from "./fuse-affine.ts";
import { fuseAffineInput } from "./fuse-affine-input.ts";
import { fuseBatchNorm } from "./fuse-batch-norm.ts";
import { fuseHardSwish } from "./fuse-hard-swish.ts";
import { hoistConstants } from "./hoist-constants.ts";

/** All passes in the order in which they help each other. */
export const CLEAN_UP = [
  constantInputs,
  hoistConstants,
  eliminateIdentity,
  foldConstants,
  fuseAffine,
  fuseBatchNorm,
  fuseAffine,
  fuseHardSwish,
  fuseAffineInput,
  eliminateIdentity,
  deduplicateInitializers,
  eliminateDead,
] as const;

/** Cleans a model up, in place. Without a runtime, constants are not folded. */
export async function cleanUp(
  model: Model,
  context: StepContext,
): Promise<readonly { readonly name: string; readonly report: StepReport }[]> {
  const reports: { name: string; report: StepReport }[] = [];
  for (const [index, step] of CLEAN_UP.entries()) {
    context.progress?.("cleaning up", index, CLEAN_UP.length);
    if (step.needs.some((need) => need === "runtime") && context.runtime === undefined) continue;
    reports.push({ name: step.name, report: await runStep(model, step, {}, context) });
  }
  context.progress?.("cleaning up", CLEAN_UP.length, CLEAN_UP.length);
  return reports;
}
