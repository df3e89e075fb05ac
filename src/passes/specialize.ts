/**
 * @file Fixes dynamic dimensions and values of inputs, records the shapes of all values, and folds what has become
 * constant.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
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
    values: z
      .record(z.string(), z.union([z.number(), z.array(z.number())]))
      .default({})
      .describe("contents of inputs that are always the same, by name: they are inputs no more"),
  }),
  needs: ["runtime"],
  async run(model, { shapes, values }, context): Promise<StepReport> {
    const runtime = context.runtime!;
    const changes = fixInputs(model, shapes, new Set(Object.keys(values)));
    changes.push(...fixValues(model, values));
    const observed = await observeShapes(model, runtime, zeroFeeds(model));
    const changed = changes.length + declareShapes(observed);
    const folded = await runStep(model, foldConstants, {}, context);
    return { changed: changed + folded.changed, changes, leftAlone: folded.leftAlone };
  },
});

/** Declares dimensions as they were observed; returns of how many values they were not known. */
export function declareShapes(observed: ReadonlyMap<Value, readonly number[]>): number {
  let changed = 0;
  for (const [value, dims] of observed) {
    if (value.initializer !== undefined) continue;
    const declared = value.shape;
    if (value.dtype === undefined) continue;
    if (declared?.length === dims.length && declared.every((dim, axis) => dim === dims[axis])) continue;
    value.setTensorType(value.dtype, dims);
    changed++;
  }
  return changed;
}

/** Makes inputs constant. Values for inputs that are constant already, of the same name, are passed over. */
function fixValues(model: Model, values: Readonly<Record<string, number | readonly number[]>>): string[] {
  const changes: string[] = [];
  for (const [name, given] of Object.entries(values)) {
    if ([...model.graph.initializers].some((value) => value.name === name && value.isConstant)) continue;
    const numbers = typeof given === "number" ? [given] : given;
    const input = model.graph.inputs.find((value) => value.name === name);
    const fail = (problem: string): OptionError =>
      new OptionError({ area: "step", subject: `specialize, values of "${name}"`, problem });
    if (input === undefined) throw fail("expected an input of the model, found none of that name");
    const dims = (input.shape ?? []).filter((dim) => typeof dim === "number");
    if (dims.length !== (input.shape?.length ?? 0)) throw fail("expected fixed dimensions: give its shape as well");
    const size = elementCount(dims);
    if (size !== numbers.length) throw fail(`expected ${size} elements, got ${numbers.length}`);
    const tensor = CONTENTS[input.dtype ?? ""]?.(dims, numbers);
    if (tensor === undefined) throw fail(`expected one of ${Object.keys(CONTENTS).join(", ")}, got ${input.dtype}`);
    fixInput(model, name, tensor);
    changes.push(`${name} = ${numbers.length > 4 ? `${numbers.slice(0, 4).join(", ")}, …` : numbers.join(", ")}`);
  }
  return changes;
}

/** Types of inputs that numbers can be given for. */
const CONTENTS: Readonly<Record<string, (dims: readonly number[], numbers: readonly number[]) => Tensor>> = {
  float32: (dims, numbers) => Tensor.float32(dims, numbers),
  int32: (dims, numbers) => Tensor.of("int32", dims, Int32Array.from(numbers)),
  int64: (dims, numbers) => Tensor.int64(dims, numbers),
  bool: (dims, numbers) => Tensor.of("bool", dims, Uint8Array.from(numbers)),
};

/**
 * Makes an input a constant of the same name.
 * @throws OptionError where there is no such input.
 */
export function fixInput(model: Model, name: string, tensor: Tensor): void {
  const { graph } = model;
  const index = graph.inputs.findIndex((value) => value.name === name);
  const input = graph.inputs[index];
  if (input === undefined) {
    throw new OptionError({
      area: "step",
      subject: `input "${name}"`,
      problem: "expected an input of the model, found none of that name",
      help: `Inputs are: ${graph.inputs.map((value) => value.name).join(", ")}.`,
    });
  }
  graph.inputs.splice(index, 1);
  input.initializer = tensor;
  graph.initializers.add(input);
}

/** Sets the inputs' dimensions; returns what changed. @throws OptionError for unknown inputs and shapes that do not fit. */
export function fixInputs(
  model: Model,
  shapes: Readonly<Record<string, readonly number[]>>,
  constant: ReadonlySet<string> = new Set(),
): string[] {
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
    if (value.shape?.every((dim) => typeof dim === "number") || constant.has(value.name)) continue;
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
