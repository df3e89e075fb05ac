/**
 * @file What a metric is: what each sample adds to sums, and how the sums become the metric.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import type { MetricOptions } from "./options.ts";

/** Which way is better. */
export type Direction = "higher" | "lower";

/** share: 0 … 1, where a hundredth is a point. dB: decibels. nats: natural logarithms. score: the user's own. value: the outputs' own unit. */
export type Unit = "share" | "dB" | "nats" | "score" | "value";

/** What answers are compared with: the sample's label, or what the original answered. */
export type Truth = { readonly label: unknown } | { readonly reference: Tensors };

export interface Metric {
  readonly name: string;
  /** One line without a full stop. */
  readonly summary: string;
  readonly direction: Direction;
  readonly unit: Unit;
  /**
   * label, text: compares with the samples' labels, in numbers or in text; where samples carry none, with what the
   * original answers. reference: always with the original's outputs.
   */
  readonly needs: "label" | "text" | "reference";
  /** The metric of answers that equal the truth. */
  readonly perfect: number;
  /**
   * What one sample adds to the sums.
   * @throws InputError where the outputs or the label are not of the kind that the metric takes.
   */
  contribute(outputs: Tensors, truth: Truth, options: MetricOptions): ArrayLike<number>;
  /** The metric of the sums over samples; NaN where they do not define it. Places that no sample reached count as 0. */
  aggregate(sums: Float64Array, options: MetricOptions): number;
}

/** Σ a ÷ Σ b of contributions [a, b]: a mean where b counts. NaN where Σ b is 0. */
export function ratioOfSums(sums: Float64Array): number {
  const [amount = 0, count = 0] = sums;
  return count === 0 ? Number.NaN : amount / count;
}
