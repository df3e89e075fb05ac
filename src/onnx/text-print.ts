/**
 * @file Messages to ONNX's textual syntax: for fixtures and for looking at a model. What the syntax has no words for
 * (doc strings of nodes, training info) is left out, sparse initializers are written dense; large tensors are abbreviated
 * as `{...}`.
 */
import { dtypeFromCode, elementCount } from "../tensor/dtype.ts";
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  DATA_LOCATION,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
  type SparseTensorProto,
  type StringStringEntryProto,
  type TensorProto,
  type TensorTypeProto,
  type TypeProto,
  type ValueInfoProto,
} from "./messages.ts";
import { tensorFromSparseProto, toDense } from "./sparse-proto.ts";
import { tensorFromProto, tensorToProto } from "./tensor-proto.ts";
import { dtypeFromText, dtypeToText, floatText, quote, tensorLiterals } from "./text-tensor.ts";
import { decodeString } from "./wire.ts";

/** Tensors with more elements are abbreviated. */
const MAX_PRINTED = 64;

export interface PrintOptions {
  /** Tensors with more elements are written as `{...}`, which {@link parseModel} refuses. Default 64. */
  readonly maxElements?: number;
}

/** The model as text that `parseModel` reads, but for abbreviated tensors. */
export function printModel(model: ModelProto, options: PrintOptions = {}): string {
  const max = options.maxElements ?? MAX_PRINTED;
  const header = [
    model.irVersion !== undefined && `ir_version: ${model.irVersion}`,
    model.opsetImport && `opset_import: ${opsets(model.opsetImport)}`,
    model.producerName && `producer_name: ${quote(model.producerName)}`,
    model.producerVersion && `producer_version: ${quote(model.producerVersion)}`,
    model.domain && `domain: ${quote(model.domain)}`,
    model.modelVersion && `model_version: ${model.modelVersion}`,
    model.docString && `doc_string: ${quote(model.docString)}`,
    model.metadataProps && `metadata_props: ${entries(model.metadataProps)}`,
  ].filter((part) => part);
  const functions = (model.functions ?? []).map((fn) => `${printFunction(fn, max)}\n`);
  return `<${header.join(", ")}>\n${printGraph(model.graph ?? {}, max, "")}\n${functions.join("")}`;
}

function opsets(imports: readonly OperatorSetIdProto[]): string {
  return `[${imports.map(({ domain, version }) => `${quote(domain ?? "")}: ${version ?? 0}`).join(", ")}]`;
}

function entries(list: readonly StringStringEntryProto[]): string {
  return `[${list.map(({ key, value }) => `${quote(key ?? "")}: ${quote(value ?? "")}`).join(", ")}]`;
}

/** The syntax has no sparse form. */
function dense(sparse: SparseTensorProto): TensorProto {
  return tensorToProto(toDense(tensorFromSparseProto(sparse)), sparse.values?.name);
}

function printGraph(graph: GraphProto, max: number, indent: string): string {
  const initializers = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? "", tensor]));
  const input = (graph.input ?? []).map((info) => {
    const tensor = initializers.get(info.name ?? "");
    initializers.delete(info.name ?? "");
    return printInfo(info) + (tensor === undefined ? "" : ` = ${contents(tensor, max)}`);
  });
  const extra = [
    ...(graph.valueInfo ?? []).map(printInfo),
    ...[...initializers.values(), ...(graph.sparseInitializer ?? []).map(dense)].map(
      (t) => `${tensorHead(t)} ${name(t.name)} = ${contents(t, max)}`,
    ),
  ];
  const output = (graph.output ?? []).map(printInfo).join(", ");
  const inner = `${indent}  `;
  const values = extra.length === 0 ? " " : `\n${indent}<\n${inner}${extra.join(`,\n${inner}`)}\n${indent}>\n${indent}`;
  const head = `${name(graph.name || "graph")} (${input.join(", ")}) => (${output})${values}`;
  return `${head}{\n${printNodes(graph.node ?? [], max, inner)}${indent}}`;
}

function printFunction(fn: FunctionProto, max: number): string {
  const header = [
    fn.domain && `domain: ${quote(fn.domain)}`,
    fn.overload && `overload: ${quote(fn.overload)}`,
    fn.docString && `doc_string: ${quote(fn.docString)}`,
    fn.opsetImport && `opset_import: ${opsets(fn.opsetImport)}`,
  ].filter((part) => part);
  const attributes = [
    ...(fn.attribute ?? []),
    ...(fn.attributeProto ?? []).map((attribute) => printAttribute(attribute, max, "")),
  ];
  const signature = `(${(fn.input ?? []).map(name).join(", ")}) => (${(fn.output ?? []).map(name).join(", ")})`;
  const values = fn.valueInfo ? ` <${fn.valueInfo.map(printInfo).join(", ")}>` : "";
  const list = attributes.length > 0 ? ` <${attributes.join(", ")}>` : "";
  const body = printNodes(fn.node ?? [], max, "  ");
  return `<${header.join(", ")}>\n${name(fn.name)}${list} ${signature}${values} {\n${body}}`;
}

function printNodes(nodes: readonly NodeProto[], max: number, indent: string): string {
  return nodes.map((node) => `${indent}${printNode(node, max, indent)}\n`).join("");
}

function printNode(node: NodeProto, max: number, indent: string): string {
  const label = node.name ? `[${name(node.name)}] ` : "";
  const op = `${node.domain ? `${node.domain}.` : ""}${node.opType ?? ""}${node.overload ? `:${node.overload}` : ""}`;
  const attributes = (node.attribute ?? []).map((attribute) => printAttribute(attribute, max, indent)).join(", ");
  const outputs = (node.output ?? []).map(name).join(", ");
  return `${label}${outputs} = ${op}${attributes && ` <${attributes}>`} (${(node.input ?? []).map(name).join(", ")})`;
}

function printAttribute(attribute: AttributeProto, max: number, indent: string): string {
  const list = (items: readonly string[], word: string): string =>
    items.length > 0 ? ` = [${items.join(", ")}]` : `: ${word} = []`;
  const text = (): string => {
    const { type, refAttrName } = attribute;
    if (refAttrName) {
      const word = Object.entries(ATTRIBUTE_TYPE).find(([, code]) => code === type)?.[0];
      return `${word ? `: ${word.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}` : ""} = @${refAttrName}`;
    }
    switch (type) {
      case ATTRIBUTE_TYPE.float:
        return ` = ${floatText(attribute.f ?? 0)}`;
      case ATTRIBUTE_TYPE.int:
        return ` = ${attribute.i ?? 0}`;
      case ATTRIBUTE_TYPE.string:
        return ` = ${quote(decodeString(attribute.s ?? new Uint8Array(0)))}`;
      case ATTRIBUTE_TYPE.tensor:
        return ` = ${printTensor(attribute.t ?? {}, max)}`;
      case ATTRIBUTE_TYPE.graph:
        return ` = ${printGraph(attribute.g ?? {}, max, `${indent}  `)}`;
      case ATTRIBUTE_TYPE.typeProto:
        return ` = ${printType(attribute.tp ?? {})}`;
      case ATTRIBUTE_TYPE.floats:
        return list((attribute.floats ?? []).map(floatText), "floats");
      case ATTRIBUTE_TYPE.ints:
        return list((attribute.ints ?? []).map(String), "ints");
      case ATTRIBUTE_TYPE.strings:
        return list(
          (attribute.strings ?? []).map((bytes) => quote(decodeString(bytes))),
          "strings",
        );
      case ATTRIBUTE_TYPE.tensors:
        return list(
          (attribute.tensors ?? []).map((tensor) => printTensor(tensor, max)),
          "tensors",
        );
      case ATTRIBUTE_TYPE.graphs:
        return list(
          (attribute.graphs ?? []).map((graph) => printGraph(graph, max, `${indent}  `)),
          "graphs",
        );
      case ATTRIBUTE_TYPE.typeProtos:
        return list((attribute.typeProtos ?? []).map(printType), "type_protos");
      default:
        return ` = "..."`;
    }
  };
  return `${attribute.name ?? ""}${text()}`;
}

function printTensor(tensor: TensorProto, max: number): string {
  return `${tensorHead(tensor)}${tensor.name ? ` ${name(tensor.name)} =` : ""} ${contents(tensor, max)}`;
}

function tensorHead({ dataType, dims = [] }: TensorProto): string {
  return `${primitive(dataType)}${dims.length > 0 ? `[${dims.join(", ")}]` : ""}`;
}

function contents(proto: TensorProto, max: number): string {
  if (proto.dataLocation === DATA_LOCATION.external) return entries(proto.externalData ?? []);
  if (elementCount(proto.dims ?? []) > max || dtypeFromCode(proto.dataType) === undefined) return "{...}";
  return `{${tensorLiterals(tensorFromProto(proto)).join(", ")}}`;
}

function printInfo(info: ValueInfoProto): string {
  return `${info.type ? `${printType(info.type)} ` : ""}${name(info.name)}`;
}

function printType(type: TypeProto): string {
  if (type.tensorType) return tensorTypeText(type.tensorType);
  if (type.sparseTensorType) return `sparse_tensor(${tensorTypeText(type.sparseTensorType)})`;
  if (type.sequenceType) return `seq(${printType(type.sequenceType.elemType ?? {})})`;
  if (type.optionalType) return `optional(${printType(type.optionalType.elemType ?? {})})`;
  if (type.mapType) return `map(${primitive(type.mapType.keyType)}, ${printType(type.mapType.valueType ?? {})})`;
  const { domain, name: word } = type.opaqueType ?? {};
  return `opaque(${[domain, word].filter((part) => part).join(", ")})`;
}

function tensorTypeText({ elemType, shape }: TensorTypeProto): string {
  if (shape === undefined) return `${primitive(elemType)}[]`;
  const dims = (shape.dim ?? []).map((dim) => dim.dimValue ?? (dim.dimParam ? name(dim.dimParam) : "?"));
  return `${primitive(elemType)}${dims.length > 0 ? `[${dims.join(", ")}]` : ""}`;
}

function primitive(code: number | undefined): string {
  const dtype = dtypeFromCode(code);
  return dtype === undefined ? "undefined" : dtypeToText(dtype);
}

/** Identifiers that mean something else where a name may stand. */
const WORDS: ReadonlySet<string> = new Set("seq map optional sparse_tensor opaque random inf infinity nan".split(" "));

/** A name, in quotes where it is no identifier. */
function name(text = ""): string {
  const plain = /^[A-Za-z_][A-Za-z0-9_]*$/.test(text) && !WORDS.has(text.toLowerCase());
  return plain && dtypeFromText(text) === undefined ? text : quote(text);
}
