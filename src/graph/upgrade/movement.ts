/**
 * @file Operators that move, select and describe data. Source: onnx/docs/Changelog.md.
 */
import type { Node } from "../node.ts";
import type { Facts } from "./facts.ts";
import { compatibleAt, floatScalar, intsToInput, type Outcome, type RuleTable, setConstant } from "./rule.ts";

/** The deprecated name of the same operator. */
function renamed(opType: string): (node: Node) => boolean {
  return (node) => {
    node.opType = opType;
    return true;
  };
}

const startsToInput = intsToInput("starts", 1, true);
const endsToInput = intsToInput("ends", 2, true);
const axesToInput = intsToInput("axes", 3);

function boundsToInputs(node: Node): boolean {
  startsToInput(node);
  endsToInput(node);
  axesToInput(node);
  return true;
}

const padsToInput = intsToInput("pads", 1, true);

/** The fill value takes the data's type; zero is the default and needs no input. Up to opset 10 the data are floats. */
function padsAndFillToInputs(node: Node, facts: Facts): Outcome {
  const fill = node.float("value", 0);
  if (fill !== 0 && node.string("mode", "constant") === "constant") {
    const dtype = facts.floatType(node.input(0));
    const tensor = dtype === undefined ? undefined : floatScalar(dtype, fill);
    if (tensor === undefined) {
      return `its fill value becomes an input of the data's type, and the type of ${node.input(0)} is ${dtype ?? "not known"}`;
    }
    setConstant(node, 2, "value", tensor);
  }
  node.attributes.delete("value");
  return padsToInput(node);
}

export const MOVEMENT_RULES: RuleTable = {
  Compress: compatibleAt(11),
  Concat: compatibleAt(11, 13),
  Constant: compatibleAt(9, 11, 12, 13),
  DepthToSpace: compatibleAt(11, 13),
  Expand: compatibleAt(13),
  Flatten: compatibleAt(9, 11, 13),
  Gather: compatibleAt(11, 13),
  GatherElements: compatibleAt(13),
  GatherND: compatibleAt(12, 13),
  Identity: compatibleAt(13, 14, 16),
  NonMaxSuppression: compatibleAt(11),
  NonZero: compatibleAt(13),
  // 11 counts negative indices from the end; 9 called them out of range. ONNX Runtime counts from the end in both.
  OneHot: compatibleAt(11),
  Pad: { 11: padsAndFillToInputs, 13: "compatible" },
  // 14: allowzero, default 0
  Reshape: compatibleAt(13, 14),
  Scatter: { 11: renamed("ScatterElements") },
  // 16: reduction, default none
  ScatterElements: compatibleAt(13, 16),
  ScatterND: compatibleAt(13, 16),
  // 15: start and end, default all
  Shape: compatibleAt(13, 15),
  Size: compatibleAt(13),
  Slice: { 10: boundsToInputs, 11: "compatible", 13: "compatible" },
  SpaceToDepth: compatibleAt(13),
  Split: { 11: "compatible", 13: intsToInput("split", 1) },
  // No axes: all dimensions of 1, before and after
  Squeeze: { 11: "compatible", 13: intsToInput("axes", 1) },
  Tile: compatibleAt(13),
  Transpose: compatibleAt(13),
  Unsqueeze: { 11: "compatible", 13: intsToInput("axes", 1, true) },
};
