/**
 * @file If, Loop and Scan. Their subgraphs are upgraded like the main graph. Source: onnx/docs/Changelog.md.
 */
import { Graph } from "../graph.ts";
import type { Node } from "../node.ts";
import { tensorType, type Value } from "../value.ts";
import type { Facts } from "./facts.ts";
import { compatibleAt, type Outcome, type RuleTable } from "./rule.ts";

/**
 * Scan-8 has a batch in front of everything: inputs (sequence_lens?, states [B, …]…, sequences [B, T, …]…). Scan-9 has
 * none. So a second Scan runs over the batch: it has no state, scans all inputs along B, and its body is the Scan over T.
 */
function scanOverBatch(node: Node, facts: Facts): Outcome {
  const [lengths, ...inputs] = node.inputs;
  if (lengths !== undefined) return "its sequences have lengths of their own, which opset 9 dropped";
  const graph = node.graph!;
  const outputs = node.outputs;
  const inner = outputs.map((value) => (value === undefined ? undefined : `${value.name}_of_item`));

  node.setOutputs([]);
  const outer = graph.add("Scan", inputs, {
    before: node,
    name: `${node.label}_batch`,
    outputs,
    attributes: { num_scan_inputs: { int: inputs.length } },
  });
  const body = new Graph(graph.model, outer);
  body.name = graph.model.names.unique(`${node.label}_batch_body`);
  for (const value of inputs) body.inputs.push(itemOf(value!, body, facts));
  outer.set("body", { graph: body });

  graph.detach(node);
  body.insert(node);
  node.setInputs(body.inputs);
  node.setOutputs(inner.map((name) => (name === undefined ? undefined : body.newValue(name))));
  node.outputs.forEach((value, i) => {
    const whole = outputs[i];
    if (value !== undefined && whole?.dtype !== undefined) value.type = tensorType(whole.dtype, whole.shape?.slice(1));
  });
  body.setOutputs(node.outputs.filter((value) => value !== undefined));
  outer.setOutputs(outputs.filter((value) => value !== undefined));

  const directions = node.attributes.get("directions")?.proto.ints;
  node.attributes.delete("directions");
  if (directions !== undefined) node.set("scan_input_directions", { ints: directions });
  return true;
}

/** The body's value for one item of a batch. */
function itemOf(value: Value, body: Graph, facts: Facts): Value {
  const dtype = facts.dtype(value);
  return body.newValue(`${value.name}_item`, dtype && tensorType(dtype, value.shape?.slice(1)));
}

// 11: texts, 13: types, 16: optional values
export const CONTROL_FLOW_RULES: RuleTable = {
  If: compatibleAt(11, 13, 16),
  Loop: compatibleAt(11, 13, 16),
  Scan: { 9: scanOverBatch, 11: "compatible", 16: "compatible" },
};
