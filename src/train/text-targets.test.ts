import { describe, expect, it } from "vitest";
import { modelOf, runtimes } from "../../test/helpers.ts";
import { fromSamples } from "../data/source.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import type { Batch } from "./batches.ts";
import { type LossOptions, lossOptions } from "./losses/losses.ts";
import { textTargets } from "./text-targets.ts";
import { train } from "./trainer.ts";

type Ctc = Extract<LossOptions, { kind: "ctc" }>;
const ctc = (options: Partial<Ctc> = {}): Ctc => lossOptions.parse({ kind: "ctc", ...options }) as Ctc;
const batchOf = (labels: readonly unknown[]): Batch => ({
  inputs: {},
  labels,
  indices: labels.map((_, i) => 10 + i),
  after: { epoch: 0, index: 0, waiting: [] },
  last: false,
});
/** The output has 6 steps and 5 classes: blank, a, b, c, space. */
const targets = (labels: readonly unknown[], options?: Partial<Ctc>, output = [2, 6, 5]) =>
  textTargets(ctc(options), labels, output, batchOf(labels));

describe("targets of CTC", () => {
  it("are numbers of classes, or texts by the keys, with or without the blank and the space at the end", () => {
    expect(() => targets(["aabb"], { keys: ["a", "b", "c"] })).not.toThrow();
    const numbers = targets([[1, 2], [3]]);
    expect(String(numbers["label"])).toBe("int64[2,8]");
    expect(numbers["label"]!.numbers()).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    expect(numbers["label-lengths"]!.numbers()).toEqual([2, 1]);
    for (const keys of [
      ["", "a", "b", "c", " "],
      ["a", "b", "c", " "],
      ["a", "b", "c"],
    ]) {
      const texts = targets([" a  b ", ["cab"]], { keys });
      expect(texts["label"]!.numbers().slice(0, 4)).toEqual([1, 4, 2, 0]);
      expect(texts["label"]!.numbers().slice(8, 12)).toEqual([3, 1, 2, 0]);
      expect(texts["label-lengths"]!.numbers()).toEqual([3, 3]);
    }
    const last = targets(["ab"], { keys: ["a", "b", "c", "d"], blank: 4 });
    expect(last["label"]!.numbers()).toEqual([0, 1, 4, 4, 4, 4, 4, 4]);
  });

  it("take the longest key that fits", () => {
    const keys = ["", "t", "h", "th", "e"];
    expect(targets(["the"], { keys })["label"]!.numbers().slice(0, 3)).toEqual([3, 4, 0]);
  });

  it.each<[string, readonly unknown[], Partial<Ctc>, RegExp]>([
    ["texts without keys", ["ab"], {}, /sample 10, label: expected numbers .* got "ab"\. .*--ctc-keys FILE/],
    [
      "characters that the keys lack",
      ["ab", "a😀"],
      { keys: ["a", "b", "c"] },
      /sample 11, label: expected characters of the 5 keys, got "😀" in "a😀"/,
    ],
    ["keys of another model", ["ab"], { keys: ["a", "b"] }, /ctc-keys: expected 5 keys, .* got 2/],
    [
      "texts longer than the output",
      ["abcabca"],
      { keys: ["a", "b", "c"] },
      /fits into the 6 steps .* needs 7: "abcabca"/,
    ],
    // Between equal letters there is a blank: aabb just fits.
    ["texts too long by one blank", ["aabbc"], { keys: ["a", "b", "c"] }, /needs 7/],
    ["classes that there are not", [[5]], {}, /expected classes from 0 to 4 without the blank 0, got 5/],
    ["no labels", [undefined], {}, /got no label\. .*--loss distill/],
  ])("refuse %s", (_title, labels, options, says) => {
    expect(() => targets(labels, options)).toThrow(says);
  });
});

it("a model learns to read texts, and their error rate says so", async () => {
  const keys = ["x", "y", "z"];
  const random = createRandom(2);
  // Each letter is two steps of its own channel, then one of none.
  const samples = Array.from({ length: 48 }, () => {
    const letters = Array.from({ length: 1 + random.integer(3) }, () => random.integer(3));
    const steps = new Float32Array(9 * 3).map(() => 0.1 * random.normal());
    letters.forEach((letter, i) => {
      steps[9 * i + letter]! += 1;
      steps[9 * i + 3 + letter]! += 1;
    });
    return { inputs: { x: Tensor.float32([1, 9, 3], steps) }, label: letters.map((letter) => keys[letter]).join("") };
  });
  const model = modelOf(
    "(float[N, 9, 3] x) => (float[N, 9, 4] y) <float[3, 4] w = random(1), float[4] b = {0, 0, 0, 0}> { h = MatMul(x, w) y = Add(h, b) }",
  );
  const result = await train(
    model,
    {
      losses: [{ kind: "ctc", keys }],
      optimizer: { kind: "adam" },
      learningRate: 0.1,
      batchSize: 8,
      epochs: 12,
      metric: "cer",
      metricOptions: { ctcKeys: keys },
    },
    {
      runtime: await runtimes.node(),
      data: fromSamples(samples.slice(8)),
      validation: fromSamples(samples.slice(0, 8)),
    },
  );
  expect(result.validations[0]!.value).toBeGreaterThan(0.5);
  expect(result.best).toMatchObject({ metric: "cer", value: 0 });
});
