/**
 * @file Who bench/train.ts compares with: PyTorch in a Python of its own, TensorFlow.js and jax-js in Node and in Chromium.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { whyNoBrowser } from "../../src/runtime/browser/chromium.ts";
import { runChild } from "../child-process.ts";
import { runInChromium } from "./chromium.ts";
import { checkedSpeed, type JsSpec, type Measured, sentence, timeLimit, tooSlow } from "./js-spec.ts";

/** Steps per second by mode; a sentence where there are none. */
export type Modes = Readonly<Record<string, number | string>>;

export interface PeerTask {
  readonly net: string;
  readonly threads: number;
  readonly seconds: number;
  readonly limit: number;
  /** Of the net, to see that theirs is the same. */
  readonly parameters: number;
  /** What earlier rounds gave: what failed is not tried again. */
  readonly before: Modes;
}

export interface PeerReply {
  readonly modes: Modes;
  /** Milliseconds of processor time per step, by mode. */
  readonly processorMs?: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, string>>;
}

export interface TrainingPeer {
  readonly name: string;
  /** Where Tersor trains in the same round. */
  readonly platform: "node" | "chromium";
  /** A clause that says why it cannot be run here. */
  missing(): Promise<string | undefined>;
  run(task: PeerTask): Promise<PeerReply>;
}

const PYTHON = process.env["TERSOR_PEER_PYTHON"] ?? "python3";
const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const torch: TrainingPeer = {
  name: "torch",
  platform: "node",
  async missing() {
    const reply = await runChild(PYTHON, ["-c", "import torch; print('{}')"]);
    return "error" in reply ? `${PYTHON} has no PyTorch: bench/peers/requirements.txt` : undefined;
  },
  async run({ net, threads, seconds, parameters }) {
    const args = [path("./train_torch.py"), "--net", net, "--threads", String(threads), "--seconds", String(seconds)];
    const env = { OMP_NUM_THREADS: String(threads) };
    const reply = await runChild<TorchReply>(PYTHON, args, { env });
    if ("error" in reply) throw new Error(`bench: ${net}: ${reply.error}`);
    if (reply.parameters !== parameters) {
      throw new Error(`bench: ${net}: expected ${parameters} parameters, got ${reply.parameters} in PyTorch`);
    }
    const modes = Object.fromEntries(Object.entries(reply.modes).map(([mode, speed]) => [mode, speed ?? "no images"]));
    return { modes, versions: reply.versions };
  },
};

interface TorchReply extends Omit<PeerReply, "modes"> {
  readonly modes: Readonly<Record<string, number | string | null>>;
  readonly parameters: number;
}

interface Backend {
  readonly library: "tfjs" | "jax";
  readonly backend: string;
  /** One whatever is asked for; as many as asked for; all processors whatever is asked for. */
  readonly threads: "one" | "given" | "all";
  /** Only for nets that the backend of this name cannot train: it is the slow one. */
  readonly insteadOf?: string;
  readonly needs?: string;
}

function jsPeer(name: string, platform: TrainingPeer["platform"], backends: readonly Backend[]): TrainingPeer {
  return {
    name,
    platform,
    async missing() {
      if (!installed(backends[0]!.library === "jax" ? "@jax-js/jax" : "@tensorflow/tfjs")) {
        return "it is not installed: npm install --prefix bench/peers/js";
      }
      return platform === "chromium" ? whyNoBrowser() : undefined;
    },
    async run({ net, threads, seconds, limit, parameters, before }) {
      const modes: Record<string, number | string> = {};
      const versions: Record<string, string> = {};
      const processorMs: Record<string, number> = {};
      for (const { library, backend, insteadOf, needs, ...own } of backends) {
        const spec: JsSpec = { library, backend, net, threads, seconds, limit };
        const all = availableParallelism();
        if (insteadOf !== undefined && typeof modes[insteadOf] === "number") continue;
        if (typeof before[backend] === "string") modes[backend] = before[backend];
        else if (needs !== undefined && !installed(needs))
          modes[backend] = `${needs} is not installed: its script downloads a native library`;
        else if (own.threads === "one" && threads !== 1) modes[backend] = "has one thread";
        else if (own.threads === "all" && threads !== all) modes[backend] = `always has all ${all} processors`;
        else {
          const measured = platform === "node" ? await runInNode(spec) : await runInChromium(spec);
          modes[backend] = checkedSpeed(measured, parameters);
          if (typeof measured === "string" || typeof modes[backend] === "string") continue;
          if (measured.version !== undefined) versions[library] = measured.version;
          if (measured.processorMs !== undefined) processorMs[backend] = measured.processorMs;
        }
      }
      return { modes, processorMs, versions };
    },
  };
}

const installed = (name: string): boolean => existsSync(path(`./js/node_modules/${name}/package.json`));

async function runInNode(spec: JsSpec): Promise<Measured | string> {
  const args = [path("./js/node.js"), JSON.stringify(spec)];
  const reply = await runChild<Measured>(process.execPath, args, { timeoutMs: 1000 * timeLimit(spec) });
  if (!("error" in reply)) return reply;
  return reply.error.startsWith("took more") ? tooSlow(spec) : sentence(reply.error);
}

const tfjs = (backend: string, threads: Backend["threads"], more: Partial<Backend> = {}): Backend => ({
  library: "tfjs",
  backend,
  threads,
  ...more,
});

/** TensorFlow.js's WASM has no gradients of convolutions: there its plain JavaScript takes over, which has one thread. */
const PLAIN = tfjs("cpu", "one", { insteadOf: "wasm" });

export const PEERS: readonly TrainingPeer[] = [
  torch,
  jsPeer("tfjs-node", "node", [
    tfjs("tensorflow", "all", { needs: "@tensorflow/tfjs-node" }),
    tfjs("wasm", "one"),
    PLAIN,
  ]),
  jsPeer("jax-js-node", "node", [{ library: "jax", backend: "wasm", threads: "one" }]),
  jsPeer("tfjs-chromium", "chromium", [tfjs("wasm", "given"), PLAIN, tfjs("webgl", "all")]),
  jsPeer("jax-js-chromium", "chromium", [
    { library: "jax", backend: "wasm", threads: "given" },
    { library: "jax", backend: "webgpu", threads: "all" },
  ]),
];

/** By names or beginnings of names: "jax-js" is both. */
export function choosePeers(names: readonly string[]): readonly TrainingPeer[] {
  for (const name of names) {
    if (PEERS.some((peer) => matches(peer, name))) continue;
    throw new Error(`bench: --peers: expected ${PEERS.map((peer) => peer.name).join(", ")}, got ${name}`);
  }
  return PEERS.filter((peer) => names.some((name) => matches(peer, name)));
}

const matches = (peer: TrainingPeer, name: string): boolean => peer.name === name || peer.name.startsWith(`${name}-`);
