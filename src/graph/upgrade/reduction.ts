/**
 * @file Reductions, selection by size, and losses. Source: onnx/docs/Changelog.md.
 */
import { Tensor } from "../../tensor/tensor.ts";
import type { Node } from "../node.ts";
import { compatibleAt, intsToInput, type RuleTable, setConstant } from "./rule.ts";

function kToInput(node: Node): boolean {
  const k = node.attributes.get("k")?.proto.i ?? 0n;
  node.attributes.delete("k");
  setConstant(node, 1, "k", Tensor.int64([1], [k]));
  return true;
}

// 11: negative axes may be written; 12: select_last_index, default 0; 13: types
export const REDUCTION_RULES: RuleTable = {
  ArgMax: compatibleAt(11, 12, 13),
  ArgMin: compatibleAt(11, 12, 13),
  CumSum: compatibleAt(14),
  NegativeLogLikelihoodLoss: compatibleAt(13),
  ReduceL1: compatibleAt(11, 13),
  ReduceL2: compatibleAt(11, 13),
  ReduceLogSum: compatibleAt(11, 13),
  ReduceLogSumExp: compatibleAt(11, 13),
  ReduceMax: compatibleAt(11, 12, 13),
  ReduceMean: compatibleAt(11, 13),
  ReduceMin: compatibleAt(11, 12, 13),
  ReduceProd: compatibleAt(11, 13),
  // No axes: all of them, before and after
  ReduceSum: { 11: "compatible", 13: intsToInput("axes", 1) },
  ReduceSumSquare: compatibleAt(11, 13),
  SoftmaxCrossEntropyLoss: compatibleAt(13),
  // 11: largest and sorted, default 1
  TopK: { 10: kToInput, 11: "compatible" },
};
