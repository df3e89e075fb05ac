/**
 * @file Makes the models of a sensitivity analysis with the schemes: a scheme with its choice of nodes narrowed.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { findCandidates } from "../quantize/candidates.ts";
import { dynamicInt8 } from "../quantize/dynamic-int8.ts";
import { firstFeeds } from "../quantize/first-feeds.ts";
import { calibrate } from "../quantize/static/calibrate.ts";
import { convert } from "../quantize/static/convert.ts";
import { type Prepared, prepare } from "../quantize/static/prepare.ts";
import { staticInt8 } from "../quantize/static-int8.ts";
import { findWeights, weightInt8 } from "../quantize/weight-int8.ts";
import type { ModelSource, Runtime } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { parseOptions, runStep } from "../step/run.ts";
import type { StepReport } from "../step/step.ts";
import { UnsupportedError } from "../util/errors.ts";
import { exactPattern } from "../util/name-patterns.ts";
import type { Progress } from "../util/progress.ts";
import type { SensitivityNode } from "./sensitivity.ts";

export interface SchemeContext {
  readonly runtime: Runtime;
  /** Samples that ranges of activations come from: static-int8. */
  readonly calibration: DataSource;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** What {@link sensitivity} needs of a scheme. */
export interface SensitivityScheme {
  /** The nodes that the scheme quantizes, those with the largest weights first. */
  readonly nodes: readonly SensitivityNode[];
  make(quantized: ReadonlySet<string>): Promise<ModelSource>;
}

/** Schemes whose nodes can be chosen one by one. */
export const SENSITIVITY_SCHEMES = ["static-int8", "dynamic-int8", "weight-int8"] as const;

export type SensitivitySchemeName = (typeof SENSITIVITY_SCHEMES)[number];

/** A set of exact names as the option `include`; nothing is named by a pattern that no name matches. */
function only(names: ReadonlySet<string>): string[] {
  return names.size === 0 ? ["\0"] : [...names].map(exactPattern);
}

const encode = (model: Model): ModelSource => ({ bytes: joinChunks(encodeModel(toOnnx(model))) });

/**
 * Prepares a scheme: what it quantizes with these options, found by letting it.
 * @param open gives a fresh copy of the cleaned model at each call.
 * @throws UnsupportedError where it quantizes nothing; what the scheme throws.
 */
export async function openScheme(
  name: SensitivitySchemeName,
  open: () => Promise<Model>,
  options: Readonly<Record<string, unknown>>,
  context: SchemeContext,
): Promise<SensitivityScheme> {
  const scheme =
    name === "static-int8"
      ? await openStatic(open, options, context)
      : await openStep(name === "dynamic-int8" ? dynamicInt8 : weightInt8, open, options, context);
  if (scheme.nodes.length > 0) return scheme;
  throw new UnsupportedError({
    area: "sensitivity",
    subject: name,
    problem: "expected nodes that it quantizes, found none",
    help: "See tersor inspect for what is in the model.",
  });
}

async function openStep(
  step: typeof dynamicInt8 | typeof weightInt8,
  open: () => Promise<Model>,
  options: Readonly<Record<string, unknown>>,
  context: SchemeContext,
): Promise<SensitivityScheme> {
  const isDynamic = step.name === dynamicInt8.name;
  // Weights that are only stored would add their own noise to every node's.
  const given = isDynamic ? { ...options, storeRest: false } : options;
  const run = (model: Model, own: object): Promise<StepReport> =>
    runStep(model, step as typeof weightInt8, own, { ...context, progress: undefined });
  const probe = await open();
  const weights = isDynamic ? candidatesOf(probe, dynamicInt8, given) : weightsOf(probe);
  const { leftAlone = [] } = await run(probe, given);
  const left = new Set(leftAlone.map(({ subject }) => subject));
  return {
    nodes: bySize(weights.filter(({ subject }) => !left.has(subject))),
    async make(quantized) {
      const model = await open();
      await run(model, { ...given, include: only(quantized) });
      return encode(model);
    },
  };
}

interface Weighted extends SensitivityNode {
  /** What reports of the scheme name it. */
  readonly subject: string;
  readonly bytes: number;
}

function candidatesOf(model: Model, step: typeof dynamicInt8 | typeof staticInt8, options: object): Weighted[] {
  const parsed = parseOptions({ name: step.name, options: z.object(step.options.shape) }, options);
  return findCandidates(model, parsed as Parameters<typeof findCandidates>[1]).found.map(({ node, weight }) => ({
    name: node.label,
    subject: node.label,
    opType: node.opType,
    bytes: weight.initializer!.byteLength,
  }));
}

/** Tied weights go by their first user's name. */
function weightsOf(model: Model): Weighted[] {
  return findWeights(model).map(({ value, user }) => ({
    name: user.label,
    subject: value.name,
    opType: user.opType,
    bytes: value.initializer!.byteLength,
  }));
}

function bySize(nodes: readonly Weighted[]): SensitivityNode[] {
  const sizes = new Map<string, { readonly opType: string; bytes: number }>();
  for (const { name, opType, bytes } of nodes) {
    const entry = sizes.get(name);
    if (entry === undefined) sizes.set(name, { opType, bytes });
    else entry.bytes += bytes;
  }
  return [...sizes].sort((a, b) => b[1].bytes - a[1].bytes).map(([name, { opType }]) => ({ name, opType }));
}

/** Calibrates once, with all nodes; every model takes the observers that it needs from there. */
async function openStatic(
  open: () => Promise<Model>,
  options: Readonly<Record<string, unknown>>,
  { runtime, calibration, progress, signal }: SchemeContext,
): Promise<SensitivityScheme> {
  const given = parseOptions(staticInt8, { ...options, storeRest: false });
  const feeds = await firstFeeds(calibration);
  const probe = await open();
  const weights = candidatesOf(probe, staticInt8, given);
  const whole = await prepare(probe, given, { runtime, feeds });
  await calibrate(whole, calibration, { runtime, progress, signal });
  const seen = new Map([...whole.observers].map(([value, observer]) => [value.name, observer] as const));
  const failed = new Map([...whole.failed].map(([value, reason]) => [value.name, reason] as const));
  const { leftAlone = [], saturation = [] } = convert(whole, { unseen: "float" });
  const left = new Set(leftAlone.map(({ subject }) => subject));
  const reduced = new Set(saturation.filter((finding) => finding.reduced).map(({ subject }) => subject));
  return {
    nodes: bySize(weights.filter(({ name }) => !left.has(name))),
    async make(quantized) {
      const model = await open();
      const prepared = await prepare(model, { ...given, include: only(quantized) }, { runtime, feeds });
      convert(withObservers(prepared, seen, failed, reduced, whole.samples), { unseen: "float" });
      for (const graph of model.graphs()) graph.sort();
      return encode(model);
    },
  };
}

/**
 * As if it had been calibrated itself. What saturates was found with all nodes: a layer whose weights got a reduced range
 * there keeps the mode that gives it one without data, and the others have it off.
 */
function withObservers(
  prepared: Prepared,
  seen: ReadonlyMap<string, Prepared["observers"] extends ReadonlyMap<Value, infer Observer> ? Observer : never>,
  failed: ReadonlyMap<string, string>,
  reduced: ReadonlySet<string>,
  samples: number,
): Prepared {
  const values = [...prepared.observers.keys()];
  return {
    ...prepared,
    samples,
    observers: new Map(values.map((value) => [value, seen.get(value.name) ?? prepared.observers.get(value)!])),
    failed: new Map(values.flatMap((value) => (failed.has(value.name) ? [[value, failed.get(value.name)!]] : []))),
    nodes: prepared.nodes.map((node) => {
      const keep = node.settings.reduceRange !== "auto" || reduced.has(node.candidate.node.label);
      return keep ? node : { ...node, settings: { ...node.settings, reduceRange: "off" } };
    }),
  };
}
