/**
 * @file The constants of a model, wherever exporters put them.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { constantTensor } from "../passes/hoist-constants.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface Constant {
  readonly name: string;
  readonly tensor: Tensor;
  /** The nodes that have it as an input. */
  readonly users: readonly Node[];
}

/** Initializers and the tensors of Constant nodes, of all graphs. */
export function constantsOf(model: Model): Constant[] {
  const constants: Constant[] = [];
  for (const graph of model.graphs()) {
    for (const { initializer, name, users } of graph.initializers) {
      if (initializer) constants.push({ tensor: initializer, name, users: [...users] });
    }
    for (const node of graph.nodes()) {
      const tensor = node.is("Constant") ? constantTensor(node) : undefined;
      const [output] = node.outputs;
      if (tensor && output) constants.push({ tensor, name: output.name, users: [...output.users] });
    }
  }
  return constants;
}
