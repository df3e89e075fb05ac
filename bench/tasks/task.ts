/**
 * @file What a bench of accuracy needs of a model: where it is, seeded samples of two splits, and how its outputs are judged.
 */
import type { Split } from "../../examples/ocr/phrases.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";

/** Seed of all samples. */
export const SEED = 1;

export interface TaskSample {
  readonly inputs: Tensors;
  /** What the outputs are judged by, beside the original's. */
  readonly label: unknown;
}

/**
 * One figure of one sample: a figure of all samples is Σ top ÷ Σ bottom, so that a character error rate, a Dice
 * coefficient and an accuracy are all of the same form, and resampled in the same way.
 */
export type Part = readonly [top: number, bottom: number];

export interface Figure {
  readonly name: string;
  readonly better: "higher" | "lower";
  /** "original": it tells how near the file is to the original, whose own value is the best there is. */
  readonly against: "label" | "original";
}

export interface Task {
  readonly name: string;
  /** The model file; what to do where it is missing. */
  readonly path: string;
  readonly help: string;
  /** No default of Tersor was chosen by looking at figures of this model. */
  readonly heldOut: boolean;
  /** Samples to calibrate on, and others to judge by. */
  readonly calibration: number;
  readonly evaluation: number;
  /** What one evaluation sample holds: "pages". */
  readonly unit: string;
  readonly figures: readonly Figure[];
  /** Goals of the road map for static-int8: see goals.ts. */
  readonly goals: Readonly<Record<string, number>>;
  sample(split: Split, index: number): TaskSample;
  /** What the outputs say, as plain JSON: it is kept on disk for the original. */
  read(outputs: Tensors): unknown;
  /** One part for each figure, in their order. */
  judge(reading: unknown, original: unknown, label: unknown): readonly Part[];
}

/** The only output of a model with one. */
export function onlyOutput(outputs: Tensors): Tensors[string] {
  return Object.values(outputs)[0]!;
}
