/**
 * @file Elementwise operators. Source: onnx/docs/Changelog.md.
 */
import { isFloatingPoint } from "../../tensor/tensor.ts";
import type { Node } from "../node.ts";
import type { Facts } from "./facts.ts";
import { compatibleAt, floatScalar, type Outcome, type RuleTable, setConstant } from "./rule.ts";

/** min and max become inputs of the data's own type. Up to opset 10 the data are floats. */
function boundsToInputs(node: Node, facts: Facts): Outcome {
  const bounds = ["min", "max"].map((name) => [name, node.float(name)] as const);
  if (bounds.every(([, value]) => value === undefined)) return false;
  const dtype = facts.floatType(node.input(0));
  bounds.forEach(([name, value], i) => {
    const tensor = value === undefined || dtype === undefined ? undefined : floatScalar(dtype, value);
    if (tensor === undefined) return;
    setConstant(node, i + 1, name, tensor);
    node.attributes.delete(name);
  });
  if (node.has("min") || node.has("max")) {
    return `its bounds become inputs of the data's type, and the type of ${node.input(0)} is ${dtype ?? "not known"}`;
  }
  return true;
}

/** Opset 13 gave up integers. */
function floatsOnly(node: Node): Outcome {
  const { dtype } = node.input(0);
  return dtype !== undefined && !isFloatingPoint(dtype) ? `from opset 13 on it takes floats only, got ${dtype}` : false;
}

export const ELEMENTWISE_RULES: RuleTable = {
  Abs: compatibleAt(13),
  Add: compatibleAt(13, 14),
  Cast: compatibleAt(9, 13),
  Ceil: compatibleAt(13),
  Clip: { 11: boundsToInputs, 12: "compatible", 13: "compatible" },
  Div: compatibleAt(13, 14),
  Equal: compatibleAt(11, 13),
  Erf: { 13: floatsOnly },
  Exp: compatibleAt(13),
  Floor: compatibleAt(13),
  Greater: compatibleAt(9, 13),
  GreaterOrEqual: compatibleAt(16),
  IsNaN: compatibleAt(13),
  Less: compatibleAt(9, 13),
  LessOrEqual: compatibleAt(16),
  Log: compatibleAt(13),
  // 8: broadcasting, where equal shapes were asked for
  Max: compatibleAt(8, 12, 13),
  Mean: compatibleAt(8, 13),
  Min: compatibleAt(8, 12, 13),
  Mod: compatibleAt(13),
  Mul: compatibleAt(13, 14),
  Neg: compatibleAt(13),
  Pow: compatibleAt(12, 13, 15),
  Reciprocal: compatibleAt(13),
  Sign: compatibleAt(13),
  Sqrt: compatibleAt(13),
  Sub: compatibleAt(13, 14),
  Sum: compatibleAt(8, 13),
  Where: compatibleAt(16),
};
