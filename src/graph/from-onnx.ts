/**
 * @file Messages to the graph. Names become references here; everything that the graph does not interpret is kept.
 */
import type { ExternalData } from "../onnx/external-data.ts";
import type { AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto } from "../onnx/messages.ts";
import { tensorFromSparseProto } from "../onnx/sparse-proto.ts";
import { tensorFromProto } from "../onnx/tensor-proto.ts";
import { GraphError } from "../util/errors.ts";
import type { Attribute } from "./attributes.ts";
import { Graph } from "./graph.ts";
import { Model } from "./model.ts";
import { Node } from "./node.ts";
import { readParametrizations } from "./parametrizations.ts";
import { Value } from "./value.ts";

/**
 * The graph of a decoded model. The messages are taken over: do not change them afterwards.
 * @throws GraphError where a name is defined twice or used without a definition; FormatError for damaged tensors.
 */
export function fromOnnx(proto: ModelProto, external?: ExternalData): Model {
  const model = new Model();
  const { irVersion, opsetImport, graph, metadataProps, functions, ...extra } = proto;
  model.irVersion = irVersion;
  for (const { domain, version } of opsetImport ?? []) {
    model.opsets.set(domain ?? "", version ?? 0);
    if (domain === "") model.spellsDefaultDomain = true;
  }
  for (const { key, value } of metadataProps ?? []) model.metadata.set(key ?? "", value ?? "");
  model.functions = functions;
  model.extra = extra;
  model.external = external;
  readGraph(model.graph, graph ?? {}, new Scope());
  readParametrizations(model);
  return model;
}

/** Values by name, looked up outward. */
class Scope {
  readonly #names: Map<string, Value> = new Map();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  own(name: string): Value | undefined {
    return this.#names.get(name);
  }

  find(name: string): Value | undefined {
    return this.#names.get(name) ?? this.#outer?.find(name);
  }

  define(value: Value): void {
    this.#names.set(value.name, value);
  }
}

function readGraph(graph: Graph, proto: GraphProto, scope: Scope): void {
  const { model } = graph;
  const { node, name, initializer, sparseInitializer, input, output, valueInfo, ...extra } = proto;
  graph.name = name;
  graph.extra = extra;
  const where = `graph ${JSON.stringify(name ?? "")}`;
  const define = (valueName: string): Value => {
    if (scope.own(valueName) !== undefined) {
      throw new GraphError({
        area: "graph",
        subject: where,
        problem: `expected every value to be defined once, got a second definition of "${valueName}"`,
        help: "The exporter wrote an invalid model.",
      });
    }
    const value = new Value(graph, valueName);
    model.names.add(valueName);
    scope.define(value);
    return value;
  };

  for (const info of input ?? []) {
    const value = define(info.name ?? "");
    setInfo(value, info);
    graph.inputs.push(value);
  }
  for (const tensor of initializer ?? []) {
    const tensorName = tensor.name ?? "";
    const input = scope.own(tensorName);
    const value = input !== undefined && input.initializer === undefined ? input : define(tensorName);
    value.initializer = tensorFromProto(tensor, model.external);
    graph.initializers.add(value);
  }
  for (const sparse of sparseInitializer ?? []) {
    const name = sparse.values?.name ?? "";
    const input = scope.own(name);
    const value = input !== undefined && input.initializer === undefined ? input : define(name);
    value.initializer = tensorFromSparseProto(sparse, model.external);
    graph.initializers.add(value);
  }

  // All outputs first: a file's order may be wrong, and subgraphs see values that come later.
  const nodes = (node ?? []).map((nodeProto) => createNode(graph, nodeProto, define));
  nodes.forEach((created, index) => {
    connectNode(created, node![index]!, scope, where);
  });

  graph.setOutputs(
    (output ?? []).map((info) => {
      const value = scope.find(info.name ?? "");
      if (value === undefined) {
        throw new GraphError({
          area: "graph",
          subject: where,
          problem: `expected the output "${info.name ?? ""}" to be made by a node, found nothing that makes it`,
          help: "The file is incomplete.",
        });
      }
      if (value.type === undefined || value.graph === graph) setInfo(value, info);
      return value;
    }),
  );
  for (const info of valueInfo ?? []) {
    const value = scope.own(info.name ?? "");
    const known = value !== undefined && value.type === undefined && value.info === undefined;
    if (known) setInfo(value, info);
    graph.valueInfoOrder.push(known ? value : info);
  }
}

function setInfo(value: Value, proto: ValueInfoProto): void {
  const { name: _name, type, ...info } = proto;
  value.type = type;
  value.info = Object.keys(info).length > 0 ? info : undefined;
}

function createNode(graph: Graph, proto: NodeProto, define: (name: string) => Value): Node {
  const { input: _input, output, name, opType, domain, attribute: _attribute, ...extra } = proto;
  const node = new Node(graph, opType ?? "", domain, name, extra);
  if (name) graph.model.names.add(name);
  node.setOutputs((output ?? []).map((outputName) => (outputName === "" ? undefined : define(outputName))));
  graph.insert(node);
  return node;
}

function connectNode(node: Node, proto: NodeProto, scope: Scope, where: string): void {
  node.setInputsVerbatim(
    (proto.input ?? []).map((name) => {
      if (name === "") return undefined;
      const value = scope.find(name);
      if (value === undefined) {
        throw new GraphError({
          area: "graph",
          subject: `${where}, node "${node.label}" (${node.opType})`,
          problem: `expected its input "${name}" to be an input, an initializer or made by a node, found no such value`,
          help: "The file is incomplete, or an earlier tool cut it wrongly.",
        });
      }
      return value;
    }),
  );
  for (const attribute of proto.attribute ?? []) {
    node.attributes.set(attribute.name ?? "", readAttribute(node, attribute, scope));
  }
}

function readAttribute(node: Node, attribute: AttributeProto, scope: Scope): Attribute {
  // Most have no subgraph: the message itself, which many nodes share, takes no memory and is encoded once.
  if (attribute.g === undefined && attribute.graphs === undefined) return { proto: attribute };
  const { g, graphs, ...proto } = attribute;
  const read = (graphProto: GraphProto): Graph => {
    const graph = new Graph(node.graph!.model, node);
    readGraph(graph, graphProto, new Scope(scope));
    return graph;
  };
  return {
    proto,
    ...(g !== undefined && { graph: read(g) }),
    ...(graphs !== undefined && { graphs: graphs.map(read) }),
  };
}
