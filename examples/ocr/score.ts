/** @file How well a model reads: character error rate, exact match, agreement, and a paired bootstrap interval. */

import { createRandom } from "../../src/util/random.ts";

/** What is compared: the text with white space (U+3000 included) collapsed to single spaces and trimmed. */
export const normalize = (text: string): string => text.replace(/\s+/gu, " ").trim();

/** Levenshtein distance in code points: insertions, deletions and substitutions cost one. */
export function editDistance(a: string, b: string): number {
  const from = [...a];
  const to = [...b];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitution));
    }
    row = next;
  }
  return row[to.length]!;
}

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
    return { edits: editDistance(expected, got), length: [...expected].length, exact: expected === got ? 1 : 0 };
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
 * Paired bootstrap of the differences to the original: draws samples with replacement, the same for both models, and
 * takes the percentiles of the differences. Source: Efron & Tibshirani, An Introduction to the Bootstrap, §13.3;
 * Koehn, Statistical Significance Tests for Machine Translation Evaluation (EMNLP 2004) for the pairing.
 *
 * @returns `cer` (positive: worse than the original) and `exact` (negative: worse), as shares, not per cent
 */
export function compareWithOriginal(
  references: readonly string[],
  readings: readonly string[],
  original: readonly string[],
  { seed = 1, resamples = 2000, level = 0.95 }: BootstrapOptions = {},
): { readonly cer: Interval; readonly exact: Interval } {
  const before = tally(references, original);
  const items = tally(references, readings).map((item, i) => ({
    length: item.length,
    edits: item.edits - before[i]!.edits,
    exact: item.exact - before[i]!.exact,
  }));
  const random = createRandom(seed);
  const cers = new Float64Array(resamples);
  const exacts = new Float64Array(resamples);
  for (let k = 0; k < resamples; k++) {
    let [edits, length, exact] = [0, 0, 0];
    for (let i = 0; i < items.length; i++) {
      const item = items[random.integer(items.length)]!;
      edits += item.edits;
      length += item.length;
      exact += item.exact;
    }
    cers[k] = edits / length;
    exacts[k] = exact / items.length;
  }
  const interval = (values: Float64Array, difference: number): Interval => {
    values.sort();
    const at = (share: number): number => values[Math.round(share * (resamples - 1))]!;
    return { difference, low: at((1 - level) / 2), high: at((1 + level) / 2) };
  };
  return {
    cer: interval(cers, sum(items, (x) => x.edits) / sum(items, (x) => x.length)),
    exact: interval(exacts, sum(items, (x) => x.exact) / items.length),
  };
}
