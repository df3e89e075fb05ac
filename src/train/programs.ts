/**
 * @file One program per set of dimensions: models with dynamic axes are trained in buckets.
 */
import type { Model } from "../graph/model.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { buildTraining } from "./build.ts";
import type { TrainingInput } from "./options.ts";
import type { BuildContext, TrainingProgram } from "./program.ts";

export interface Programs {
  /** The program for batches of these dimensions; built when first asked for. All have the same state. */
  program(feeds: Tensors): Promise<TrainingProgram>;
  /** How many there are. */
  readonly size: number;
}

export function programsFor(model: Model, options: TrainingInput, context: Omit<BuildContext, "feeds">): Programs {
  const built = new Map<string, Promise<TrainingProgram>>();
  return {
    get size() {
      return built.size;
    },
    program(feeds) {
      const key = bucketOf(feeds);
      let program = built.get(key);
      if (program === undefined) {
        program = buildTraining(model, options, { ...context, feeds });
        built.set(key, program);
        // What failed, or was cancelled, may be tried again.
        program.catch(() => built.delete(key));
      }
      return program;
    },
  };
}

/** The same for all batches that one program takes. */
export function bucketOf(feeds: Tensors): string {
  return Object.keys(feeds)
    .sort()
    .map((name) => `${name}:${feeds[name]}`)
    .join(" ");
}
