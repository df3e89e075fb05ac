/**
 * @file What an upgrade rule is, and the parts that several rules share.
 *
 * A rule table has one row per operator and, in it, one entry per opset version at which ONNX changed the operator. The
 * entry says what turns a node that means the version before into one that means this version.
 */
import { Tensor } from "../../tensor/tensor.ts";
import type { Node } from "../node.ts";
import type { Value } from "../value.ts";
import type { Facts } from "./facts.ts";

/** True: the node was rewritten. False: nothing to do on this node. A text: why it cannot be upgraded. */
export type Outcome = boolean | string;

/**
 * "compatible": ONNX only added types, or attributes and inputs whose defaults mean what the operator did before.
 * Else a function that rewrites the node in place. The values that the node makes keep their identity. Nodes that a rule
 * adds must have the form of the version the rule is for.
 */
export type Rule = "compatible" | ((node: Node, facts: Facts) => Outcome);

/** By operator, by version. */
export type RuleTable = Readonly<Record<string, Readonly<Record<number, Rule>>>>;

/** A row whose versions all changed nothing for existing nodes. */
export function compatibleAt(...versions: readonly number[]): Readonly<Record<number, Rule>> {
  return Object.fromEntries(versions.map((version) => [version, "compatible"]));
}

/**
 * The list of integers of an attribute becomes an input. Exact: ends of slices are often the largest int64.
 * An empty list is left out ("all axes" where the operators allow it) unless the input is required.
 */
export function intsToInput(attribute: string, index: number, required = false): (node: Node) => boolean {
  return (node) => {
    if (!node.has(attribute) && !required) return false;
    const values = node.attributes.get(attribute)?.proto.ints ?? [];
    node.attributes.delete(attribute);
    if (values.length > 0 || required) setConstant(node, index, attribute, Tensor.int64([values.length], values));
    return true;
  };
}

/** Puts a new initializer into an input, named after the node. */
export function setConstant(node: Node, index: number, name: string, tensor: Tensor): void {
  node.setInput(index, node.graph!.addInitializer(`${node.label}_${name}`, tensor));
}

/** The tensor behind a value: an initializer, or what a Constant node holds. */
export function constantOf(value: Value | undefined): Tensor | undefined {
  if (value === undefined) return undefined;
  return value.constant ?? (value.producer?.is("Constant") ? value.producer.tensor("value") : undefined);
}

/**
 * Drops the outputs from `first` on, which nobody uses. False where somebody does.
 */
export function dropOutputs(node: Node, first: number): boolean {
  if (node.outputs.slice(first).some((value) => value !== undefined && !value.isUnused)) return false;
  node.setOutputs(node.outputs.slice(0, first));
  return true;
}

/** A scalar of a float type; undefined for any other type. */
export function floatScalar(dtype: string, value: number): Tensor | undefined {
  if (dtype === "float32") return Tensor.float32([], [value]);
  if (dtype === "float16") return Tensor.float32([], [value]).toFloat16();
  if (dtype === "float64") return Tensor.of("float64", [], Float64Array.of(value));
  return undefined;
}
