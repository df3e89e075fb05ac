/**
 * @file Fuses BatchNormalization into the Conv, ConvTranspose or Gemm before it.
 *
 *   γ · (y − μ) / √(σ² + ε) + β  =  s · y + t      s = γ / √(σ² + ε),  t = β − s · μ
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";
import { absorb, absorbs, type ChannelAffine } from "./channel-affine.ts";

export const fuseBatchNorm = defineStep({
  name: "fuse-batch-norm",
  summary: "Fuse BatchNormalization into the convolution or Gemm before it",
  options: z.object({}),
  needs: [],
  run(model) {
    let changed = 0;
    const leftAlone: LeftAlone[] = [];
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (!node.is("BatchNormalization")) continue;
        const producer = node.input(0).producer;
        const affine = check(node, producer);
        if (typeof affine === "string" || producer === undefined) {
          leftAlone.push({ subject: node.label, opType: node.opType, reason: String(affine) });
          continue;
        }
        absorb(producer, affine);
        const output = node.output();
        // The convolution now makes what the normalization made, under its name.
        node.setInputs([]);
        node.setOutputs([]);
        producer.setOutputs([output]);
        graph.remove(node);
        changed++;
      }
    }
    return { changed, leftAlone };
  },
});

function check(node: Node, producer: Node | undefined): ChannelAffine | string {
  if (producer === undefined) return "nothing is before it that could take it";
  if (isBarrier(node) || isBarrier(producer)) return "it belongs to a parametrization";
  if (node.int("training_mode", 0) !== 0) return "it is in training mode";
  if (node.outputs.slice(1).some((value) => value !== undefined && !value.isUnused)) return "its statistics are used";
  if (producer.graph !== node.graph || node.input(0).onlyUser !== node) {
    return `the output of the ${producer.opType} before it has other users`;
  }
  const channels = absorbs(producer);
  if (typeof channels === "string") return channels;
  const parameters = node.inputs.slice(1, 5).map((value) => value?.constant?.floats());
  const [gamma, beta, mean, variance] = parameters;
  if (!gamma || !beta || !mean || !variance) return "its parameters are not constant";
  if (gamma.length !== channels) return `expected ${channels} channels, got ${gamma.length}`;
  const epsilon = node.float("epsilon", 1e-5);
  const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c]! + epsilon));
  const shift = Float64Array.from(beta, (b, c) => b - scale[c]! * mean[c]!);
  return { scale, shift };
}
