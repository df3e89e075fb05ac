/**
 * @file Cases of src/autodiff/gradients/resize.ts. All are linear: every check is exact.
 */
import type { RESIZE } from "../../src/autodiff/gradients/resize.ts";
import type { AttributeInput } from "../../src/graph/attributes.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

type Extra = Readonly<Record<string, AttributeInput>>;

const attributes = (mode: string, transformation: string, extra: Extra): Extra => ({
  mode: { string: mode },
  coordinate_transformation_mode: { string: transformation },
  ...extra,
});

function scales(
  name: string,
  x: readonly number[],
  factors: readonly number[],
  mode: string,
  transformation: string,
  extra: Extra = {},
): GradientCase {
  return {
    name: `${mode}, ${transformation}, ${name}`,
    inputs: [x, null, Tensor.float32([factors.length], factors)],
    attributes: attributes(mode, transformation, extra),
    linear: true,
  };
}

function sizes(
  name: string,
  x: readonly number[],
  to: readonly number[],
  mode: string,
  transformation: string,
  extra: Extra = {},
  opset = 17,
): GradientCase {
  return {
    name: `${mode}, ${transformation}, ${name}`,
    inputs: [x, null, null, Tensor.int64([to.length], to)],
    attributes: attributes(mode, transformation, extra),
    linear: true,
    opset,
  };
}

const rounding = (mode: string): Extra => ({ nearest_mode: { string: mode } });

export const RESIZE_CASES: CaseTable<typeof RESIZE> = {
  Resize: [
    scales("× 2", [2, 3, 3, 4], [1, 1, 2, 2], "nearest", "asymmetric", rounding("floor")),
    scales("× 2 and × 3", [1, 2, 3, 2], [1, 1, 2, 3], "nearest", "half_pixel", rounding("round_prefer_floor")),
    scales("× 2, rounded up", [1, 2, 3, 3], [1, 1, 2, 2], "nearest", "asymmetric", rounding("ceil")),
    scales("× 2.5", [1, 2, 3, 5], [1, 1, 2.5, 2.5], "nearest", "half_pixel", rounding("round_prefer_ceil")),
    scales("× 0.5", [1, 2, 6, 8], [1, 1, 0.5, 0.5], "nearest", "half_pixel", rounding("round_prefer_floor")),
    sizes("to 7 × 5", [1, 2, 3, 8], [1, 2, 7, 5], "nearest", "align_corners", rounding("round_prefer_floor")),
    sizes("to 5 × 9", [1, 2, 4, 4], [1, 2, 5, 9], "nearest", "pytorch_half_pixel", rounding("floor")),
    sizes("batch too", [2, 2, 3, 3], [4, 2, 6, 3], "nearest", "asymmetric", rounding("floor")),
    scales("× 2", [2, 3, 3, 4], [1, 1, 2, 2], "linear", "half_pixel"),
    scales("× 1.6 × 0.7", [1, 2, 5, 6], [1, 1, 1.6, 0.7], "linear", "half_pixel"),
    scales("× 2", [1, 2, 3, 4], [1, 1, 2, 2], "linear", "asymmetric"),
    sizes("to 7 × 9", [1, 2, 4, 3], [1, 2, 7, 9], "linear", "align_corners"),
    sizes("to 1 × 3", [1, 2, 4, 5], [1, 2, 1, 3], "linear", "pytorch_half_pixel"),
    sizes("to 7 × 5", [1, 2, 4, 5], [1, 2, 7, 5], "linear", "half_pixel_symmetric", {}, 19),
    sizes("1d", [2, 3, 4], [2, 3, 9], "linear", "half_pixel"),
    scales("× 2", [1, 2, 4, 5], [1, 1, 2, 2], "cubic", "half_pixel"),
    scales("× 1.5, nothing outside", [1, 1, 6, 4], [1, 1, 1.5, 2], "cubic", "half_pixel", {
      exclude_outside: { int: 1 },
      cubic_coeff_a: { float: -0.5 },
    }),
    { ...sizes("two axes", [1, 2, 3, 4], [6, 5], "linear", "half_pixel", { axes: { ints: [-2, 3] } }, 18) },
    scales("nothing to do", [1, 2, 3, 4], [1, 1, 1, 1], "linear", "half_pixel"),
  ],
  DepthToSpace: [
    { name: "DCR", inputs: [[2, 12, 2, 3]], attributes: { blocksize: { int: 2 } }, linear: true },
    {
      name: "CRD",
      inputs: [[2, 18, 2, 2]],
      attributes: { blocksize: { int: 3 }, mode: { string: "CRD" } },
      linear: true,
    },
  ],
  SpaceToDepth: [{ name: "plain", inputs: [[2, 3, 4, 6]], attributes: { blocksize: { int: 2 } }, linear: true }],
};
