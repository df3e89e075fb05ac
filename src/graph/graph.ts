/**
 * @file A graph: nodes in order, inputs, outputs and initializers. Subgraphs see the values of the graphs around them.
 */
import type { GraphProto, TypeProto, ValueInfoProto } from "../onnx/messages.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { GraphError } from "../util/errors.ts";
import type { AttributeInput } from "./attributes.ts";
import type { Model } from "./model.ts";
import { Node } from "./node.ts";
import { Value } from "./value.ts";

/** Fields of a GraphProto that the graph does not interpret. */
export type GraphExtra = Omit<
  GraphProto,
  "node" | "name" | "initializer" | "sparseInitializer" | "input" | "output" | "valueInfo"
>;

export interface AddOptions {
  /** Wished name of the node; made unique. Default: the first output's. */
  readonly name?: string;
  /** Wished names of the outputs, or existing values of this graph without a producer. Default: one, named after the op. */
  readonly outputs?: readonly (string | Value | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly domain?: string;
  /** Where to put the node. Default: at the end. */
  readonly before?: Node;
  readonly after?: Node;
}

export class Graph {
  readonly model: Model;
  name: string | undefined;
  extra: GraphExtra = {};
  /** The node that has this graph as an attribute; undefined for the main graph. */
  readonly owner: Node | undefined;
  readonly inputs: Value[] = [];
  /** In the order in which they are written. */
  readonly initializers: Set<Value> = new Set();
  /** Order of value_info in the file; raw entries name no value of this graph and are written back. */
  valueInfoOrder: (Value | ValueInfoProto)[] = [];
  #outputs: Value[] = [];
  #first: Node | undefined;
  #last: Node | undefined;
  #count = 0;

  constructor(model: Model, owner?: Node) {
    this.model = model;
    this.owner = owner;
  }

  get outputs(): readonly Value[] {
    return this.#outputs;
  }

  setOutputs(values: readonly Value[]): void {
    for (const value of this.#outputs) value.setOutputOf(this, false);
    this.#outputs = [...values];
    for (const value of this.#outputs) value.setOutputOf(this, true);
  }

  /** Number of nodes, without those of subgraphs. */
  get size(): number {
    return this.#count;
  }

  /** Nodes in order. Nodes may be added and removed on the way; a removed one is not visited any more. */
  *nodes(): IterableIterator<Node> {
    let node = this.#first;
    while (node !== undefined) {
      if (node.graph === this) yield node;
      node = node.next;
    }
  }

  /** The same in reverse. */
  *nodesReversed(): IterableIterator<Node> {
    let node = this.#last;
    while (node !== undefined) {
      if (node.graph === this) yield node;
      node = node.previous;
    }
  }

  /** Adds a node with fresh outputs. */
  add(opType: string, inputs: readonly (Value | undefined)[], options: AddOptions = {}): Node {
    const outputs = (options.outputs ?? [`${options.name ?? opType}_output`]).map((output) =>
      typeof output === "string" ? this.newValue(output) : output,
    );
    const name = this.model.names.unique(options.name ?? `${outputs[0]?.name ?? opType}_${opType}`);
    const node = new Node(this, opType, options.domain, name);
    for (const [key, value] of Object.entries(options.attributes ?? {})) node.set(key, value);
    node.setInputs(inputs);
    node.setOutputs(outputs);
    this.insert(node, options);
    return node;
  }

  /** Links a node into the order. */
  insert(node: Node, position: { readonly before?: Node; readonly after?: Node } = {}): void {
    const next = position.before ?? (position.after ? position.after.next : undefined);
    const previous = position.before ? position.before.previous : (position.after ?? this.#last);
    node.graph = this;
    node.previous = previous;
    node.next = next;
    if (previous) previous.next = node;
    else this.#first = node;
    if (next) next.previous = node;
    else this.#last = node;
    this.#count++;
  }

  /** Removes a node. Its outputs must be unused. @throws GraphError where one is not. */
  remove(node: Node): void {
    for (const output of node.outputs) {
      if (output !== undefined && !output.isUnused) {
        throw node.error(`expected unused outputs, but ${output} has ${output.users.size} users`, "This is a bug.");
      }
    }
    this.detach(node);
    for (const subgraph of node.subgraphs) subgraph.#dispose();
    node.setInputs([]);
    node.setOutputs([]);
  }

  /** Unlinks without touching edges. A removed node keeps `next`, so walks go on from it. */
  detach(node: Node): void {
    if (node.graph !== this) throw node.error("expected a node of this graph", "This is a bug.");
    if (node.previous) node.previous.next = node.next;
    else this.#first = node.next;
    if (node.next) node.next.previous = node.previous;
    else this.#last = node.previous;
    node.graph = undefined;
    this.#count--;
  }

  /** Takes away what a removed subgraph uses of outer values. */
  #dispose(): void {
    this.setOutputs([]);
    for (const node of this.nodes()) {
      for (const subgraph of node.subgraphs) subgraph.#dispose();
      node.setInputs([]);
    }
  }

  /** A fresh value with a unique name after the wish. */
  newValue(wish: string, type?: TypeProto): Value {
    const value = new Value(this, this.model.names.unique(wish));
    value.type = type;
    return value;
  }

  /** A fresh initializer. */
  addInitializer(wish: string, tensor: Tensor): Value {
    const value = this.newValue(wish);
    value.initializer = tensor;
    this.initializers.add(value);
    return value;
  }

  /** Removes an unused initializer. */
  removeInitializer(value: Value): void {
    if (!value.isUnused) throw new GraphError({ area: "graph", subject: `${value}`, problem: "is still used" });
    this.initializers.delete(value);
    value.initializer = undefined;
  }

  /**
   * Makes every user of `from` use `to`. Where `from` is an output of a graph, `to` becomes that output and, because
   * outputs are the model's interface, takes its name and type.
   * @throws GraphError where it cannot; ask {@link canReplace} first.
   */
  replaceAllUsesWith(from: Value, to: Value): void {
    if (from === to) return;
    const obstacle = this.canReplace(from, to);
    if (obstacle !== true) throw new GraphError({ area: "graph", subject: `${from}`, problem: obstacle });
    for (const node of [...from.users]) {
      node.inputs.forEach((value, index) => {
        if (value === from) node.setInput(index, to);
      });
    }
    if (from.outputOf.size === 0) return;
    const graphs = [...from.outputOf];
    for (const graph of graphs) graph.setOutputs(graph.outputs.map((value) => (value === from ? to : value)));
    const { name } = from;
    from.name = this.model.names.unique(`${name}_replaced`);
    to.name = name;
    to.type = from.type ?? to.type;
    to.info = from.info ?? to.info;
  }

  /** Whether {@link replaceAllUsesWith} is possible: true, or the reason why not. */
  canReplace(from: Value, to: Value): true | string {
    if (from.outputOf.size === 0) return true;
    if (to.isInput) return "it is an output of the graph, and the replacement an input";
    if (to.initializer !== undefined) return "it is an output of the graph, and the replacement an initializer";
    if (to.isOutput) return "both it and the replacement are outputs of the graph";
    if (to.graph !== from.graph) return "it is an output of the graph, and the replacement lives in another graph";
    return true;
  }

  /**
   * Sorts nodes so that producers come before users, keeping the order where it is right already.
   * @throws GraphError naming a node on a cycle.
   */
  sort(): void {
    for (const node of this.nodes()) for (const subgraph of node.subgraphs) subgraph.sort();
    if (this.#isSorted()) return;
    const nodes = [...this.nodes()];
    const done = new Set<Node>();
    const open = new Set<Node>();
    const order: Node[] = [];
    for (const root of nodes) {
      if (done.has(root)) continue;
      const stack: { node: Node; needs: Iterator<Node> }[] = [];
      const enter = (node: Node): void => {
        if (open.has(node)) throw node.error("expected an acyclic graph, found a cycle through this node");
        open.add(node);
        stack.push({ node, needs: this.#producersFor(node).values() });
      };
      enter(root);
      while (stack.length > 0) {
        const top = stack.at(-1)!;
        const next = top.needs.next();
        if (next.done) {
          stack.pop();
          open.delete(top.node);
          done.add(top.node);
          order.push(top.node);
        } else if (!done.has(next.value)) enter(next.value);
      }
    }
    this.#first = order[0];
    this.#last = order.at(-1);
    order.forEach((node, index) => {
      node.previous = order[index - 1];
      node.next = order[index + 1];
    });
  }

  #isSorted(): boolean {
    const seen = new Set<Node>();
    for (const node of this.nodes()) {
      for (const needed of this.#producersFor(node)) if (!seen.has(needed)) return false;
      seen.add(node);
    }
    return true;
  }

  /** Nodes of this graph whose outputs the node, or a subgraph of it, uses. */
  #producersFor(node: Node): Set<Node> {
    const producers = new Set<Node>();
    const take = (value: Value | undefined): void => {
      if (value?.producer !== undefined && value.graph === this) producers.add(value.producer);
    };
    for (const value of node.inputs) take(value);
    for (const graph of node.subgraphs) {
      for (const value of graph.outputs) take(value);
      for (const inner of graph.nodes()) for (const producer of this.#producersFor(inner)) producers.add(producer);
    }
    return producers;
  }
}
