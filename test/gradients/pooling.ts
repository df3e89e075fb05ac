/**
 * @file Cases of src/autodiff/gradients/pooling.ts.
 */
import type { POOLING } from "../../src/autodiff/gradients/pooling.ts";
import type { Attributes } from "../../src/graph/builder.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

const ints = (...values: readonly number[]) => ({ ints: values });

const DISTINCT = 0.125;

function max(
  name: string,
  dims: readonly number[],
  attributes: Attributes,
  more?: Partial<GradientCase>,
): GradientCase {
  return { name, inputs: [{ dims, distinct: DISTINCT }], attributes, linear: true, ...more };
}

function average(name: string, dims: readonly number[], attributes: Attributes, opset?: number): GradientCase {
  return { name, inputs: [dims], attributes, linear: true, ...(opset && { opset }) };
}

/** Away from 0, where a norm has no slope. */
function norm(name: string, dims: readonly number[], attributes: Attributes): GradientCase {
  return { name, inputs: [{ dims, low: 0.5, high: 1.5 }], attributes };
}

export const POOLING_CASES: CaseTable<typeof POOLING> = {
  MaxPool: [
    max("side by side", [2, 3, 4, 6], { kernel_shape: ints(2, 2), strides: ints(2, 2) }),
    max("side by side, 2 × 3", [2, 2, 4, 6], { kernel_shape: ints(2, 3), strides: ints(2, 3) }),
    max("side by side with a rest", [1, 2, 5, 7], { kernel_shape: ints(2, 2), strides: ints(2, 2) }),
    max("before indices can be added", [1, 2, 4, 4], { kernel_shape: ints(2, 2), strides: ints(2, 2) }, { opset: 13 }),
    max("overlapping, padded", [2, 2, 7, 8], { kernel_shape: ints(3, 3), strides: ints(2, 2), pads: ints(1, 1, 1, 1) }),
    max("overlapping, stride 1", [1, 2, 5, 5], { kernel_shape: ints(2, 3) }),
    max("dilation", [1, 2, 8, 8], { kernel_shape: ints(2, 2), dilations: ints(2, 3), strides: ints(1, 2) }),
    max("ceil mode", [1, 2, 7, 6], { kernel_shape: ints(2, 3), strides: ints(2, 2), ceil_mode: { int: 1 } }),
    max("SAME_LOWER", [1, 2, 7, 6], {
      kernel_shape: ints(3, 3),
      strides: ints(2, 2),
      auto_pad: { string: "SAME_LOWER" },
    }),
    max("1d", [2, 3, 9], { kernel_shape: ints(3), strides: ints(2), pads: ints(1, 1) }),
    max("3d", [1, 2, 4, 4, 4], { kernel_shape: ints(2, 2, 2), strides: ints(2, 2, 2) }),
    max("with indices", [1, 2, 4, 4], { kernel_shape: ints(2, 2), strides: ints(2, 2) }, { outputs: 2 }),
  ],
  AveragePool: [
    average("side by side", [2, 3, 4, 6], { kernel_shape: ints(2, 3), strides: ints(2, 3) }),
    average("overlapping", [2, 2, 7, 6], { kernel_shape: ints(3, 2), strides: ints(2, 1) }),
    average("padded", [2, 2, 5, 6], { kernel_shape: ints(3, 3), pads: ints(1, 1, 0, 1) }),
    average("padding counts", [2, 2, 5, 6], {
      kernel_shape: ints(3, 3),
      strides: ints(2, 2),
      pads: ints(1, 1, 0, 1),
      count_include_pad: { int: 1 },
    }),
    average("ceil mode", [1, 2, 6, 7], { kernel_shape: ints(3, 2), strides: ints(2, 2), ceil_mode: { int: 1 } }),
    average("ceil mode, padding counts", [1, 2, 7, 6], {
      kernel_shape: ints(2, 3),
      strides: ints(2, 2),
      pads: ints(0, 1, 0, 1),
      ceil_mode: { int: 1 },
      count_include_pad: { int: 1 },
    }),
    average("SAME_UPPER, padding counts", [1, 2, 5, 6], {
      kernel_shape: ints(2, 3),
      strides: ints(2, 1),
      auto_pad: { string: "SAME_UPPER" },
      count_include_pad: { int: 1 },
    }),
    average("SAME_UPPER", [1, 2, 5, 6], {
      kernel_shape: ints(2, 3),
      strides: ints(2, 1),
      auto_pad: { string: "SAME_UPPER" },
    }),
    average("dilation", [1, 2, 8, 7], { kernel_shape: ints(2, 3), dilations: ints(3, 2), strides: ints(2, 1) }, 19),
    average("1d", [2, 3, 8], { kernel_shape: ints(3), strides: ints(2), pads: ints(1, 1) }),
    average("3d", [1, 2, 4, 3, 4], { kernel_shape: ints(2, 2, 2), strides: ints(2, 1, 2) }),
  ],
  LpPool: [
    norm("p 2, overlapping, padded", [1, 2, 5, 6], {
      kernel_shape: ints(3, 2),
      strides: ints(2, 1),
      pads: ints(1, 0, 0, 1),
    }),
    norm("p 3", [1, 2, 4, 4], { kernel_shape: ints(2, 2), strides: ints(2, 2), p: { int: 3 } }),
    norm("p 1", [1, 2, 6], { kernel_shape: ints(2), strides: ints(2), p: { int: 1 } }),
  ],
  GlobalAveragePool: [
    { name: "2d", inputs: [[2, 3, 4, 5]], linear: true },
    { name: "1d", inputs: [[2, 3, 4]], linear: true },
  ],
  GlobalMaxPool: [
    { name: "2d", inputs: [{ dims: [2, 3, 3, 4], distinct: DISTINCT }], linear: true },
    { name: "1d", inputs: [{ dims: [2, 3, 5], distinct: DISTINCT }], linear: true },
  ],
  GlobalLpPool: [
    { name: "p 2", inputs: [{ dims: [2, 3, 3, 2], low: 0.5, high: 1.5 }] },
    { name: "p 3", inputs: [{ dims: [1, 2, 4], low: 0.5, high: 1.5 }], attributes: { p: { int: 3 } } },
  ],
};
