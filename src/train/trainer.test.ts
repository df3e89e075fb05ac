/**
 * @file The trainer on problems that are solved in closed form, or small enough to look at.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { fromItems } from "../data/combine.ts";
import { fromSamples } from "../data/source.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { decodeModel } from "../onnx/decode.ts";
import { parseModel } from "../onnx/text.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import type { SampleReader } from "./batches.ts";
import { fingerprintData, memoryCheckpoints } from "./checkpoint.ts";
import type { TrainContext } from "./context.ts";
import { DivergenceError } from "./divergence.ts";
import type { LogRecord } from "./events.ts";
import { train } from "./trainer.ts";
import type { TrainerInput } from "./trainer-options.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 17]>';
const LINEAR = `${HEADER} g (float[N, 3] x) => (float[N, 2] y)
  <float[3, 2] w = {0, 0, 0, 0, 0, 0}, float[2] b = {0, 0}> { h = MatMul(x, w) y = Add(h, b) }`;
const CLASSES = `${HEADER} g (float[N, 3] x) => (float[N, 2] y)
  <float[3, 8] w1 = random(1), float[8] b1 = random(2), float[8, 2] w2 = random(3)>
  { a = MatMul(x, w1) s = Add(a, b1) r = Relu(s) d = Dropout(r) y = MatMul(d, w2) }`;
const model = (text: string): Model => fromOnnx(parseModel(text));

const TRUE = { w: [1, -2, 0.5, 3, -1, 0.25], b: [0.5, -0.5] };

/** y = x W + b, without noise. */
function regression(count: number): Sample[] {
  const random = createRandom(7);
  return Array.from({ length: count }, () => {
    const x = [random.normal(), random.normal(), random.normal()];
    const label = TRUE.b.map((b, j) => x.reduce((sum, value, i) => sum + value * TRUE.w[i * 2 + j]!, b));
    return { inputs: { x: Tensor.float32([1, 3], x) }, label };
  });
}

/** Whether the first number is larger than the second. */
function classes(count: number, seed = 3): Sample[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const x = [random.normal(), random.normal(), random.normal()];
    return { inputs: { x: Tensor.float32([1, 3], x) }, label: x[0]! > x[1]! ? 1 : 0 };
  });
}

const weights = (of: Model): Record<string, number[]> =>
  Object.fromEntries([...of.graph.initializers].map((value) => [value.name, value.initializer!.numbers()]));

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});

const trainOn = (of: Model, options: TrainerInput, context: Partial<TrainContext> = {}) =>
  train(of, options, { runtime, data: fromSamples(classes(64)), ...context });

const CLASSIFY: TrainerInput = { losses: [{ kind: "cross-entropy" }], batchSize: 8, seed: 5, learningRate: 0.1 };
const ADAM: TrainerInput = { ...CLASSIFY, optimizer: { kind: "adam" }, learningRate: 0.02 };

describe("train", () => {
  it("finds the solution of a linear regression", async () => {
    const own = model(LINEAR);
    const data = fromSamples(regression(64));
    const result = await trainOn(
      own,
      { losses: [{ kind: "mse" }], batchSize: 16, epochs: 60, learningRate: 0.3 },
      { data },
    );
    expect(result).toMatchObject({ steps: 240, epochs: 60, stopped: "finished", parameters: 8 });
    // Without noise the loss falls to 0 at a linear rate: 240 steps leave float32's own rounding.
    const { w, b } = weights(own);
    for (const [i, value] of TRUE.w.entries()) expect(w![i]).toBeCloseTo(value, 4);
    for (const [i, value] of TRUE.b.entries()) expect(b![i]).toBeCloseTo(value, 4);
  });

  it("makes the same update of several batches as of one large one", async () => {
    const data = fromSamples(regression(32));
    const options: TrainerInput = { losses: [{ kind: "mse" }], epochs: 3, learningRate: 0.1, clipNorm: 1 };
    const [one, several] = [model(LINEAR), model(LINEAR)];
    await trainOn(one, { ...options, batchSize: 16 }, { data });
    const result = await trainOn(several, { ...options, batchSize: 4, accumulate: 4 }, { data });
    expect(result.steps).toBe(6);
    // The order of the samples is the same; sums are rounded differently.
    const [a, b] = [weights(one), weights(several)];
    for (const name of ["w", "b"])
      for (const [i, value] of a[name]!.entries()) expect(b[name]![i]).toBeCloseTo(value, 5);
  });

  it("gives the same weights for the same seed, and others for another", async () => {
    const run = async (seed: number) => {
      const own = model(CLASSES);
      await trainOn(own, { ...ADAM, seed, epochs: 2 });
      return weights(own);
    };
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  it("learns classes, measures them, and ends with the best parameters", async () => {
    const own = model(CLASSES);
    const seen: string[] = [];
    const result = await trainOn(
      own,
      { ...ADAM, epochs: 12, ema: 0.9 },
      {
        validation: fromSamples(classes(50, 9)),
        hooks: {
          onEpoch: ({ epoch }) => void seen.push(`epoch ${epoch}`),
          onValidation: ({ step }, best) => void seen.push(`validation ${step} ${best}`),
          onStep: ({ step, loss }) => void (step === 1 && Number.isFinite(loss) && seen.push("step 1")),
        },
      },
    );
    expect(result.metric).toMatchObject({ name: "top-1", direction: "higher" });
    expect(result.validations).toHaveLength(13);
    expect(result.best!.value).toBe(Math.max(...result.validations.map(({ value }) => value)));
    expect(result.best!.value).toBeGreaterThan(0.9);
    expect(seen.slice(0, 4)).toEqual([
      "validation 0 true",
      "step 1",
      "epoch 0",
      expect.stringMatching(/^validation 8 /),
    ]);
    // What is in the model is what was measured.
    const session = await runtime.load({ bytes: await bytesOf(own) });
    let right = 0;
    for (const { inputs, label } of classes(50, 9)) {
      const [no, yes] = (await session.run(inputs))["y"]!.numbers();
      if (Number(yes! > no!) === label) right++;
    }
    await session.release();
    expect(right / 50).toBeCloseTo(result.best!.value, 10);
  });

  it("stops when patience is over", async () => {
    const options: TrainerInput = { ...CLASSIFY, learningRate: 0, epochs: 50, patience: 3 };
    const result = await trainOn(model(CLASSES), options, { validation: fromSamples(classes(16, 9)) });
    expect(result).toMatchObject({ stopped: "patience", steps: 24, best: { step: 0 } });
  });

  it("distils a teacher without labels, a hidden value too", async () => {
    const teacher = model(CLASSES);
    const student = model(CLASSES.replace("random(1)", "random(11)"));
    const data = fromSamples(classes(128).map(({ inputs }) => ({ inputs })));
    const result = await trainOn(
      student,
      {
        ...ADAM,
        epochs: 60,
        dropout: 0,
        losses: [
          { kind: "distillation" },
          { kind: "mse", name: "hidden", output: "r", target: "teacher:r", weight: 0.5 },
        ],
      },
      { data, teacher, validation: data },
    );
    const [first, last] = [result.validations[0]!, result.validations.at(-1)!];
    expect(last).toMatchObject({ metric: "loss" });
    expect(last.loss).toBeLessThan(first.loss / 5);
  });

  it("trains samples of different lengths, in programs of their own, of which few are kept", async () => {
    const own =
      model(`${HEADER} g (float[N, T, 3] x) => (float[N, 2] y) <float[3, 2] w = random(1), int64[1] axes = {1}>
      { h = MatMul(x, w) s = Tanh(h) y = ReduceMean <axes = [1], keepdims = 0> (s) }`);
    const random = createRandom(1);
    const samples = Array.from({ length: 40 }, (_, i) => {
      const x = Tensor.float32(
        [1, 2 + (i % 4), 3],
        Float32Array.from({ length: 3 * (2 + (i % 4)) }, () => random.normal()),
      );
      return { inputs: { x }, label: i % 2 };
    });
    const result = await trainOn(
      own,
      { ...CLASSIFY, batchSize: 5, epochs: 2, maxShapes: 2 },
      { data: fromSamples(samples) },
    );
    expect(result.steps).toBe(16);
  });

  it("refuses samples in which an input is another than the one that became constant", async () => {
    const own = model(`${HEADER} g (float[N, 3] x, int64 k) => (float[N, 2] y) <float[3, 2] w = random(1)>
      { f = Cast <to = 1> (k) s = Mul(x, f) y = MatMul(s, w) }`);
    const samples = classes(8).map(({ inputs, label }, i) => ({
      inputs: { ...inputs, k: Tensor.scalar("int64", i < 4 ? 2 : 3) },
      label,
    }));
    const options = { ...CLASSIFY, batchSize: 1, epochs: 1, constantInputs: ["k"] };
    await expect(trainOn(own, options, { data: fromSamples(samples) })).rejects.toThrow(
      /samples \d, input "k": expected \d, as in the first ones, for it was taken to be constant, got \d/,
    );
  });

  it("accumulates where the model fixes its batch", async () => {
    const own = model(CLASSES.replace("float[N, 3] x", "float[1, 3] x"));
    const result = await trainOn(own, { ...CLASSIFY, epochs: 1 });
    expect(result.steps).toBe(8);
    expect(result.notes).toContain("the model fixes its batch at 1: 8 of them make an update");
  });

  it("augments each sample by seed, epoch and index", async () => {
    const calls: string[] = [];
    const augment = (sample: Sample, random: { next(): number }, at: { epoch: number; index: number }): Sample => {
      calls.push(`${at.epoch}/${at.index}/${random.next()}`);
      return sample;
    };
    await trainOn(model(CLASSES), { ...CLASSIFY, epochs: 2 }, { augment });
    const once = [...new Set(calls)];
    expect(once).toHaveLength(128);
    calls.length = 0;
    await trainOn(model(CLASSES), { ...CLASSIFY, epochs: 2 }, { augment });
    expect([...new Set(calls)].sort()).toEqual(once.sort());
  });

  it("logs, and says what it takes", async () => {
    const records: LogRecord[] = [];
    const texts = new Set<string>();
    await trainOn(
      model(CLASSES),
      { ...CLASSIFY, epochs: 1, logEvery: 3 },
      {
        log: (record) => void records.push(record),
        progress: (task) => void texts.add(task),
        validation: fromSamples(classes(16, 9)),
      },
    );
    expect(records.map(({ type }) => type)).toEqual(["start", "validation", "step", "step", "validation", "end"]);
    expect(records[0]).toMatchObject({ totalSteps: 8, samples: 64, validationSamples: 16, parameters: 48 });
    expect((records[0] as { memory: { peak: number } }).memory.peak).toBeGreaterThan(48 * 4);
    expect(records[2]).toMatchObject({ step: 3, epoch: 0, learningRate: 0.1 });
    expect([...texts].join("\n")).toMatch(/training: loss .*, top-1 .*, .* samples\/s, \d+ s left, step/);
  });
});

async function bytesOf(own: Model): Promise<Uint8Array> {
  const { toOnnx } = await import("../graph/to-onnx.ts");
  const { encodeModel, joinChunks } = await import("../onnx/encode.ts");
  return joinChunks(encodeModel(toOnnx(own)));
}

describe("checkpoints", () => {
  it("goes on after a cancellation as if there had been none, in the middle of an epoch", async () => {
    const options: TrainerInput = { ...ADAM, epochs: 4, ema: 0.9, schedule: { kind: "cosine" } };
    const validation = fromSamples(classes(16, 9));
    const through = model(CLASSES);
    await trainOn(through, options, { validation });
    const own = model(CLASSES);
    const before = weights(own);
    const checkpoints = memoryCheckpoints();
    const controller = new AbortController();
    const hooks = {
      onStep: ({ step }: { step: number }) => void (step === 11 && controller.abort(new Error("enough"))),
    };
    const context = { validation, checkpoints };
    await expect(trainOn(own, options, { ...context, hooks, signal: controller.signal })).rejects.toThrow("enough");
    expect(weights(own)).toEqual(before);
    expect((await checkpoints.latest())!.checkpoint.record).toMatchObject({
      step: 11,
      position: { epoch: 1, index: 24 },
    });
    const result = await trainOn(own, options, { ...context, resume: true });
    expect(result.validations.map(({ step }) => step)).toEqual([0, 8, 16, 24, 32]);
    expect(weights(own)).toEqual(weights(through));
  });

  it("refuses those of another training, naming what differs", async () => {
    const checkpoints = memoryCheckpoints();
    await trainOn(model(CLASSES), { ...CLASSIFY, epochs: 1 }, { checkpoints });
    const resume = (text: string, options: Partial<TrainerInput>, context: Partial<TrainContext> = {}) =>
      trainOn(model(text), { ...CLASSIFY, epochs: 1, ...options }, { checkpoints, resume: true, ...context });
    await expect(trainOn(model(CLASSES), { ...CLASSIFY }, { checkpoints })).rejects.toThrow(
      /earlier training \(step 8\)/,
    );
    await expect(resume(CLASSES, { learningRate: 0.2 })).rejects.toThrow(/option learningRate was 0.1, is 0.2/);
    await expect(resume(CLASSES, { seed: 6 })).rejects.toThrow(/option seed was 5, is 6/);
    await expect(resume(CLASSES, { optimizer: { kind: "adam" } })).rejects.toThrow(
      /option optimizer was {"kind":"sgd"/,
    );
    await expect(resume(CLASSES.replaceAll("8", "9"), {})).rejects.toThrow(
      /the model's w1 was float32\[3,8\], is float32\[3,9\]/,
    );
    await expect(resume(CLASSES.replace("random(3)", "random(4)"), {})).rejects.toThrow(
      /the model's weights before training/,
    );
    await expect(resume(CLASSES, {}, { data: fromSamples(classes(65)) })).rejects.toThrow(
      /number of samples was 64, is 65/,
    );
    await expect(resume(CLASSES, {}, { data: fromSamples(classes(64, 4)) })).rejects.toThrow(/contents of the data/);
    // First and last are the same, one in the middle is not; so small data are looked at whole.
    const other = classes(64).with(29, classes(64, 4)[29]!);
    await expect(resume(CLASSES, {}, { data: fromSamples(other) })).rejects.toThrow(/contents of the data/);
    await expect(resume(CLASSES, { logEvery: 3, checkpointEvery: 1 })).resolves.toMatchObject({ steps: 8 });
  });
});

describe("validation", () => {
  const LENGTHS = `${HEADER} g (float[N, T, 3] x) => (float[N, 2] y) <float[3, 2] w = random(1), int64[1] axes = {1}>
    { h = MatMul(x, w) s = Tanh(h) y = ReduceMean <axes = [1], keepdims = 0> (s) }`;
  const lengths = classes(21, 9).map(({ inputs, label }, i) => {
    const row = inputs["x"]!.numbers();
    return {
      inputs: { x: Tensor.float32([1, 2 + (i % 3), 3], [...row, ...row, ...row, ...row].slice(0, 6 + 3 * (i % 3))) },
      label,
    };
  });
  const fixed = (text: string): string => text.replace("float[N", "float[8").replace("=> (float[N", "=> (float[8");

  it.each([
    ["with a free batch", CLASSES, CLASSES, classes(21, 9)],
    ["in a batch that the model fixes", CLASSES, fixed(CLASSES), classes(21, 9)],
    ["of different dimensions", LENGTHS, LENGTHS, lengths],
    ["of different dimensions in a fixed batch", LENGTHS, fixed(LENGTHS), lengths],
  ])("counts each sample once, %s", async (_title, free, text, samples) => {
    const validation = fromSamples(samples);
    const one = samples.filter(({ inputs }) => String(inputs["x"]) === String(samples[0]!.inputs["x"]));
    const data = fromSamples([...one, ...one]);
    const first = async (own: string, options: Partial<TrainerInput>) =>
      (await trainOn(model(own), { ...CLASSIFY, steps: 1, lastBatch: "keep", ...options }, { data, validation }))
        .validations[0]!;
    const alone = await first(free, { batchSize: 1 });
    const together = await first(text, { batchSize: 8 });
    // Sums of the same losses in another order.
    expect(together.loss).toBeCloseTo(alone.loss, 6);
    expect(together.value).toBeCloseTo(alone.value, 9);
    expect(Math.round(together.value * 21)).toBeCloseTo(together.value * 21, 9);
  });

  it("differentiates nothing for batches that are only validated on", async () => {
    const sizes: number[] = [];
    const counting: Runtime = {
      ...runtime,
      load: (source, options) => {
        sizes.push(decodeModel((source as { bytes: Uint8Array }).bytes).graph!.node!.length);
        return runtime.load(source, options);
      },
    };
    const loads = async (count: number): Promise<number[]> => {
      sizes.length = 0;
      const options = { ...CLASSIFY, epochs: 1 };
      await train(model(CLASSES), options, {
        runtime: counting,
        data: fromSamples(classes(64)),
        validation: fromSamples(classes(count, 9)),
      });
      return sizes.toSorted((a, b) => a - b);
    };
    const [whole, partial] = [await loads(16), await loads(21)];
    expect(partial.length).toBeGreaterThan(whole.length);
    // One graph that trains in both.
    const largest = whole.at(-1)!;
    expect(partial.filter((size) => size >= largest)).toEqual([largest]);
  });
});

describe("fingerprints of data", () => {
  const reader = (samples: readonly Sample[], read: number[] = []): SampleReader => ({
    length: samples.length,
    at: async (index) => {
      read.push(index);
      return samples[index]!;
    },
  });

  it("read the same spread of at most 64 samples each time, first and last among them", async () => {
    const samples = classes(1000);
    const [once, twice]: number[][] = [[], []];
    expect(await fingerprintData(reader(samples, once))).toEqual(await fingerprintData(reader(samples, twice)));
    expect(twice).toEqual(once);
    expect(new Set(once).size).toBe(64);
    expect([once![0], once!.at(-1)]).toEqual([0, 999]);
    const gaps = once!.slice(1).map((index, i) => index - once![i]!);
    expect(Math.min(...gaps)).toBeGreaterThan(0);
    // Neighbours are at most two stretches of 1000 / 64 apart.
    expect(Math.max(...gaps)).toBeLessThanOrEqual(32);
  });

  it("tell other labels, another order and another number apart", async () => {
    const samples = classes(40);
    const of = async (own: readonly Sample[]): Promise<string> => JSON.stringify(await fingerprintData(reader(own)));
    const labelled = samples.with(20, { ...samples[20]!, label: 1 - Number(samples[20]!.label) });
    const all = [samples, labelled, samples.toReversed(), samples.slice(1), samples.slice(0, 1)];
    expect(new Set(await Promise.all(all.map(of))).size).toBe(all.length);
  });
});

type Wrong = [string, { data?: readonly Sample[]; options?: Partial<TrainerInput> }, RegExp];

const WRONG: Wrong[] = [
  [
    "labels that are missing",
    { data: [{ ...classes(8)[0]!, label: undefined }] },
    /sample 0, label: .* got no label\. .*--loss distill/,
  ],
  [
    "labels out of range",
    { data: [{ ...classes(8)[0]!, label: 2 }] },
    /sample 0, label: expected a class from 0 to 1, as the model has 2, got 2/,
  ],
  [
    "labels that are too many",
    { data: [{ ...classes(8)[0]!, label: [1, 0, 1] }] },
    /expected 1 numbers for \[1\].* got 3/,
  ],
  ["no samples", { data: [] }, /expected samples, got none/],
  ["patterns that match nothing", { options: { train: ["nothing*"] } }, /nothing\*/],
  ["nothing to train", { options: { freeze: ["*"] } }, /expected some to train, found none/],
  ["no room", { options: { memoryLimit: 100 } }, /memory: expected at most 100 B, the estimate is .*--batch-size/],
  ["patience without validation", { options: { patience: 2 } }, /patience: expected validation data/],
  ["an option that is not there", { options: { rate: 1 } as object }, /rate/],
  [
    "a hidden value that is not there",
    { options: { losses: [{ kind: "mse", output: "r", target: "teacher:no" }] } },
    /value "no": expected a value that a node/,
  ],
];

describe("what goes wrong", () => {
  it("stops where the loss is no number, with the last good checkpoint", async () => {
    const checkpoints = memoryCheckpoints();
    const data = fromSamples(regression(64));
    const own = model(LINEAR);
    const before = weights(own);
    const error: DivergenceError = await trainOn(
      own,
      { losses: [{ kind: "mse" }], batchSize: 8, epochs: 20, learningRate: 1e12, checkpointEvery: 1 },
      { data, checkpoints },
    ).then(
      () => expect.unreachable(),
      (cause) => cause,
    );
    expect(error).toBeInstanceOf(DivergenceError);
    expect(error.message).toMatch(
      /^train: step \d+: expected a loss that is a number, got (Infinity|NaN)\. The last good/,
    );
    expect(error.checkpoint).toBe(`step ${error.step - 1}`);
    expect(weights(own)).toEqual(before);
  });

  it("stops where the loss stays far above its best", async () => {
    const options: TrainerInput = {
      losses: [{ kind: "mse" }],
      batchSize: 8,
      epochs: 20,
      learningRate: 1.6,
      divergenceSteps: 5,
    };
    const run = trainOn(model(LINEAR), options, { data: fromSamples(regression(64)) });
    await expect(run).rejects.toThrow(/step \d+: expected a loss that falls, got .* 5 in a row above 10 times/);
  });

  it.each(WRONG)("refuses %s", async (_title, { data, options }, says) => {
    const source = data === undefined ? fromSamples(classes(64)) : fromSamples(data);
    await expect(trainOn(model(CLASSES), { ...CLASSIFY, ...options }, { data: source })).rejects.toThrow(says);
  });

  it("reads sources that know their length only where samples are wanted", async () => {
    const samples = classes(64);
    let reads = 0;
    const data = fromItems("items", 64, async (index) => {
      reads++;
      return samples[index]!;
    });
    await trainOn(model(CLASSES), { ...CLASSIFY, epochs: 3 }, { data });
    expect(reads).toBe(64);
  });
});
