/**
 * @file Picks the fastest way to compute each part of a gradient by timing all of them, per shape, where training runs:
 * none wins everywhere.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { type InterleaveOptions, interleave } from "../runtime/interleave.ts";
import type { Runtime, Session, SessionOptions, Tensors } from "../runtime/runtime.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { UnsupportedError } from "../util/errors.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";
import { type ChooseWay, type DifferentiateOptions, dependents } from "./differentiate.ts";
import { feedFor, type SingleNode, singleNode } from "./single-node.ts";

/** What was measured of one part of one kind of node. */
export interface TimedWay {
  /** The fastest. */
  readonly way: string;
  /** Milliseconds of each way that ran; rough for those that were far behind from the start. */
  readonly ms: Readonly<Record<string, number>>;
}

/** By runtime, threads, operator, attributes, shapes and part. As JSON: `JSON.stringify([...cache])`. */
export type WayCache = Map<string, TimedWay>;

export interface TimeWaysOptions extends Pick<DifferentiateOptions, "loss" | "wrt" | "shapes" | "block"> {
  readonly runtime: Runtime;
  /** As training will have them. Default 1. */
  readonly threads?: number;
  /** As training will have it, for example without integer kernels. */
  readonly session?: SessionOptions;
  /** What is in it is not timed again; what is timed is added. Default: empty. */
  readonly cache?: WayCache;
  /** Milliseconds for each way, about. Default 50. */
  readonly budgetMs?: number;
  /**
   * The clock, in ms, of a runtime in this process. Default: time on the wall. With one thread the processor's time
   * (process.cpuUsage) says the same and does not mind what else the machine does.
   */
  readonly now?: () => number;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** Constants of more elements are told apart by their dimensions only. */
const SHORT = 16;

/** Ways that the first runs show this many times slower than the fastest are not run again. */
const HOPELESS = 3;

const FIRST_ROUNDS = { minRounds: 2, maxRounds: 2, warmup: 0, budgetMs: 0 } as const;

const ROUNDS = { minRounds: 3, maxRounds: 50, warmup: 1 } as const;

interface Job {
  readonly node: Node;
  readonly index: number;
  readonly part: string;
  readonly ways: readonly string[];
  readonly key: string;
}

/**
 * Times the ways of every part of every node between `wrt` and `loss` where there are several. Nodes alike are timed once.
 * The model stays as it is.
 * @returns To be given to `differentiate` with the same nodes.
 */
export async function timeWays(model: Model, options: TimeWaysOptions): Promise<ChooseWay> {
  const { cache = new Map<string, TimedWay>(), progress, signal } = options;
  const active = dependents(options.wrt);
  const jobs = jobsOf(model, options, active);
  const keys = new Map<Node, Map<string, string>>();
  for (const { node, part, key } of jobs) {
    const parts = keys.get(node) ?? new Map<string, string>();
    keys.set(node, parts.set(part, key));
  }
  const open = [...new Map(jobs.filter(({ key }) => !cache.has(key)).map((job) => [job.key, job])).values()];
  for (const [done, job] of open.entries()) {
    checkCancelled(signal);
    progress?.("timing ways to differentiate", done, open.length);
    const ms = await timeJob(job, options, active);
    const best = Object.entries(ms).reduce<[string, number] | undefined>(
      (low, entry) => (low === undefined || entry[1] < low[1] ? entry : low),
      undefined,
    );
    cache.set(job.key, { way: best?.[0] ?? job.ways[0]!, ms });
  }
  return (node, part, ways) => {
    const key = keys.get(node)?.get(part);
    return (key === undefined ? undefined : cache.get(key)?.way) ?? ways[0]!;
  };
}

/** Everything that could be timed, in the order of the graph. */
function jobsOf(model: Model, options: TimeWaysOptions, active: ReadonlySet<Value>): Job[] {
  const { loss, shapes, runtime, threads = 1, block } = options;
  const jobs: Job[] = [];
  const needed = ancestors(loss);
  for (const node of model.graph.nodes()) {
    if (!needed.has(node) || node.subgraphs.length > 0) continue;
    for (const [index, value] of node.inputs.entries()) {
      if (value === undefined || !active.has(value)) continue;
      for (const [part, ways] of offers(node, index, options, active)) {
        if (ways.length < 2) continue;
        const where = [runtime.name, runtime.version, `${threads} threads`, `opset ${model.opset}`, `block ${block}`];
        jobs.push({ node, index, part, ways, key: [...where, signature(node, shapes, active), part].join("; ") });
      }
    }
  }
  return jobs;
}

function offers(
  node: Node,
  index: number,
  { shapes, block }: TimeWaysOptions,
  active: ReadonlySet<Value>,
): SingleNode["offered"] {
  try {
    return singleNode(node, index, shapes, active, (_node, _part, ways) => ways[0]!, block).offered;
  } catch (error) {
    // Whoever differentiates the whole graph says so, or freezes the node.
    if (error instanceof UnsupportedError) return new Map();
    throw error;
  }
}

/** Nodes on which a value depends. */
function ancestors(value: Value): ReadonlySet<Node> {
  const found = new Set<Node>();
  const open = [value];
  while (open.length > 0) {
    const node = open.pop()!.producer;
    if (node === undefined || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return found;
}

/** "Conv(float32[8,3,32,32], float32[16,3,3,3]) strides=1,1": what the time of a node's gradient depends on. */
function signature(node: Node, shapes: ReadonlyMap<Value, readonly number[]>, active: ReadonlySet<Value>): string {
  const inputs = node.inputs.map((value) => {
    if (value === undefined) return "";
    const constant = active.has(value) ? undefined : value.constant;
    const dims = (shapes.get(value) ?? constant?.dims ?? []).join();
    const text = `${value.dtype ?? "float32"}[${dims}]`;
    if (constant === undefined) return text;
    return constant.size <= SHORT ? `${text}=${constant.numbers().join()}` : `constant ${text}`;
  });
  const attributes = [...node.attributes.values()]
    .map(({ proto: { name, i, f, s, ints, floats } }) => `${name}=${i ?? f ?? s ?? ints ?? floats ?? ""}`)
    .sort();
  return [`${node.opType}(${inputs.join(", ")})`, ...attributes].join(" ");
}

/** Milliseconds of every way that the runtime can run, the least of several runs each. */
async function timeJob(
  job: Job,
  options: TimeWaysOptions,
  active: ReadonlySet<Value>,
): Promise<Readonly<Record<string, number>>> {
  const { runtime, budgetMs = 50, signal, now } = options;
  const { sessions, feeds } = await loadWays(job, options, active);
  const ms: Record<string, number> = {};
  const run = async (names: readonly string[], timing: InterleaveOptions): Promise<void> => {
    const chosen = names.map((name) => sessions.get(name)!);
    const times = runtime.interleave
      ? await runtime.interleave(chosen, [feeds], timing)
      : await interleave(chosen, [feeds], timing, { now, signal });
    names.forEach((name, i) => {
      ms[name] = Math.min(ms[name] ?? Number.POSITIVE_INFINITY, ...times[i]!);
    });
  };
  try {
    const names = [...sessions.keys()];
    if (names.length === 0) return ms;
    await run(names, FIRST_ROUNDS);
    const best = Math.min(...Object.values(ms));
    const hopeful = names.filter((name) => ms[name]! < HOPELESS * best);
    await run(hopeful, { ...ROUNDS, budgetMs: budgetMs * hopeful.length });
    return ms;
  } finally {
    for (const session of sessions.values()) await session.release();
  }
}

/** A session for every way that the runtime has kernels for, run once; all take the same inputs. */
async function loadWays(
  job: Job,
  options: TimeWaysOptions,
  active: ReadonlySet<Value>,
): Promise<{ readonly sessions: ReadonlyMap<string, Session>; readonly feeds: Tensors }> {
  const { runtime, shapes, threads = 1, signal, block } = options;
  const built = job.ways.map((way) => {
    const choose: ChooseWay = (_node, part, ways) => (part === job.part ? way : ways[0]!);
    return { way, ...singleNode(job.node, job.index, shapes, active, choose, block) };
  });
  const used = new Set<string>();
  const feeds: Record<string, Tensor> = {};
  for (const { dims } of built) {
    for (const [value, shape] of dims) {
      if (!value.isInput || value.isUnused) continue;
      used.add(value.name);
      feeds[value.name] ??= feedFor(value, shape);
    }
  }
  const sessions = new Map<string, Session>();
  for (const { way, model } of built) {
    checkCancelled(signal);
    const { inputs } = model.graph;
    inputs.splice(0, inputs.length, ...inputs.filter(({ name }) => used.has(name)));
    const bytes = joinChunks(encodeModel(toOnnx(model)));
    let session: Session | undefined;
    try {
      session = await runtime.load({ bytes }, { ...options.session, threads });
      await session.run(feeds);
      sessions.set(way, session);
    } catch {
      // No kernel for it here.
      await session?.release();
    }
  }
  return { sessions, feeds };
}
