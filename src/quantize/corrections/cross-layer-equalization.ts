/**
 * @file Step cross-layer-equalization: neighbouring layers get weights that use the same range in every channel, so that one
 * scale per tensor fits them. The model computes what it did, up to rounding.
 *
 *   W2 · f(W1 · x + b1)  =  (W2 · S) · f((W1 / S) · x + b1 / S)      f positively homogeneous: Relu, pooling, …
 *
 * It is for weights that are quantized per tensor, and for activations whose channels differ much; scales per channel of
 * the weights need it less. Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
 * Correction", section 4.1.
 */
import { z } from "zod";
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import { defineStep, type LeftAlone } from "../../step/step.ts";
import { divideSummands, findRoute, type Route } from "./channel-route.ts";
import { equalize, type Pair, repeated } from "./equalize.ts";
import { isLinear, type LinearLayer, linearLayer, scaleLayer } from "./linear-layer.ts";
import { replaceRelu6 } from "./relu6.ts";

export const crossLayerEqualization = defineStep({
  name: "cross-layer-equalization",
  summary: "Give the weights of neighbouring layers the same range in every channel",
  options: z.object({
    relu6ToRelu: z
      .boolean()
      .default(false)
      .describe("replace Clip(0, 6) by Relu where the calibration data show that it loses next to nothing"),
    minSqnr: z
      .number()
      .default(40)
      .describe("with relu6ToRelu: signal-to-noise ratio that a replaced Clip must have (decibels)"),
    limit: z.number().min(1).default(1000).describe("largest factor of a channel"),
  }),
  needs: [],
  async run(model, options, context) {
    const replaced = options.relu6ToRelu ? await replaceRelu6(model, options.minSqnr, context) : undefined;
    const { pairs, leftAlone } = findPairs(model);
    const { factors, iterations } = equalize(pairs, { limit: options.limit });
    const changed = apply(pairs, factors);
    return {
      changed: changed + (replaced?.changed ?? 0),
      changes: [
        ...(replaced?.changes ?? []),
        `${changed} of ${pairs.length} pairs of layers equalized in ${iterations} rounds`,
      ],
      leftAlone: [...(replaced?.leftAlone ?? []), ...leftAlone],
    };
  },
});

interface FoundPair extends Pair {
  readonly route: Route;
}

/** All pairs, and the layers that have none before them, with the reason. */
function findPairs(model: Model): { readonly pairs: readonly FoundPair[]; readonly leftAlone: readonly LeftAlone[] } {
  const layers = new Map<Node, LinearLayer | string>();
  const layerOf = (node: Node): LinearLayer | string => {
    let layer = layers.get(node);
    if (layer === undefined) {
      layer = linearLayer(node);
      layers.set(node, layer);
    }
    return layer;
  };
  const pairs: FoundPair[] = [];
  const leftAlone: LeftAlone[] = [];
  for (const node of model.allNodes()) {
    if (!isLinear(node)) continue;
    const pair = pairBefore(node, layerOf);
    if (typeof pair !== "string") pairs.push(pair);
    else leftAlone.push({ subject: node.label, opType: node.opType, reason: pair });
  }
  return { pairs, leftAlone };
}

function pairBefore(node: Node, layerOf: (node: Node) => LinearLayer | string): FoundPair | string {
  const second = layerOf(node);
  if (typeof second === "string") return second;
  const rank = node.is("MatMul") ? undefined : node.is("Gemm") ? 2 : 1 - second.axis;
  const position = { axis: second.axis, rank, count: second.inputs, spread: false };
  const route = findRoute(node.input(0), new Set([node]), position, (source) => {
    if (!isLinear(source)) return undefined;
    const layer = layerOf(source);
    return typeof layer === "string" ? layer : { channels: layer.outputs, axis: layer.axis };
  });
  if (typeof route === "string") return route;
  return { first: layerOf(route.source) as LinearLayer, second, repeat: route.repeat, route };
}

/** Rewrites each layer once, with the factors on both of its sides. @returns How many pairs had factors other than 1. */
function apply(pairs: readonly FoundPair[], factors: readonly Float64Array[]): number {
  const outputs = new Map<LinearLayer, Float64Array>();
  const inputs = new Map<LinearLayer, Float64Array>();
  let changed = 0;
  for (const [index, pair] of pairs.entries()) {
    const own = factors[index]!;
    // What converged within the tolerance stays as it is: applied again, the step changes nothing.
    if (own.every((factor) => Math.abs(Math.log(factor)) < SAME)) continue;
    changed++;
    outputs.set(pair.first, own);
    inputs.set(pair.second, repeated(own, pair.repeat));
    divideSummands(pair.route, own);
  }
  for (const layer of new Set([...outputs.keys(), ...inputs.keys()])) {
    scaleLayer(layer, { outputs: outputs.get(layer), inputs: inputs.get(layer) });
  }
  return changed;
}

/** Factors nearer to 1 than this are not worth a rewrite: they change no scale by more than 1 %. */
const SAME = 0.01;
