/**
 * @file What matters in a weight: a criterion gives every element a score, and the lowest go.
 */
import type { Model } from "../../graph/model.ts";
import type { Need, StepContext } from "../../step/step.ts";
import type { PrunableWeight } from "../weights.ts";

/** Of what is compared by one threshold: all weights, each by itself, or each row (one output's inputs) by itself. */
export const SCOPES = ["global", "layer", "row"] as const;

export type Scope = (typeof SCOPES)[number];

export interface Criterion {
  readonly name: string;
  /** For help, with its source. */
  readonly summary: string;
  /** What it is computed from, beside the weights. */
  readonly needs: readonly Need[];
  /** Where its scores can be compared. */
  readonly scope: Scope;
  /**
   * Scores of the weights in their order, one per element in row-major order; not negative. What a mask took out is ignored.
   */
  score(
    model: Model,
    weights: readonly PrunableWeight[],
    context: StepContext,
  ): Promise<readonly Float32Array[]> | readonly Float32Array[];
}

/** A criterion of your own, in one function. */
export type ScoreFunction = (weight: PrunableWeight) => Float32Array;
