/**
 * @file The last of three steps of static quantization: ranges become scales, weights become codes, and pairs take their
 * places in the graph. PyTorch's `convert`.
 */
import type { Value } from "../../graph/value.ts";
import type { LeftAlone, SaturationFinding, StepReport } from "../../step/step.ts";
import { OptionError } from "../../util/errors.ts";
import { findBias, leastScales } from "../integer-bias.ts";
import { dataInputs, type Plan } from "../placement/plan.ts";
import { describeSaturation } from "../saturation/mode.ts";
import { storeRemaining } from "../store-remaining.ts";
import { quantizeWeight } from "../weight.ts";
import { type ActivationQParams, activationQParams } from "./activations.ts";
import type { AutoObservers } from "./auto-observers.ts";
import { Pairs } from "./pairs.ts";
import { type Prepared, type PreparedNode, planFor, tooLossy, weightScheme } from "./prepare.ts";
import { perChannel, type ReadyNode, rewriteNode } from "./rewrite.ts";

export interface ConvertOptions {
  /** What to do about an observer that saw no data: an error that names it (default), or its nodes stay in float. */
  readonly unseen?: "error" | "float";
}

/**
 * Rewrites the model, in place.
 * @throws OptionError naming the observed values that no data reached, unless `unseen` is "float".
 */
export function convert(prepared: Prepared, { unseen = "error" }: ConvertOptions = {}): StepReport {
  const { model, options, observers } = prepared;
  if (unseen === "error") refuseUnseen(prepared);
  const leftAlone: LeftAlone[] = [...prepared.leftAlone];
  const { ready, plan, qparams, saturation } = settle(prepared, leftAlone);

  const pairs = new Pairs(qparams);
  // Outputs first: then every user of a kernel's output, on integers or not, reads the pair behind it.
  for (const value of plan.behind) pairs.behind(value);
  const tied = new Map<string, Value>();
  for (const entry of ready) rewriteNode(entry, pairs, tied);
  for (const [node, { role }] of plan.joined) {
    for (const index of dataInputs(node, role)) {
      const value = node.inputs[index]!;
      if (plan.before.has(value)) node.setInput(index, pairs.before(value));
    }
  }
  const stored = options.storeRest ? storeRemaining(model, options, leftAlone, leastStored(ready.length)) : 0;
  const count = observers.size === 0 ? 0 : prepared.samples;
  return {
    changed: ready.length + stored,
    changes: [
      `${ready.length} computed in 8 bits, calibrated on ${count} samples`,
      ...describeChoice(prepared.auto),
      ...describeSaturation(saturation, ready.length),
      ...(plan.joined.size > 0 ? [`${plan.joined.size} between them run on 8 bits, too`] : []),
      ...(stored > 0 ? [`${stored} weights stored in 8 bits`] : []),
    ],
    leftAlone,
    saturation,
  };
}

/** Where activations are rounded, small weights lose next to nothing beside them (direction: 39.1 dB, stored 39.3 dB). */
function leastStored(computed: number): number | undefined {
  return computed > 0 ? 256 : undefined;
}

function describeChoice({ counts }: AutoObservers): string[] {
  const each = [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
  return each.length === 0 ? [] : [`ranges chosen by what layers lose: ${each.join(", ")}`];
}

/** What is left after every node that cannot be done was taken out, each with its reason in `leftAlone`. */
function settle(prepared: Prepared, leftAlone: LeftAlone[]): Settled {
  const joining = joiningOf(prepared);
  let { nodes } = prepared;
  for (;;) {
    const plan = planFor(nodes, joining, prepared.placement);
    const qparams = activationQParams(prepared, plan);
    const { findings, minScales } = prepared.saturation.decide(nodes, qparams);
    const ready: ReadyNode[] = [];
    for (const node of nodes) {
      const result = readyFor(node, prepared, qparams, minScales.get(node.candidate));
      const { label, opType } = node.candidate.node;
      if (typeof result === "string") leftAlone.push({ subject: label, opType, reason: result });
      else ready.push(result);
    }
    // Without some nodes, others have fewer neighbours on integers.
    if (ready.length === nodes.length) return { ready, plan, qparams, saturation: findings };
    nodes = nodes.filter(({ candidate }) => ready.some((entry) => entry.candidate === candidate));
  }
}

interface Settled {
  readonly ready: readonly ReadyNode[];
  readonly plan: Plan;
  readonly qparams: ReadonlyMap<Value, ActivationQParams>;
  readonly saturation: readonly SaturationFinding[];
}

/** Operators that may join in, without those around which something could not be observed. */
function joiningOf({ joinable, failed, observers }: Prepared): Prepared["joinable"] {
  const seen = (value: Value | undefined): boolean =>
    value === undefined || !observers.has(value) || (!failed.has(value) && observers.get(value)!.count > 0);
  return new Map([...joinable].filter(([node]) => [...node.inputs, ...node.outputs].every(seen)));
}

function refuseUnseen({ observers, failed }: Prepared): void {
  const unseen = [...observers].filter(([value, observer]) => !failed.has(value) && observer.ranges() === undefined);
  if (unseen.length === 0) return;
  const names = unseen.slice(0, 5).map(([value]) => `"${value.name}"`);
  const more = unseen.length > names.length ? ` and ${unseen.length - names.length} more` : "";
  throw new OptionError({
    area: "quantize",
    subject: "convert",
    problem: `expected observers that saw data, got none at ${names.join(", ")}${more}`,
    help: "Run calibrate() with samples that reach them, or convert with { unseen: 'float' } to leave them in float.",
  });
}

function readyFor(
  node: PreparedNode,
  { observers, failed, placement, options }: Prepared,
  qparams: ReadonlyMap<Value, ActivationQParams>,
  safe: Float32Array | undefined,
): ReadyNode | string {
  const { candidate, output } = node;
  const points = output === undefined ? [candidate.x] : [candidate.x, output];
  const failure = points.map((point) => failed.get(point)).find((text) => text !== undefined);
  if (failure !== undefined) return failure;
  if (points.some((point) => observers.get(point)?.ranges() === undefined)) {
    return "the calibration data never reach it";
  }
  const x = qparams.get(candidate.x);
  if (x === undefined || points.some((point) => !qparams.has(point))) {
    return "a value that shares its range could not be observed";
  }
  const reduced = safe === undefined ? node : withScales(node, safe);
  if (typeof reduced === "string") return reduced;
  return tooLossy(reduced.weight, options) ?? fitBias(reduced, x.scale, placement.bias, safe);
}

/** With larger weight scales where the bias needs them. */
function fitBias(
  node: PreparedNode,
  xScale: number,
  form: "int32" | "float",
  safe: Float32Array | undefined,
): ReadyNode | string {
  const { candidate, weight } = node;
  const channels = candidate.weight.initializer!.dims[candidate.axis]!;
  const bias = form === "int32" ? findBias(candidate, channels) : undefined;
  const least = bias && leastScales(bias, xScale, perChannel(weight, channels));
  if (least === undefined) return { ...node, bias, xScale };
  const both = safe === undefined ? least : least.map((scale, channel) => Math.max(scale, safe[channel]!));
  const fitted = withScales(node, both);
  return typeof fitted === "string" ? fitted : { ...fitted, bias, xScale };
}

/** Its weight quantized again with scales that are at least these, one per channel. */
function withScales(node: PreparedNode, least: Float32Array): PreparedNode | string {
  const { candidate, settings } = node;
  const minScale = settings.granularity === "per-channel" ? least : Float32Array.of(Math.max(...least));
  const weight = quantizeWeight(candidate.weight, { ...weightScheme(candidate, settings), minScale });
  return typeof weight === "string" ? weight : { ...node, weight };
}
