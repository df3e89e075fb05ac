/**
 * @file Training steps per second against PyTorch, eager and compiled, on the same processor: five nets, SGD with momentum 0.9,
 * cross-entropy, batch statistics. Ours and theirs take turns, so that a slow minute hits both.
 *
 *   TERSOR_PEER_PYTHON=/tmp/peerenv/bin/python npx tsx bench/train.ts [--net lenet5 …] [--threads 1 …] [--seconds 6] [--rounds 3] [--write]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { WayCache } from "../src/autodiff/time-ways.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { buildModel } from "../src/nn/build-model.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { createState } from "../src/runtime/stateful.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { buildTraining, TRAINING_SESSION } from "../src/train/build.ts";
import { LEARNING_RATE } from "../src/train/program.ts";
import { createRandom } from "../src/util/random.ts";
import { runChild } from "./child-process.ts";
import { formatTable, machine, quantile } from "./report.ts";
import { NETS, type Net } from "./training-nets.ts";

const { values: flags } = parseArgs({
  options: {
    net: { type: "string", multiple: true },
    threads: { type: "string", multiple: true, default: ["1", "2"] },
    /** Of each side in each round. */
    seconds: { type: "string", default: "6" },
    rounds: { type: "string", default: "3" },
    write: { type: "boolean", default: false },
    /** Without PyTorch. */
    alone: { type: "boolean", default: false },
  },
});

const PYTHON = process.env["TERSOR_PEER_PYTHON"] ?? "python3";
const PEER = fileURLToPath(new URL("./peers/train_torch.py", import.meta.url));
/** The floor and the goal: steps per second ÷ the better of PyTorch's. */
const [FLOOR, GOAL] = [0.6, 1];

/** Milliseconds of this process: with one thread it is not disturbed by others, as the clock is. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Ours {
  /** Steps per second: one over the median step. */
  run(seconds: number): Promise<number>;
  release(): Promise<void>;
}

async function ours(net: Net, threads: number, ways: WayCache): Promise<Ours> {
  const runtime = await createNodeRuntime();
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
    { runtime, feeds: { x, label }, timeWays: { threads, cache: ways, ...(threads === 1 && { now: processorTime }) } },
  );
  const state = await createState(runtime, program.state);
  const bytes = joinChunks(encodeModel(toOnnx(program.step)));
  const session = await state.load({ bytes }, { ...TRAINING_SESSION, threads });
  const feeds = { x, label, [LEARNING_RATE]: Tensor.scalar("float32", 0.01) };
  const step = async (): Promise<number> => (await session.step(feeds))[program.outputs.loss]!.floats()[0]!;
  for (let i = 0; i < 5; i++) await step();
  return {
    async run(seconds) {
      const times: number[] = [];
      const end = performance.now() + 1000 * seconds;
      while (performance.now() < end) {
        const start = performance.now();
        const loss = await step();
        times.push(performance.now() - start);
        if (!Number.isFinite(loss)) throw new Error(`bench: expected a loss, got ${loss}`);
      }
      return 1000 / quantile(times);
    },
    release: () => state.release(),
  };
}

interface Peer {
  readonly modes: Readonly<Record<string, number | string | null>>;
  readonly versions: Readonly<Record<string, string>>;
}

async function peer(name: string, threads: number, seconds: number): Promise<Peer> {
  const args = [PEER, "--net", name, "--threads", String(threads), "--seconds", String(seconds)];
  const env = { OMP_NUM_THREADS: String(threads) };
  const result = await runChild<Peer>(PYTHON, args, { env });
  if ("error" in result) throw new Error(`bench: ${name}: ${result.error}`);
  return result;
}

interface Result {
  readonly net: string;
  readonly threads: number;
  readonly tersor: number;
  readonly peers: Readonly<Record<string, number | string | null>>;
  /** Ours ÷ the better of the peer's, per round. */
  readonly ratios: readonly number[];
  readonly ratio: number;
}

const results: Result[] = [];
const ways: WayCache = new Map();
for (const name of flags.net ?? Object.keys(NETS)) {
  const net = NETS[name];
  if (net === undefined) throw new Error(`bench: --net: expected ${Object.keys(NETS).join(", ")}, got ${name}.`);
  for (const threads of flags.threads.map(Number)) {
    const own = await ours(net, threads, ways);
    const mine: number[] = [];
    const theirs: Peer["modes"][] = [];
    const ratios: number[] = [];
    for (let round = 0; round < Number(flags.rounds); round++) {
      mine.push(await own.run(Number(flags.seconds)));
      if (flags.alone) continue;
      const { modes } = await peer(name, threads, Number(flags.seconds));
      theirs.push(modes);
      const best = Math.max(...Object.values(modes).filter((value) => typeof value === "number"));
      ratios.push(mine.at(-1)! / best);
    }
    await own.release();
    const peers = Object.fromEntries(
      Object.keys(theirs[0] ?? {}).map((mode) => {
        const values = theirs.map((modes) => modes[mode]);
        const numbers = values.filter((value) => typeof value === "number");
        return [mode, numbers.length > 0 ? quantile(numbers) : (values[0] ?? null)];
      }),
    );
    results.push({ net: name, threads, tersor: quantile(mine), peers, ratios, ratio: quantile(ratios) });
    const row = results.at(-1)!;
    console.error(
      `${name}, ${threads} threads: ${row.tersor.toFixed(1)} steps/s, ratio ${row.ratio.toFixed(2)}, peers ${JSON.stringify(row.peers)}`,
    );
  }
}

console.log(
  formatTable(
    results.map(({ net, threads, tersor, peers, ratio }) => ({
      net,
      threads,
      "steps/s": tersor.toFixed(1),
      ...Object.fromEntries(
        Object.entries(peers).map(([mode, value]) => [mode, typeof value === "number" ? value.toFixed(1) : "-"]),
      ),
      ratio: ratio.toFixed(2),
      floor: ratio >= GOAL ? "goal" : ratio >= FLOOR ? "floor" : "BELOW",
    })),
  ),
);
if (flags.write) {
  const file = fileURLToPath(new URL("./results/train.json", import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: Result[] }).results : [];
  const kept = before.filter((old) => !results.some(({ net, threads }) => net === old.net && threads === old.threads));
  const settings = {
    optimizer: "SGD, momentum 0.9",
    loss: "cross-entropy",
    units:
      "steps per second, median over rounds of 1 / median step; ratio: ours / the best mode of the peer in the same round",
    seconds: Number(flags.seconds),
    rounds: Number(flags.rounds),
  };
  const all = [...kept, ...results];
  writeFileSync(file, `${JSON.stringify({ bench: "train", machine: machine(), settings, results: all }, null, 2)}\n`);
}
