/**
 * @file Answers that are sequences: text, or the numbers of tokens.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { OptionError } from "../../util/errors.ts";
import { argmax } from "../argmax.ts";
import { elementsOf } from "../compare.ts";
import { normalizeText } from "./edit-distance.ts";
import { labelRows, labelTexts, refuseLabel } from "./labels.ts";
import type { Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";
import { chooseOutput } from "./outputs.ts";

/** Text with its white space normalized, or tokens. */
export type Sequence = string | readonly number[];

/**
 * One sequence per row. Strings [N] are text; integers [T] or [N, T] tokens; scores [T, C] or [N, T, C] are decoded
 * greedily as CTC's best path: the largest of each step, one of each run of equals, no blanks. With the keys of the
 * classes, tokens become text.
 * Source: Graves et al., Connectionist Temporal Classification (ICML 2006), §3.2.
 */
export function answeredSequences(outputs: Tensors, options: MetricOptions): readonly Sequence[] {
  const tensor = chooseOutput(outputs, options, isSequence, "text, tokens [N, T] or scores [N, T, C]");
  if (tensor.strings !== undefined) return tensor.strings.map(normalizeText);
  if (isFloatingPoint(tensor.dtype)) {
    const classes = tensor.dims.at(-1)!;
    const characters = options.ctcKeys && charactersOf(options.ctcKeys, classes, options.ctcBlank);
    return bestPaths(tensor, options.ctcBlank).map((row) => asText(row, characters));
  }
  return rowsOf(tensor, options).map((row) => asText(row, options.ctcKeys));
}

/** The sequences that the answers should be. @throws InputError where the label is neither text nor tokens. */
export function trueSequences(truth: Truth, options: MetricOptions): readonly Sequence[] {
  if ("reference" in truth) return answeredSequences(truth.reference, options);
  const texts = labelTexts(truth.label);
  if (texts !== undefined && texts.length > 0) return texts.map(normalizeText);
  const rows = labelRows(truth.label) ?? refuseLabel(truth.label, "text, or tokens in whole numbers");
  return rows.map((row) => row.filter((token) => token !== options.ignoreLabel));
}

function isSequence(tensor: Tensor): boolean {
  if (tensor.strings !== undefined) return true;
  const { length } = tensor.dims;
  return isFloatingPoint(tensor.dtype) ? length === 2 || length === 3 : length >= 1 && length <= 2;
}

function rowsOf(tensor: Tensor, { ignoreLabel }: MetricOptions): number[][] {
  const all = tensor.numbers();
  const width = tensor.dims.at(-1)!;
  const rows = tensor.dims.length === 1 ? 1 : tensor.dims[0]!;
  return Array.from({ length: rows }, (_, row) =>
    all.slice(row * width, (row + 1) * width).filter((token) => token !== ignoreLabel),
  );
}

function bestPaths(tensor: Tensor, blank: number): number[][] {
  const values = elementsOf(tensor);
  const [steps, classes] = tensor.dims.slice(-2) as [number, number];
  const rows = tensor.dims.length === 2 ? 1 : tensor.dims[0]!;
  return Array.from({ length: rows }, (_, row) => {
    const path: number[] = [];
    let previous = blank;
    for (let step = 0; step < steps; step++) {
      const best = argmax(values, (row * steps + step) * classes, classes);
      if (best !== blank && best !== previous) path.push(best);
      previous = best;
    }
    return path;
  });
}

/**
 * The text of every class. Key files may leave out the blank, and, as PaddleOCR's do, a space after the last key.
 * @throws OptionError where the numbers do not fit.
 */
export function charactersOf(keys: readonly string[], classes: number, blank: number): readonly string[] {
  const missing = classes - keys.length;
  if (missing === 0) return keys;
  if (missing === 1 || missing === 2) {
    const all = [...keys, ...(missing === 2 ? [" "] : [])];
    all.splice(blank, 0, "");
    return all;
  }
  throw new OptionError({
    area: "metric",
    subject: "ctc-keys",
    problem: `expected ${classes} keys, or one less without the blank, or two less without a space at the end, got ${keys.length}`,
    help: "Give the model's own key file: one class per line.",
  });
}

function asText(tokens: readonly number[], characters: readonly string[] | undefined): Sequence {
  return characters === undefined ? tokens : normalizeText(tokens.map((token) => characters[token] ?? "�").join(""));
}
