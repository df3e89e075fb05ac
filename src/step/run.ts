/**
 * @file Runs steps: options are checked before, the graph and the parametrizations after each.
 */
import type { z } from "zod";
import type { Model } from "../graph/model.ts";
import { checkParametrizations } from "../graph/parametrizations.ts";
import { verifyModel } from "../graph/verify.ts";
import { OptionError, TersorError } from "../util/errors.ts";
import { checkCancelled } from "../util/progress.ts";
import type { Step, StepContext, StepReport } from "./step.ts";

/**
 * Applies a step to a model, in place.
 * @throws OptionError for options that the step does not have or allow, or a missing need; GraphError, with the step's
 * name, where the step left an invalid graph.
 */
export async function runStep<Options extends z.ZodObject>(
  model: Model,
  step: Step<Options>,
  options: z.input<Options>,
  context: StepContext = {},
): Promise<StepReport> {
  const parsed = parseOptions(step, options);
  for (const need of step.needs) {
    const there = need === "runtime" ? context.runtime !== undefined : context.calibration !== undefined;
    if (there) continue;
    throw new OptionError({
      area: "step",
      subject: step.name,
      problem: need === "runtime" ? "expected a runtime, got none" : `expected ${need} data, got none`,
      help: need === "runtime" ? "Pass one in the context." : "Give samples with --data (API: context.calibration).",
    });
  }
  checkCancelled(context.signal);
  const report = await step.run(model, parsed, context);
  for (const graph of model.graphs()) graph.sort();
  try {
    verifyModel(model);
    checkParametrizations(model);
  } catch (error) {
    if (error instanceof TersorError) error.message = `step ${step.name}: ${error.message}`;
    throw error;
  }
  return report;
}

/** The step's options with defaults filled in. @throws OptionError naming step, key, what was given and what is allowed. */
export function parseOptions<Options extends z.ZodObject>(
  step: Pick<Step<Options>, "name" | "options">,
  options: unknown,
): z.output<Options> {
  const result = step.options.strict().safeParse(options ?? {});
  if (result.success) return result.data as z.output<Options>;
  const issue = result.error.issues[0]!;
  const key = issue.path.join(".");
  const allowed = Object.keys(step.options.shape).join(", ");
  throw new OptionError({
    area: "step",
    subject: `${step.name}${key ? `, option "${key}"` : ""}`,
    problem: issue.code === "unrecognized_keys" ? `unknown option ${issue.keys.join(", ")}` : issue.message,
    help: issue.code === "unrecognized_keys" ? `Options are: ${allowed || "none"}.` : undefined,
  });
}
