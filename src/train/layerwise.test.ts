/**
 * @file Distillation layer by layer on nets whose layers are regressions: what a layer learns depends on nothing but what the
 * teacher's reads and gives.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { modelOf } from "../../test/helpers.ts";
import { fromSamples } from "../data/source.ts";
import type { Model } from "../graph/model.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { memoryCheckpoints } from "./checkpoint.ts";
import type { TrainContext } from "./context.ts";
import type { LogRecord } from "./events.ts";
import { train } from "./trainer.ts";
import type { TrainerInput } from "./trainer-options.ts";

/** Three layers without a kink: each is a linear regression. */
const net = (seed: number): Model =>
  modelOf(`(float[N, 4] x) => (float[N, 2] y)
    <float[4, 3] w1 = random(${seed}), float[3, 3] w2 = random(${seed + 1}), float[3, 2] w3 = random(${seed + 2})>
    { a = MatMul(x, w1) s = Tanh(a) b = MatMul(s, w2) t = Tanh(b) y = MatMul(t, w3) }`);

const weights = (model: Model): Record<string, readonly number[]> =>
  Object.fromEntries([...model.graph.initializers].map((value) => [value.name, value.initializer!.numbers()]));

const random = createRandom(4);
const data = fromSamples(
  Array.from({ length: 64 }, () => ({
    inputs: { x: Tensor.float32([1, 4], [random.normal(), random.normal(), random.normal(), random.normal()]) },
  })),
);

const OPTIONS: TrainerInput = {
  losses: [{ kind: "mse", target: "teacher" }],
  optimizer: { kind: "adam" },
  schedule: { kind: "one-cycle" },
  batchSize: 16,
  learningRate: 0.01,
  seed: 3,
};
const LAYERS = { values: ["s", "t"], learningRate: 0.1 };

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});

const distil = (student: Model, options: Partial<TrainerInput>, context: Partial<TrainContext> = {}) =>
  train(student, { ...OPTIONS, ...options }, { runtime, data, teacher: net(1), ...context });

/** The largest difference of any weight. */
function distance(a: Model, b: Model): number {
  const [own, other] = [weights(a), weights(b)];
  const differences = Object.entries(own).flatMap(([name, values]) => values.map((x, i) => x - other[name]![i]!));
  return Math.max(...differences.map(Math.abs));
}

describe("distillation layer by layer", () => {
  it("finds the teacher's weights, which the whole does not in as many updates", async () => {
    const student = net(21);
    const before = distance(student, net(1));
    const { notes } = await distil(student, { steps: 120, layerwise: { ...LAYERS, share: 1 } });
    expect(notes).toContainEqual(expect.stringMatching(/120 of 120 updates teach each layer alone, by 2 values/));
    // Regressions without noise; how fast they come near depends on how alike the hidden values are.
    expect(distance(student, net(1))).toBeLessThan(0.1 * before);
    const whole = net(21);
    await distil(whole, { steps: 120, learningRate: 0.1 });
    expect(distance(whole, net(1))).toBeGreaterThan(0.5 * before);
  });

  it("teaches a layer the same whatever those before it are", async () => {
    const [one, other] = [net(21), net(21)];
    const w1 = [...other.graph.initializers].find(({ name }) => name === "w1")!;
    w1.initializer = Tensor.float32([4, 3], new Float32Array(12).fill(9));
    for (const student of [one, other]) await distil(student, { steps: 5, layerwise: { ...LAYERS, share: 1 } });
    const [a, b] = [weights(one), weights(other)];
    expect([a["w2"], a["w3"]]).toEqual([b["w2"], b["w3"]]);
    expect(a["w1"]).not.toEqual(b["w1"]);
  });

  it("goes over to the whole with its own rate and fresh moments, and goes on from a checkpoint of either", async () => {
    const options = { steps: 20, logEvery: 1, checkpointEvery: 1, layerwise: { ...LAYERS, share: 0.5 } };
    const records: LogRecord[] = [];
    const through = net(21);
    await distil(through, options, { log: (record) => records.push(record), validation: data });
    const rates = records.flatMap((record) => (record.type === "step" ? [record.learningRate] : []));
    expect(Math.max(...rates.slice(0, 10))).toBeCloseTo(0.1, 6);
    expect(Math.max(...rates.slice(10))).toBeCloseTo(0.01, 6);
    const losses = records.find((record) => record.type === "step" && record.step === 1)!;
    expect(losses).toMatchObject({ losses: { "layer s": expect.any(Number), "layer t": expect.any(Number) } });
    for (const last of [4, 10, 15]) {
      const checkpoints = memoryCheckpoints();
      const stop = new AbortController();
      const student = net(21);
      const hooks = { onStep: ({ step }: { step: number }) => (step === last ? stop.abort() : undefined) };
      const context = { checkpoints, hooks, signal: stop.signal, validation: data };
      await expect(distil(student, options, context)).rejects.toThrow();
      expect((await checkpoints.latest())!.checkpoint.record.step).toBe(last);
      await distil(student, options, { checkpoints, resume: true, validation: data });
      expect(weights(student)).toEqual(weights(through));
    }
  });
});
