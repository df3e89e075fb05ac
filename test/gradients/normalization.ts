/**
 * @file Cases of src/autodiff/gradients/normalization.ts.
 */
import type { NORMALIZATION } from "../../src/autodiff/gradients/normalization.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";

const scale = (...dims: readonly number[]) => ({ dims, low: 0.5, high: 1.5 });

export const NORMALIZATION_CASES: CaseTable<typeof NORMALIZATION> = {
  BatchNormalization: [
    { name: "given statistics", inputs: [[2, 3, 2, 4], scale(3), [3], [3], scale(3)] },
    { name: "of a matrix", inputs: [[5, 3], scale(3), [3], [3], scale(3)], attributes: { epsilon: { float: 0.1 } } },
    {
      name: "statistics of the batch (14)",
      inputs: [[4, 3, 2, 3], scale(3), [3], [3], scale(3)],
      attributes: { training_mode: { int: 1 }, momentum: { float: 0.8 } },
      outputs: 3,
      wrt: [0, 1, 2],
      opset: 14,
    },
    {
      name: "statistics of the batch (15), of a matrix",
      inputs: [[8, 3], scale(3), [3], [3], scale(3)],
      attributes: { training_mode: { int: 1 } },
      outputs: 3,
    },
    {
      name: "statistics of the batch, which the node gives",
      inputs: [[4, 3, 2, 3], scale(3), [3], [3], scale(3)],
      attributes: { training_mode: { int: 1 }, momentum: { float: 0 } },
      outputs: 3,
      wrt: [0, 1, 2],
    },
    {
      name: "means far from 0",
      inputs: [{ dims: [4, 3, 2, 3], low: 9, high: 13 }, scale(3), [3], [3], scale(3)],
      attributes: { training_mode: { int: 1 }, momentum: { float: 0 } },
      outputs: 3,
      wrt: [0, 1, 2],
    },
  ],
  LayerNormalization: [
    { name: "last axis", inputs: [[2, 3, 8], scale(8), [8]] },
    { name: "two axes", inputs: [[2, 3, 4], scale(3, 4), [3, 4]], attributes: { axis: { int: 1 } } },
    { name: "no bias", inputs: [[3, 8], scale(8)], attributes: { axis: { int: 1 }, epsilon: { float: 0.1 } } },
    { name: "statistics are outputs", inputs: [[3, 8], scale(8), [8]], outputs: 3 },
  ],
  RMSNormalization: [
    { name: "last axis (23)", inputs: [[2, 3, 8], scale(8)], opset: 23 },
    { name: "two axes (23)", inputs: [[2, 3, 4], scale(3, 4)], attributes: { axis: { int: 1 } }, opset: 23 },
  ],
  InstanceNormalization: [
    { name: "pictures", inputs: [[2, 3, 3, 4], scale(3), [3]] },
    { name: "signals", inputs: [[2, 3, 8], scale(3), [3]], attributes: { epsilon: { float: 0.1 } } },
  ],
  GroupNormalization: [
    {
      name: "scale per group (18)",
      inputs: [[2, 4, 3, 2], scale(2), [2]],
      attributes: { num_groups: { int: 2 } },
      opset: 18,
    },
    {
      name: "scale per channel (21)",
      inputs: [[2, 6, 3, 2], scale(6), [6]],
      attributes: { num_groups: { int: 2 } },
      opset: 21,
    },
    { name: "one group (21)", inputs: [[2, 3, 4], scale(3), [3]], attributes: { num_groups: { int: 1 } }, opset: 21 },
    {
      name: "a channel each (21)",
      inputs: [[2, 3, 8], scale(3), [3]],
      attributes: { num_groups: { int: 3 } },
      opset: 21,
    },
  ],
  MeanVarianceNormalization: [
    { name: "per channel", inputs: [[2, 3, 2, 4]] },
    { name: "axes", inputs: [[4, 8]], attributes: { axes: { ints: [-1] } } },
  ],
  LpNormalization: [
    { name: "p = 2", inputs: [[3, 4]], attributes: { axis: { int: 0 } } },
    { name: "p = 1", inputs: [{ dims: [3, 4], distinct: 0.5 }], attributes: { p: { int: 1 } }, h: 1 / 64 },
  ],
  LRN: [
    { name: "odd size", inputs: [[2, 5, 3, 2]], attributes: { size: { int: 3 }, alpha: { float: 0.5 } } },
    {
      name: "five, with a bias",
      inputs: [[2, 6, 2, 2]],
      attributes: { size: { int: 5 }, alpha: { float: 0.5 }, beta: { float: 0.6 }, bias: { float: 2 } },
    },
  ],
  Dropout: [
    { name: "not in training", inputs: [[2, 3]], linear: true },
    {
      name: "not in training, said so",
      inputs: [[2, 3], Tensor.scalar("float32", 0.5), Tensor.of("bool", [], Uint8Array.of(0))],
      linear: true,
    },
  ],
};
