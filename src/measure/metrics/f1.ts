/**
 * @file F1: the harmonic mean of precision and recall.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { InputError } from "../../util/errors.ts";
import { elementsOf } from "../compare.ts";
import { answeredClasses, type Class, trueClasses } from "./classification.ts";
import { labelNumbers } from "./labels.ts";
import type { Metric, Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";

/** Counts of a class: true positives, false positives, false negatives. */
const COUNTS = 3;

/**
 * F1 = 2 · TP ÷ (2 · TP + FP + FN), over all samples: macro is the mean over the classes that occur in labels or answers,
 * micro takes the counts of all classes together, binary is that of class 1. A label of 0 and 1 for each of C classes,
 * where the output has a score for each (several may be true), counts each class from the threshold on.
 * scikit-learn: f1_score with zero_division=0.
 */
export const f1: Metric = {
  name: "f1",
  summary: "harmonic mean of precision and recall (--f1-average)",
  direction: "higher",
  unit: "share",
  needs: "label",
  perfect: 1,
  contribute(outputs, truth, options) {
    return severalTrue(outputs, truth, options) ?? oneTrue(outputs, truth, options);
  },
  aggregate(sums, { f1Average }) {
    const classes = Math.floor(sums.length / COUNTS);
    if (f1Average === "binary") return classes > 1 ? f1Of(sums[3]!, sums[4]!, sums[5]!) : 0;
    // Runs once per resample, for a thousand classes: plain locals.
    let [allTp, allFp, allFn, sum, seen] = [0, 0, 0, 0, 0];
    for (let k = 0; k < classes; k++) {
      const tp = sums[k * COUNTS]!;
      const fp = sums[k * COUNTS + 1]!;
      const fn = sums[k * COUNTS + 2]!;
      if (tp + fp + fn === 0) continue;
      seen++;
      sum += f1Of(tp, fp, fn);
      allTp += tp;
      allFp += fp;
      allFn += fn;
    }
    if (f1Average === "micro") return f1Of(allTp, allFp, allFn);
    return seen === 0 ? Number.NaN : sum / seen;
  },
};

function f1Of(tp: number, fp: number, fn: number): number {
  const total = 2 * tp + fp + fn;
  return total === 0 ? 0 : (2 * tp) / total;
}

function oneTrue(outputs: Tensors, truth: Truth, options: MetricOptions): Float64Array {
  const expected = trueClasses(truth, options);
  const answered = answeredClasses(outputs, options, expected.length);
  const counts = new Float64Array(COUNTS * (1 + Math.max(0, ...expected.map(place), ...answered.map(place))));
  expected.forEach((label, row) => {
    if (label === options.ignoreLabel) return;
    const [right, got] = [place(label), place(answered[row]!)];
    if (right === got) counts[COUNTS * right]!++;
    else {
      counts[COUNTS * got + 1]!++;
      counts[COUNTS * right + 2]!++;
    }
  });
  return counts;
}

/** A class that a count can have. Ignored labels may be negative. */
function place(value: Class): number {
  if (typeof value === "number" && Number.isInteger(value) && value < 1e6) return Math.max(0, value);
  throw new InputError({
    area: "metric",
    subject: "f1",
    problem: `expected the number of a class below a million, got ${JSON.stringify(value)}`,
    help: "Where classes are text, use exact-match.",
  });
}

/** Counts where every class may be true or not; undefined where labels do not say so. */
function severalTrue(outputs: Tensors, truth: Truth, options: MetricOptions): Float64Array | undefined {
  if ("reference" in truth) return undefined;
  const labels = labelNumbers(truth.label);
  if (labels === undefined || labels.length < 2 || !labels.every((value) => value === 0 || value === 1))
    return undefined;
  const { metricOutput } = options;
  const fits = (tensor: Tensor | undefined): boolean =>
    tensor !== undefined &&
    isFloatingPoint(tensor.dtype) &&
    tensor.size === labels.length &&
    (tensor.dims.at(-1) ?? 1) > 1;
  const tensor = (metricOutput === undefined ? Object.values(outputs) : [outputs[metricOutput]]).find(fits);
  if (tensor === undefined) return undefined;
  const scores = elementsOf(tensor);
  const classes = tensor.dims.at(-1)!;
  const counts = new Float64Array(COUNTS * classes);
  labels.forEach((label, i) => {
    const answer = scores[i]! >= options.metricThreshold;
    if (!answer && label === 0) return;
    counts[COUNTS * (i % classes) + (answer ? (label === 1 ? 0 : 1) : 2)]!++;
  });
  return counts;
}
