/**
 * @file Training steps per second against PyTorch (eager and compiled), TensorFlow.js and jax-js (in Node and in Chromium) on the same
 * processor: five nets, SGD with momentum 0.9, cross-entropy, batch statistics. Ours and theirs take turns, so that a slow minute hits both.
 *
 *   npm install --prefix bench/peers/js
 *   TERSOR_PEER_PYTHON=/tmp/peerenv/bin/python npx tsx bench/train.ts [--net lenet5 …] [--threads 1 …] [--peers torch,tfjs-node,jax-js]
 *     [--seconds 6] [--rounds 3] [--limit 20] [--write]
 *
 * Peers that are not installed are left out, unless --peers names them. A peer's net must have as many parameters as ours, and its loss must
 * fall. TensorFlow.js and jax-js do not keep running statistics for inference; Tersor and PyTorch do.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { WayCache } from "../src/autodiff/time-ways.ts";
import { choosePeers, type Modes, PEERS, type TrainingPeer } from "./peers/training-peers.ts";
import { formatTable, machine, quantile } from "./report.ts";
import { type Ours, oursInChromium, oursInNode } from "./train-ours.ts";
import { mergeRows, processorRatioOf, ratioOf, type TrainRow } from "./train-results.ts";
import { NETS } from "./training-nets.ts";

const { values: flags } = parseArgs({
  options: {
    net: { type: "string", multiple: true },
    threads: { type: "string", multiple: true, default: ["1", "2"] },
    /** Names with commas between them. Default: all that are installed. */
    peers: { type: "string" },
    /** Of each side in each round. */
    seconds: { type: "string", default: "6" },
    rounds: { type: "string", default: "3" },
    /** Seconds after which a peer in JavaScript begins no further step. */
    limit: { type: "string", default: "20" },
    write: { type: "boolean", default: false },
    /** Without peers. */
    alone: { type: "boolean", default: false },
  },
});

const [seconds, rounds, limit] = [Number(flags.seconds), Number(flags.rounds), Number(flags.limit)];
/** The floor and the goal: steps per second ÷ the better of PyTorch's. */
const [FLOOR, GOAL] = [0.6, 1];

/** Tersor in Node and no peer. */
const NOBODY: TrainingPeer = {
  name: "-",
  platform: "node",
  missing: async () => undefined,
  run: async () => ({ modes: {}, versions: {} }),
};

async function peersHere(): Promise<readonly TrainingPeer[]> {
  if (flags.alone) return [NOBODY];
  const asked = flags.peers?.split(",");
  const here: TrainingPeer[] = [];
  for (const peer of asked === undefined ? PEERS : choosePeers(asked)) {
    const why = await peer.missing();
    if (why === undefined) here.push(peer);
    else if (asked === undefined) console.error(`without ${peer.name}: ${why}`);
    else throw new Error(`bench: --peers: ${peer.name}: ${why}`);
  }
  return here;
}

interface Measurement {
  readonly peer: TrainingPeer;
  readonly tersor: number[];
  readonly rounds: Modes[];
  processorMs: Record<string, number>;
  versions: TrainRow["versions"];
}

/** The peers of one platform take turns with Tersor there. */
async function measure(
  net: string,
  threads: number,
  platform: TrainingPeer["platform"],
  peers: readonly TrainingPeer[],
): Promise<TrainRow[]> {
  const own: Ours = await (platform === "node" ? oursInNode : oursInChromium)(net, threads, ways);
  const all = peers.map((peer): Measurement => ({ peer, tersor: [], rounds: [], processorMs: {}, versions: {} }));
  for (let round = 0; round < rounds; round++) {
    const mine = await own.run(seconds);
    for (const one of all) {
      const before = one.rounds.at(-1) ?? {};
      const { parameters } = own;
      const {
        modes,
        versions,
        processorMs = {},
      } = await one.peer.run({ net, threads, seconds, limit, parameters, before });
      one.tersor.push(mine.stepsPerSecond);
      if (mine.processorMs !== undefined) one.processorMs = { tersor: mine.processorMs, ...processorMs };
      one.rounds.push(modes);
      one.versions = { ...one.versions, ...versions };
    }
  }
  await own.release();
  return all.map((one) => rowOf(net, threads, own.runtime, one));
}

function rowOf(net: string, threads: number, runtime: string, measured: Measurement): TrainRow {
  const names = [...new Set(measured.rounds.flatMap((modes) => Object.keys(modes)))];
  const modes = names.map((mode) => {
    const values = measured.rounds.flatMap((round) => round[mode] ?? []);
    const numbers = values.filter((value) => typeof value === "number");
    return [mode, numbers.length > 0 ? quantile(numbers) : values[0]!] as const;
  });
  const ratios = measured.rounds.flatMap((round, i) => ratioOf(measured.tersor[i]!, round) ?? []);
  const processorRatio = threads === 1 ? processorRatioOf(measured.processorMs) : undefined;
  const { load, date } = machine();
  return {
    net,
    threads,
    peer: measured.peer.name,
    runtime,
    tersor: quantile(measured.tersor),
    modes: Object.fromEntries(modes),
    ratios,
    ratio: ratios.length > 0 ? quantile(ratios) : null,
    processorMs: measured.processorMs,
    processorRatio,
    versions: measured.versions,
    seconds,
    rounds,
    date,
    load,
  };
}

const ways: WayCache = new Map();
const peers = await peersHere();
const results: TrainRow[] = [];
for (const net of flags.net ?? Object.keys(NETS)) {
  if (!(net in NETS)) throw new Error(`bench: --net: expected ${Object.keys(NETS).join(", ")}, got ${net}.`);
  for (const threads of flags.threads.map(Number)) {
    for (const platform of ["node", "chromium"] as const) {
      const there = peers.filter((peer) => peer.platform === platform);
      if (there.length === 0) continue;
      for (const row of await measure(net, threads, platform, there)) {
        results.push(row);
        const ratio = row.ratio?.toFixed(2) ?? "-";
        console.error(
          `${net}, ${threads} threads: ${row.tersor.toFixed(1)} steps/s, ratio ${ratio}, ${row.peer} ${JSON.stringify(row.modes)}`,
        );
      }
    }
  }
}

for (const { name } of peers) {
  const rows = results.filter((row) => row.peer === name);
  console.log(`\n${name}; Tersor with ${rows[0]?.runtime}`);
  console.log(
    formatTable(
      rows.map(({ net, threads, tersor, modes, ratio, processorRatio }) => ({
        net,
        threads,
        "steps/s": tersor.toFixed(1),
        ...Object.fromEntries(
          [...new Set(rows.flatMap((row) => Object.keys(row.modes)))].map((mode) => {
            const speed = modes[mode];
            return [mode, typeof speed === "number" ? speed.toPrecision(3) : "-"];
          }),
        ),
        ratio: ratio?.toFixed(2) ?? "-",
        "by processor time": processorRatio?.toFixed(2) ?? "-",
        ...(name === "torch" && { floor: verdict(ratio ?? 0) }),
      })),
    ),
  );
  const reasons = rows.flatMap(({ net, threads, modes }) =>
    Object.entries(modes)
      .filter(([, speed]) => typeof speed === "string")
      .map(([mode, why]) => `  ${net}, ${threads} threads, ${mode}: ${why}`),
  );
  for (const line of reasons) console.log(line);
}

function verdict(ratio: number): string {
  if (ratio >= GOAL) return "goal";
  return ratio >= FLOOR ? "floor" : "BELOW";
}

if (flags.write && !flags.alone) {
  const file = fileURLToPath(new URL("./results/train.json", import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { results: TrainRow[] }).results : [];
  const settings = {
    optimizer: "SGD, momentum 0.9",
    loss: "cross-entropy",
    units:
      "steps per second, median over rounds of 1 / median step; ratio: ours / the best mode of the peer in the same round; processorMs: milliseconds of processor time per step, which do not mind what else the machine does",
  };
  const order = { peers: PEERS.map(({ name }) => name), nets: Object.keys(NETS) };
  const all = mergeRows(before, results, order);
  writeFileSync(file, `${JSON.stringify({ bench: "train", machine: machine(), settings, results: all }, null, 2)}\n`);
}
