/**
 * @file Operators whose outputs are no tensors, whatever their inputs are.
 * Source: ONNX operator specifications (Sequence*-11, SequenceMap-17, SplitToSequence-11, Optional-15) and ai.onnx.ml.
 */
import type { Node } from "../node.ts";

const OPS: ReadonlySet<string> = new Set([
  "Optional",
  "SequenceConstruct",
  "SequenceEmpty",
  "SequenceErase",
  "SequenceInsert",
  "SequenceMap",
  "SplitToSequence",
  "ai.onnx.ml.ZipMap",
]);

/** Whether the node makes a sequence, a map or an optional. */
export function makesNoTensor(node: Node): boolean {
  return OPS.has(node.domain === "" ? node.opType : `${node.domain}.${node.opType}`);
}
