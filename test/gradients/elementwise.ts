/**
 * @file Cases of src/autodiff/gradients/elementwise.ts. The type makes an operator without a case a compile error.
 */
import type { ELEMENTWISE } from "../../src/autodiff/gradients/elementwise.ts";
import type { CaseTable } from "./cases.ts";

export const ELEMENTWISE_CASES: CaseTable<typeof ELEMENTWISE> = {
  Add: [
    {
      name: "same shapes",
      inputs: [
        [2, 3],
        [2, 3],
      ],
      linear: true,
    },
    {
      name: "broadcast both",
      inputs: [
        [2, 1, 3],
        [4, 1],
      ],
      linear: true,
    },
    { name: "scalar", inputs: [[2, 3], []], linear: true },
  ],
  Sub: [{ name: "broadcast", inputs: [[2, 3], [3]], linear: true }],
  Mul: [
    {
      name: "same shapes",
      inputs: [
        [2, 3],
        [2, 3],
      ],
      linear: true,
    },
    {
      name: "broadcast both",
      inputs: [
        [2, 1, 3],
        [4, 1],
      ],
      linear: true,
    },
  ],
  Div: [{ name: "broadcast", inputs: [[2, 3], { dims: [3], low: 1, high: 2 }] }],
  Neg: [{ name: "plain", inputs: [[2, 3]], linear: true }],
  Exp: [{ name: "plain", inputs: [[2, 3]] }],
};
