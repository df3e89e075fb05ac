/**
 * @file Which nodes cost accuracy: a model is made for each of them, with it alone quantized, or it alone kept in float.
 */
import { createMeter, type MetricResult, type MetricSpec } from "../measure/meter.ts";
import type { ModelSource, Runtime, Session, Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { InputError } from "../util/errors.ts";
import { checkCancelled, type Progress } from "../util/progress.ts";
import { noiseShare } from "./tensor-errors.ts";

export const SENSITIVITY_MODES = ["quantize-one", "keep-one"] as const;

/**
 * quantize-one: everything else in float; says what a node's own noise does. keep-one: everything else quantized; says
 * what keeping a node in float would win back.
 */
export type SensitivityMode = (typeof SENSITIVITY_MODES)[number];

export interface SensitivityNode {
  readonly name: string;
  readonly opType: string;
}

export interface SensitivityOptions {
  /** In the order in which they are tried: with little time, the first ones are. */
  readonly nodes: readonly SensitivityNode[];
  /** A model in which these nodes are quantized. */
  make(quantized: ReadonlySet<string>): Promise<ModelSource>;
  /** The model in float. */
  readonly original: ModelSource;
  readonly runtime: Runtime;
  /** A few samples: every model runs them all. Their outputs are held. */
  readonly data: DataSource;
  /** Default: SQNR of the output (`{ names: ["sqnr"] }`). The first metric counts. */
  readonly metric?: MetricSpec;
  /** By the user. */
  readonly score?: (outputs: Tensors, sample: Sample) => number | Promise<number>;
  /** Default "quantize-one". */
  readonly mode?: SensitivityMode;
  /** Milliseconds after which no further node is begun. Default: no limit. */
  readonly budgetMs?: number;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Default performance.now, in ms. */
  readonly now?: () => number;
}

export interface NodeSensitivity {
  readonly node: string;
  readonly opType: string;
  /**
   * What the node costs; the larger, the worse. Of SQNR: with quantize-one noise ÷ signal of the output (shares of
   * independent noises add up), with keep-one decibels. Of another metric: what is lost with the node quantized, in its
   * unit.
   */
  readonly loss: number;
  /** The metric of the model that was made. */
  readonly value: number;
  /** Bytes that quantizing it saves; undefined where models are files. */
  readonly bytesSaved?: number;
}

export interface Sensitivity {
  readonly mode: SensitivityMode;
  readonly metric: string;
  readonly unit: MetricResult["unit"];
  /** Of the metric, for the original where labels decide; else that of equal answers. */
  readonly original: number;
  /** Of the model with all nodes quantized. */
  readonly all: number;
  readonly samples: number;
  /** The most sensitive first. */
  readonly nodes: readonly NodeSensitivity[];
  /** Nodes for which the time was too short. */
  readonly untried: readonly SensitivityNode[];
}

/**
 * Makes, runs and measures one model for each node.
 * @throws InputError without samples; whatever `make` or the runtime throws.
 */
export async function sensitivity(options: SensitivityOptions): Promise<Sensitivity> {
  const { nodes, make, mode = "quantize-one", budgetMs, progress, signal } = options;
  const { now = () => performance.now() } = options;
  const end = now() + (budgetMs ?? Number.POSITIVE_INFINITY);
  const names = nodes.map(({ name }) => name);
  const reference = await runReference(options);
  const measure = (source: ModelSource): Promise<MetricResult> => measureAgainst(reference, source, options);
  progress?.("sensitivity", 0, nodes.length + 1);
  const whole = await make(new Set(names));
  const all = await measure(whole);
  const results: NodeSensitivity[] = [];
  for (const [index, { name, opType }] of nodes.entries()) {
    checkCancelled(signal);
    if (now() >= end) break;
    progress?.("sensitivity", index + 1, nodes.length + 1);
    const chosen = mode === "quantize-one" ? [name] : names.filter((other) => other !== name);
    const source = await make(new Set(chosen));
    const result = await measure(source);
    const saved = mode === "quantize-one" ? difference(options.original, source) : difference(source, whole);
    results.push({
      node: name,
      opType,
      loss: lossOf(mode, result, all),
      value: result.value,
      ...(saved !== undefined && { bytesSaved: saved }),
    });
  }
  progress?.("sensitivity", nodes.length + 1, nodes.length + 1);
  return {
    mode,
    metric: all.name,
    unit: all.unit,
    original: all.original,
    all: all.value,
    samples: reference.length,
    nodes: results.sort((a, b) => b.loss - a.loss),
    untried: nodes.slice(results.length),
  };
}

function lossOf(mode: SensitivityMode, result: MetricResult, all: MetricResult): number {
  const worse = (from: number, to: number): number =>
    from === to ? 0 : result.direction === "higher" ? from - to : to - from;
  if (mode === "keep-one") return worse(result.value, all.value);
  return result.name === "sqnr" ? noiseShare(result.value) : worse(result.original, result.value);
}

interface Answered {
  readonly sample: Sample;
  readonly outputs: Tensors;
  readonly score: number | undefined;
}

async function withSession<T>(
  source: ModelSource,
  runtime: Runtime,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await runtime.load(source);
  try {
    return await work(session);
  } finally {
    await session.release();
  }
}

function runReference({ original, runtime, data, score, signal }: SensitivityOptions): Promise<Answered[]> {
  return withSession(original, runtime, async (session) => {
    const answered: Answered[] = [];
    for await (const sample of data.samples()) {
      checkCancelled(signal);
      const outputs = await session.run(sample.inputs);
      answered.push({ sample, outputs, score: await score?.(outputs, sample) });
    }
    if (answered.length > 0) return answered;
    throw new InputError({ area: "data", subject: data.name, problem: "expected samples, found none" });
  });
}

function measureAgainst(
  reference: readonly Answered[],
  source: ModelSource,
  { runtime, metric = { names: ["sqnr"] }, score, signal }: SensitivityOptions,
): Promise<MetricResult> {
  return withSession(source, runtime, async (session) => {
    const meter = createMeter({ ...metric, fallback: true, intervals: false }, score !== undefined);
    for (const { sample, outputs, score: scored } of reference) {
      checkCancelled(signal);
      const own = await session.run(sample.inputs);
      const answer = { outputs: own, score: await score?.(own, sample) };
      meter.add(sample, { outputs, score: scored }, [answer]);
    }
    const result = meter.results().others[0]?.[0];
    if (result !== undefined) return result;
    throw new InputError({
      area: "metric",
      subject: "sensitivity",
      problem: "expected outputs that can be compared with the original's, got others",
    });
  });
}

/** Bytes that `after` is smaller by; undefined where one is a file. */
function difference(before: ModelSource, after: ModelSource): number | undefined {
  const [a, b] = [byteLength(before), byteLength(after)];
  return a === undefined || b === undefined ? undefined : a - b;
}

function byteLength(source: ModelSource): number | undefined {
  if (!("bytes" in source)) return undefined;
  const chunks = source.bytes instanceof Uint8Array ? [source.bytes] : source.bytes;
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}
