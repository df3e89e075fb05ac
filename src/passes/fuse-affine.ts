/**
 * @file Fuses multiplications and additions of constants into the Conv, ConvTranspose or Gemm before them: what batch
 * normalizations and learned scales look like after some exporters.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { defineStep } from "../step/step.ts";
import { absorb, absorbs, type ChannelAffine } from "./channel-affine.ts";

const OPS: ReadonlySet<string> = new Set(["Mul", "Div", "Add", "Sub"]);

export const fuseAffine = defineStep({
  name: "fuse-affine",
  summary: "Fuse constant factors and summands into the convolution or Gemm before them",
  options: z.object({}),
  needs: [],
  run(model) {
    let changed = 0;
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (node.domain !== "" || !OPS.has(node.opType) || isBarrier(node)) continue;
        const found = match(node);
        if (found === undefined) continue;
        absorb(found.producer, found.affine);
        const output = node.output();
        node.setInputs([]);
        node.setOutputs([]);
        found.producer.setOutputs([output]);
        graph.remove(node);
        changed++;
      }
    }
    return { changed };
  },
});

function match(node: Node): { readonly producer: Node; readonly affine: ChannelAffine } | undefined {
  const [left, right] = [node.inputs[0], node.inputs[1]];
  if (left === undefined || right === undefined) return undefined;
  const constantFirst = left.isConstant && !right.isConstant;
  const [x, constant] = constantFirst ? [right, left] : [left, right];
  const tensor = constant.constant;
  const { producer } = x;
  if (tensor?.dtype !== "float32" || producer === undefined || producer.graph !== node.graph) return undefined;
  if (constantFirst && node.opType === "Div") return undefined; // c / y is no affine function
  if (x.onlyUser !== node || isBarrier(producer)) return undefined;
  const channels = absorbs(producer);
  if (typeof channels === "string") return undefined;
  const rank = producer.is("Gemm") ? 2 : producer.input(1).constant!.dims.length;
  const values = perChannel(tensor.dims, tensor.floats(), channels, rank);
  if (values === undefined) return undefined;
  const ones = new Float64Array(channels).fill(1);
  const zeros = new Float64Array(channels);
  switch (node.opType) {
    case "Mul":
      return { producer, affine: { scale: values, shift: zeros } };
    case "Div":
      return values.every((value) => value !== 0)
        ? { producer, affine: { scale: values.map((value) => 1 / value), shift: zeros } }
        : undefined;
    case "Add":
      return { producer, affine: { scale: ones, shift: values } };
    default:
      return constantFirst
        ? { producer, affine: { scale: ones.map((one) => -one), shift: values } }
        : { producer, affine: { scale: ones, shift: values.map((value) => -value) } };
  }
}

/** The constant as one number per channel, where it broadcasts along everything but the channel axis and keeps the rank. */
function perChannel(
  dims: readonly number[],
  data: Float32Array,
  channels: number,
  rank: number,
): Float64Array | undefined {
  if (dims.length > rank) return undefined;
  if (data.length === 1) return new Float64Array(channels).fill(data[0]!);
  // The channel axis of [N, C, …] is 1; dims align at the end.
  const axis = 1 - (rank - dims.length);
  const fits = dims.every((dim, index) => (index === axis ? dim === channels : dim === 1));
  return fits ? Float64Array.from(data) : undefined;
}
