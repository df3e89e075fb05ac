/**
 * @file All gradient rules by domain and operator.
 */
import type { Node } from "../graph/node.ts";
import { ACTIVATION } from "./gradients/activation.ts";
import { CONSTANT } from "./gradients/constant.ts";
import { CONVOLUTION } from "./gradients/convolution.ts";
import { ELEMENTWISE } from "./gradients/elementwise.ts";
import { LINALG } from "./gradients/linalg.ts";
import { MATHEMATICAL } from "./gradients/mathematical.ts";
import { MOVEMENT } from "./gradients/movement.ts";
import { NORMALIZATION } from "./gradients/normalization.ts";
import { POOLING } from "./gradients/pooling.ts";
import { QUANTIZATION } from "./gradients/quantization.ts";
import { REDUCTION } from "./gradients/reduction.ts";
import { RESIZE } from "./gradients/resize.ts";
import type { GradientRow, GradientTable } from "./rule.ts";

/** ONNX's own operators. A family is one file in gradients/ and one line here. */
export const GRADIENT_FAMILIES = [
  ELEMENTWISE,
  ACTIVATION,
  CONSTANT,
  CONVOLUTION,
  LINALG,
  MATHEMATICAL,
  MOVEMENT,
  NORMALIZATION,
  POOLING,
  QUANTIZATION,
  REDUCTION,
  RESIZE,
] as const satisfies readonly GradientTable[];

const GRADIENTS: GradientTable = Object.assign({}, ...GRADIENT_FAMILIES);

const ZERO: GradientRow = { zero: true };

/** The row of a node in a model of this opset; undefined where the operator has none. */
export function gradientRow(node: Node, opset: number): GradientRow | undefined {
  if (node.domain !== "" || !Object.hasOwn(GRADIENTS, node.opType)) return undefined;
  const rows = GRADIENTS[node.opType]!;
  const row = "length" in rows ? rows.findLast(({ since }) => since <= opset)?.row : rows;
  return row !== undefined && "rule" in row && row.zeroWhere?.(node) === true ? ZERO : row;
}
