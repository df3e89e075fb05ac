/**
 * @file The first of three steps of static quantization: what will be computed on integers, and which values an observer has
 * to watch. PyTorch's `prepare`, except that observers stand beside the graph, not in it: the model runs as it is.
 */
import { z } from "zod";
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { upgradeOpset } from "../../passes/upgrade-opset.ts";
import { observeShapes } from "../../runtime/collect.ts";
import type { Runtime, Tensors } from "../../runtime/runtime.ts";
import { parseOptions } from "../../step/run.ts";
import type { LeftAlone } from "../../step/step.ts";
import { type Candidate, findCandidates, refuseQuantized, slowReason } from "../candidates.ts";
import type { Granularity } from "../granularity.ts";
import { createObserver } from "../observers/list.ts";
import type { Observer } from "../observers/observer.ts";
import { joinable, placementFor } from "../placement/choose.ts";
import type { OpPlacement, Placement } from "../placement/placement.ts";
import { fusedOutput, type Plan, planCodes } from "../placement/plan.ts";
import type { QScheme } from "../qparams.ts";
import { SampledRows } from "../rows/sampled-rows.ts";
import { SaturationCheck } from "../saturation/check.ts";
import { type QuantizedWeight, quantizeWeight, type WeightScheme } from "../weight.ts";
import { AutoObservers, FIRST_CHOICE } from "./auto-observers.ts";
import { type NodeSettings, resolveSettings, type StaticOptions, staticOptions } from "./options.ts";

/** Per-axis DequantizeLinear came with opset 13. */
const OPSET = 13;

/** A node that is to be computed on integers. */
export interface PreparedNode {
  readonly candidate: Candidate;
  readonly settings: NodeSettings;
  readonly weight: QuantizedWeight;
  /** Where the result is quantized: behind a convolution and the activation that is fused with it. */
  readonly output: Value | undefined;
  /** Dimensions of the left operand, where they were observed. */
  readonly rank: number | undefined;
}

/** A model between `prepare` and `convert`: still in float and unchanged, but for its opset. */
export interface Prepared {
  readonly model: Model;
  readonly options: StaticOptions;
  readonly placement: Placement;
  readonly nodes: readonly PreparedNode[];
  /** Operators that may run on integers between those nodes. */
  readonly joinable: ReadonlyMap<Node, OpPlacement>;
  /** One for each value that may carry codes. */
  readonly observers: Map<Value, Observer>;
  /** Further ones of the values whose observer is `auto`. */
  readonly auto: AutoObservers;
  /** How each of them is to be quantized. */
  readonly schemes: ReadonlyMap<Value, QScheme>;
  /** Values that cannot be quantized, with the reason, found while calibrating. */
  readonly failed: Map<Value, string>;
  /** Watches for products that would saturate without VNNI. */
  readonly saturation: SaturationCheck;
  /** Rows of activations that the two look at. */
  readonly rows: SampledRows;
  /** Samples that the observers have seen. */
  samples: number;
  readonly leftAlone: readonly LeftAlone[];
}

export interface PrepareContext {
  /** With inputs of a first sample: shapes are observed, by which is known what a target runs slower. */
  readonly runtime?: Runtime;
  readonly feeds?: Tensors;
}

/**
 * Chooses what is computed on integers and creates an observer for every activation that may carry codes.
 * @param options those of the step `static-int8`.
 * @throws UnsupportedError where the model is quantized already, or its opset cannot be raised to 13; OptionError.
 */
export async function prepare(
  model: Model,
  options: z.input<z.ZodObject<typeof staticOptions>> = {},
  { runtime, feeds }: PrepareContext = {},
): Promise<Prepared> {
  const parsed = parseOptions({ name: "static-int8", options: z.object(staticOptions) }, options);
  const placement = placementFor(parsed.target, parsed.placement);
  const settings = resolveSettings(parsed, placement);
  refuseQuantized(model);
  upgradeOpset(model, OPSET);
  const { found, leftAlone: declined } = findCandidates(model, parsed);
  const leftAlone: LeftAlone[] = [...declined];
  const shapes = runtime && feeds && (await observeShapes(model, runtime, feeds));
  const nodes: PreparedNode[] = [];
  for (const candidate of found) {
    const { node } = candidate;
    const prepared = settings.float(node) ?? prepareNode(candidate, settings.of(node), parsed, placement, shapes);
    if (typeof prepared === "string") leftAlone.push({ subject: node.label, opType: node.opType, reason: prepared });
    else nodes.push(prepared);
  }
  const joining = joinable(model, placement, parsed, shapes);
  for (const node of joining.keys()) if (settings.float(node) !== undefined) joining.delete(node);
  const observers = new Map<Value, Observer>();
  const schemes = new Map<Value, QScheme>();
  const plan = planFor(nodes, joining, placement);
  const rows = new SampledRows();
  const auto = new AutoObservers(rows);
  const owners = new Map<Value, NodeSettings>();
  const readers = new Map(nodes.map(({ candidate }) => [candidate.x, candidate]));
  for (const { candidate, output, settings: own } of nodes) {
    if (!owners.has(candidate.x)) owners.set(candidate.x, own);
    if (output !== undefined && !owners.has(output)) owners.set(output, own);
  }
  for (const value of [...plan.before, ...plan.behind]) {
    const own = owners.get(value) ?? settings.of(value.producer ?? value.users.values().next().value!);
    const scheme = { dtype: own.activations, symmetric: own.symmetric };
    schemes.set(value, scheme);
    const name = own.observer === "auto" ? FIRST_CHOICE : own.observer;
    observers.set(value, createObserver(name, { scheme, percentile: own.percentile }));
    if (own.observer === "auto") auto.watch(value, scheme, own.percentile, readers.get(value));
  }
  return {
    model,
    options: parsed,
    placement,
    nodes,
    joinable: joining,
    observers,
    auto,
    schemes,
    failed: new Map(),
    rows,
    saturation: new SaturationCheck(nodes, parsed.target, rows),
    samples: 0,
    leftAlone,
  };
}

/** The plan for some of the prepared nodes: more may have to stay in float than was known before calibration. */
export function planFor(
  nodes: readonly PreparedNode[],
  joining: ReadonlyMap<Node, OpPlacement>,
  placement: Placement,
): Plan {
  const computed = nodes.map(({ candidate, output }) => ({ node: candidate.node, x: candidate.x, output }));
  return planCodes(computed, joining, placement.outputs);
}

function prepareNode(
  candidate: Candidate,
  settings: NodeSettings,
  options: StaticOptions,
  placement: Placement,
  shapes: ReadonlyMap<Value, readonly number[]> | undefined,
): PreparedNode | string {
  const { node, kind, weight, x } = candidate;
  if (placement.ops[node.opType] === undefined) return `${placement.name} computes it in float: ${placement.summary}`;
  if (node.graph !== node.graph!.model.graph) return "it is in a subgraph, where calibration does not look";
  if (x.graph !== node.graph) return "its input comes from outside of its graph";
  const slow = options.force ? undefined : slowReason(candidate, "static", options.target, shapes);
  if (slow !== undefined) return slow;
  const quantized = quantizeWeight(weight, weightScheme(candidate, settings));
  if (typeof quantized === "string") return quantized;
  const lossy = tooLossy(quantized, options);
  if (lossy !== undefined) return lossy;
  const convolution = kind === "conv" || kind === "conv-depthwise";
  const output = convolution && placement.outputs ? fusedOutput(node) : undefined;
  return { candidate, settings, weight: quantized, output, rank: shapes?.get(x)?.length };
}

export function tooLossy({ sqnr }: QuantizedWeight, { minSqnr, force }: StaticOptions): string | undefined {
  return sqnr < minSqnr && !force ? `its SQNR would be ${sqnr.toFixed(1)} dB, under ${minSqnr} dB` : undefined;
}

export function weightScheme({ node, kind, axis }: Candidate, settings: NodeSettings): WeightScheme {
  const { weights, weightObserver, reduceRange } = settings;
  const factor = kind === "gemm" ? node.float("alpha", 1) : 1;
  const granularity: Granularity =
    settings.granularity === "per-channel" ? { kind: "per-axis", axis } : { kind: "per-tensor" };
  return { dtype: weights, granularity, search: weightObserver, reduceRange: reduceRange === "on", factor };
}
