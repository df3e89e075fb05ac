import { describe, expect, it } from "vitest";
import { bytesOf, modelOf, runtimes } from "../../test/helpers.ts";
import type { Model } from "../graph/model.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import { buildModel } from "../nn/build-model.ts";
import { sequential } from "../nn/containers.ts";
import { flatten, relu, relu6 } from "../nn/layers/activation.ts";
import { conv2d } from "../nn/layers/convolution.ts";
import { linear } from "../nn/layers/linear.ts";
import { batchNorm } from "../nn/layers/normalization.ts";
import { maxPool2d } from "../nn/layers/pooling.ts";
import { channelBlock } from "../runtime/channel-block.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { createState, type StateStore } from "../runtime/stateful.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { buildTraining, TRAINING_SESSION } from "./build.ts";
import type { TrainingInput } from "./options.ts";
import { LEARNING_RATE, LOSS, type TrainingProgram } from "./program.ts";
import { programsFor } from "./programs.ts";
import { writeBack } from "./write-back.ts";

const { normal } = createRandom(4);
const random = (...dims: number[]): Tensor =>
  Tensor.float32(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, normal));
const list = (count: number): string => Array.from({ length: count }, () => normal().toFixed(3)).join(", ");

/** Two layers; `mean` prepares the input and is no parameter, `half` is a number. */
const net = (last = "Identity"): Model =>
  modelOf(`(float[N, 3] x) => (float[N, 2] y)
    <float[3] mean = {0.1, 0.2, 0.3}, float[3, 4] w1 = {${list(12)}}, float[4] b1 = {${list(4)}}, float half = {0.5},
     float[4, 2] w2 = {${list(8)}}, float[2] b2 = {0.1, -0.1}> {
      c = Sub(x, mean) h = MatMul(c, w1) i = Add(h, b1) j = Mul(i, half) r = Relu(j) d, m = Dropout(r)
      z = Gemm(d, w2, b2) y = ${last}(z) }`);

const batch = (count = 5): Tensors => ({ x: random(count, 3), label: random(count, 2) });

interface Training {
  readonly program: TrainingProgram;
  readonly store: StateStore;
  step(feeds: Tensors, rate?: number): Promise<Tensors>;
  evaluate(feeds: Tensors): Promise<Tensors>;
}

async function start(model: Model, options: Partial<TrainingInput>, feeds: Tensors): Promise<Training> {
  const runtime = await runtimes.node();
  const program = await buildTraining(model, { losses: [{ kind: "mse" }], dropout: 0, ...options }, { runtime, feeds });
  const store = await createState(runtime, program.state);
  const step = await store.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
  const evaluate = await store.load({ bytes: bytesOf(program.evaluate) }, TRAINING_SESSION);
  return {
    program,
    store,
    step: (own, rate = 0.1) => step.step({ ...own, [LEARNING_RATE]: Tensor.scalar("float32", rate) }),
    evaluate: (own) => evaluate.step(own),
  };
}

const parameters = ({ program }: Training): readonly string[] =>
  program.state.filter(({ kind }) => kind === "parameter").map(({ name }) => name);
const numbers = (tensor: Tensor | undefined): number[] => tensor!.numbers();
const loss = (results: Tensors): number => numbers(results[LOSS])[0]!;
const OWN = Object.entries({ sgd: "sgd", adam: "adam", rmsprop: "rmsprop" } as const);

describe("what is trained", () => {
  it("weights and biases, but no constants that prepare inputs, and no numbers", async () => {
    const training = await start(net(), {}, batch());
    expect(parameters(training)).toEqual(["w1", "b1", "w2", "b2"]);
    const named = await start(net(), { train: ["mean", "w*"], freeze: ["w2"] }, batch());
    expect(parameters(named)).toEqual(["mean", "w1"]);
    expect(named.program.notes).toContain("w2 is not trained: freeze names it");
    const grouped = await start(net(), { groups: [{ match: ["*1"], frozen: true }] }, batch());
    expect(parameters(grouped)).toEqual(["w2", "b2"]);
  });

  it("only what the loss depends on", async () => {
    const training = await start(
      net(),
      { losses: [{ kind: "mse", output: "r", target: "hidden" }] },
      {
        x: random(5, 3),
        hidden: random(5, 4),
      },
    );
    expect(parameters(training)).toEqual(["w1", "b1"]);
    expect(training.program.notes).toContain("w2 is not trained: the loss does not depend on it");
    expect(training.program.targets).toEqual([{ input: "hidden", dtype: "float32", dims: [5, 4] }]);
  });

  it("refuses 16-bit weights, missing inputs and targets, and options that do not fit, with reasons", async () => {
    const half = modelOf(`(float[N, 2] x) => (float[N, 2] y) <float16[2, 2] w = {1, 2, 3, 4}> {
      c = Cast<to = 10>(x) z = MatMul(c, w) y = Cast<to = 1>(z) }`);
    await expect(start(half, {}, { x: random(2, 2), label: random(2, 2) })).rejects.toThrow("found none");
    await expect(start(net(), {}, { label: random(5, 2) })).rejects.toThrow('input "x"');
    await expect(start(net(), {}, { x: random(5, 3) })).rejects.toThrow('target "label"');
    await expect(start(net(), { losses: [] }, batch())).rejects.toThrow('option "losses"');
    await expect(start(net(), {}, { x: random(5, 3), label: random(5, 3) })).rejects.toThrow("expected targets [5, 2]");
    const erf = modelOf(`(float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, 4}> {
      z = MatMul(x, w) s = NonZero(z) t = Cast<to = 1>(s) u = ReduceMean<keepdims = 0>(t) y = Add(z, u) }`);
    await expect(
      start(erf, { losses: [{ kind: "mse", output: "y" }] }, { x: random(2, 2), label: random(2, 2) }),
    ).resolves.toBeDefined();
  });
});

describe("one step", () => {
  it("lowers the loss; evaluation shows it with the model's outputs, and the model is as it was", async () => {
    const model = net();
    const before = Buffer.from(bytesOf(model));
    const training = await start(model, {}, batch());
    const feeds = batch();
    const first = loss(await training.evaluate(feeds));
    for (let i = 0; i < 30; i++) await training.step(feeds, 0.05);
    const last = await training.evaluate(feeds);
    expect(loss(last)).toBeLessThan(0.8 * first);
    expect(Buffer.compare(before, Buffer.from(bytesOf(model)))).toBe(0);
    // The trained model, by itself, gives what the evaluation gave.
    expect(writeBack(model, training.program.state, await training.store.snapshot())).toBe(4);
    const session = await (await runtimes.node()).load({ bytes: bytesOf(model) });
    const { y } = await session.run({ x: feeds["x"]! });
    expect(numbers(y)).toEqual(numbers(last["y"]));
    await session.release();
  });

  it("adds penalties to what is minimized, and not to what is evaluated", async () => {
    const feeds = batch();
    const plain = await start(net(), {}, feeds);
    const model = net();
    const rated = await start(
      model,
      {
        penalties: [
          { kind: "l2", match: ["w1"], weight: 0.5 },
          { kind: "l1", match: ["b2"], weight: 2 },
        ],
      },
      feeds,
    );
    const w1 = (await rated.store.get("w1")).floats();
    const squares = w1.reduce((sum, w) => sum + w * w, 0);
    const results = await rated.step(feeds, 0);
    expect(loss(results) - numbers(results[`${LOSS}/mse`])[0]!).toBeCloseTo(0.5 * squares + 2 * 0.2, 4);
    expect(Object.keys(await plain.step(feeds, 0))).toEqual([LOSS, `${LOSS}/mse`]);
    const evaluated = await rated.evaluate(feeds);
    expect(loss(evaluated)).toBeCloseTo(numbers(evaluated[`${LOSS}/mse`])[0]!, 6);
  });

  it("sums losses by their weights, on logits where the model ends in Softmax", async () => {
    const feeds = { x: random(5, 3), label: Tensor.int64([5], [0, 1, 1, 0, 1]), teacher: random(5, 2) };
    const losses: TrainingInput["losses"] = [
      { kind: "cross-entropy", weight: 0.3 },
      { kind: "distillation", teacher: "logits", temperature: 2, weight: 0.7, name: "soft" },
    ];
    const training = await start(net("Softmax"), { losses }, feeds);
    const results = await training.step(feeds);
    const [hard, soft] = [numbers(results[`${LOSS}/cross-entropy`])[0]!, numbers(results[`${LOSS}/soft`])[0]!];
    expect(loss(results)).toBeCloseTo(0.3 * hard + 0.7 * soft, 5);
    expect(training.program.notes.join()).toContain("(Softmax)");
  });
});

describe("masks", () => {
  const kept = Tensor.of("bool", [3, 4], Uint8Array.from([1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1]));
  const masked = (): Model => {
    const model = net();
    mask.insert(model, [...model.graph.initializers].find(({ name }) => name === "w1")!, kept);
    return model;
  };

  it.each(OWN)("weights under one stay bitwise the same, with %s, decay and moments from before", async (_, kind) => {
    const model = masked();
    const original = [...model.graph.initializers].find(({ name }) => name === "w1")!.initializer!.floats();
    const optimizer =
      kind === "adam" ? { kind, weightDecay: 0.1 } : ({ kind, momentum: 0.9, weightDecay: 0.1 } as const);
    const training = await start(model, { optimizer }, batch());
    for (const { name, kind: state } of training.program.state) {
      // Moments of a training without the mask.
      if (state === "optimizer" && name.startsWith("w1")) {
        await training.store.set(name, Tensor.float32([3, 4], new Float32Array(12).fill(0.3)));
      }
    }
    for (let i = 0; i < 5; i++) await training.step(batch());
    const trained = await training.store.get("w1");
    kept.bytes().forEach((keep, i) => {
      if (keep) expect(trained.floats()[i]).not.toBe(original[i]);
      else expect(trained.floats()[i]).toBe(original[i]);
    });
    writeBack(model, training.program.state, await training.store.snapshot());
    expect(model.parametrizations.size).toBe(1);
    const open = await start(masked(), { optimizer, updateMasked: true }, batch());
    const before = await open.store.get("w1");
    for (let i = 0; i < 2; i++) await open.step(batch());
    expect((await open.store.get("w1")).floats()[1]).not.toBe(before.floats()[1]);
  });
});

describe("dropout", () => {
  it("scales what it keeps, by the noise that is fed; evaluation drops nothing", async () => {
    const feeds = batch();
    const training = await start(net(), { dropout: 0.25, losses: [{ kind: "mse", output: "z" }] }, feeds);
    expect(training.program.random.map(({ dims }) => dims)).toEqual([[5, 4]]);
    const { input } = training.program.random[0]!;
    const noise = (value: number): Tensors => ({ [input]: Tensor.float32([5, 4], new Float32Array(20).fill(value)) });
    const all = loss(await training.step({ ...feeds, ...noise(0.99) }, 0));
    const none = loss(await training.step({ ...feeds, ...noise(0.2) }, 0));
    const evaluated = loss(await training.evaluate(feeds));
    expect(new Set([all, none, evaluated]).size).toBe(3);
    // Without hidden units the output is the bias.
    const t = numbers(feeds["label"]);
    const bias = t.reduce((sum, v, i) => sum + (v - (i % 2 ? -0.1 : 0.1)) ** 2, 0) / t.length;
    expect(none).toBeCloseTo(bias, 5);
    const own = await start(net(), { dropout: "own" }, feeds);
    expect(own.program.random.length).toBe(1);
    expect((await start(net(), { dropout: 0 }, feeds)).program.random).toEqual([]);
  });
});

describe("BatchNormalization", () => {
  const normalized = (): Model =>
    modelOf(`(float[N, 2, 3] x) => (float[N, 2, 3] y)
      <float[2] s = {1, 2}, float[2] b = {0, 1}, float[2] m = {0.5, -0.5}, float[2] v = {2, 3}> {
        y = BatchNormalization<momentum = 0.8>(x, s, b, m, v) }`);
  const feeds = (): Tensors => ({ x: random(4, 2, 3), label: random(4, 2, 3) });

  it("keeps its statistics by default", async () => {
    const own = feeds();
    const training = await start(normalized(), {}, own);
    expect(training.program.state.map(({ name }) => name)).not.toContain("m");
    expect(loss(await training.step(own, 0))).toBe(loss(await training.evaluate(own)));
  });

  it("takes the batch's on demand, and moves the running ones as PyTorch does", async () => {
    const own = feeds();
    const model = normalized();
    const training = await start(model, { batchNorm: "batch-statistics" }, own);
    await training.step(own, 0);
    const x = numbers(own["x"]);
    for (const c of [0, 1]) {
      const values = x.filter((_, i) => Math.floor(i / 3) % 2 === c);
      const mean = values.reduce((sum, value) => sum + value, 0) / 12;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 11;
      expect(numbers(await training.store.get("m"))[c]).toBeCloseTo(0.8 * [0.5, -0.5][c]! + 0.2 * mean, 5);
      expect(numbers(await training.store.get("v"))[c]).toBeCloseTo(0.8 * [2, 3][c]! + 0.2 * variance, 5);
    }
    const before = await training.store.snapshot();
    await training.evaluate(own);
    expect(numbers(await training.store.get("m"))).toEqual(numbers(before.get("m")));
    expect(writeBack(model, training.program.state, before)).toBe(4);
    const one = { x: random(1, 2, 1), label: random(1, 2, 1) };
    const narrow = modelOf(`(float[N, 2, 1] x) => (float[N, 2, 1] y)
      <float[2] s = {1, 2}, float[2] b = {0, 1}, float[2] m = {0.5, -0.5}, float[2] v = {2, 3}> {
        y = BatchNormalization(x, s, b, m, v) }`);
    await expect(start(narrow, { batchNorm: "batch-statistics" }, one)).rejects.toThrow(
      "more than one value per channel",
    );
  });
});

describe("programs", () => {
  it("are built once per dimensions and share their state", async () => {
    const runtime = await runtimes.node();
    const programs = programsFor(net(), { losses: [{ kind: "mse" }], dropout: 0 }, { runtime });
    const [a, b] = [await programs.program(batch(5)), await programs.program(batch(7))];
    expect(await programs.program(batch(5))).toBe(a);
    expect(programs.size).toBe(2);
    const names = ({ state }: TrainingProgram): string[] => state.map(({ name, kind }) => `${kind} ${name}`);
    expect(names(a)).toEqual(names(b));
    const store = await createState(runtime, a.state);
    const [first, second] = [
      await store.load({ bytes: bytesOf(a.step) }),
      await store.load({ bytes: bytesOf(b.step) }),
    ];
    const rate = { [LEARNING_RATE]: Tensor.scalar("float32", 0.1) };
    await first.step({ ...batch(5), ...rate });
    await second.step({ ...batch(7), ...rate });
    expect(numbers(await store.get("train/updates"))).toEqual([2]);
    await store.release();
  });

  it("say what memory they take", async () => {
    const { program } = await start(net(), { optimizer: { kind: "adam" }, ema: 0.9, accumulate: true }, batch());
    const bytes = 4 * (12 + 4 + 8 + 2);
    expect(program.memory.parameters).toBe(bytes);
    expect(program.memory.optimizer).toBe(4 * bytes);
    const kept = program.state
      .filter(({ kind }) => kind !== "parameter" && kind !== "counter")
      .reduce((sum, { initial }) => sum + initial.byteLength, 0);
    expect(program.memory.optimizer).toBe(kept);
    expect(program.memory.working).toBeGreaterThan(program.memory.forward);
    expect(program.memory.peak).toBeGreaterThan(program.memory.working + 2 * (bytes + kept));
  });
});

describe("momentum", () => {
  const options = { optimizer: { kind: "sgd" as const, momentum: 0.9 } };

  it("is added by the product that makes the gradient, where nothing else needs the gradient", async () => {
    const betas = async (more: Partial<TrainingInput>): Promise<number> => {
      const { program, store } = await start(net(), { ...options, ...more }, batch());
      await store.release();
      return [...program.step.graph.nodes()].filter((node) => node.is("Gemm") && node.has("beta")).length;
    };
    expect(await betas({})).toBe(2);
    expect(await betas({ clipNorm: 1 })).toBe(0);
    expect(await betas({ accumulate: true })).toBe(0);
  });

  it("is each parameter's own where two have one gradient", async () => {
    const tied = modelOf(`(float[N, 3] x) => (float[N, 2] y)
      <float[3, 2] w = {${list(6)}}, float[3, 2] v = {${list(6)}}> { s = Add(w, v) y = Gemm(x, s) }`);
    const feeds = batch();
    const training = await start(tied, { ...options, train: ["w", "v"] }, feeds);
    for (let i = 0; i < 3; i++) await training.step(feeds);
    const [w, v] = [await training.store.get("w/momentum"), await training.store.get("v/momentum")];
    expect(w.floats()).toEqual(v.floats());
    await training.store.release();
  });
});

describe("ways that are timed", () => {
  const convolutional = sequential(
    conv2d(3, 16, 3, { padding: 1 }),
    batchNorm(16),
    relu(),
    conv2d(16, 32, 3, { stride: 2, padding: 1, bias: false }),
    relu6(),
    conv2d(32, 32, 3, { padding: 1, groups: 32 }),
    maxPool2d(2),
    flatten(),
    linear(128, 4),
  );

  it.each(["node", "web"] as const)(
    "train as the first ways do, in the blocked layout where there is one: %s",
    async (name) => {
      const runtime = await runtimes[name]();
      const model = buildModel(convolutional, { input: { name: "x", dims: ["N", 3, 8, 8] }, seed: 3 });
      const feeds = { x: random(8, 3, 8, 8), label: Tensor.int64([8], [0, 1, 2, 3, 0, 1, 2, 3]) };
      const options = {
        losses: [{ kind: "cross-entropy" as const }],
        optimizer: { kind: "sgd" as const, momentum: 0.9 },
        batchNorm: "batch-statistics" as const,
      };
      const curves: number[][] = [];
      for (const timeWays of [undefined, { budgetMs: 1 }]) {
        const program = await buildTraining(model, options, { runtime, feeds, ...(timeWays && { timeWays }) });
        const domains = new Set([...program.step.graph.nodes()].map(({ domain }) => domain));
        const blocked = timeWays !== undefined && (await channelBlock(runtime)) !== undefined;
        expect(domains.has("com.microsoft.nchwc")).toBe(blocked);
        const store = await createState(runtime, program.state);
        const step = await store.load({ bytes: bytesOf(program.step) }, TRAINING_SESSION);
        const curve: number[] = [];
        for (let i = 0; i < 6; i++) {
          curve.push(loss(await step.step({ ...feeds, [LEARNING_RATE]: Tensor.scalar("float32", 0.05) })));
        }
        curves.push(curve);
        await store.release();
      }
      const [plain, timed] = curves as [number[], number[]];
      expect(plain.at(-1)).toBeLessThan(plain[0]!);
      // Sums in another order: a few roundings per step, which steps carry on.
      for (const [i, value] of plain.entries()) expect(Math.abs(timed[i]! - value)).toBeLessThan(1e-4 * value);
    },
  );
});
