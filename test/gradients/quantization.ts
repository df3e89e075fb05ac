/**
 * @file Cases of src/autodiff/gradients/quantization.ts whose formula is a derivative; the others are compared with PyTorch.
 */
import type { QUANTIZATION } from "../../src/autodiff/gradients/quantization.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";

const codes = Tensor.of("int8", [2, 3, 2], Int8Array.from([-128, 3, 127, 0, -1, 5, 8, -70, 21, 1, 2, 99]));
const positive = Tensor.of("uint8", [2, 3], Uint8Array.from([0, 3, 255, 128, 7, 200]));

export const QUANTIZATION_CASES: CaseTable<typeof QUANTIZATION> = {
  DequantizeLinear: [
    { name: "per tensor", inputs: [codes, { dims: [], low: 0.5, high: 2 }], linear: true },
    {
      name: "per tensor, one element, zero point",
      inputs: [positive, { dims: [1], low: 0.5, high: 2 }, Tensor.of("uint8", [1], Uint8Array.of(128))],
      linear: true,
    },
    {
      name: "per axis, zero points",
      inputs: [codes, { dims: [3], low: 0.5, high: 2 }, Tensor.of("int8", [3], Int8Array.of(0, -3, 100))],
      linear: true,
    },
    {
      name: "per negative axis",
      inputs: [codes, { dims: [2], low: 0.5, high: 2 }],
      attributes: { axis: { int: -3 } },
      opset: 21,
      linear: true,
    },
  ],
};
