/**
 * @file Tests of all metrics: against scikit-learn and SciPy (test/reference/metrics.json, made by
 * scripts/reference/metrics.py), and against values worked out by hand.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Tensors } from "../../runtime/runtime.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { Contributions } from "../bootstrap.ts";
import { looksLikeClasses } from "./classification.ts";
import { findMetric, METRICS } from "./list.ts";
import { DEFAULT_METRIC_OPTIONS, type MetricOptions } from "./options.ts";

const reference = JSON.parse(readFileSync(new URL("../../../test/reference/metrics.json", import.meta.url), "utf8"));

interface Case {
  readonly outputs: Tensors;
  readonly label?: unknown;
  readonly reference?: Tensors;
}

/** The metric over cases, as the meter computes it. */
function measure(name: string, cases: readonly Case[], options: Partial<MetricOptions> = {}): number {
  const metric = findMetric(name);
  const all = { ...DEFAULT_METRIC_OPTIONS, ...options };
  const contributions = new Contributions();
  for (const { outputs, label, reference: original } of cases) {
    contributions.add(metric.contribute(outputs, original ? { reference: original } : { label }, all));
  }
  return metric.aggregate(contributions.sums(), all);
}

const floats = (dims: number[], values: readonly number[]): Tensors => ({ y: Tensor.float32(dims, [...values]) });
const ints = (dims: number[], values: readonly number[]): Tensors => ({ y: Tensor.int64(dims, values) });
const texts = (...values: string[]): Tensors => ({ y: Tensor.strings([values.length], values) });

/** One case per row of scores. */
function rows(values: readonly number[], classes: number, labels: readonly number[]): Case[] {
  return labels.map((label, i) => ({
    outputs: floats([1, classes], values.slice(i * classes, (i + 1) * classes)),
    label,
  }));
}

/** Float32 sums of a few hundred terms against NumPy's in float64. */
const CLOSE = 10;

describe("classes, against scikit-learn", () => {
  const { labels, scores, others, classes, ...expected } = reference.classification;
  const cases = rows(scores, classes, labels);
  const pairs = cases.map(({ outputs }, i) => ({
    reference: outputs,
    outputs: rows(others, classes, labels)[i]!.outputs,
  }));

  it("counts accuracy, top-k and F1", () => {
    expect(measure("top-1", cases)).toBeCloseTo(expected.top1, CLOSE);
    expect(measure("top-k", cases, { topK: 2 })).toBeCloseTo(expected.top2, CLOSE);
    expect(measure("top-2", cases)).toBeCloseTo(expected.top2, CLOSE);
    expect(measure("top-5", cases)).toBe(1);
    expect(measure("f1", cases)).toBeCloseTo(expected.f1Macro, CLOSE);
    expect(measure("f1", cases, { f1Average: "micro" })).toBeCloseTo(expected.f1Micro, CLOSE);
  });

  it("does not care whether rows come one by one or as a batch", () => {
    const batch = [{ outputs: floats([labels.length, classes], scores), label: labels }];
    for (const name of ["top-1", "top-2", "f1"]) expect(measure(name, batch)).toBeCloseTo(measure(name, cases), CLOSE);
    const numbers = [{ ...batch[0]!, label: Tensor.int64([labels.length], labels) }];
    expect(measure("top-1", numbers)).toBeCloseTo(expected.top1, CLOSE);
  });

  it("compares with the original: agreement, divergence of the softmax", () => {
    expect(measure("agreement", pairs)).toBeCloseTo(expected.agreement, CLOSE);
    expect(measure("top-1", pairs)).toBeCloseTo(expected.agreement, CLOSE);
    expect(measure("kl", pairs)).toBeCloseTo(expected.kl, 7);
    expect(measure("kl", [{ outputs: cases[0]!.outputs, reference: cases[0]!.outputs }])).toBe(0);
  });

  it("takes one probability per answer from the threshold on", () => {
    const { binary } = reference;
    const outputs = floats([binary.labels.length, 1], binary.scores);
    expect(measure("f1", [{ outputs, label: binary.labels }], { f1Average: "binary" })).toBeCloseTo(binary.f1, CLOSE);
    expect(measure("top-1", [{ outputs, label: binary.labels }])).toBeCloseTo(binary.accuracy, CLOSE);
  });

  it("counts several true classes per answer", () => {
    const { several } = reference;
    const outputs = floats([several.labels.length / classes, classes], several.scores);
    expect(measure("f1", [{ outputs, label: several.labels }])).toBeCloseTo(several.f1Macro, CLOSE);
    const micro = measure("f1", [{ outputs, label: several.labels }], { f1Average: "micro" });
    expect(micro).toBeCloseTo(several.f1Micro, CLOSE);
  });
});

describe("classes, by hand", () => {
  it("leaves out labels to be ignored", () => {
    const outputs = floats([3, 2], [1, 0, 0, 1, 1, 0]);
    expect(measure("top-1", [{ outputs, label: [0, -100, 1] }], { ignoreLabel: -100 })).toBe(0.5);
    expect(measure("f1", [{ outputs, label: [0, -100, 0] }], { ignoreLabel: -100 })).toBe(1);
    expect(measure("top-1", [{ outputs, label: [-100, -100, -100] }], { ignoreLabel: -100 })).toBeNaN();
  });

  it("gives ties to the first, and NaN to no label", () => {
    const outputs = floats([1, 3], [2, 2, 1]);
    expect(["top-1", "top-2"].map((name) => measure(name, [{ outputs, label: 1 }]))).toEqual([0, 1]);
    const broken = floats([1, 3], [2, Number.NaN, 1]);
    expect([0, 1].map((label) => measure("top-1", [{ outputs: broken, label }]))).toEqual([0, 1]);
    expect([0, 1].map((label) => measure("top-2", [{ outputs: broken, label }]))).toEqual([1, 0]);
  });

  it("takes classes that the model names itself, and refuses names for numbers", () => {
    const answered = { label: Tensor.strings([2], ["cat", "dog"]) };
    expect(measure("top-1", [{ outputs: answered, label: ["cat", "cat"] }])).toBe(0.5);
    expect(measure("top-1", [{ outputs: ints([2], [3, 4]), label: [3, 5] }])).toBe(0.5);
    expect(() => measure("top-1", [{ outputs: floats([1, 2], [1, 0]), label: "cat" }])).toThrow(
      /expected the number of a class, got "cat"/,
    );
    expect(() => measure("top-1", [{ outputs: floats([1, 2], [1, 0]), label: [0, 1, 1] }])).toThrow(
      /of 3 answers, got "y" float32\[1,2\]/,
    );
    expect(() => measure("top-1", [{ outputs: floats([1, 2], [1, 0]), label: { file: "a" } }])).toThrow(
      /an object with file/,
    );
  });

  it("chooses the output that fits, or the one that is named", () => {
    const outputs = { state: Tensor.float32([4, 4], new Float32Array(16)), y: Tensor.float32([1, 2], [0, 1]) };
    expect(measure("top-1", [{ outputs, label: 1 }])).toBe(1);
    expect(measure("top-1", [{ outputs, label: [0, 0, 0, 1] }], { metricOutput: "state" })).toBe(0.75);
    expect(() => measure("top-1", [{ outputs, label: 1 }], { metricOutput: "z" })).toThrow(/no such output; there are/);
  });

  it("knows labels that are classes of an output", () => {
    const outputs = floats([2, 3], [0, 0, 0, 0, 0, 0]);
    const looks = (label: unknown) => looksLikeClasses(outputs, label, DEFAULT_METRIC_OPTIONS);
    expect([looks([0, 2]), looks(Tensor.int64([2], [1, 1]))]).toEqual([true, true]);
    expect([looks([0, 3]), looks(0), looks([0.5, 1]), looks("a"), looks([])]).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("maps", () => {
  const { dims, labels, answers, meanIou, dice, binaryIou, binaryDice } = reference.maps;
  const [count, height, width] = dims as [number, number, number];
  const plane = height * width;
  const part = (values: number[], i: number) => values.slice(i * plane, (i + 1) * plane);
  const each = (outputs: (i: number) => Tensors, label: (i: number) => unknown): Case[] =>
    Array.from({ length: count }, (_, i) => ({ outputs: outputs(i), label: label(i) }));

  it("equals scikit-learn's jaccard_score and f1_score over all pixels", () => {
    const cases = each(
      (i) => ints([1, height, width], part(answers, i)),
      (i) => Tensor.int64([height, width], part(labels, i)),
    );
    expect(measure("mean-iou", cases)).toBeCloseTo(meanIou, CLOSE);
    expect(measure("dice", cases)).toBeCloseTo(dice, CLOSE);
  });

  it("takes the largest score along the channels", () => {
    const scores = (i: number) =>
      floats(
        [1, 4, height, width],
        [0, 1, 2, 3].flatMap((k) => part(answers, i).map((value) => (value === k ? 2 : -1))),
      );
    const cases = each(scores, (i) => part(labels, i));
    expect(measure("mean-iou", cases)).toBeCloseTo(meanIou, CLOSE);
  });

  it("counts only the inside of maps with one value per pixel, whatever number masks have for it", () => {
    const cases = each(
      (i) =>
        floats(
          [1, 1, height, width],
          part(answers, i).map((value) => (value > 1 ? 0.9 : 0.2)),
        ),
      (i) => part(labels, i).map((value) => (value > 1 ? 255 : 0)),
    );
    expect(measure("mean-iou", cases)).toBeCloseTo(binaryIou, CLOSE);
    expect(measure("dice", cases)).toBeCloseTo(binaryDice, CLOSE);
    expect(measure("dice", cases, { metricThreshold: 0.95 })).toBe(0);
  });

  it("compares with the original's map; nothing found where nothing is, is right", () => {
    const a = floats([1, 1, 2, 2], [0.9, 0.9, 0.1, 0.1]);
    const b = floats([1, 1, 2, 2], [0.9, 0.1, 0.1, 0.1]);
    expect(measure("dice", [{ outputs: b, reference: a }])).toBeCloseTo(2 / 3, CLOSE);
    const none = floats([1, 1, 2, 2], [0, 0, 0, 0]);
    expect(measure("dice", [{ outputs: none, reference: none }])).toBe(1);
    expect(measure("mean-iou", [{ outputs: a, label: [1, -1, 0, -1] }], { ignoreLabel: -1 })).toBe(1);
    expect(() => measure("dice", [{ outputs: a, label: [0.5, 0, 0, 0] }])).toThrow(/map of classes/);
  });
});

it("measures errors of quantities", () => {
  const { dims, labels, answers, mse, mae, cosine } = reference.regression;
  const cases = [{ outputs: floats(dims, answers), label: Tensor.float32(dims, labels) }];
  expect(measure("mse", cases)).toBeCloseTo(mse, CLOSE);
  expect(measure("mae", cases)).toBeCloseTo(mae, CLOSE);
  const pair = [{ outputs: floats(dims, answers), reference: floats(dims, labels) }];
  expect(measure("cosine", pair)).toBeCloseTo(cosine, CLOSE);
  expect(measure("mse", pair)).toBeCloseTo(mse, CLOSE);
  const signal = (labels as number[]).reduce((sum, value) => sum + value * value, 0);
  expect(measure("sqnr", pair)).toBeCloseTo(10 * Math.log10(signal / (mse * labels.length)), 6);
  expect(() => measure("mse", [{ outputs: floats([2], [1, 2]), label: [1, 2, 3] }])).toThrow(/an output of 3 floats/);
});

it("takes rows that are distributions as they are, and rules no class out for ever", () => {
  const p = floats([1, 2], [0.5, 0.5]);
  const q = floats([1, 2], [0.25, 0.75]);
  const expected = 0.5 * Math.log(0.5 / 0.25) + 0.5 * Math.log(0.5 / 0.75);
  expect(measure("kl", [{ outputs: q, reference: p }])).toBeCloseTo(expected, 7);
  const sure = floats([1, 2], [1, 0]);
  expect(measure("kl", [{ outputs: sure, reference: p }])).toBeCloseTo(
    0.5 * Math.log(0.5) + 0.5 * Math.log(0.5 * 2 ** 126),
    4,
  );
});

describe("text", () => {
  it("sums edits and characters over all, after white space is collapsed", () => {
    const cases = [
      { outputs: texts("kitten"), label: "sitting" }, // 3 edits of 7
      { outputs: texts(" a\u3000b  c "), label: "a b c" }, // 0 of 5
      { outputs: texts("naïve 😀"), label: Tensor.strings([1], ["naive 😀!"]) }, // 2 of 8: code points
    ];
    expect(measure("cer", cases)).toBeCloseTo(5 / 20, CLOSE);
    expect(measure("exact-match", cases)).toBeCloseTo(1 / 3, CLOSE);
    expect(measure("wer", [{ outputs: texts("the cat sat"), label: "the dog sat down" }])).toBe(0.5);
    expect(measure("cer", [{ outputs: texts("abc"), label: "" }])).toBeNaN();
  });

  it("decodes the best path of scores with keys", () => {
    // Steps: h h blank i i blank blank i → "hii"
    const path = [1, 1, 0, 2, 2, 0, 0, 2];
    const scores = path.flatMap((best) => [0, 1, 2, 3].map((k) => (k === best ? 0.9 : 0.03)));
    const outputs = floats([1, 8, 4], scores);
    for (const ctcKeys of [
      ["", "h", "i", " "],
      ["h", "i", " "],
      ["h", "i"],
    ]) {
      expect(measure("exact-match", [{ outputs, label: "hii" }], { ctcKeys })).toBe(1);
    }
    expect(measure("cer", [{ outputs, label: [1, 2] }])).toBe(0.5);
    expect(measure("cer", [{ outputs: floats([8, 4], scores), label: [1, 2, 2] }])).toBe(0);
    expect(() => measure("cer", [{ outputs, label: "hi" }], { ctcKeys: ["a"] })).toThrow(/expected 4 keys/);
    expect(() => measure("cer", [{ outputs, label: "hi" }])).toThrow(/got text\. Give the text of the model's classes/);
    expect(() => measure("wer", [{ outputs, label: [1, 2] }])).toThrow(/tokens, which have no words/);
    // The blank may be the last class, as in wav2vec exports of some tools.
    const last = path.flatMap((best) => [1, 2, 3, 0].map((k) => (k === best ? 0.9 : 0.03)));
    const options = { ctcKeys: ["h", "i", " "], ctcBlank: 3 };
    expect(measure("exact-match", [{ outputs: floats([1, 8, 4], last), label: "hii" }], options)).toBe(1);
  });

  it("compares tokens, without padding", () => {
    const outputs = ints([2, 3], [5, 6, 0, 7, 0, 0]);
    const label = Tensor.int64([2, 3], [5, 6, 0, 8, 9, 0]);
    expect(measure("exact-match", [{ outputs, label }], { ignoreLabel: 0 })).toBe(0.5);
    expect(measure("cer", [{ outputs, label }], { ignoreLabel: 0 })).toBe(0.5); // (0 + 2) of (2 + 2)
    expect(
      measure("exact-match", [
        {
          outputs,
          label: [
            [5, 6, 0],
            [7, 0, 0],
          ],
        },
      ]),
    ).toBe(1);
    expect(() => measure("cer", [{ outputs, label: [1, 2] }])).toThrow(/expected 2 texts, one for each answer, got 1/);
  });
});

it("documents every metric", () => {
  const docs = readFileSync(new URL("../../../docs/evaluation.md", import.meta.url), "utf8");
  for (const { name } of METRICS) expect(docs).toContain(`\`${name}\``);
});

it("has for each metric a value of equal answers, and gives it", () => {
  const scores = floats([2, 3], [0.1, 0.7, 0.2, 0.6, 0.3, 0.1]);
  const map = floats([1, 1, 2, 2], [0.9, 0.9, 0.1, 0.1]);
  for (const metric of METRICS) {
    const outputs = metric.name === "dice" || metric.name === "mean-iou" ? map : scores;
    // Words need text.
    const options = metric.name === "wer" ? { ctcKeys: ["", "a", "b"] } : {};
    expect([metric.name, measure(metric.name, [{ outputs, reference: outputs }], options)]).toEqual([
      metric.name,
      metric.perfect,
    ]);
  }
  expect(() => findMetric("top-0")).toThrow(/expected top-1, top-k/);
});
