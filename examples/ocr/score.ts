/** @file How well a model reads: character error rate, exact match, agreement, and a paired bootstrap interval. */

import { bootstrapDifference, Contributions, type Estimate } from "../../src/measure/bootstrap.ts";
import { editDistance, normalizeText } from "../../src/measure/metrics/edit-distance.ts";
import { ratioOfSums } from "../../src/measure/metrics/metric.ts";

/** What is compared: the text with white space (U+3000 included) collapsed to single spaces and trimmed. */
export const normalize = normalizeText;

export interface Score {
  readonly samples: number;
  /** Edits / reference characters, both summed over the corpus and after `normalize`; 0 is perfect, above 1 possible. */
  readonly cer: number;
  /** Share of samples read exactly after `normalize`, 0 … 1. */
  readonly exact: number;
  /** Share of samples where the text equals the original model's after `normalize`, 0 … 1; absent without one. */
  readonly agreement?: number;
}

interface Tally {
  readonly edits: number;
  readonly length: number;
  readonly exact: number;
}

function tally(references: readonly string[], readings: readonly string[]): readonly Tally[] {
  if (references.length === 0 || references.length !== readings.length) {
    throw new Error(
      `demo: score: expected one reading for each of at least one reference, got ${readings.length} for ${references.length}.`,
    );
  }
  return references.map((reference, i) => {
    const [expected, got] = [normalize(reference), normalize(readings[i]!)];
    return {
      edits: editDistance([...expected], [...got]),
      length: [...expected].length,
      exact: expected === got ? 1 : 0,
    };
  });
}

const sum = (items: readonly Tally[], of: (item: Tally) => number): number => items.reduce((s, x) => s + of(x), 0);

/**
 * Scores what a model read.
 *
 * @param references the true texts, not all empty
 * @param readings what the model read, in the same order
 * @param original what the original model read, in the same order
 */
export function score(references: readonly string[], readings: readonly string[], original?: readonly string[]): Score {
  const items = tally(references, readings);
  const result = {
    samples: items.length,
    cer: sum(items, (x) => x.edits) / sum(items, (x) => x.length),
    exact: sum(items, (x) => x.exact) / items.length,
  };
  if (original === undefined) return result;
  return { ...result, agreement: sum(tally(original, readings), (x) => x.exact) / items.length };
}

export interface Interval {
  /** Model minus original, on all samples. */
  readonly difference: number;
  /** Bounds of the interval. */
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Number of resamples; default 2000. */
  readonly resamples?: number;
  /** Share of resamples inside the interval; default 0.95. */
  readonly level?: number;
}

/**
 * Differences to the original with paired bootstrap intervals.
 *
 * @returns `cer` (positive: worse than the original) and `exact` (negative: worse), as shares, not per cent
 */
export function compareWithOriginal(
  references: readonly string[],
  readings: readonly string[],
  original: readonly string[],
  { seed = 1, resamples = 2000, level = 0.95 }: BootstrapOptions = {},
): { readonly cer: Interval; readonly exact: Interval } {
  const [before, after] = [tally(references, original), tally(references, readings)];
  const interval = (parts: (item: Tally) => readonly [number, number]): Interval => {
    const options = { seed, resamples, confidence: level };
    const { value, low, high }: Estimate = bootstrapDifference(
      contributions(before, parts),
      contributions(after, parts),
      ratioOfSums,
      options,
    );
    return { difference: value, low, high };
  };
  return {
    cer: interval(({ edits, length }) => [edits, length]),
    exact: interval(({ exact }) => [exact, 1]),
  };
}

function contributions(items: readonly Tally[], parts: (item: Tally) => readonly [number, number]): Contributions {
  const all = new Contributions();
  for (const item of items) all.add(parts(item));
  return all;
}
