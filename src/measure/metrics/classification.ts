/**
 * @file Metrics of answers that are one class per row: top-1, top-k, agreement.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { argmax } from "../argmax.ts";
import { elementsOf } from "../compare.ts";
import { labelNumbers, labelTexts, refuseLabel } from "./labels.ts";
import { type Metric, ratioOfSums, type Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";
import { chooseOutput } from "./outputs.ts";

export type Class = number | string;

/** Scores of the classes along the last axis. */
interface Scores {
  readonly values: ArrayLike<number>;
  readonly rows: number;
  readonly classes: number;
}

const isScores = (tensor: Tensor): boolean => isFloatingPoint(tensor.dtype) && (tensor.dims.at(-1) ?? 1) >= 2;

const rowsOf = (tensor: Tensor): number => (isScores(tensor) ? tensor.size / tensor.dims.at(-1)! : tensor.size);

/**
 * The class of every row. Scores [..., C] with C ≥ 2: the place of the largest, the first of equals. One float per
 * answer ([N, 1] or [N]): 1 from the threshold on, else 0. Integers, booleans, strings: themselves.
 * @param count rows that there must be; default: any number.
 */
export function answeredClasses(outputs: Tensors, options: MetricOptions, count?: number): readonly Class[] {
  const fits = (tensor: Tensor): boolean => count === undefined || rowsOf(tensor) === count;
  const expected = `scores or classes of ${count === undefined ? "each answer" : `${count} answer${count === 1 ? "" : "s"}`}`;
  const tensor = chooseOutput(outputs, options, fits, expected);
  if (tensor.strings !== undefined) return tensor.strings;
  if (!isFloatingPoint(tensor.dtype)) return tensor.numbers();
  const values = elementsOf(tensor);
  if (!isScores(tensor)) return Array.from(values, (value) => (value >= options.metricThreshold ? 1 : 0));
  const classes = tensor.dims.at(-1)!;
  return Array.from({ length: tensor.size / classes }, (_, row) => argmax(values, row * classes, classes));
}

/** The class that every row should have. @throws InputError where the label is neither whole numbers nor text. */
export function trueClasses(truth: Truth, options: MetricOptions): readonly Class[] {
  if ("reference" in truth) return answeredClasses(truth.reference, options);
  const numbers = labelNumbers(truth.label);
  if (numbers?.every(Number.isInteger)) return numbers;
  return labelTexts(truth.label) ?? refuseLabel(truth.label, "the number of a class, or several");
}

/** Rows that are answered rightly, and rows that count. */
function countRight(outputs: Tensors, truth: Truth, options: MetricOptions): [number, number] {
  const expected = trueClasses(truth, options);
  const answered = answeredClasses(outputs, options, expected.length);
  requireSameKind(expected, answered, truth);
  let right = 0;
  let rows = 0;
  expected.forEach((label, row) => {
    if (label === options.ignoreLabel) return;
    rows++;
    if (answered[row] === label) right++;
  });
  return [right, rows];
}

/** Names of classes never equal their numbers: that is a mistake, not a wrong answer. */
function requireSameKind(expected: readonly Class[], answered: readonly Class[], truth: Truth): void {
  if (expected.length === 0 || typeof expected[0] === typeof answered[0] || "reference" in truth) return;
  refuseLabel(truth.label, typeof answered[0] === "number" ? "the number of a class" : "the name of a class");
}

/** Share of rows whose largest score is that of the label. scikit-learn: accuracy_score. */
export const top1: Metric = {
  name: "top-1",
  summary: "share of answers that are the label (accuracy)",
  direction: "higher",
  unit: "share",
  needs: "label",
  perfect: 1,
  contribute: countRight,
  aggregate: ratioOfSums,
};

/**
 * Share of rows in which fewer than k classes come before the label: have a larger score, or the same and a smaller
 * number. scikit-learn: top_k_accuracy_score, but for ties.
 */
export const topK: Metric = {
  name: "top-k",
  summary: "share of answers with the label among the k best (--top-k, 5)",
  direction: "higher",
  unit: "share",
  needs: "label",
  perfect: 1,
  contribute(outputs, truth, options) {
    const expected = trueClasses(truth, options);
    const fits = (tensor: Tensor): boolean => isScores(tensor) && rowsOf(tensor) === expected.length;
    const tensor = chooseOutput(outputs, options, fits, `scores of the classes of ${expected.length} answers`);
    const classes = tensor.dims.at(-1)!;
    const scores: Scores = { values: elementsOf(tensor), rows: expected.length, classes };
    let right = 0;
    let rows = 0;
    expected.forEach((label, row) => {
      if (label === options.ignoreLabel) return;
      rows++;
      if (typeof label === "number" && label >= 0 && label < classes && rank(scores, row, label) < options.topK)
        right++;
    });
    return [right, rows];
  },
  aggregate: ratioOfSums,
};

/** How many classes come before this one. Comparisons with NaN are turned so that NaN comes first, as in {@link argmax}. */
function rank({ values, classes }: Scores, row: number, label: number): number {
  const start = row * classes;
  const own = values[start + label]!;
  if (Number.isNaN(own)) return classes;
  let before = 0;
  for (let i = 0; i < classes; i++) {
    const other = values[start + i]!;
    if (!(other <= own) || (other === own && i < label)) before++;
  }
  return before;
}

/** {@link top1} with the original's answers for labels: whether the two models say the same, right or wrong. */
export const agreement: Metric = {
  name: "agreement",
  summary: "share of answers that are the original's",
  direction: "higher",
  unit: "share",
  needs: "reference",
  perfect: 1,
  contribute: countRight,
  aggregate: ratioOfSums,
};

/** Whether top-1 is what the labels ask for: whole numbers, one per row of an output of scores, each one of its classes. */
export function looksLikeClasses(outputs: Tensors, label: unknown, options: MetricOptions): boolean {
  const numbers = labelNumbers(label);
  if (numbers === undefined || numbers.length === 0) return false;
  const { metricOutput } = options;
  const chosen = metricOutput === undefined ? Object.values(outputs) : [outputs[metricOutput]];
  return chosen.some((tensor) => {
    if (tensor === undefined || !isScores(tensor) || rowsOf(tensor) !== numbers.length) return false;
    const classes = tensor.dims.at(-1)!;
    return numbers.every(
      (value) => value === options.ignoreLabel || (Number.isInteger(value) && value >= 0 && value < classes),
    );
  });
}
