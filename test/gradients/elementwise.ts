/**
 * @file Cases of src/autodiff/gradients/elementwise.ts. The type makes an operator without a case a compile error.
 */
import type { ELEMENTWISE } from "../../src/autodiff/gradients/elementwise.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

const conditions = Tensor.of("bool", [2, 3], Uint8Array.of(1, 0, 1, 0, 0, 1));
const scalar = (value: number): Tensor => Tensor.scalar("float32", value);

/** Values of the three never meet, nor do they after a step of an eighth of what lies between them. */
const HALVES = { dims: [2, 3], distinct: 1 } as const;
const ODD = { dims: [4, 1, 1], distinct: 2 } as const;
const EVEN = { dims: [3], distinct: 4 } as const;

const fmod = { fmod: { int: 1 } } as const;
const divisor = (dims: readonly number[]) => ({ dims, low: 2.9, high: 3.1 });

const EXTREMUM = [
  { name: "one", inputs: [HALVES], linear: true },
  { name: "two, broadcast", inputs: [HALVES, ODD], linear: true },
  { name: "the second alone", inputs: [Tensor.float32([2, 1], [0, 1]), HALVES], linear: true },
  { name: "the first alone", inputs: [HALVES, scalar(0)], linear: true },
  { name: "three", inputs: [HALVES, ODD, EVEN], linear: true },
] as const satisfies readonly GradientCase[];

const square = (name: string, opset = 17): GradientCase => ({
  name,
  inputs: [
    [2, 3],
    [2, 3],
  ],
  linear: true,
  opset,
});
const broadcastBoth: GradientCase = {
  name: "broadcast both",
  inputs: [
    [2, 1, 3],
    [4, 1],
  ],
  linear: true,
};
const withScalar: GradientCase = { name: "scalar", inputs: [[2, 3], []], linear: true };
const scalarFirst: GradientCase = { name: "scalar first", inputs: [[], [2, 3]], linear: true };

export const ELEMENTWISE_CASES: CaseTable<typeof ELEMENTWISE> = {
  Add: [square("same shapes"), square("opset 22", 22), broadcastBoth, withScalar, scalarFirst],
  Sub: [square("same shapes"), broadcastBoth, withScalar, scalarFirst],
  Mul: [square("same shapes"), broadcastBoth, withScalar, scalarFirst],
  Div: [
    { name: "broadcast", inputs: [[2, 3], { dims: [3], low: 1, high: 2 }] },
    { name: "broadcast both", inputs: [[2, 1, 3], { dims: [4, 1], low: 1, high: 2 }] },
    { name: "by a constant", inputs: [[2, 3], scalar(4)], linear: true },
    { name: "of a constant", inputs: [scalar(4), { dims: [2, 3], low: -2, high: -1 }] },
  ],
  // The quotients stay between 2 and 3, or between −3 and −2.
  Mod: [
    { name: "dividend", inputs: [{ dims: [2, 3], distinct: 1 }, scalar(4)], attributes: fmod, linear: true },
    { name: "positive", inputs: [{ dims: [2, 3], low: 7, high: 8 }, divisor([3])], attributes: fmod },
    { name: "negative", inputs: [{ dims: [2, 3], low: -8, high: -7 }, divisor([])], attributes: fmod },
  ],
  Neg: [{ name: "plain", inputs: [[2, 3]], linear: true }],
  Abs: [{ name: "plain", inputs: [HALVES], linear: true }],
  Sum: [
    { name: "one", inputs: [[2, 3]], linear: true },
    { name: "two", inputs: [[2, 3], [3]], linear: true },
    { name: "three, broadcast", inputs: [[2, 3], [4, 1, 1], []], linear: true },
  ],
  Mean: [
    { name: "one", inputs: [[2, 3]], linear: true },
    { name: "three, broadcast", inputs: [[2, 3], [4, 1, 1], []], linear: true },
  ],
  Max: EXTREMUM,
  Min: EXTREMUM,
  Clip: [
    { name: "both bounds", inputs: [{ dims: [3, 4], distinct: 1 }, scalar(-3), scalar(2)], linear: true },
    { name: "low alone", inputs: [HALVES, scalar(0)], linear: true },
    { name: "high alone", inputs: [HALVES, null, scalar(1)], linear: true },
    { name: "no bound", inputs: [[2, 3]], linear: true },
    {
      name: "bounds trained",
      inputs: [
        { dims: [3, 4], distinct: 1 },
        { dims: [], low: -3.3, high: -2.7 },
        { dims: [], low: 1.7, high: 2.3 },
      ],
      wrt: [0],
      linear: true,
    },
    {
      name: "bounds trained, differences",
      inputs: [
        { dims: [3, 4], distinct: 1 },
        { dims: [], low: -3.3, high: -2.7 },
        { dims: [], low: 1.7, high: 2.3 },
      ],
    },
  ],
  Where: [
    { name: "same shapes", inputs: [{ fed: conditions }, [2, 3], [2, 3]], linear: true },
    { name: "broadcast both", inputs: [conditions, [3], [4, 1, 1]], linear: true },
    { name: "one of two", inputs: [conditions, [2, 3], scalar(0)], linear: true },
  ],
  Identity: [{ name: "plain", inputs: [[2, 3]], linear: true }],
  Cast: [{ name: "float32 to float32", inputs: [[2, 3]], attributes: { to: { int: 1 } }, linear: true }],
  CastLike: [{ name: "like a float32", inputs: [[2, 3], scalar(0)], opset: 19, linear: true }],
};
