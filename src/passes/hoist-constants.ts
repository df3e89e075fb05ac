/**
 * @file Turns Constant nodes into initializers. Exporters such as paddle2onnx keep all weights in Constant nodes, where
 * no tool finds them and every optimizer copies them.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { tensorFromSparseProto } from "../onnx/sparse-proto.ts";
import { decodeString } from "../onnx/wire.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";
import { Tensor } from "../tensor/tensor.ts";

export const hoistConstants = defineStep({
  name: "hoist-constants",
  summary: "Turn Constant nodes into initializers",
  options: z.object({}),
  needs: [],
  run(model) {
    let changed = 0;
    const leftAlone: LeftAlone[] = [];
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (!node.is("Constant")) continue;
        const output = node.output();
        const tensor = constantTensor(node);
        const reason = isBarrier(node)
          ? "it belongs to a parametrization"
          : output.isOutput
            ? "it is an output of the graph"
            : tensor === undefined
              ? "its contents are given by a function's attribute"
              : undefined;
        if (reason !== undefined || tensor === undefined) {
          leftAlone.push({ subject: node.label, opType: node.opType, reason: reason ?? "" });
          continue;
        }
        const { name } = output;
        const users = [...output.users];
        const value = graph.addInitializer(name, tensor);
        for (const user of users) {
          user.inputs.forEach((input, index) => {
            if (input === output) user.setInput(index, value);
          });
        }
        graph.remove(node);
        // The constant keeps its name: the value that had it is gone.
        value.name = name;
        changed++;
      }
    }
    return { changed, leftAlone };
  },
});

/** The tensor of a Constant node, whichever attribute holds it. Source: ONNX operator Constant, version 13. */
export function constantTensor(node: Node): Tensor | undefined {
  const { attributes } = node;
  for (const attribute of attributes.values()) if (attribute.proto.refAttrName) return undefined;
  if (attributes.has("value")) return node.tensor("value");
  const sparse = attributes.get("sparse_value")?.proto.sparseTensor;
  if (sparse !== undefined) return tensorFromSparseProto(sparse, node.graph?.model.external);
  const float = node.float("value_float");
  if (float !== undefined) return Tensor.scalar("float32", float);
  const int = attributes.get("value_int")?.proto.i;
  if (int !== undefined) return Tensor.of("int64", [], BigInt64Array.of(int));
  const floats = attributes.get("value_floats");
  if (floats !== undefined) return Tensor.float32([floats.proto.floats?.length ?? 0], floats.proto.floats ?? []);
  const ints = attributes.get("value_ints");
  if (ints !== undefined) return Tensor.int64([ints.proto.ints?.length ?? 0], ints.proto.ints ?? []);
  const text = attributes.get("value_string")?.proto.s;
  if (text !== undefined) return Tensor.strings([], [decodeString(text)]);
  const texts = attributes.get("value_strings");
  if (texts !== undefined) {
    const strings = (texts.proto.strings ?? []).map(decodeString);
    return Tensor.strings([strings.length], strings);
  }
  return undefined;
}
