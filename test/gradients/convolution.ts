/**
 * @file Cases of src/autodiff/gradients/convolution.ts. Linear in each input: every check is exact.
 */
import type { CONVOLUTION } from "../../src/autodiff/gradients/convolution.ts";
import type { Attributes } from "../../src/graph/builder.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

const ints = (...values: readonly number[]) => ({ ints: values });

/** x, w and, unless it is left out, a bias for each filter. */
function conv(
  name: string,
  x: readonly number[],
  w: readonly number[],
  attributes: Attributes = {},
  bias?: number,
): GradientCase {
  return { name, inputs: bias === undefined ? [x, w] : [x, w, [bias]], attributes, linear: true };
}

export const CONVOLUTION_CASES: CaseTable<typeof CONVOLUTION> = {
  Conv: [
    conv("plain, with bias", [2, 3, 5, 6], [4, 3, 3, 3], {}, 4),
    conv("1 × 1", [2, 3, 4, 5], [4, 3, 1, 1], {}, 4),
    conv("1 × 1, stride with a rest", [2, 3, 6, 5], [4, 3, 1, 1], { strides: ints(2, 3) }),
    conv("1 × 1, padded", [2, 3, 4, 4], [2, 3, 1, 1], { pads: ints(1, 0, 0, 2) }),
    conv("3 × 5, padded", [2, 2, 5, 7], [3, 2, 3, 5], { pads: ints(1, 2, 1, 2) }),
    conv("asymmetric pads", [2, 2, 5, 6], [3, 2, 3, 3], { pads: ints(2, 0, 0, 1) }),
    conv("more pads than kernel", [1, 2, 4, 4], [3, 2, 2, 2], { pads: ints(3, 2, 1, 3) }),
    conv("stride 2, padded", [2, 3, 8, 8], [4, 3, 3, 3], { strides: ints(2, 2), pads: ints(1, 1, 1, 1) }),
    conv("stride 3 with rests", [1, 2, 9, 10], [3, 2, 3, 2], { strides: ints(3, 3), pads: ints(1, 0, 0, 0) }),
    conv("stride beyond the kernel", [1, 2, 9, 11], [3, 2, 2, 2], { strides: ints(3, 4) }),
    conv("dilation", [2, 2, 8, 7], [3, 2, 3, 2], { dilations: ints(2, 3), pads: ints(1, 1, 2, 0) }),
    conv("dilation and stride", [1, 2, 10, 11], [3, 2, 3, 3], {
      dilations: ints(2, 3),
      strides: ints(3, 2),
      pads: ints(1, 2, 1, 2),
    }),
    conv("SAME_UPPER", [1, 2, 7, 8], [3, 2, 4, 3], { auto_pad: { string: "SAME_UPPER" }, strides: ints(2, 2) }),
    conv("SAME_LOWER", [1, 2, 7, 8], [3, 2, 4, 3], { auto_pad: { string: "SAME_LOWER" }, strides: ints(2, 2) }),
    conv("SAME_UPPER, stride beyond the kernel", [1, 2, 8, 8], [3, 2, 1, 1], {
      auto_pad: { string: "SAME_UPPER" },
      strides: ints(4, 2),
    }),
    conv("VALID", [1, 2, 7, 6], [3, 2, 3, 3], { auto_pad: { string: "VALID" } }),
    conv("groups", [2, 4, 5, 5], [6, 2, 3, 3], { group: { int: 2 }, pads: ints(1, 1, 1, 1) }, 6),
    conv("groups, stride, dilation", [2, 6, 9, 8], [3, 2, 2, 3], {
      group: { int: 3 },
      strides: ints(2, 1),
      dilations: ints(1, 2),
    }),
    conv("1 × 1, groups", [2, 4, 3, 3], [6, 2, 1, 1], { group: { int: 2 } }),
    conv("depthwise", [2, 3, 6, 5], [3, 1, 3, 3], { group: { int: 3 }, pads: ints(1, 1, 1, 1) }, 3),
    conv("depthwise, stride 2", [2, 3, 7, 8], [3, 1, 3, 3], {
      group: { int: 3 },
      strides: ints(2, 2),
      pads: ints(1, 1, 1, 1),
    }),
    conv("depthwise, multiplier 2, stride 2", [2, 3, 7, 6], [6, 1, 3, 3], {
      group: { int: 3 },
      strides: ints(2, 2),
      pads: ints(0, 1, 1, 1),
    }),
    conv("depthwise, dilation and stride", [1, 2, 9, 9], [2, 1, 3, 3], {
      group: { int: 2 },
      strides: ints(2, 2),
      dilations: ints(2, 2),
      pads: ints(2, 2, 2, 2),
    }),
    // Whole blocks of channels, of 8 and of 16.
    conv("16 channels", [2, 16, 5, 6], [16, 16, 3, 3], { pads: ints(1, 1, 1, 1) }),
    conv("16 channels, dilation, asymmetric pads", [1, 16, 7, 8], [16, 16, 3, 2], {
      dilations: ints(2, 3),
      pads: ints(1, 0, 2, 1),
    }),
    conv("16 channels, stride 2 with a rest", [2, 16, 6, 7], [16, 16, 3, 3], {
      strides: ints(2, 2),
      pads: ints(1, 1, 1, 1),
    }),
    conv("depthwise, 16 channels", [3, 16, 6, 5], [16, 1, 3, 3], { group: { int: 16 }, pads: ints(1, 1, 1, 1) }),
    conv("depthwise, 16 channels, 3 × 5, stride with a rest", [3, 16, 8, 9], [16, 1, 3, 5], {
      group: { int: 16 },
      strides: ints(2, 3),
      pads: ints(1, 2, 1, 2),
    }),
    conv("depthwise, 16 channels, stride beyond the kernel", [2, 16, 9, 8], [16, 1, 2, 1], {
      group: { int: 16 },
      strides: ints(3, 2),
    }),
    conv("depthwise, 16 channels, dilation", [2, 16, 9, 8], [16, 1, 3, 3], {
      group: { int: 16 },
      dilations: ints(2, 3),
      strides: ints(2, 1),
      pads: ints(2, 1, 0, 3),
    }),
    conv("1d", [2, 3, 9], [4, 3, 4], { strides: ints(2), pads: ints(2, 1) }, 4),
    conv("1d, groups and dilation", [2, 4, 9], [4, 2, 3], { group: { int: 2 }, dilations: ints(2), pads: ints(2, 2) }),
    conv("3d", [1, 2, 4, 5, 4], [3, 2, 2, 3, 2], { strides: ints(1, 2, 2), pads: ints(0, 1, 0, 1, 1, 0) }),
  ],
  ConvTranspose: [
    conv("plain, with bias", [2, 3, 4, 3], [3, 4, 3, 2], {}, 4),
    conv("stride 2, output padding", [1, 3, 4, 3], [3, 2, 3, 3], {
      strides: ints(2, 2),
      pads: ints(1, 1, 1, 1),
      output_padding: ints(1, 0),
    }),
    conv("dilation and output padding", [1, 2, 3, 3], [2, 2, 2, 2], {
      strides: ints(2, 3),
      dilations: ints(3, 3),
      output_padding: ints(1, 2),
    }),
    conv("stride beyond the kernel", [1, 2, 3, 3], [2, 3, 2, 2], { strides: ints(3, 4), output_padding: ints(1, 3) }),
    conv("dilation, asymmetric pads", [2, 2, 5, 4], [2, 3, 3, 2], { dilations: ints(2, 3), pads: ints(2, 0, 1, 1) }),
    conv("groups", [2, 4, 4, 4], [4, 3, 3, 3], { group: { int: 2 }, strides: ints(2, 1), pads: ints(1, 1, 0, 1) }, 6),
    conv("depthwise", [1, 3, 4, 4], [3, 1, 4, 4], { group: { int: 3 }, strides: ints(2, 2), pads: ints(1, 1, 1, 1) }),
    conv("SAME_UPPER", [1, 2, 4, 3], [2, 3, 4, 3], { auto_pad: { string: "SAME_UPPER" }, strides: ints(2, 2) }),
    conv("SAME_LOWER", [1, 2, 4, 3], [2, 3, 3, 4], { auto_pad: { string: "SAME_LOWER" }, strides: ints(2, 2) }),
    conv("output shape", [1, 2, 3, 3], [2, 3, 3, 4], { strides: ints(2, 2), output_shape: ints(6, 7) }),
    conv("output shape, SAME_UPPER", [1, 2, 3, 3], [2, 3, 4, 4], {
      auto_pad: { string: "SAME_UPPER" },
      strides: ints(2, 2),
      output_shape: ints(5, 7),
    }),
    conv("16 channels", [1, 16, 4, 3], [16, 16, 3, 3], { strides: ints(2, 1), pads: ints(1, 1, 1, 1) }),
    conv("1d", [2, 3, 5], [3, 2, 4], { strides: ints(2), pads: ints(1, 1) }, 2),
    conv("3d", [1, 2, 3, 2, 2], [2, 2, 2, 3, 2], { strides: ints(2, 1, 2), pads: ints(0, 1, 0, 0, 1, 1) }),
  ],
};
