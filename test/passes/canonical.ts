/**
 * @file A model as text that two models share exactly when they are the same graph: names of inputs and outputs count,
 * all other names and the order of independent nodes do not. Of constants it shows type, dimensions and who shares
 * them, and the contents of small ones that are not floats (axes, shapes, masks): float contents are compared by running.
 */
import type { Attribute } from "../../src/graph/attributes.ts";
import type { Graph } from "../../src/graph/graph.ts";
import type { Model } from "../../src/graph/model.ts";
import type { Node } from "../../src/graph/node.ts";
import type { Value } from "../../src/graph/value.ts";
import { tensorFromProto } from "../../src/onnx/tensor-proto.ts";
import { decodeString } from "../../src/onnx/wire.ts";
import { isFloatingPoint, type Tensor } from "../../src/tensor/tensor.ts";

/** Constants of other types show their contents up to this many elements. */
const MAX_SHOWN = 16;

export function canonical(model: Model): string {
  const names: Names = { values: new Map(), constants: new Map() };
  const body = printGraph(model.graph, names, "");
  const registered = [...model.parametrizations].map(([value, entry]) => `${entry.kind} on ${nameOf(value, names)}`);
  const opsets = [...model.opsets].map(([domain, version]) => `${domain || "ai.onnx"} ${version}`);
  return [`ir ${model.irVersion}, ${opsets.join(", ")}`, body, ...registered.sort()].join("\n");
}

interface Names {
  readonly values: Map<Value, string>;
  readonly constants: Map<Value, string>;
}

function printGraph(graph: Graph, names: Names, indent: string): string {
  const main = graph.owner === undefined;
  graph.inputs.forEach((value, i) => {
    names.values.set(value, main ? value.name : `in${names.values.size}.${i}`);
  });
  const lines: string[] = [];
  const done = new Set<Node>();
  const visit = (node: Node | undefined): void => {
    if (node === undefined || done.has(node) || node.graph !== graph) return;
    done.add(node);
    for (const value of usedBy(node)) if (value.graph === graph) visit(value.producer);
    const args = node.inputs.map((value) => (value === undefined ? "_" : nameOf(value, names)));
    for (const value of node.outputs) if (value !== undefined) names.values.set(value, `%${names.values.size}`);
    const results = node.outputs.map((value) => (value === undefined || value.isUnused ? "_" : nameOf(value, names)));
    const domain = node.domain === "" ? "" : `${node.domain}.`;
    const attributes = [...node.attributes.values()]
      .map((attribute) => printAttribute(attribute, names, `${indent}  `))
      .sort()
      .join(", ");
    lines.push(`${indent}  ${results.join(", ")} = ${domain}${node.opType}<${attributes}>(${args.join(", ")})`);
  };
  for (const value of graph.outputs) if (value.graph === graph) visit(value.producer);
  // What no output needs, in the file's order.
  const live = lines.length;
  for (const node of graph.nodes()) visit(node);
  if (lines.length > live) lines.splice(live, 0, `${indent}  not needed:`);
  const inputs = graph.inputs.map((value) => {
    const initial = value.initializer === undefined ? "" : ` = ${constantText(value.initializer)}`;
    return `${main ? `${value.name}: ` : ""}${typeText(value)}${initial}`;
  });
  const outputs = graph.outputs.map((value) => `${main ? `${value.name}: ` : ""}${nameOf(value, names)}`);
  const unused = [...graph.initializers].filter((value) => value.isUnused && !value.isInput);
  if (unused.length > 0) lines.push(`${indent}  unused: ${unused.map((v) => constantText(v.initializer!)).join(", ")}`);
  return [`(${inputs.join(", ")}) => (${outputs.join(", ")}) {`, ...lines, `${indent}}`].join("\n");
}

/** Inputs of a node, and what its subgraphs use of the graphs around them. */
function* usedBy(node: Node): IterableIterator<Value> {
  for (const value of node.inputs) if (value !== undefined) yield value;
  for (const graph of node.subgraphs) {
    yield* graph.outputs;
    for (const inner of graph.nodes()) yield* usedBy(inner);
  }
}

function nameOf(value: Value, names: Names): string {
  const known = names.values.get(value);
  if (known !== undefined) return known;
  const tensor = value.constant;
  if (tensor === undefined) return `?${value.name}`;
  let name = names.constants.get(value);
  if (name === undefined) {
    name = `${constantText(tensor)}#${names.constants.size}`;
    names.constants.set(value, name);
  }
  return name;
}

function constantText(tensor: Tensor): string {
  if (tensor.strings !== undefined) return `${tensor} ${JSON.stringify(tensor.strings)}`;
  const shown = !isFloatingPoint(tensor.dtype) && tensor.size <= MAX_SHOWN;
  return shown ? `${tensor} {${tensor.numbers().join(" ")}}` : `${tensor}`;
}

function typeText(value: Value): string {
  return value.dtype === undefined
    ? "?"
    : `${value.dtype}[${(value.shape ?? ["?"]).map((dim) => dim ?? "?").join(",")}]`;
}

function printAttribute({ proto, graph, graphs }: Attribute, names: Names, indent: string): string {
  const { name, type: _type, f, s, strings, t, tensors: _tensors, ...rest } = proto;
  if (graph !== undefined) return `${name}=${printGraph(graph, names, indent)}`;
  if (graphs !== undefined) return `${name}=[${graphs.map((item) => printGraph(item, names, indent)).join(", ")}]`;
  if (s !== undefined) return `${name}=${JSON.stringify(decodeString(s))}`;
  if (strings !== undefined) return `${name}=${JSON.stringify(strings.map(decodeString))}`;
  if (t !== undefined) return `${name}=${constantText(tensorFromProto(t))}`;
  if (f !== undefined) return `${name}=${Math.fround(f)}`;
  return `${name}=${Object.values(rest).flat().map(String).join(" ")}`;
}
