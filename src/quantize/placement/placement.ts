/**
 * @file What the tables of this folder say: which operators a target computes on integers, and in which form it wants them.
 */
import type { Node } from "../../graph/node.ts";
import type { SpeedFact } from "../../runtime/speed.ts";
import type { CodeDType } from "../qparams.ts";

/**
 * How an operator takes part when its neighbours are computed on integers:
 * - `compute`: has a weight; it is why anything is quantized (Conv, MatMul, Gemm).
 * - `binary`: two activations in, a range of its own out (residual Add, the Mul of squeeze-and-excitation).
 * - `unary`: one activation in, a range of its own out (average pooling, Sigmoid).
 * - `pass`: moves or selects elements: what comes out has the codes that went in (MaxPool, Reshape, Transpose).
 * - `join`: several activations become one: all of them need one scale (Concat).
 *
 * All but `compute` are quantized only between values that are quantized anyway. What no table names stays in float.
 */
export type Role = "compute" | "binary" | "unary" | "pass" | "join";

export interface OpPlacement {
  readonly role: Role;
  /** What its speed is known as; undefined: it was not measured, and is taken to gain. */
  readonly pattern?: SpeedFact["pattern"];
  /** Whether this node has an integer form: true, or the reason why not. */
  readonly check?: (node: Node) => true | string;
}

/** The form of Q/DQ that one target understands and runs fast. Facts, no code. */
export interface Placement {
  readonly name: string;
  readonly summary: string;
  readonly activations: { readonly dtype: CodeDType; readonly symmetric: boolean };
  /** Element types that activations may have here. */
  readonly activationTypes: readonly CodeDType[];
  /** Element types that weights may have here. */
  readonly weightTypes: readonly CodeDType[];
  /** A pair behind the result of a convolution: the kernel writes codes. False: pairs stand in front of inputs only. */
  readonly outputs: boolean;
  /** int32 with the product of both scales, or left in float. */
  readonly bias: "int32" | "float";
  /** By operator of ONNX's own domain. */
  readonly ops: Readonly<Record<string, OpPlacement>>;
}
