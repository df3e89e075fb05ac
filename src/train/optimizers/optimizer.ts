/**
 * @file The contract of optimizers: one file, one option table, one function that appends one parameter's update.
 *
 * Letters as in PyTorch's documentation: θ the parameter, g its gradient, γ the learning rate, λ the weight decay, t the
 * number of this update, from 1.
 */
import { z } from "zod";
import type { Builder } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";

/** What an optimizer sees of one parameter. */
export interface UpdateContext {
  readonly b: Builder;
  /** θ */
  readonly parameter: Value;
  /** g, of θ's dimensions, after clipping. */
  readonly gradient: Value;
  /** g is the gradient of this parameter only. */
  readonly exclusive: boolean;
  /** What weight decay pulls to 0: θ, or what its mask leaves of it. */
  readonly decayed: Value;
  /** λ, of the parameter's group. */
  readonly weightDecay: number;
  /** γ, with the group's factor: float32 []. */
  readonly rate: Value;
  /** 1 − βᵗ as float32 [], computed in float64: in float32 it loses four digits in the first steps. */
  biasCorrection(beta: number): Value;
  /** A factor that is one number in the first update and another one later: float32 []. */
  firstThen(first: number, then: number): Value;
  /** A scalar that parameters share: made once per key. A node per parameter costs more than its arithmetic. */
  shared(key: string, make: () => Value): Value;
  /** A moment of θ's dimensions, 0 at first: as it was before this step. */
  moment(name: string): Value;
  /** What the moment is after it. */
  keep(name: string, next: Value): void;
}

export interface Optimizer<Options extends z.ZodObject = z.ZodObject> {
  readonly kind: string;
  readonly summary: string;
  readonly options: Options;
  /** How many tensors of θ's size it keeps. */
  moments(options: z.output<Options>): number;
  /** Returns θ after the update. */
  update(c: UpdateContext, options: z.output<Options>): Value;
}

/** Gives an optimizer its types. */
export function defineOptimizer<Options extends z.ZodObject>(optimizer: Optimizer<Options>): Optimizer<Options> {
  return optimizer;
}

export const weightDecayOption = z.number().min(0).describe("pull of parameters to 0");

/** g + λ · θ */
export function withDecay(c: UpdateContext): Value {
  const { b, gradient, decayed, weightDecay } = c;
  return weightDecay === 0 ? gradient : b.add(gradient, b.scale(decayed, weightDecay));
}

/** β · m + (1 − β) · x, written as m + (1 − β) · (x − m): PyTorch's lerp. */
export function blend(b: Builder, m: Value, x: Value, beta: number): Value {
  return b.add(m, b.scale(b.sub(x, m), 1 - beta));
}

/**
 * β · m + g. Where g is a product of matrices that nobody else has asked for, the product adds m itself: two passes over
 * large tensors less.
 */
export function addMoment({ b, gradient, exclusive }: UpdateContext, m: Value, g: Value, beta: number): Value {
  const product = g.producer;
  if (g === gradient && exclusive && g.isUnused && product?.is("Gemm") && product.inputs[2] === undefined) {
    product.setInputs([product.input(0), product.input(1), m]);
    product.set("beta", { float: beta });
    return g;
  }
  return b.add(b.scale(m, beta), g);
}
