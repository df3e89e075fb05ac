/**
 * @file All gradient rules by domain and operator.
 */
import type { Node } from "../graph/node.ts";
import { CONVOLUTION } from "./gradients/convolution.ts";
import { ELEMENTWISE } from "./gradients/elementwise.ts";
import { POOLING } from "./gradients/pooling.ts";
import { RESIZE } from "./gradients/resize.ts";
import type { GradientRow, GradientTable } from "./rule.ts";

/** ONNX's own operators. A family is one file in gradients/ and one line here. */
export const GRADIENT_FAMILIES = [
  ELEMENTWISE,
  CONVOLUTION,
  POOLING,
  RESIZE,
] as const satisfies readonly GradientTable[];

const GRADIENTS: GradientTable = Object.assign({}, ...GRADIENT_FAMILIES);

/** The row of a node in a model of this opset; undefined where the operator has none. */
export function gradientRow(node: Node, opset: number): GradientRow | undefined {
  if (node.domain !== "" || !Object.hasOwn(GRADIENTS, node.opType)) return undefined;
  const rows = GRADIENTS[node.opType]!;
  if (!("length" in rows)) return rows as GradientRow;
  return (rows as readonly { since: number; row: GradientRow }[]).findLast(({ since }) => since <= opset)?.row;
}
