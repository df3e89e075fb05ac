/**
 * @file The contract of losses: one file, one option table, one function that appends the nodes of its formula.
 *
 * Letters: z what the model gives, t targets, p = softmax(z) or sigmoid(z); N the number of elements (or rows) of a batch.
 */
import { z } from "zod";
import type { Builder } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";
import type { DType } from "../../tensor/dtype.ts";

/** A value with what is known of it. */
export interface Typed {
  readonly value: Value;
  readonly dims: readonly number[];
  readonly dtype: DType;
}

/** What a loss sees of the graph. */
export interface LossContext {
  readonly b: Builder;
  /** What the loss is of. */
  readonly output: Typed;
  /** What is fed under this name with each batch. @throws InputError where the sample batch has none. */
  target(name: string): Typed;
  /** Whether the sample batch has targets of this name. */
  has(name: string): boolean;
  /** Says something about how the loss was set up. */
  note(text: string): void;
  /** The loss does not fit what it got. */
  refuse(problem: string, help?: string): Error;
}

export interface Loss<Options extends z.ZodObject = z.ZodObject> {
  readonly kind: string;
  readonly summary: string;
  readonly options: Options;
  /** Returns a float32 scalar. */
  build(c: LossContext, options: z.output<Options>): Value;
}

/** Gives a loss its types. */
export function defineLoss<Options extends z.ZodObject>(loss: Loss<Options>): Loss<Options> {
  return loss;
}

/** What every loss has. */
export const commonOptions = {
  name: z.string().optional().describe("how logs call it; default its kind"),
  weight: z.number().default(1).describe("factor in the sum of all losses"),
  output: z
    .string()
    .optional()
    .describe("the model's output, or any other value by name; default: its only float output"),
  target: z.string().default("label").describe("name under which targets are fed with each batch"),
} as const;

export const reductionOption = z
  .enum(["mean", "sum"])
  .default("mean")
  .describe("over all elements, or rows, of the batch");

/** Mean or sum of all elements, as a scalar. */
export function reduceAll(b: Builder, values: Value, reduction: "mean" | "sum"): Value {
  return b.reduce(reduction === "mean" ? "ReduceMean" : "ReduceSum", values, undefined, false);
}

/** The axis, counted from the front. @throws OptionError where there is no such axis. */
export function axisOf(c: LossContext, axis: number): number {
  const rank = c.output.dims.length;
  if (axis < -rank || axis >= rank) throw c.refuse(`expected an axis of [${c.output.dims.join(", ")}], got ${axis}`);
  return axis < 0 ? axis + rank : axis;
}

/** Float32 targets of the output's dimensions. @throws InputError where they differ. */
export function sameShape(c: LossContext, name: string): Value {
  const { value, dims, dtype } = c.target(name);
  if (String(dims) !== String(c.output.dims)) {
    throw c.refuse(`expected targets [${c.output.dims.join(", ")}], as the output, got [${dims.join(", ")}]`);
  }
  return asFloat(c.b, value, dtype);
}

/** float32, whatever it was. */
export function asFloat(b: Builder, value: Value, dtype: DType): Value {
  return dtype === "float32" ? value : b.op("Cast", [value], { to: { int: 1 } });
}
