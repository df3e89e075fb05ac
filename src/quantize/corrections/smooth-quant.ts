/**
 * @file Step smooth-quant: outliers of activations move into the weights that multiply them, so that both fit 8 bits.
 *
 *   X · W = (X / s) · (s · W)
 *
 * The division is folded into what makes X: the layer normalization's γ and β, a product with a constant, the layer before.
 * Layers that read the same X (query, key, value) get the same s. Source: Xiao et al. 2023, "SmoothQuant: Accurate and
 * Efficient Post-Training Quantization for Large Language Models", section 4.
 */
import { z } from "zod";
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import { leftOut } from "../../step/choice.ts";
import { defineStep, type LeftAlone, type StepContext } from "../../step/step.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { commonOptions } from "../options.ts";
import { absorbsDivision, divideOutputs } from "./absorb.ts";
import { addRanges, type ChannelRanges, type LayerRows, layerRows, productSample } from "./activation-samples.ts";
import { divideSummands, findRoute, type Route } from "./channel-route.ts";
import { largestOfRuns, repeated } from "./equalize.ts";
import { blockMaxima, forEachBlock, type LinearLayer, linearLayer, scaleLayer } from "./linear-layer.ts";
import { chooseAlpha, type Smoothing, smoothingFactors } from "./smooth.ts";

const { include, exclude, ops, excludeOps } = commonOptions;

export const smoothQuant = defineStep({
  name: "smooth-quant",
  summary: "Move outliers of activations into the weights that multiply them",
  options: z.object({
    alpha: z
      .union([z.number().min(0).max(1), z.literal("auto")])
      .default(0.5)
      .describe("how much moves into the weights: 0 to 1, or auto: per layer, by its simulated error"),
    insert: z
      .boolean()
      .default(false)
      .describe("put a Mul where the division cannot be folded into what is before it (costs a little time)"),
    include,
    exclude,
    ops,
    excludeOps,
    budget: z.number().min(1).default(256).describe("megabytes of activations held at once while calibrating"),
  }),
  needs: ["runtime", "calibration"],
  async run(model, options, context) {
    const leftAlone: LeftAlone[] = [];
    const groups = findGroups(model, options, leftAlone, context.seed);
    const samples = await calibrate(model, groups, options, context);
    let smoothed = 0;
    let inserted = 0;
    const alphas: number[] = [];
    for (const group of groups) {
      const found = smoothingOf(group, options.alpha);
      if (typeof found === "string") {
        leave(group, found, leftAlone);
        continue;
      }
      apply(group, found.factors);
      smoothed++;
      if (group.route === undefined) inserted++;
      alphas.push(found.alpha);
    }
    const range = alphas.length === 0 ? "" : `, α ${Math.min(...alphas)} to ${Math.max(...alphas)}`;
    return {
      changed: smoothed,
      changes: [
        `${smoothed} activations smoothed with ${samples} samples${range}`,
        ...(inserted > 0 ? [`${inserted} Mul inserted`] : []),
      ],
      leftAlone,
    };
  },
});

/** Layers that read the same value, and what can divide its channels. */
interface Group {
  readonly value: Value;
  readonly layers: readonly LinearLayer[];
  /** Undefined where a Mul has to be inserted. */
  readonly route: Route | undefined;
  readonly repeat: number;
  readonly axis: number;
  readonly ranges: ChannelRanges;
  readonly samplers: readonly LayerRows[];
  /** Why it cannot be smoothed, once the data showed it. */
  failure: string | undefined;
}

type Options = z.output<(typeof smoothQuant)["options"]>;

function leave({ layers }: Pick<Group, "layers">, reason: string, leftAlone: LeftAlone[]): void {
  for (const { node } of layers) leftAlone.push({ subject: node.label, opType: node.opType, reason });
}

function findGroups(model: Model, options: Options, leftAlone: LeftAlone[], seed = 0): Group[] {
  const random = createRandom(seed);
  const readers = new Map<Value, LinearLayer[]>();
  for (const node of model.allNodes()) {
    if (node.domain !== "" || !["Conv", "MatMul", "Gemm"].includes(node.opType)) continue;
    const layer = leftOut(node, options) ?? smoothable(node);
    if (typeof layer === "string") leftAlone.push({ subject: node.label, opType: node.opType, reason: layer });
    else readers.set(node.input(0), [...(readers.get(node.input(0)) ?? []), layer]);
  }
  const groups: Group[] = [];
  for (const [value, layers] of readers) {
    const [{ axis, inputs, node }] = layers as [LinearLayer];
    if (layers.some((layer) => layer.axis !== axis || layer.inputs !== inputs)) {
      leave({ layers }, `the layers that read ${value} see different channels`, leftAlone);
      continue;
    }
    const rank = node.is("MatMul") ? undefined : node.is("Gemm") ? 2 : 1 - axis;
    const position = { axis, rank, count: inputs, spread: false };
    const found = findRoute(value, new Set(layers.map((layer) => layer.node)), position, absorbsDivision);
    const failed = typeof found === "string";
    if (failed && !options.insert) {
      leave({ layers }, `${found}; insert would put a Mul there`, leftAlone);
      continue;
    }
    const repeat = failed ? 1 : found.repeat;
    const channels = inputs / repeat;
    groups.push({
      value,
      layers,
      route: failed ? undefined : found,
      repeat,
      axis,
      ranges: {
        min: new Float64Array(channels).fill(Number.POSITIVE_INFINITY),
        max: new Float64Array(channels).fill(Number.NEGATIVE_INFINITY),
      },
      samplers: options.alpha === "auto" ? layers.map((layer) => layerRows(layer, random)) : [],
      failure: undefined,
    });
  }
  return groups;
}

function smoothable(node: Node): LinearLayer | string {
  if (node.graph !== node.graph!.model.graph) return "it is in a subgraph, where calibration does not look";
  if (node.int("group", 1) !== 1) return "it is a convolution with groups";
  const layer = linearLayer(node);
  if (typeof layer === "string") return layer;
  const value = node.input(0);
  if (value.isConstant) return "its left operand is constant";
  return value.graph === node.graph ? layer : "its input comes from outside of its graph";
}

/** Ranges and sampled rows of all groups. @returns The number of samples. */
async function calibrate(
  model: Model,
  groups: readonly Group[],
  options: Options,
  context: StepContext,
): Promise<number> {
  const byValue = new Map(groups.map((group) => [group.value, group]));
  const { runtime, calibration, progress, signal } = context;
  const observe = (value: Value, tensor: Tensor): void => {
    const group = byValue.get(value)!;
    if (!addRanges(group.ranges, tensor, group.axis, group.repeat)) {
      group.failure = `${value} is ${tensor}, which has other channels than its layers`;
    } else for (const { sampler } of group.samplers) sampler.observe(tensor);
  };
  const limits = { budget: options.budget * 1e6, progress, signal };
  return collect(model, runtime!, [...byValue.keys()], calibration!, observe, limits);
}

function smoothingOf(group: Group, alpha: number | "auto"): Smoothing | string {
  const { ranges, repeat } = group;
  if (group.failure !== undefined) return group.failure;
  const { min, max } = ranges;
  const largest = min.map((low, j) => Math.max(-low, max[j]!));
  if (!largest.every(Number.isFinite)) return "the calibration data never reach it, or make it infinite";
  // An earlier group may have rewritten the weights.
  const layers = group.layers.map(({ node }) => linearLayer(node) as LinearLayer);
  const weights = new Float64Array(min.length);
  for (const layer of layers) {
    largestOfRuns(inputMaxima(layer), repeat).forEach((w, j) => {
      weights[j] = Math.max(weights[j]!, w);
    });
  }
  if (alpha === "auto") {
    const samples = group.samplers.map((rows) => productSample(rows, ranges, repeat));
    return chooseAlpha(largest, weights, samples) ?? "no smoothing would clearly lower its error";
  }
  const factors = smoothingFactors(largest, weights, alpha);
  return factors.every((s) => Math.abs(Math.log(s)) < SAME)
    ? "its channels need none"
    : { alpha, factors, ratio: Number.NaN };
}

/** Factors nearer to 1 than this change no scale by more than 1 %. */
const SAME = 0.01;

/** max|W| of every input channel. */
function inputMaxima(layer: LinearLayer): Float64Array {
  const maxima = new Float64Array(layer.inputs);
  const blocks = blockMaxima(layer);
  forEachBlock(layer, (block, _output, input) => {
    if (blocks[block]! > maxima[input]!) maxima[input] = blocks[block]!;
  });
  return maxima;
}

function apply({ value, layers, route, repeat, axis }: Group, factors: Float64Array): void {
  if (route === undefined) insertMul(value, layers, axis, factors);
  else {
    divideSummands(route, factors);
    divideOutputs(route.source, route.axis, factors);
  }
  for (const { node } of layers) {
    scaleLayer(linearLayer(node) as LinearLayer, { inputs: repeated(factors, repeat) });
  }
}

/** x / s for these layers; other users keep x. */
function insertMul(value: Value, layers: readonly LinearLayer[], axis: number, factors: Float64Array): void {
  const { graph, name, producer } = value;
  const dims = [factors.length, ...new Array<number>(-axis - 1).fill(1)];
  const reciprocal = Tensor.float32(
    dims,
    Float32Array.from(factors, (s) => 1 / s),
  );
  const position = producer === undefined ? { before: graph.nodes().next().value } : { after: producer };
  const product = graph
    .add("Mul", [value, graph.addInitializer(`${name}_smoothing`, reciprocal)], { name: `${name}_smooth`, ...position })
    .output();
  for (const { node } of layers) node.setInput(0, product);
}
