/**
 * @file From the nodes that are to be computed on integers to the values that carry codes: which operators around them join
 * in, where pairs stand, and which values share one scale.
 */
import type { Node } from "../../graph/node.ts";
import { isBarrier } from "../../graph/parametrizations.ts";
import type { Value } from "../../graph/value.ts";
import type { OpPlacement, Role } from "./placement.ts";

/** A node with a weight that is computed on integers. */
export interface Computed {
  readonly node: Node;
  /** The activation that it reads. */
  readonly x: Value;
  /** Its result as it is stored: behind the activation that the kernel fuses. Undefined: its result stays in float. */
  readonly output: Value | undefined;
}

export interface Plan {
  /** The operators beside the computed ones that run on integers. */
  readonly joined: ReadonlyMap<Node, OpPlacement>;
  /** Values that carry codes for all of their users: what integer kernels write. */
  readonly behind: ReadonlySet<Value>;
  /** Values of which only the nodes of the plan read codes: the float original is there all the same. */
  readonly before: ReadonlySet<Value>;
  /** Values that need the scale of others: each names all values of its group, itself among them. */
  readonly groups: ReadonlyMap<Value, readonly Value[]>;
}

/** The positions of a node's inputs that carry activations. */
export function dataInputs(node: Node, role: Role): number[] {
  if (role === "join") return node.inputs.map((_value, index) => index);
  return role === "binary" ? [0, 1] : [0];
}

/**
 * The value behind a node and the activation that is its only user, which integer kernels apply when they clamp: a Relu,
 * or a Clip whose bounds are constants.
 */
export function fusedOutput(node: Node): Value {
  const output = node.output();
  const user = output.onlyUser;
  if (user === undefined || user.graph !== node.graph || isBarrier(user) || user.inputs[0] !== output) return output;
  const bounds = user.inputs.slice(1);
  const clamps = user.is("Relu") || (user.is("Clip") && bounds.every((bound) => bound === undefined || bound.constant));
  return clamps ? user.output() : output;
}

/**
 * Plans a graph. An operator joins in where every activation that it reads carries codes anyway and somebody reads codes
 * of its result: the largest set for which this holds, found by taking away until nothing changes.
 * @param outputs Whether kernels write codes (pairs behind results), or pairs only stand in front of what is computed.
 */
export function planCodes(
  computed: readonly Computed[],
  eligible: ReadonlyMap<Node, OpPlacement>,
  outputs: boolean,
): Plan {
  const readers = new Map<Node, Value>(computed.map(({ node, x }) => [node, x]));
  const carried = new Set<Value>();
  for (const { x, output } of computed) {
    carried.add(x);
    if (output !== undefined) carried.add(output);
  }
  const results = new Set(computed.map(({ node }) => node));
  const joined = new Map(eligible);
  const madeByJoined = new Map<Value, Node>();
  for (const node of joined.keys()) for (const value of resultsOf(node)) madeByJoined.set(value, node);

  const hasCodes = (value: Value): boolean => {
    const maker = madeByJoined.get(value);
    return carried.has(value) || (maker !== undefined && joined.has(maker));
  };
  const readsCodes = (user: Node, value: Value): boolean => {
    if (readers.get(user) === value) return true;
    const row = joined.get(user);
    return row !== undefined && dataInputs(user, row.role).some((index) => user.inputs[index] === value);
  };
  const holds = (node: Node, { role }: OpPlacement): boolean => {
    const inputs = dataInputs(node, role).map((index) => node.inputs[index]);
    if (inputs.some((value) => value === undefined || value.isConstant)) return false;
    const wanted = resultsOf(node).some((value) => [...value.users].some((user) => readsCodes(user, value)));
    if (!wanted) return false;
    if (outputs) return inputs.every((value) => hasCodes(value!));
    // Without codes behind kernels, a residual addition is fused with the kernel that makes one of its summands.
    return inputs.some(
      (value) => carried.has(value!) || (value!.producer !== undefined && results.has(value!.producer)),
    );
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const [node, row] of joined) {
      if (holds(node, row)) continue;
      joined.delete(node);
      changed = true;
    }
  }
  return place(computed, joined, outputs);
}

/** What a node makes, behind a fused activation. */
function resultsOf(node: Node): Value[] {
  if (node.outputs.length === 1) return [fusedOutput(node)];
  return node.outputs.filter((value) => value !== undefined);
}

function place(computed: readonly Computed[], joined: ReadonlyMap<Node, OpPlacement>, outputs: boolean): Plan {
  const behind = new Set<Value>();
  const before = new Set<Value>();
  const groups = new Map<Value, Value[]>();
  const results = new Set(computed.map(({ node }) => node));
  for (const { output } of computed) if (output !== undefined) behind.add(output);
  if (outputs) for (const node of joined.keys()) for (const value of resultsOf(node)) behind.add(value);
  const reads = (value: Value): void => {
    if (!behind.has(value)) before.add(value);
  };
  for (const { x } of computed) reads(x);
  for (const [node, { role }] of joined) {
    const inputs = dataInputs(node, role).map((index) => node.inputs[index]!);
    for (const value of inputs) {
      const fused = !outputs && value.producer !== undefined && results.has(value.producer);
      if (!fused) reads(value);
    }
    if (role === "pass" || role === "join") unite(groups, [...inputs, ...(outputs ? resultsOf(node) : [])]);
  }
  return { joined, behind, before, groups };
}

/** Merges the groups of all values into one. */
function unite(groups: Map<Value, Value[]>, values: readonly Value[]): void {
  const all = new Set<Value>();
  for (const value of values) for (const member of groups.get(value) ?? [value]) all.add(member);
  const group = [...all];
  for (const value of group) groups.set(value, group);
}
