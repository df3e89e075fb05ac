/**
 * @file Cases of src/autodiff/gradients/movement.ts. All are linear, so all are exact.
 */
import type { MOVEMENT } from "../../src/autodiff/gradients/movement.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";

const ints = (...values: readonly number[]): Tensor => Tensor.int64([values.length], values);
const linear = true;

/** Indices as a constant, and given at run time. */
const indices = (dims: readonly number[], ...values: readonly number[]): { fed: Tensor } => ({
  fed: Tensor.int64(dims, values),
});

export const MOVEMENT_CASES: CaseTable<typeof MOVEMENT> = {
  Reshape: [
    { name: "with a dimension left open", inputs: [[2, 3, 4], ints(4, -1)], linear },
    { name: "with a copied dimension", inputs: [[2, 3, 4], ints(0, 12)], linear },
    { name: "of a scalar", inputs: [[], ints(1, 1)], linear },
  ],
  Flatten: [{ name: "from axis 2", inputs: [[2, 3, 4]], attributes: { axis: { int: 2 } }, linear }],
  Squeeze: [
    { name: "axes", inputs: [[1, 3, 1], ints(-1)], linear },
    { name: "all", inputs: [[1, 3, 1], null], linear },
  ],
  Unsqueeze: [{ name: "axes", inputs: [[2, 3], ints(0, -1)], linear }],
  Transpose: [
    { name: "permuted", inputs: [[2, 3, 4]], attributes: { perm: { ints: [2, 0, 1] } }, linear },
    { name: "reversed", inputs: [[2, 3, 4]], linear },
  ],
  Expand: [
    { name: "more dimensions", inputs: [[3, 1], ints(2, 1, 4)], linear },
    { name: "of a scalar", inputs: [[], ints(2, 2)], linear },
  ],
  Tile: [
    { name: "some axes", inputs: [[2, 3, 2], ints(3, 1, 2)], linear },
    { name: "once", inputs: [[2, 3], ints(1, 1)], linear },
  ],
  Concat: [
    {
      name: "three",
      inputs: [
        [2, 1],
        [2, 3],
        [2, 2],
      ],
      attributes: { axis: { int: -1 } },
      linear,
    },
    {
      name: "one of them constant",
      inputs: [[2, 2], Tensor.float32([1, 2], [5, 6]), [3, 2]],
      attributes: { axis: { int: 0 } },
      linear,
    },
    { name: "one", inputs: [[2, 2]], attributes: { axis: { int: 0 } }, linear },
  ],
  Split: [
    {
      name: "given sizes",
      inputs: [[2, 5], ints(1, 4)],
      attributes: { axis: { int: 1 } },
      outputs: 2,
      through: [0, 1],
      linear,
    },
    { name: "equal", inputs: [[6, 2], null], outputs: 3, through: [1], linear },
    {
      name: "a smaller last one (18)",
      inputs: [[2, 5], null],
      attributes: { axis: { int: -1 }, num_outputs: { int: 3 } },
      outputs: 3,
      through: [2],
      opset: 18,
      linear,
    },
  ],
  Slice: [
    { name: "in the middle", inputs: [[4, 6], ints(1, 2), ints(3, 5)], linear },
    { name: "from the end", inputs: [[4, 6], ints(-3), ints(-1), ints(-1)], linear },
    { name: "steps", inputs: [[5, 7], ints(1, 0), ints(5, 7), ints(0, 1), ints(2, 3)], linear },
    { name: "a step with a rest", inputs: [[8], ints(1), ints(8), ints(0), ints(3)], linear },
    { name: "backwards", inputs: [[4, 5], ints(-1), ints(-(2 ** 31)), ints(1), ints(-1)], linear },
    { name: "backwards in steps", inputs: [[7, 8], ints(5, 6), ints(0, -9), ints(0, 1), ints(-2, -3)], linear },
    { name: "beyond the ends", inputs: [[4], ints(-100), ints(100), ints(0), ints(1)], linear },
    { name: "nothing", inputs: [[4, 2], ints(2), ints(2), ints(0)], linear },
  ],
  Pad: [
    { name: "constant", inputs: [[2, 3], ints(1, 0, 0, 2)], linear },
    { name: "a value", inputs: [[2, 3], ints(1, 0, 0, 2), []], linear },
    { name: "negative", inputs: [[4, 5], ints(-1, 2, 1, -3)], linear },
    { name: "axes (18)", inputs: [[2, 3, 2], ints(1, 2), null, ints(-2)], opset: 18, linear },
    { name: "reflect", inputs: [[3, 4], ints(2, 1, 1, 3)], attributes: { mode: { string: "reflect" } }, linear },
    {
      name: "reflect one side",
      inputs: [[3, 4], ints(0, 0, 0, 3)],
      attributes: { mode: { string: "reflect" } },
      linear,
    },
    {
      name: "reflect and cut",
      inputs: [[4, 5], ints(2, -1, -1, 2)],
      attributes: { mode: { string: "reflect" } },
      linear,
    },
    { name: "edge", inputs: [[3, 4], ints(2, 1, 0, 3)], attributes: { mode: { string: "edge" } }, linear },
    {
      name: "edge of one and two",
      inputs: [[1, 2], ints(2, 1, 1, 3)],
      attributes: { mode: { string: "edge" } },
      linear,
    },
    {
      name: "wrap (19)",
      inputs: [[3, 4], ints(2, 1, 0, 3)],
      attributes: { mode: { string: "wrap" } },
      opset: 19,
      linear,
    },
  ],
  Gather: [
    { name: "rows, some of them twice", inputs: [[5, 3], indices([4], 1, 3, 1, -1)], linear },
    {
      name: "columns by a matrix",
      inputs: [[2, 4, 3], indices([2, 2], 0, -1, 3, 0)],
      attributes: { axis: { int: 1 } },
      linear,
    },
    { name: "the last axis", inputs: [[2, 4], indices([3], 2, 2, 2)], attributes: { axis: { int: -1 } }, linear },
    { name: "a scalar", inputs: [[2, 4], indices([], -3)], attributes: { axis: { int: 1 } }, linear },
    {
      name: "a constant scalar",
      inputs: [[2, 4, 2], Tensor.int64([], [-1])],
      attributes: { axis: { int: 1 } },
      linear,
    },
    { name: "32-bit indices", inputs: [[5, 3], { fed: Tensor.of("int32", [3], Int32Array.of(4, 0, 4)) }], linear },
    {
      name: "a table and many indices",
      inputs: [
        [50, 8],
        {
          fed: Tensor.int64(
            [4, 500],
            Array.from({ length: 2000 }, (_, i) => (i * 7) % 31),
          ),
        },
      ],
      linear,
    },
  ],
  GatherElements: [
    { name: "axis 0", inputs: [[4, 2], indices([3, 2], 0, -1, 0, 1, 0, 3)], linear },
    {
      name: "axis 1",
      inputs: [[2, 3], indices([2, 4], 0, 0, 2, 2, 1, -1, 1, 1)],
      attributes: { axis: { int: 1 } },
      linear,
    },
  ],
  GatherND: [
    { name: "slices", inputs: [[3, 4, 2], indices([3, 1], 2, 2, -3)], linear },
    { name: "elements", inputs: [[3, 4], indices([2, 2, 2], 0, 1, 2, -1, 0, 1, 1, 1)], linear },
    {
      name: "batches",
      inputs: [[2, 3, 2, 2], indices([2, 3, 2], 0, 0, 2, 1, 2, 1, -1, 0, 1, -1, 2, 0)],
      attributes: { batch_dims: { int: 1 } },
      linear,
    },
  ],
  ScatterElements: [
    { name: "overwrites", inputs: [[4, 2], indices([2, 2], 0, 1, 3, -2), [2, 2]], linear },
    {
      name: "adds",
      inputs: [[2, 4], indices([2, 3], 0, 0, 3, 1, -1, 1), [2, 3]],
      attributes: { axis: { int: 1 }, reduction: { string: "add" } },
      linear,
    },
  ],
  ScatterND: [
    { name: "overwrites", inputs: [[4, 2], indices([2, 1], 3, -4), [2, 2]], linear },
    {
      name: "adds",
      inputs: [[3, 4], indices([3, 2], 0, 1, 2, 3, 0, 1), [3]],
      attributes: { reduction: { string: "add" } },
      linear,
    },
  ],
  ReverseSequence: [
    { name: "time first", inputs: [[4, 3, 2], ints(1, 4, 2)], linear },
    {
      name: "batch first",
      inputs: [[3, 4], ints(3, 2, 4)],
      attributes: { batch_axis: { int: 0 }, time_axis: { int: 1 } },
      linear,
    },
  ],
};
