/**
 * @file Tersor's side of bench/train.ts: the training step of a net, in this process with onnxruntime-node, or in Chromium with
 * onnxruntime-web.
 */
import type { WayCache } from "../src/autodiff/time-ways.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { buildModel } from "../src/nn/build-model.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { startBrowserRuntime } from "../src/runtime/browser/chromium.ts";
import { encodeFrame } from "../src/runtime/browser/frame.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import type { Runtime, Tensors } from "../src/runtime/runtime.ts";
import { createState } from "../src/runtime/stateful.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { buildTraining, TRAINING_SESSION } from "../src/train/build.ts";
import { LEARNING_RATE, type TrainingProgram } from "../src/train/program.ts";
import { createRandom } from "../src/util/random.ts";
import { runInChromium } from "./peers/chromium.ts";
import { checkedSpeed } from "./peers/js-spec.ts";
import { quantile } from "./report.ts";
import { NETS, type Net } from "./training-nets.ts";

export interface OwnSpeed {
  /** One over the median step. */
  readonly stepsPerSecond: number;
  /** Of processor time, per step. */
  readonly processorMs: number | undefined;
}

export interface Ours {
  readonly runtime: string;
  /** Numbers in the net's parameters. */
  readonly parameters: number;
  run(seconds: number): Promise<OwnSpeed>;
  release(): Promise<void>;
}

/** Milliseconds of this process: with one thread it is not disturbed by others, as the clock is. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Built {
  readonly program: TrainingProgram;
  readonly bytes: Uint8Array;
  readonly feeds: Tensors;
  readonly parameters: number;
}

async function build(net: Net, runtime: Runtime, threads: number, cache: WayCache, now?: () => number): Promise<Built> {
  const random = createRandom(1);
  const [batch = 1, ...rest] = net.dims;
  const size = net.dims.reduce((a, b) => a * b, 1);
  const x = Tensor.float32(
    net.dims,
    Float32Array.from({ length: size }, () => random.normal()),
  );
  const label = Tensor.int64(
    [batch],
    Array.from({ length: batch }, () => random.integer(10)),
  );
  const model = buildModel(net.module, { input: { name: "x", dims: ["N", ...rest] }, output: "logits", seed: 1 });
  const program = await buildTraining(
    model,
    {
      losses: [{ kind: "cross-entropy" }],
      optimizer: { kind: "sgd", momentum: 0.9 },
      batchNorm: "batch-statistics",
      dropout: 0,
    },
    { runtime, feeds: { x, label }, timeWays: { threads, cache, ...(threads === 1 && now && { now }) } },
  );
  return {
    program,
    bytes: joinChunks(encodeModel(toOnnx(program.step))),
    feeds: { x, label, [LEARNING_RATE]: Tensor.scalar("float32", 0.01) },
    parameters: program.state
      .filter(({ kind }) => kind === "parameter")
      .reduce((sum, { initial }) => sum + initial.size, 0),
  };
}

export async function oursInNode(name: string, threads: number, ways: WayCache): Promise<Ours> {
  const runtime = await createNodeRuntime();
  const { program, bytes, feeds, parameters } = await build(NETS[name]!, runtime, threads, ways, processorTime);
  const state = await createState(runtime, program.state);
  const session = await state.load({ bytes }, { ...TRAINING_SESSION, threads });
  const step = async (): Promise<number> => (await session.step(feeds))[program.outputs.loss]!.floats()[0]!;
  for (let i = 0; i < 5; i++) await step();
  return {
    runtime: `${runtime.name} ${runtime.version}`,
    parameters,
    async run(seconds) {
      const times: number[] = [];
      const spent = processorTime();
      const end = performance.now() + 1000 * seconds;
      while (performance.now() < end) {
        const start = performance.now();
        const loss = await step();
        times.push(performance.now() - start);
        if (!Number.isFinite(loss)) throw new Error(`bench: expected a loss, got ${loss}`);
      }
      return { stepsPerSecond: 1000 / quantile(times), processorMs: (processorTime() - spent) / times.length };
    },
    release: () => state.release(),
  };
}

/** Built with a runtime in Chromium, which times the ways to differentiate; each run has a page of its own, where step and state are. */
export async function oursInChromium(name: string, threads: number, ways: WayCache): Promise<Ours> {
  const runtime = await startBrowserRuntime({ provider: "wasm" });
  const { program, bytes, feeds, parameters } = await build(NETS[name]!, runtime, threads, ways).finally(runtime.close);
  const pack = (tensor: Tensor): object => ({ dtype: tensor.dtype, dims: tensor.dims, bytes: tensor.bytes() });
  const frame = encodeFrame({
    bytes,
    options: TRAINING_SESSION,
    loss: program.outputs.loss,
    parameters,
    feeds: Object.fromEntries(Object.entries(feeds).map(([input, tensor]) => [input, pack(tensor)])),
    state: program.state.map((slot) => ({ ...slot, initial: pack(slot.initial) })),
  });
  return {
    runtime: `${runtime.name} ${runtime.version} in ${runtime.host?.name}`,
    parameters,
    async run(seconds) {
      const spec = { library: "tersor", backend: "wasm", net: name, threads, seconds, limit: 60 } as const;
      const measured = await runInChromium(spec, frame);
      const stepsPerSecond = checkedSpeed(measured, parameters);
      if (typeof stepsPerSecond === "string" || typeof measured === "string") {
        throw new Error(`bench: ${name}, Tersor in Chromium: ${stepsPerSecond}`);
      }
      return { stepsPerSecond, processorMs: measured.processorMs };
    },
    release: async () => {},
  };
}
