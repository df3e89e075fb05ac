/**
 * @file Pooling. Source: onnx/docs/Changelog.md.
 */
import type { Node } from "../node.ts";
import { compatibleAt, type RuleTable } from "./rule.ts";

/** Opset 16 shifts the regions by half a pixel unless told not to. */
function unshiftedRegions(node: Node): boolean {
  node.set("coordinate_transformation_mode", { string: "output_half_pixel" });
  return true;
}

export const POOLING_RULES: RuleTable = {
  // 10: ceil_mode, default 0
  AveragePool: compatibleAt(10, 11),
  LpPool: compatibleAt(11),
  // 8: a second output; 10: ceil_mode and dilations
  MaxPool: compatibleAt(8, 10, 11, 12),
  MaxUnpool: compatibleAt(11),
  RoiAlign: { 16: unshiftedRegions },
};
