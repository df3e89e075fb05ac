/**
 * @file Cases of src/autodiff/gradients/activation.ts. What happens at kinks is compared with PyTorch in reference.test.ts.
 */
import type { ACTIVATION } from "../../src/autodiff/gradients/activation.ts";
import type { Attributes } from "../../src/graph/builder.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

/** ±0.4, ±1.2, ±2, ±2.8 …: steps of differences stay on their side of 0 and of ±3. */
const SIDES = { dims: [3, 4], distinct: 0.8 } as const;

const linear = (name: string, attributes: Attributes = {}, distinct = 0.8): GradientCase => ({
  name,
  inputs: [{ dims: [3, 4], distinct }],
  attributes,
  linear: true,
});
const curved = (name: string, attributes: Attributes = {}, opset = 17): GradientCase => ({
  name,
  inputs: [SIDES],
  attributes,
  opset,
});
const smooth = (name: string, attributes: Attributes = {}, opset = 17): GradientCase => ({
  name,
  inputs: [[2, 3]],
  attributes,
  opset,
});
const alpha = (value: number): Attributes => ({ alpha: { float: value } });
const along = (axis: number, opset = 17): GradientCase => ({
  name: `axis ${axis}, opset ${opset}`,
  inputs: [[2, 3, 4]],
  attributes: { axis: { int: axis } },
  opset,
});

export const ACTIVATION_CASES: CaseTable<typeof ACTIVATION> = {
  Relu: [linear("plain"), { ...linear("opset 22"), opset: 22 }],
  LeakyRelu: [
    linear("default"),
    linear("a quarter", alpha(0.25)),
    linear("negative", alpha(-0.5)),
    linear("over 1", alpha(1.5)),
  ],
  PRelu: [
    { name: "one slope", inputs: [SIDES, [1]], linear: true },
    { name: "a slope per element", inputs: [SIDES, [3, 4]], linear: true },
    { name: "a slope per channel", inputs: [{ dims: [2, 3, 2, 2], distinct: 0.8 }, [3, 1, 1]], linear: true },
    { name: "slope alone", inputs: [SIDES, [4]], wrt: [1], linear: true },
  ],
  Elu: [curved("default"), curved("half", alpha(0.5)), curved("two", alpha(2))],
  Selu: [curved("default"), curved("others", { alpha: { float: 1.2 }, gamma: { float: 0.7 } })],
  Celu: [curved("default"), curved("half", alpha(0.5)), curved("two", alpha(2))],
  Sigmoid: [smooth("plain")],
  HardSigmoid: [
    linear("default", {}, 0.9),
    linear("of PyTorch", alpha(1 / 6)),
    linear("shifted", { alpha: { float: 0.5 }, beta: { float: 0.25 } }, 0.6),
  ],
  HardSwish: [curved("plain")],
  Tanh: [smooth("plain")],
  Softplus: [smooth("plain")],
  Softsign: [curved("plain")],
  ThresholdedRelu: [linear("default", {}, 0.9), linear("negative", alpha(-0.8)), linear("half", alpha(0.8))],
  Shrink: [linear("default"), linear("wider", { lambd: { float: 1.6 }, bias: { float: 0.5 } })],
  Gelu: [smooth("exact", {}, 20), smooth("tanh", { approximate: { string: "tanh" } }, 20)],
  Mish: [smooth("plain", {}, 18)],
  Softmax: [
    { name: "default axis", inputs: [[2, 3]] },
    along(-1),
    along(1),
    along(0, 13),
    { name: "one axis", inputs: [[5]] },
  ],
  LogSoftmax: [{ name: "default axis", inputs: [[2, 3]] }, along(-1), along(1), along(0, 13)],
};
