/**
 * @file Cases of src/autodiff/gradients/mathematical.ts.
 */
import type { MATHEMATICAL } from "../../src/autodiff/gradients/mathematical.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

const plain = { name: "plain", inputs: [[2, 3]] } as const satisfies GradientCase;
const within = (low: number, high: number): GradientCase => ({
  name: `${low} to ${high}`,
  inputs: [{ dims: [2, 3], low, high }],
});

const positive = { dims: [2, 3], low: 0.5, high: 2 } as const;
const power = (exponent: number, base: GradientCase["inputs"][number] = positive): GradientCase => ({
  name: `${base === positive ? "positive" : "negative too"}, to the ${exponent}`,
  inputs: [base, Tensor.scalar("float32", exponent)],
});

export const MATHEMATICAL_CASES: CaseTable<typeof MATHEMATICAL> = {
  Exp: [plain],
  Log: [within(0.5, 2)],
  Sqrt: [within(0.5, 2)],
  Reciprocal: [within(0.5, 2), within(-2, -0.5)],
  Pow: [
    power(2, [2, 3]),
    power(3, [2, 3]),
    power(4, [2, 3]),
    power(1, [2, 3]),
    power(0, [2, 3]),
    power(0.5),
    power(-1),
    power(-2),
    power(1.7),
    { name: "to constants of which one is 0", inputs: [positive, Tensor.float32([3], [0, 1, 2.5])] },
    { name: "exponent trained", inputs: [positive, { dims: [2, 3], low: -1, high: 3 }] },
    { name: "broadcast both", inputs: [{ dims: [2, 1, 3], low: 0.5, high: 2 }, [4, 1]] },
    { name: "of a constant", inputs: [Tensor.scalar("float32", 2), [2, 3]] },
    { name: "to a constant with more axes", inputs: [{ dims: [3], low: 0.5, high: 2 }, Tensor.float32([1, 1], [2])] },
  ],
  Erf: [plain],
  Sin: [plain],
  Cos: [plain],
  Tan: [within(-1, 1)],
  Asin: [within(-0.7, 0.7)],
  Acos: [within(-0.7, 0.7)],
  Atan: [plain],
  Sinh: [plain],
  Cosh: [plain],
  Asinh: [plain],
  Acosh: [within(1.5, 3)],
  Atanh: [within(-0.7, 0.7)],
};
