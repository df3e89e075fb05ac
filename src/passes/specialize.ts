/**
 * @file Fixes dynamic dimensions of inputs, records the shapes of all values, and folds what has become constant.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import { observeShapes } from "../runtime/collect.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import { defineStep, type StepReport } from "../step/step.ts";
import { byteLengthOf, elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { foldConstants } from "./fold-constants.ts";

export const specialize = defineStep({
  name: "specialize",
  summary: "Fix the dimensions of inputs and fold what becomes constant",
  options: z.object({
    shapes: z
      .record(z.string(), z.array(z.number().int().min(0)))
      .describe("dimensions by input name; inputs that are not named must have fixed ones already"),
  }),
  needs: ["runtime"],
  async run(model, { shapes }, context): Promise<StepReport> {
    const runtime = context.runtime!;
    const changes = fixInputs(model, shapes);
    const observed = await observeShapes(model, runtime, zeroFeeds(model));
    let changed = changes.length;
    for (const [value, dims] of observed) {
      if (value.initializer !== undefined) continue;
      const declared = value.shape;
      if (value.dtype === undefined) continue;
      if (declared?.length === dims.length && declared.every((dim, axis) => dim === dims[axis])) continue;
      value.setTensorType(value.dtype, dims);
      changed++;
    }
    const folded = await runStep(model, foldConstants, {}, context);
    return { changed: changed + folded.changed, changes, leftAlone: folded.leftAlone };
  },
});

/** Sets the inputs' dimensions; returns what changed. @throws OptionError for unknown inputs and shapes that do not fit. */
function fixInputs(model: Model, shapes: Readonly<Record<string, readonly number[]>>): string[] {
  const changes: string[] = [];
  const inputs = model.graph.inputs.filter((value) => value.initializer === undefined);
  for (const [name, dims] of Object.entries(shapes)) {
    const value = inputs.find((input) => input.name === name);
    const fail = (problem: string): OptionError =>
      new OptionError({
        area: "step",
        subject: `specialize, shapes of "${name}"`,
        problem,
        help: `Inputs are: ${inputs.map((input) => `${input.name} [${input.shape?.map((dim) => dim ?? "?").join(", ") ?? "?"}]`).join("; ")}.`,
      });
    if (value === undefined) throw fail("expected an input of the model, found none of that name");
    const declared = value.shape;
    if (declared !== undefined && declared.length !== dims.length) {
      throw fail(`expected ${declared.length} dimensions, got ${dims.length}`);
    }
    const fixed = declared?.findIndex((dim, axis) => typeof dim === "number" && dim !== dims[axis]) ?? -1;
    if (fixed >= 0) throw fail(`expected dimension ${fixed} to be ${declared![fixed]}, got ${dims[fixed]}`);
    if (value.dtype === undefined) throw fail("expected a tensor");
    if (declared?.every((dim, axis) => dim === dims[axis])) continue;
    value.setTensorType(value.dtype, dims);
    changes.push(`${name} [${dims.join(", ")}]`);
  }
  for (const value of inputs) {
    if (value.shape?.every((dim) => typeof dim === "number")) continue;
    throw new OptionError({
      area: "step",
      subject: "specialize",
      problem: `expected a shape for input "${value.name}", got none`,
      help: "Name every input that has dynamic dimensions.",
    });
  }
  return changes;
}

/** Zeros for every input: shapes are what counts. */
function zeroFeeds(model: Model): Tensors {
  const feeds: Record<string, Tensor> = {};
  for (const value of model.graph.inputs) {
    if (value.initializer !== undefined) continue;
    const dims = value.shape as readonly number[];
    const dtype = value.dtype!;
    const bytes = new Uint8Array(byteLengthOf(dtype, elementCount(dims)));
    feeds[value.name] =
      dtype === "string"
        ? Tensor.strings(dims, new Array<string>(elementCount(dims)).fill(""))
        : new Tensor(dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
  }
  return feeds;
}
