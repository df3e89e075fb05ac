/**
 * @file Texts as targets of CTC: class numbers, from labels that are numbers or texts, filled up to one width.
 */
import { normalizeText } from "../measure/metrics/edit-distance.ts";
import { describeLabel, labelNumbers, labelTexts } from "../measure/metrics/labels.ts";
import { charactersOf } from "../measure/metrics/sequence.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import { formatCount } from "../util/format.ts";
import type { Batch } from "./batches.ts";
import type { LossOptions } from "./losses/losses.ts";

type CtcOptions = Extract<LossOptions, { kind: "ctc" }>;

/** Texts are as wide as a multiple of this, so that few programs serve all. */
const TEXT_STEP = 8;

/**
 * Texts of different lengths, filled up with blanks, and their lengths.
 * @param labels One per sample: whole numbers, or one text where the loss has keys.
 * @param output Dimensions of the model's output, [N, T, C] or [T, N, C].
 * @throws InputError for characters that the keys lack, and for texts that the output has too few steps for.
 */
export function textTargets(
  loss: CtcOptions,
  labels: readonly unknown[],
  output: readonly number[],
  batch: Batch,
): Record<string, Tensor> {
  const { target, lengths, blank, timeAxis } = loss;
  const classes = output.at(-1)!;
  const steps = output[timeAxis] ?? 0;
  const read = reader(loss, classes);
  const rows = labels.map((label, i) => {
    const subject = `sample ${batch.indices[i] ?? batch.indices[0]}, label`;
    const row = read(label, subject);
    const wrong = row.find((one) => !(Number.isInteger(one) && one >= 0 && one < classes && one !== blank));
    if (wrong !== undefined) {
      const problem = `expected classes from 0 to ${classes - 1} without the blank ${blank}, got ${wrong}`;
      throw new InputError({ area: "train", subject, problem });
    }
    // Between two equal letters there has to be a blank.
    const needed = row.length + row.filter((one, at) => at > 0 && one === row[at - 1]).length;
    if (needed > steps) {
      throw new InputError({
        area: "train",
        subject,
        problem: `expected a text that fits into the ${steps} steps of the output, got one that needs ${needed}: ${describeLabel(label)}`,
        help: "Give inputs that the model makes more steps of (wider images of a line), or leave the sample out.",
      });
    }
    return row;
  });
  const longest = Math.max(1, ...rows.map((row) => row.length));
  const width = Math.ceil(longest / TEXT_STEP) * TEXT_STEP;
  const all = rows.flatMap((row) => [...row, ...Array<number>(width - row.length).fill(blank)]);
  return {
    [target]: Tensor.int64([rows.length, width], all),
    [lengths]: Tensor.int64(
      [rows.length],
      rows.map((row) => row.length),
    ),
  };
}

/** Class numbers of a label; of texts by the longest key that fits at each place. */
function reader({ keys, blank }: CtcOptions, classes: number): (label: unknown, subject: string) => readonly number[] {
  const characters = keys && charactersOf(keys, classes, blank);
  const indices = new Map(characters?.map((text, index) => [text, index]));
  const longest = Math.max(1, ...(characters ?? []).map(({ length }) => length));
  return (label, subject) => {
    const numbers = labelNumbers(label);
    if (numbers !== undefined) return numbers;
    const fail = (problem: string, help: string): InputError =>
      new InputError({ area: "train", subject, problem, help });
    const texts = labelTexts(label);
    if (texts?.length !== 1) {
      throw fail(
        `expected numbers or a text for the loss ctc, got ${label === undefined ? "no label" : describeLabel(label)}`,
        "Give data with labels, or train without them with --loss distill (API: kind distillation).",
      );
    }
    if (characters === undefined) {
      throw fail(
        `expected numbers for the loss ctc, got ${describeLabel(texts[0])}`,
        "Give the text of the model's classes with --ctc-keys FILE (API: keys).",
      );
    }
    const text = normalizeText(texts[0]!);
    const row: number[] = [];
    for (let at = 0; at < text.length; ) {
      let size = longest;
      while (size > 0 && !indices.has(text.slice(at, at + size))) size--;
      if (size === 0) {
        const character = String.fromCodePoint(text.codePointAt(at)!);
        throw fail(
          `expected characters of the ${formatCount(characters.length)} keys, got "${character}" in ${describeLabel(text)}`,
          "Write the text as the model can, leave the sample out, or give the model's own key file.",
        );
      }
      row.push(indices.get(text.slice(at, at + size))!);
      at += size;
    }
    return row;
  };
}
