/**
 * @file Normalization and dropout. Source: onnx/docs/Changelog.md.
 */
import { Tensor } from "../../tensor/tensor.ts";
import type { Node } from "../node.ts";
import type { Facts } from "./facts.ts";
import { compatibleAt, dropOutputs, type Outcome, type RuleTable, setConstant } from "./rule.ts";

/** Opset 9 dropped spatial = 0 (statistics per feature), which is the same where there is nothing behind the channels. */
function spatialOnly(node: Node, facts: Facts): Outcome {
  if (node.int("spatial", 1) === 0 && facts.rank(node.input(0)) !== 2) {
    return "spatial = 0 normalizes every position by itself, and opset 9 dropped that";
  }
  return node.attributes.delete("spatial");
}

/** Until opset 13 more outputs than one meant training; from 14 on an attribute does, and the outputs are others. */
function inferenceOnly(node: Node): Outcome {
  if (node.outputs.length === 1) return false;
  return dropOutputs(node, 1) || "it is in training mode: its statistics are used";
}

/** The mask changed its type at 10 and, outside training, its contents at 12. */
function maskless(node: Node): Outcome {
  if (node.outputs.length === 1) return false;
  return dropOutputs(node, 1) || "its mask is used, and means something else from this version on";
}

/** Without the input training_mode it stays what it was: a copy. */
function ratioToInput(node: Node): Outcome {
  const changed = maskless(node);
  const ratio = node.float("ratio");
  if (typeof changed === "string" || ratio === undefined) return changed;
  node.attributes.delete("ratio");
  setConstant(node, 1, "ratio", Tensor.float32([], [ratio]));
  return true;
}

export const NORMALIZATION_RULES: RuleTable = {
  BatchNormalization: { 9: spatialOnly, 14: inferenceOnly, 15: "compatible" },
  Dropout: { 10: maskless, 12: ratioToInput, 13: "compatible" },
  LRN: compatibleAt(13),
  MeanVarianceNormalization: compatibleAt(13),
};
