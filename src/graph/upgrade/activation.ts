/**
 * @file Activations. Source: onnx/docs/Changelog.md.
 */
import type { Node } from "../node.ts";
import type { Facts } from "./facts.ts";
import { compatibleAt, type Outcome, type RuleTable } from "./rule.ts";

/**
 * Until opset 12, axis k (default 1) flattened the input to [d0 … d(k-1), dk … dn] and normalized its rows; from 13 on
 * the operator works along the one axis (default -1). Both mean the same where all dimensions behind k are 1. Elsewhere:
 * Flatten before, Reshape behind, which is right for every rank.
 */
function rowsOfAxis(node: Node, facts: Facts): Outcome {
  const x = node.input(0);
  const axis = node.int("axis", 1);
  const rank = facts.rank(x);
  const first = axis < 0 && rank !== undefined ? axis + rank : axis;
  const trailing = x.shape?.slice(first + 1);
  if (axis === -1 || first + 1 === rank || (first >= 0 && trailing?.every((dim) => dim === 1))) {
    if (node.has("axis")) return false;
    node.set("axis", { int: axis });
    return true;
  }
  const graph = node.graph!;
  const y = node.output();
  const shape = graph.add("Shape", [x], { before: node, name: `${node.label}_Shape` }).output();
  const rows = graph.add("Flatten", [x], {
    before: node,
    name: `${node.label}_Flatten`,
    attributes: { axis: { int: axis } },
  });
  node.setInput(0, rows.output());
  node.set("axis", { int: -1 });
  const flat = graph.newValue(`${y.name}_rows`);
  node.setOutputs([flat]);
  graph.add("Reshape", [flat, shape], { after: node, name: `${node.label}_Reshape`, outputs: [y] });
  return true;
}

export const ACTIVATION_RULES: RuleTable = {
  Hardmax: { 11: "compatible", 13: rowsOfAxis },
  LeakyRelu: compatibleAt(16),
  LogSoftmax: { 11: "compatible", 13: rowsOfAxis },
  PRelu: compatibleAt(9, 16),
  Relu: compatibleAt(13, 14),
  Sigmoid: compatibleAt(13),
  Softmax: { 11: "compatible", 13: rowsOfAxis },
  Tanh: compatibleAt(13),
};
