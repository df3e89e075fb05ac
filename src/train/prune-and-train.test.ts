/**
 * @file Masks as state in the training program, by closed forms; pruning during training on problems that are small enough
 * to look at.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOf } from "../../test/helpers.ts";
import { fromSamples } from "../data/source.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { fakeQuantize, mask } from "../graph/parametrization-kinds.ts";
import { parseModel } from "../onnx/text.ts";
import { keptOf } from "../prune/masks.ts";
import { sparsity } from "../prune/sparsity.ts";
import { customFromMask, undo } from "../prune/torch.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { createState } from "../runtime/stateful.ts";
import type { Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { buildTraining, TRAINING_SESSION } from "./build.ts";
import { memoryCheckpoints } from "./checkpoint.ts";
import { folderCheckpoints } from "./checkpoint-node.ts";
import type { TrainContext } from "./context.ts";
import type { LogRecord } from "./events.ts";
import { importance } from "./importance.ts";
import type { TrainingInput } from "./options.ts";
import { gradientName, LEARNING_RATE } from "./program.ts";
import { pruneAndTrain } from "./prune-and-train.ts";
import type { PruneAndTrainInput } from "./prune-options.ts";

const HEADER = '<ir_version: 8, opset_import: ["" : 17]>';
const NET = `${HEADER} g (float[N, 3] x) => (float[N, 2] y)
  <float[3, 8] w1 = random(1), float[8] b1 = random(2), float[8, 2] w2 = random(3)>
  { a = MatMul(x, w1) s = Add(a, b1) r = Relu(s) d = Dropout(r) y = MatMul(d, w2) }`;
const W = [1, -2, 3, 0.5, 0.25, -1];
const LINEAR = `${HEADER} g (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {${W.join(", ")}}> { y = MatMul(x, w) }`;
const KEPT = [1, 0, 1, 1, 0, 1];
const RATE = 0.125;

const model = (text: string): Model => fromOnnx(parseModel(text));
const value = (of: Model, name: string) => [...of.graph.initializers].find((own) => own.name === name)!;
const weights = (of: Model): Record<string, number[]> =>
  Object.fromEntries(
    [...of.graph.initializers]
      .filter(({ dtype }) => dtype === "float32")
      .map((own) => [own.name, own.initializer!.numbers()]),
  );
const masks = (of: Model): Record<string, number[]> =>
  Object.fromEntries(["w1", "w2"].map((name) => [name, [...keptOf(of, value(of, name))!]]));

function classes(count: number, seed = 3): Sample[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const x = [random.normal(), random.normal(), random.normal()];
    return { inputs: { x: Tensor.float32([1, 3], x) }, label: x[0]! > x[1]! ? 1 : 0 };
  });
}

let runtime: Runtime;
let folder: string;
beforeAll(async () => {
  runtime = await createNodeRuntime();
  folder = mkdtempSync(join(tmpdir(), "tersor-prune-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("masks as state", () => {
  const X = [1, 2, -1, 0.5, -3, 2, 1.5, 0, 1];
  const T = [1, 0, -1, 2, 0.5, 0.25];
  const feeds: Tensors = { x: Tensor.float32([3, 3], X), label: Tensor.float32([3, 2], T) };

  /** ∂/∂(masked w) of the mean of (x · (w ⊙ M) − t)²: 2 / 6 · xᵀ (x (w ⊙ M) − t). */
  function gradient(w: readonly number[], kept: readonly number[]): number[] {
    const left = w.map((v, i) => v * kept[i]!);
    const error = T.map((t, at) => {
      const [n, j] = [Math.floor(at / 2), at % 2];
      return [0, 1, 2].reduce((sum, i) => sum + X[n * 3 + i]! * left[i * 2 + j]!, -t);
    });
    return left.map((_v, at) => {
      const [i, j] = [Math.floor(at / 2), at % 2];
      return (2 / 6) * [0, 1, 2].reduce((sum, n) => sum + X[n * 3 + i]! * error[n * 2 + j]!, 0);
    });
  }

  async function start(options: Partial<TrainingInput>) {
    const own = model(LINEAR);
    mask.insert(own, value(own, "w"), Tensor.of("bool", [3, 2], Uint8Array.from(KEPT)));
    const program = await buildTraining(own, { losses: [{ kind: "mse" }], ...options }, { runtime, feeds });
    const store = await createState(runtime, program.state);
    const load = (part: Model) => store.load({ bytes: bytesOf(part) }, TRAINING_SESSION);
    const step = await load(program.step);
    return {
      program,
      store,
      load,
      step: () => step.step({ ...feeds, [LEARNING_RATE]: Tensor.scalar("float32", RATE) }),
      numbers: async (name: string) => (await store.get(name)).numbers(),
    };
  }
  // float32 with sums of three terms, squared at most: some units of the last place (6e-8).
  const near = (got: readonly number[], wanted: readonly number[]): void => {
    got.forEach((v, i) => {
      expect(Math.abs(v - wanted[i]!)).toBeLessThan(1e-6 * (1 + Math.abs(wanted[i]!)));
    });
  };

  it("may change between runs, in steps and in evaluation", async () => {
    const training = await start({ masks: { change: true } });
    const entry = training.program.state.find(({ kind }) => kind === "mask")!;
    expect(entry).toMatchObject({ name: "w/mask", parameter: "w" });
    await training.step();
    const first = await training.numbers("w");
    const move = (w: readonly number[], kept: readonly number[]): number[] => {
      const g = gradient(w, kept);
      return w.map((v, i) => v - RATE * g[i]! * kept[i]!);
    };
    near(first, move(W, KEPT));
    expect([first[1], first[4]]).toEqual([W[1], W[4]]);
    const other = [0, 1, 1, 0, 1, 1];
    await training.store.set("w/mask", Tensor.of("bool", [3, 2], Uint8Array.from(other)));
    const evaluate = await training.load(training.program.evaluate);
    const { y } = await evaluate.step(feeds);
    near(
      y!.numbers().slice(0, 2),
      [0, 1].map((j) => [0, 1, 2].reduce((sum, i) => sum + X[i]! * first[i * 2 + j]! * other[i * 2 + j]!, 0)),
    );
    await training.step();
    near(await training.numbers("w"), move(first, other));
    expect(await training.numbers("w/mask")).toEqual(other);
  });

  it("hold what lies under a fake quantizer and them, too", async () => {
    const own = model(LINEAR);
    const quantizer = { scale: Tensor.scalar("float32", 2 ** -5), zeroPoint: Tensor.of("int8", [], Int8Array.of(0)) };
    const rounded = fakeQuantize.insert(own, value(own, "w"), quantizer);
    mask.insert(own, rounded, Tensor.of("bool", [3, 2], Uint8Array.from(KEPT)));
    const options: TrainingInput = {
      losses: [{ kind: "mse" }],
      masks: { change: true },
      optimizer: { kind: "adam", weightDecay: 1 },
    };
    const program = await buildTraining(own, options, { runtime, feeds });
    const store = await createState(runtime, program.state);
    await store.set("w/mean", Tensor.float32([3, 2], new Float32Array(6).fill(1)));
    const step = await store.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
    await step.step({ ...feeds, [LEARNING_RATE]: Tensor.scalar("float32", RATE) });
    (await store.get("w")).numbers().forEach((v, i) => {
      if (KEPT[i]) expect(v).not.toBe(W[i]);
      else expect(v).toBe(W[i]);
    });
  });

  it("let gradients through to what is under them, where that is asked for", async () => {
    const training = await start({ masks: { change: true, straightThrough: true }, updateMasked: true });
    await training.step();
    const g = gradient(W, KEPT);
    near(
      await training.numbers("w"),
      W.map((w, i) => w - RATE * g[i]!),
    );
  });

  it("have movement scores, also of what is gone; its weights stay", async () => {
    const training = await start({ masks: { change: true, movement: true }, accumulate: true });
    await training.store.set("w/accumulator", Tensor.float32([3, 2], new Float32Array(6)));
    const step = await training.load(training.program.step);
    const scalars = { [LEARNING_RATE]: RATE, "train/gradient-scale": 1 };
    const all = Object.entries(scalars).map(([name, v]) => [name, Tensor.scalar("float32", v)] as const);
    await step.step({ ...feeds, ...Object.fromEntries(all) });
    const g = gradient(W, KEPT);
    near(
      await training.numbers("w/movement"),
      W.map((w, i) => -RATE * w * g[i]!),
    );
    near(
      await training.numbers("w"),
      W.map((w, i) => w - RATE * g[i]! * KEPT[i]!),
    );
  });

  it("have a graph that gives the gradients of all entries and changes nothing", async () => {
    const training = await start({ masks: { change: true, gradients: true } });
    const before = await training.store.snapshot();
    const session = await training.load(training.program.gradients!);
    const results = await session.step(feeds);
    near(results[gradientName("w")]!.numbers(), gradient(W, KEPT));
    const after = await training.store.snapshot();
    for (const [name, tensor] of before) expect(after.get(name)!.numbers()).toEqual(tensor.numbers());
  });

  it("are not needed for scores of a model: Taylor and SNIP by the closed form", async () => {
    const samples = [0, 1, 2].map((n) => ({
      inputs: { x: Tensor.float32([1, 3], X.slice(n * 3, n * 3 + 3)) },
      label: T.slice(n * 2, n * 2 + 2),
    }));
    const training: PruneAndTrainInput = { losses: [{ kind: "mse" }], batchSize: 3 };
    const context = { runtime, data: fromSamples(samples) };
    const g = gradient(W, [1, 1, 1, 1, 1, 1]);
    const taylor = await importance(model(LINEAR), { criterion: "taylor", training }, context);
    near(
      [...taylor.get("w")!],
      W.map((w, i) => (w * g[i]!) ** 2),
    );
    const snip = await importance(model(LINEAR), { criterion: "snip", training }, context);
    near(
      [...snip.get("w")!],
      W.map((w, i) => Math.abs(w * g[i]!)),
    );
  });
});

const OPTIONS: PruneAndTrainInput = {
  losses: [{ kind: "cross-entropy" }],
  batchSize: 8,
  epochs: 6,
  seed: 5,
  learningRate: 0.02,
  optimizer: { kind: "adam" },
};

const pruneNet = (own: Model, options: PruneAndTrainInput, context: Partial<TrainContext> = {}) =>
  pruneAndTrain(own, options, {
    runtime,
    data: fromSamples(classes(64)),
    validation: fromSamples(classes(50, 9)),
    ...context,
  });

describe("pruneAndTrain", () => {
  it("ends with the best model of the last sparsity, its masks, and their history", async () => {
    const own = model(NET);
    const records: LogRecord[] = [];
    const result = await pruneNet(
      own,
      { ...OPTIONS, epochs: 16, prune: { amount: 0.6, schedule: { kind: "cubic", every: 10 } } },
      { log: (record) => void records.push(record) },
    );
    const { sparsity: gone, weights: each } = sparsity(own);
    expect(gone).toBe(24 / 40);
    expect(each.map(({ history }) => history)).toEqual([
      [expect.objectContaining({ method: "while-training", amount: 0.6, criterion: "magnitude", updates: 128 })],
      [expect.objectContaining({ method: "while-training", schedule: "cubic" })],
    ]);
    const cuts = records.filter((record) => record.type === "prune");
    expect(cuts.map(({ step }) => step)).toEqual([0, 10, 20, 30, 40, 50, 60, 64]);
    // After k of 40 weights: round(40 · 0.6 · (1 − (1 − t / 64)³))
    expect(cuts.map((cut) => Math.round(40 * cut.sparsity))).toEqual(
      cuts.map(({ step }) => Math.round(40 * 0.6 * (1 - (1 - step / 64) ** 3))),
    );
    expect(result.best!.step).toBeGreaterThanOrEqual(64);
    expect(result.best).toMatchObject({ sparsity: 0.6 });
    expect(result.best!.value).toBeGreaterThan(0.9);
    // What was measured is what is in the model, loaded by itself.
    const session = await runtime.load({ bytes: bytesOf(own) });
    let right = 0;
    for (const { inputs, label } of classes(50, 9)) {
      const [no, yes] = (await session.run(inputs))["y"]!.numbers();
      if (Number(yes! > no!) === label) right++;
    }
    expect(right / 50).toBeCloseTo(result.best!.value, 10);
    // Nothing is lost under the masks.
    undo(own);
    expect(sparsity(own).zeros).toBe(0);
  });

  it("validates what each cycle has reached, and restarts the learning rate", async () => {
    const rates: number[] = [];
    const result = await pruneNet(
      model(NET),
      {
        ...OPTIONS,
        epochs: 4,
        schedule: { kind: "polynomial" },
        prune: { amount: 0.9375, rate: "restart", schedule: { kind: "iterative", cycles: 3, end: 0.5 } },
      },
      { hooks: { onStep: ({ learningRate }) => void rates.push(learningRate / 0.02) } },
    );
    const { validations } = result;
    // Of 40 weights 0.0625^(c / 3) stay: 24.1, 33.7, 37.5 are gone.
    expect(validations.map(({ step, sparsity: s }) => `${step} ${s === undefined ? "" : Math.round(40 * s)}`)).toEqual([
      "0 ",
      // Before the cut that ends a cycle, and with the epoch behind it.
      "8 24",
      "8 34",
      "16 34",
      "16 38",
      "24 38",
      "32 38",
    ]);
    // From 0 to 8, from 8 to 16, from 16 to 32: each from the whole rate on.
    expect([0, 4, 8, 12, 16, 24].map((step) => rates[step])).toEqual([1, 0.5, 1, 0.5, 1, 0.5]);
    expect(Math.round(40 * result.best!.sparsity!)).toBe(38);
  });

  it.each([
    ["magnitude", {}],
    [
      "surgery",
      { regrowth: { kind: "surgery", margin: 0 }, amount: 0.4, schedule: { kind: "constant", every: 5, end: 1 } },
    ],
    ["movement", { criterion: "movement", regrowth: { kind: "surgery" }, schedule: { kind: "linear", every: 5 } }],
    ["gradient", { criterion: "taylor", regrowth: { kind: "gradient" }, batches: 2 }],
  ] as const)("goes on after a cancellation as if there had been none, with %s", async (_name, prune) => {
    const options: PruneAndTrainInput = {
      ...OPTIONS,
      epochs: 4,
      ema: 0.9,
      prune: { amount: 0.7, schedule: { kind: "cubic", every: 5 }, ...prune },
    };
    const criterion = "criterion" in prune ? prune.criterion : undefined;
    const through = model(NET);
    const regrown: number[] = [];
    await pruneNet(through, options, { hooks: { onPrune: (info) => void regrown.push(info.regrown) } });
    const own = model(NET);
    const before = bytesOf(own);
    // The folder's format must know masks, too.
    const checkpoints = criterion === "taylor" ? folderCheckpoints(folder) : memoryCheckpoints();
    const controller = new AbortController();
    const hooks = {
      onStep: ({ step }: { step: number }) => void (step === 11 && controller.abort(new Error("enough"))),
    };
    await expect(pruneNet(own, options, { checkpoints, hooks, signal: controller.signal })).rejects.toThrow("enough");
    expect(bytesOf(own)).toEqual(before);
    const result = await pruneNet(own, options, { checkpoints, resume: true });
    expect(result.validations.at(-1)!.sparsity).toBe(sparsity(through).sparsity);
    expect(weights(own)).toEqual(weights(through));
    expect(masks(own)).toEqual(masks(through));
    if ("regrowth" in prune) expect(regrown.reduce((a, b) => a + b)).toBeGreaterThan(0);
    else expect(regrown.every((count) => count === 0)).toBe(true);
  });

  it("begins with the masks that a model has; an n:m pattern, chosen weights", async () => {
    const own = model(NET);
    const gone = [0, 5, 7, 11];
    customFromMask(
      own,
      "w1",
      Tensor.of(
        "bool",
        [3, 8],
        Uint8Array.from({ length: 24 }, (_v, i) => (gone.includes(i) ? 0 : 1)),
      ),
    );
    await pruneNet(own, { ...OPTIONS, epochs: 2, prune: { amount: 0.5, select: ["w1"] } });
    const [first] = sparsity(own).weights;
    expect(first).toMatchObject({ name: "w1", zeros: 12 });
    expect(first!.history.map(({ method }) => method)).toEqual(["custom-from-mask", "while-training"]);
    expect(gone.every((i) => keptOf(own, value(own, "w1"))![i] === 0)).toBe(true);
    expect(keptOf(own, value(own, "w2"))).toBeUndefined();
    const frozen = model(NET);
    const result = await pruneNet(frozen, { ...OPTIONS, epochs: 1, freeze: ["w2"], prune: { amount: 0.5 } });
    expect(result.notes).toContain("w2 is not pruned: it is not trained");
    expect(sparsity(frozen).weights.map(({ zeros, masked }) => [zeros, masked])).toEqual([
      [12, true],
      [0, false],
    ]);
    const none = { ...OPTIONS, freeze: ["w*"], prune: { amount: 0.5 } };
    await expect(pruneNet(model(NET), none)).rejects.toThrow("expected some that are trained, got w1, w2");
    const other = model(NET);
    // w1 has three inputs: a pair and one alone for each of its eight outputs.
    await pruneNet(other, { ...OPTIONS, epochs: 2, prune: { pattern: "1:2", schedule: { kind: "one-shot" } } });
    expect(sparsity(other).weights.map(({ zeros }) => zeros)).toEqual([8, 8]);
  });
});
