/**
 * @file Patterns of nodes, matched from the last node backwards. A pattern says what must be there; a rule's check says
 * what else must hold.
 */
import type { Node } from "./node.ts";
import { isBarrier } from "./parametrizations.ts";
import type { Value } from "./value.ts";

/**
 * - `node`: the value must be made by such a node; `name` binds the node, `output` its position among the node's outputs.
 * - `value`: any value; a second occurrence of the same name must be the same value.
 * - `constant`: a constant; with `is`, a scalar (one element) within a relative 1e-6 of that number.
 */
export type Pattern =
  | {
      readonly kind: "node";
      readonly opType: string;
      readonly domain: string;
      readonly inputs: readonly Pattern[];
      readonly name: string | undefined;
      /** Inputs may stand in either order (of the first two). */
      readonly commutes: boolean;
    }
  | { readonly kind: "value"; readonly name: string }
  | { readonly kind: "constant"; readonly name: string | undefined; readonly is: number | undefined };

/** Operators whose two inputs may be exchanged. */
const COMMUTATIVE: ReadonlySet<string> = new Set(["Add", "Mul", "Max", "Min", "Equal", "And", "Or"]);

/** A node of this operator whose first inputs match; inputs beyond those given are not looked at. */
export function op(opType: string, inputs: readonly Pattern[], name?: string): Pattern & { readonly kind: "node" } {
  return { kind: "node", opType, domain: "", inputs, name, commutes: COMMUTATIVE.has(opType) };
}

/** Any value, bound to a name. */
export function any(name: string): Pattern {
  return { kind: "value", name };
}

/** A constant, bound to a name. */
export function constant(name: string): Pattern {
  return { kind: "constant", name, is: undefined };
}

/** A constant of one element with this value. */
export function scalar(is: number): Pattern {
  return { kind: "constant", name: undefined, is };
}

/** What a pattern found. */
export interface Match {
  /** The last node: the one that the pattern describes. */
  readonly root: Node;
  /** Every node that matched, the root first. */
  readonly nodes: readonly Node[];
  value(name: string): Value;
  node(name: string): Node;
}

/** The match of a pattern that ends in `root`, or undefined. Nodes of parametrizations never match. */
export function match(pattern: Pattern & { readonly kind: "node" }, root: Node): Match | undefined {
  const state: State = { values: new Map(), nodes: new Map(), all: [] };
  if (!matchNode(pattern, root, state)) return undefined;
  const { values, nodes, all } = state;
  return {
    root,
    nodes: all,
    value(name) {
      const value = values.get(name);
      if (value === undefined) throw root.error(`expected the pattern to bind a value "${name}"`);
      return value;
    },
    node(name) {
      const node = nodes.get(name);
      if (node === undefined) throw root.error(`expected the pattern to bind a node "${name}"`);
      return node;
    },
  };
}

interface State {
  readonly values: Map<string, Value>;
  readonly nodes: Map<string, Node>;
  readonly all: Node[];
}

function matchNode(pattern: Pattern & { readonly kind: "node" }, node: Node, state: State): boolean {
  if (!node.is(pattern.opType, pattern.domain) || isBarrier(node)) return false;
  const before = { values: new Map(state.values), nodes: new Map(state.nodes), count: state.all.length };
  const orders =
    pattern.commutes && pattern.inputs.length === 2 ? [pattern.inputs, pattern.inputs.toReversed()] : [pattern.inputs];
  for (const inputs of orders) {
    state.all.push(node);
    if (pattern.name !== undefined) state.nodes.set(pattern.name, node);
    if (inputs.every((input, index) => matchValue(input, node.inputs[index], state))) return true;
    restore(state, before);
  }
  return false;
}

function restore(
  state: State,
  before: { readonly values: Map<string, Value>; readonly nodes: Map<string, Node>; readonly count: number },
): void {
  state.all.length = before.count;
  state.values.clear();
  for (const [name, value] of before.values) state.values.set(name, value);
  state.nodes.clear();
  for (const [name, node] of before.nodes) state.nodes.set(name, node);
}

function matchValue(pattern: Pattern, value: Value | undefined, state: State): boolean {
  if (value === undefined) return false;
  if (pattern.kind === "node") return value.producer !== undefined && matchNode(pattern, value.producer, state);
  if (pattern.kind === "constant") {
    const tensor = value.constant;
    if (tensor === undefined) return false;
    if (pattern.is !== undefined) {
      if (tensor.size !== 1) return false;
      const [got] = tensor.numbers();
      if (!(Math.abs(got! - pattern.is) <= 1e-6 * Math.abs(pattern.is))) return false;
    }
  }
  if (pattern.name === undefined) return true;
  const bound = state.values.get(pattern.name);
  if (bound !== undefined) return bound === value;
  state.values.set(pattern.name, value);
  return true;
}
