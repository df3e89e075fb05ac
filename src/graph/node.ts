/**
 * @file A node: an operator with inputs, outputs and attributes. Edges change through its methods only.
 */
import type { NodeProto } from "../onnx/messages.ts";
import { tensorFromProto } from "../onnx/tensor-proto.ts";
import { decodeString } from "../onnx/wire.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { GraphError } from "../util/errors.ts";
import { type Attribute, type AttributeInput, attributeGraphs, makeAttribute } from "./attributes.ts";
import type { Graph } from "./graph.ts";
import type { Value } from "./value.ts";

/** Fields of a NodeProto that the graph does not interpret. */
export type NodeExtra = Omit<NodeProto, "input" | "output" | "name" | "opType" | "domain" | "attribute">;

export class Node {
  name: string | undefined;
  opType: string;
  /** "" for ONNX's own operators ("ai.onnx" in a file means the same). */
  readonly domain: string;
  /** The domain as the file spells it, to be written back. */
  readonly domainText: string | undefined;
  readonly extra: NodeExtra;
  readonly attributes: Map<string, Attribute> = new Map();
  /** Undefined once the node is removed. Changed by graphs only. */
  graph: Graph | undefined;
  /** Neighbours in the graph's order. Changed by graphs only; a removed node keeps them so that walks go on. */
  previous: Node | undefined;
  next: Node | undefined;
  #inputs: (Value | undefined)[] = [];
  #outputs: (Value | undefined)[] = [];

  constructor(graph: Graph, opType: string, domainText?: string, name?: string, extra: NodeExtra = {}) {
    this.graph = graph;
    this.opType = opType;
    this.domainText = domainText;
    this.domain = domainText === undefined || domainText === "ai.onnx" ? "" : domainText;
    this.name = name;
    this.extra = extra;
  }

  /** Inputs by position; undefined where an optional one is left out. */
  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs;
  }

  /** Outputs by position; undefined where one is not wanted. */
  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs;
  }

  /** The input at a position. @throws GraphError where it is left out. */
  input(index: number): Value {
    const value = this.#inputs[index];
    if (value === undefined) throw this.error(`expected input ${index}, found none`);
    return value;
  }

  /** The output at a position, the first by default. @throws GraphError where it is left out. */
  output(index = 0): Value {
    const value = this.#outputs[index];
    if (value === undefined) throw this.error(`expected output ${index}, found none`);
    return value;
  }

  setInput(index: number, value: Value | undefined): void {
    const before = this.#inputs[index];
    while (this.#inputs.length <= index) this.#inputs.push(undefined);
    this.#inputs[index] = value;
    if (before !== undefined && !this.#inputs.includes(before)) before.users.delete(this);
    value?.users.add(this);
  }

  /** Replaces all inputs; inputs left out at the end are dropped. */
  setInputs(values: readonly (Value | undefined)[]): void {
    for (const value of this.#inputs) value?.users.delete(this);
    let length = values.length;
    while (length > 0 && values[length - 1] === undefined) length--;
    this.#inputs = values.slice(0, length);
    for (const value of this.#inputs) value?.users.add(this);
  }

  /** As they stand in a file: trailing empty inputs are kept. */
  setInputsVerbatim(values: readonly (Value | undefined)[]): void {
    for (const value of this.#inputs) value?.users.delete(this);
    this.#inputs = [...values];
    for (const value of this.#inputs) value?.users.add(this);
  }

  setOutputs(values: readonly (Value | undefined)[]): void {
    for (const value of this.#outputs) if (value?.producer === this) value.producer = undefined;
    this.#outputs = [...values];
    for (const value of this.#outputs) if (value !== undefined) value.producer = this;
  }

  is(opType: string, domain = ""): boolean {
    return this.opType === opType && this.domain === domain;
  }

  set(name: string, input: AttributeInput): this {
    this.attributes.set(name, makeAttribute(name, input));
    return this;
  }

  has(name: string): boolean {
    return this.attributes.has(name);
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const value = this.attributes.get(name)?.proto.i;
    return value === undefined ? fallback : Number(value);
  }

  ints(name: string): number[] | undefined {
    return this.attributes.get(name)?.proto.ints?.map(Number);
  }

  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    return this.attributes.get(name)?.proto.f ?? fallback;
  }

  floats(name: string): readonly number[] | undefined {
    return this.attributes.get(name)?.proto.floats;
  }

  string(name: string): string | undefined;
  string(name: string, fallback: string): string;
  string(name: string, fallback?: string): string | undefined {
    const bytes = this.attributes.get(name)?.proto.s;
    return bytes === undefined ? fallback : decodeString(bytes);
  }

  tensor(name: string): Tensor | undefined {
    const proto = this.attributes.get(name)?.proto.t;
    return proto === undefined ? undefined : tensorFromProto(proto, this.graph?.model.external);
  }

  /** All subgraphs (If: two, Loop and Scan: one). */
  get subgraphs(): readonly Graph[] {
    const graphs: Graph[] = [];
    for (const attribute of this.attributes.values()) graphs.push(...attributeGraphs(attribute));
    return graphs;
  }

  /** How messages call the node: its name, or its first output's. */
  get label(): string {
    return this.name || this.#outputs.find((value) => value !== undefined)?.name || this.opType;
  }

  error(problem: string, help?: string): GraphError {
    return new GraphError({ area: "graph", subject: `node "${this.label}" (${this.opType})`, problem, help });
  }
}
