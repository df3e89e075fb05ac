/**
 * @file Resize and its predecessor Upsample. Source: onnx/docs/Changelog.md, onnx/backend/test/case/node/resize.py.
 */
import { Tensor } from "../../tensor/tensor.ts";
import type { Node } from "../node.ts";
import { constantOf, type Outcome, type RuleTable, setConstant } from "./rule.ts";

/** Nodes that were Upsample, whose scales are at least 1 by definition, whatever computes them. */
const enlarging = new WeakSet<Node>();

function scalesToInput(node: Node): boolean {
  const scales = node.floats("scales") ?? [];
  node.attributes.delete("scales");
  setConstant(node, 1, "scales", Tensor.float32([scales.length], scales));
  return true;
}

function upsampleToResize(node: Node): boolean {
  node.opType = "Resize";
  enlarging.add(node);
  return true;
}

/**
 * Opset 10: x = x' / scale, and nearest takes floor(x) on an axis that grows, ceil(x) on one that shrinks (ONNX's own
 * test data). Opset 11 has inputs (X, roi, scales, sizes), calls the first "asymmetric" and has one nearest_mode for all axes.
 */
function statedCoordinates(node: Node): Outcome {
  const scales = node.input(1);
  if (node.string("mode", "nearest") === "nearest") {
    const factors = enlarging.has(node) ? [1] : constantOf(scales)?.numbers();
    if (factors === undefined) return "how nearest rounds depends on its scales, and they are computed at run time";
    const [grows, shrinks] = [factors.some((factor) => factor > 1), factors.some((factor) => factor < 1)];
    if (grows && shrinks) return "it enlarges one axis and shrinks another, and opset 11 rounds all axes alike";
    node.set("nearest_mode", { string: shrinks ? "ceil" : "floor" });
  }
  node.set("coordinate_transformation_mode", { string: "asymmetric" });
  const roi = node.graph!.addInitializer(`${node.label}_roi`, Tensor.float32([0], []));
  node.setInputs([node.input(0), roi, scales]);
  return true;
}

/**
 * Opset 13 dropped "tf_half_pixel_for_nn", x = (x' + 0.5) / scale. "half_pixel" is half less, so that
 * floor(x) = floor((x - 0.5) + 0.5), its round_prefer_ceil, and ceil(x - 0.5), x's round_prefer_floor, is its ceil.
 */
const HALF_PIXEL_ROUNDING: ReadonlyMap<string, string> = new Map([
  ["floor", "round_prefer_ceil"],
  ["round_prefer_floor", "ceil"],
]);

function withoutTfHalfPixel(node: Node): Outcome {
  if (node.string("coordinate_transformation_mode") !== "tf_half_pixel_for_nn") return false;
  const mode = node.string("mode", "nearest");
  const rounding = node.string("nearest_mode", "round_prefer_floor");
  const rounded = HALF_PIXEL_ROUNDING.get(rounding);
  if (mode !== "nearest" || rounded === undefined) {
    return `opset 13 has no "tf_half_pixel_for_nn", and with mode ${mode} and ${rounding} nothing equals it`;
  }
  node.set("coordinate_transformation_mode", { string: "half_pixel" });
  node.set("nearest_mode", { string: rounded });
  return true;
}

export const RESIZE_RULES: RuleTable = {
  Resize: { 11: statedCoordinates, 13: withoutTfHalfPixel },
  Upsample: { 9: scalesToInput, 10: upsampleToResize },
};
