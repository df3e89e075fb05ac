/**
 * @file The graph to messages. What came from a file unchanged goes out unchanged.
 */
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
  ValueInfoProto,
} from "../onnx/messages.ts";
import { isStoredSparse, tensorToSparseProto } from "../onnx/sparse-proto.ts";
import { tensorToProto } from "../onnx/tensor-proto.ts";
import type { Attribute } from "./attributes.ts";
import type { Graph } from "./graph.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import { writeParametrizations } from "./parametrizations.ts";
import { Value } from "./value.ts";

/** The model as messages; tensor contents are referred to, not copied. */
export function toOnnx(model: Model): ModelProto {
  writeParametrizations(model);
  const { irVersion } = model;
  return {
    ...(irVersion !== undefined && { irVersion }),
    ...(model.opsets.size > 0 && {
      opsetImport: [...model.opsets].map(([domain, version]) =>
        domain === "" && !model.spellsDefaultDomain ? { version } : { domain, version },
      ),
    }),
    ...model.extra,
    graph: writeGraph(model.graph),
    ...(model.metadata.size > 0 && {
      metadataProps: [...model.metadata].map(([key, value]) => ({ key, value })),
    }),
    ...(model.functions !== undefined && { functions: model.functions }),
  };
}

function writeGraph(graph: Graph): GraphProto {
  const initializer: TensorProto[] = [];
  const sparse: SparseTensorProto[] = [];
  for (const value of graph.initializers) {
    const tensor = value.initializer;
    if (tensor === undefined) continue;
    if (isStoredSparse(tensor)) sparse.push(tensorToSparseProto(tensor, value.name));
    else initializer.push(tensorToProto(tensor, value.name));
  }
  const node = [...graph.nodes()].map(writeNode);
  const valueInfo = writeValueInfo(graph);
  return {
    ...(node.length > 0 && { node }),
    ...(graph.name !== undefined && { name: graph.name }),
    ...(initializer.length > 0 && { initializer }),
    ...(sparse.length > 0 && { sparseInitializer: sparse }),
    ...graph.extra,
    ...(graph.inputs.length > 0 && { input: graph.inputs.map(writeInfo) }),
    ...(graph.outputs.length > 0 && { output: graph.outputs.map(writeInfo) }),
    ...(valueInfo.length > 0 && { valueInfo }),
  };
}

function writeInfo(value: Value): ValueInfoProto {
  return { name: value.name, ...(value.type && { type: value.type }), ...value.info };
}

/** value_info: the file's entries in their order, then values that got a type since. */
function writeValueInfo(graph: Graph): ValueInfoProto[] {
  const isInterface = new Set<Value>([...graph.inputs, ...graph.outputs]);
  const alive = new Set<Value>(graph.initializers);
  for (const node of graph.nodes()) for (const value of node.outputs) if (value !== undefined) alive.add(value);
  const written = new Set<Value>();
  const entries: ValueInfoProto[] = [];
  const add = (value: Value): void => {
    if (written.has(value) || isInterface.has(value) || !alive.has(value)) return;
    written.add(value);
    if (value.type !== undefined || value.info !== undefined) entries.push(writeInfo(value));
  };
  for (const entry of graph.valueInfoOrder) {
    if (entry instanceof Value) add(entry);
    else entries.push(entry);
  }
  for (const value of alive) add(value);
  return entries;
}

/** Assigned one by one: spreads of conditions took half the time of writing a graph. */
function writeNode(node: Node): NodeProto {
  const proto: NodeProto = {};
  if (node.inputs.length > 0) proto.input = node.inputs.map(nameOf);
  if (node.outputs.length > 0) proto.output = node.outputs.map(nameOf);
  if (node.name !== undefined) proto.name = node.name;
  proto.opType = node.opType;
  if (node.domainText !== undefined) proto.domain = node.domainText;
  if (node.attributes.size > 0) proto.attribute = Array.from(node.attributes.values(), writeAttribute);
  return Object.assign(proto, node.extra);
}

function nameOf(value: Value | undefined): string {
  return value?.name ?? "";
}

function writeAttribute(attribute: Attribute): AttributeProto {
  if (attribute.graph === undefined && attribute.graphs === undefined) return attribute.proto;
  return {
    ...attribute.proto,
    ...(attribute.graph && { g: writeGraph(attribute.graph) }),
    ...(attribute.graphs && { graphs: attribute.graphs.map(writeGraph) }),
  };
}
