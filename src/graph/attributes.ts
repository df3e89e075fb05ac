/**
 * @file Attributes of nodes: the message as read, with subgraphs as graphs.
 */
import { ATTRIBUTE_TYPE, type AttributeProto } from "../onnx/messages.ts";
import { tensorToProto } from "../onnx/tensor-proto.ts";
import { encodeString } from "../onnx/wire.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./graph.ts";

export interface Attribute {
  /** Everything but subgraphs. */
  readonly proto: Omit<AttributeProto, "g" | "graphs">;
  readonly graph?: Graph;
  readonly graphs?: readonly Graph[];
}

/** Plain values that {@link makeAttribute} understands; numbers are written as `float` or `int` by the constructors below. */
export type AttributeInput =
  | { readonly int: number | bigint }
  | { readonly ints: readonly (number | bigint)[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly tensor: Tensor }
  | { readonly graph: Graph };

export function makeAttribute(name: string, input: AttributeInput): Attribute {
  if ("int" in input) return { proto: { name, type: ATTRIBUTE_TYPE.int, i: BigInt(input.int) } };
  if ("ints" in input) return { proto: { name, type: ATTRIBUTE_TYPE.ints, ints: input.ints.map(BigInt) } };
  if ("float" in input) return { proto: { name, type: ATTRIBUTE_TYPE.float, f: input.float } };
  if ("floats" in input) return { proto: { name, type: ATTRIBUTE_TYPE.floats, floats: [...input.floats] } };
  if ("string" in input) return { proto: { name, type: ATTRIBUTE_TYPE.string, s: encodeString(input.string) } };
  if ("strings" in input) {
    return { proto: { name, type: ATTRIBUTE_TYPE.strings, strings: input.strings.map(encodeString) } };
  }
  if ("tensor" in input) {
    return { proto: { name, type: ATTRIBUTE_TYPE.tensor, t: tensorToProto(input.tensor, undefined) } };
  }
  return { proto: { name, type: ATTRIBUTE_TYPE.graph }, graph: input.graph };
}

/** The subgraphs of one attribute. */
export function attributeGraphs(attribute: Attribute): readonly Graph[] {
  return attribute.graph !== undefined ? [attribute.graph] : (attribute.graphs ?? []);
}
