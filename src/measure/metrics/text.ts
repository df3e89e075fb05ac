/**
 * @file Metrics of answers that are text or tokens: character error rate, word error rate, exact match.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { InputError } from "../../util/errors.ts";
import { editDistance } from "./edit-distance.ts";
import { type Metric, ratioOfSums, type Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";
import { answeredSequences, type Sequence, trueSequences } from "./sequence.ts";

/** Answers beside what they should be. */
function pairs(outputs: Tensors, truth: Truth, options: MetricOptions): readonly (readonly [Sequence, Sequence])[] {
  const expected = trueSequences(truth, options);
  const answered = answeredSequences(outputs, options);
  if (expected.length !== answered.length) {
    throw new InputError({
      area: "metric",
      subject: "label",
      problem: `expected ${answered.length} text${answered.length === 1 ? "" : "s"}, one for each answer, got ${expected.length}`,
    });
  }
  return answered.map((answer, row) => {
    const wanted = expected[row]!;
    if (typeof answer === typeof wanted) return [answer, wanted] as const;
    throw new InputError({
      area: "metric",
      subject: "label",
      problem: `expected ${typeof answer === "string" ? "text" : "tokens"}, as the model answers, got ${typeof wanted === "string" ? "text" : "tokens"}`,
      help: typeof answer === "string" ? undefined : "Give the text of the model's classes with --ctc-keys.",
    });
  });
}

/** Edits and reference length, summed over the rows of a sample. */
function editMetric(name: string, summary: string, unitsOf: (sequence: Sequence) => readonly unknown[]): Metric {
  return {
    name,
    summary,
    direction: "lower",
    unit: "share",
    needs: "text",
    perfect: 0,
    contribute(outputs, truth, options) {
      let [edits, length] = [0, 0];
      for (const [answer, wanted] of pairs(outputs, truth, options)) {
        const units = unitsOf(wanted);
        edits += editDistance(unitsOf(answer), units);
        length += units.length;
      }
      return [edits, length];
    },
    aggregate: ratioOfSums,
  };
}

/**
 * Edit distance in code points ÷ code points of the labels, both summed over all samples, after white space (U+3000
 * included) is collapsed and trimmed; of tokens, in tokens. Above 1 where answers are much too long.
 */
export const cer = editMetric("cer", "character error rate: edits per character of the label", (sequence) =>
  typeof sequence === "string" ? [...sequence] : sequence,
);

/** The same in words: what white space separates. */
export const wer = editMetric("wer", "word error rate: edits per word of the label", (sequence) => {
  if (typeof sequence === "string") return sequence === "" ? [] : sequence.split(" ");
  throw new InputError({
    area: "metric",
    subject: "wer",
    problem: "expected text, got tokens, which have no words",
    help: "Give the text of the model's classes with --ctc-keys, or use cer, which counts tokens.",
  });
});

/** Share of answers that equal the label, text after white space is collapsed and trimmed. */
export const exactMatch: Metric = {
  name: "exact-match",
  summary: "share of texts or token sequences that equal the label",
  direction: "higher",
  unit: "share",
  needs: "text",
  perfect: 1,
  contribute(outputs, truth, options) {
    const all = pairs(outputs, truth, options);
    const same = all.filter(([answer, wanted]) =>
      typeof answer === "string"
        ? answer === wanted
        : answer.length === wanted.length && answer.every((token, i) => token === wanted[i]),
    );
    return [same.length, all.length];
  },
  aggregate: ratioOfSums,
};
