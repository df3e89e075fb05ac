/**
 * @file Overlap of maps: mean intersection over union, Dice.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { argmax } from "../argmax.ts";
import { elementsOf } from "../compare.ts";
import { labelNumbers, refuseLabel } from "./labels.ts";
import type { Metric, Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";
import { chooseOutput } from "./outputs.ts";

/** Counts of a class: pixels that have it in both maps, in the answer, in the truth. */
const COUNTS = 3;

interface ClassMap {
  readonly classes: ArrayLike<number>;
  /** 0 and 1 for outside and inside: only the inside counts. */
  readonly binary: boolean;
}

/**
 * A map of classes: scores [N, C, H, W] with C ≥ 2 are the place of the largest along C, one float per pixel is inside
 * from the threshold on, integers and booleans are themselves.
 * @param size pixels that it must have; default: any number.
 */
function answeredMap(outputs: Tensors, options: MetricOptions, size?: number): ClassMap {
  const pixels = (tensor: Tensor): number => tensor.size / (hasScores(tensor) ? tensor.dims.at(-3)! : 1);
  const fits = (tensor: Tensor): boolean =>
    tensor.strings === undefined && tensor.dims.length >= 2 && (size === undefined || pixels(tensor) === size);
  const expected = `a map [N, C, H, W]${size === undefined ? "" : ` of ${size} pixels`}`;
  const tensor = chooseOutput(outputs, options, fits, expected);
  if (!isFloatingPoint(tensor.dtype)) return { classes: tensor.numbers(), binary: tensor.dtype === "bool" };
  const values = elementsOf(tensor);
  if (!hasScores(tensor)) {
    return { classes: Uint8Array.from(values, (value) => (value >= options.metricThreshold ? 1 : 0)), binary: true };
  }
  const classes = tensor.dims.at(-3)!;
  const plane = tensor.dims.at(-2)! * tensor.dims.at(-1)!;
  const column = new Float64Array(classes);
  const map = Int32Array.from({ length: tensor.size / classes }, (_, pixel) => {
    const start = Math.floor(pixel / plane) * classes * plane + (pixel % plane);
    for (let k = 0; k < classes; k++) column[k] = values[start + k * plane]!;
    return argmax(column, 0, classes);
  });
  return { classes: map, binary: false };
}

/** Four axes, of which the second has scores of classes. */
const hasScores = (tensor: Tensor): boolean =>
  isFloatingPoint(tensor.dtype) && tensor.dims.length === 4 && tensor.dims[1]! >= 2;

function countOverlap(outputs: Tensors, truth: Truth, options: MetricOptions): number[] {
  const expected = "reference" in truth ? answeredMap(truth.reference, options).classes : labelledMap(truth.label);
  const { classes: answered, binary } = answeredMap(outputs, options, expected.length);
  const counts: number[] = [];
  const count = (value: number, which: number): void => {
    if (binary && value === 0) return;
    if (!binary && value < 0) refuseLabel(value, "classes from 0 up (see --ignore-label)");
    // Inside is one class, whatever number the label gives it (masks often hold 255).
    const place = COUNTS * (binary ? 0 : value) + which;
    while (counts.length <= place) counts.push(0);
    counts[place]!++;
  };
  for (let i = 0; i < expected.length; i++) {
    const wanted = expected[i]!;
    if (wanted === options.ignoreLabel) continue;
    const got = answered[i]!;
    count(got, 1);
    count(wanted, 2);
    if (binary ? got !== 0 && wanted !== 0 : got === wanted) count(got, 0);
  }
  return counts;
}

function labelledMap(label: unknown): readonly number[] {
  const numbers = labelNumbers(label);
  const isMap = numbers?.every((value) => Number.isInteger(value) && value < 65_536 && value > -65_536);
  return isMap ? numbers! : refuseLabel(label, "a map of classes in whole numbers");
}

/** Mean over the classes that occur, of all samples together; 1 where none does: nothing was to be found, and nothing was. */
function meanOverClasses(sums: Float64Array, overlap: (both: number, answer: number, truth: number) => number): number {
  let sum = 0;
  let seen = 0;
  for (let start = 0; start + COUNTS <= sums.length; start += COUNTS) {
    const [both, answer, truth] = [sums[start]!, sums[start + 1]!, sums[start + 2]!];
    if (answer + truth === 0) continue;
    seen++;
    sum += overlap(both, answer, truth);
  }
  return seen === 0 ? 1 : sum / seen;
}

/**
 * Mean over classes of |A ∩ B| ÷ |A ∪ B|, with the pixels of all samples counted together; of maps of one value per
 * pixel, that of the inside. Source: Everingham et al., The Pascal Visual Object Classes Challenge (2015), §2.
 */
export const meanIou: Metric = {
  name: "mean-iou",
  summary: "intersection over union of maps, mean over classes",
  direction: "higher",
  unit: "share",
  needs: "label",
  perfect: 1,
  contribute: countOverlap,
  aggregate: (sums) => meanOverClasses(sums, (both, answer, truth) => both / (answer + truth - both)),
};

/**
 * Mean over classes of 2 · |A ∩ B| ÷ (|A| + |B|), counted as in {@link meanIou}. Source: Dice, Measures of the Amount of
 * Ecologic Association Between Species (1945).
 */
export const dice: Metric = {
  name: "dice",
  summary: "Dice coefficient of maps, mean over classes",
  direction: "higher",
  unit: "share",
  needs: "label",
  perfect: 1,
  contribute: countOverlap,
  aggregate: (sums) => meanOverClasses(sums, (both, answer, truth) => (2 * both) / (answer + truth)),
};
