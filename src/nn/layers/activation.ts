/**
 * @file Activations, dropout, and what only changes the shape. Source: the modules of torch.nn of the same names.
 */
import type { Attributes } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { constant } from "../init.ts";
import type { Module, Scope } from "../module.ts";

/** An operator with one input whose result has its shape. */
const unary =
  (opType: string, attributes: Attributes = {}): Module =>
  (s, x) =>
    s.typed(s.b.op(opType, [x], attributes), x.shape);

export const identity = (): Module => (_s, x) => x;
export const relu = (): Module => unary("Relu");
export const leakyRelu = (negativeSlope = 0.01): Module => unary("LeakyRelu", { alpha: { float: negativeSlope } });
export const elu = (alpha = 1): Module => unary("Elu", { alpha: { float: alpha } });
export const celu = (alpha = 1): Module => unary("Celu", { alpha: { float: alpha } });
export const selu = (): Module => unary("Selu");
export const sigmoid = (): Module => unary("Sigmoid");
export const tanh = (): Module => unary("Tanh");
export const softplus = (): Module => unary("Softplus");
export const softsign = (): Module => unary("Softsign");
export const hardsigmoid = (): Module => unary("HardSigmoid", { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
export const hardswish = (): Module => unary("HardSwish");
export const softmax = (dim = -1): Module => unary("Softmax", { axis: { int: dim } });
export const logSoftmax = (dim = -1): Module => unary("LogSoftmax", { axis: { int: dim } });

/** min(max(x, low), high). */
export const hardtanh =
  (low = -1, high = 1): Module =>
  (s, x) =>
    s.typed(s.b.op("Clip", [x, s.b.scalar(low), s.b.scalar(high)]), x.shape);

export const relu6 = (): Module => hardtanh(0, 6);

/** x · σ(x). */
export const silu = (): Module => (s, x) => s.typed(s.b.mul(x, s.b.op("Sigmoid", [x])), x.shape);

/** x · tanh(softplus(x)). */
export const mish = (): Module => (s, x) => s.typed(s.b.mul(x, s.b.op("Tanh", [s.b.op("Softplus", [x])])), x.shape);

/** x for x ≥ 0, weight · x else. Parameter: weight [1] or, per channel of [N, C, …], [C]; 0.25. */
export const prelu =
  (parameters = 1, first = 0.25): Module =>
  (s, x) => {
    const weight = s.parameter("weight", [parameters], constant(first));
    if (parameters === 1) return s.typed(s.b.op("PRelu", [x, weight]), x.shape);
    if (x.shape === undefined) throw s.error("expected a known rank for a slope per channel, found none");
    const axes = x.shape.slice(2).map((_, i) => i + 1);
    return s.typed(s.b.op("PRelu", [x, s.b.unsqueeze(weight, axes)]), x.shape); // [C, 1, …]
  };

export interface GeluOptions {
  /** "tanh": x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). Default "none": x · Φ(x). */
  readonly approximate?: "none" | "tanh";
}

/** x · Φ(x). Before opset 20 in the form that runtimes fuse. */
export const gelu =
  ({ approximate = "none" }: GeluOptions = {}): Module =>
  (s, x) =>
    s.typed(
      s.b.opset >= 20
        ? s.b.op("Gelu", [x], approximate === "tanh" ? { approximate: { string: "tanh" } } : {})
        : approximate === "tanh"
          ? geluTanh(s, x)
          : geluErf(s, x),
      x.shape,
    );

// x / 2 · (1 + erf(x / √2)), in the order of nodes that ONNX Runtime knows
function geluErf({ b }: Scope, x: Value): Value {
  const erf = b.op("Erf", [b.div(x, b.scalar(Math.SQRT2))]);
  return b.scale(b.mul(x, b.offset(erf, 1)), 0.5);
}

function geluTanh({ b }: Scope, x: Value): Value {
  const cube = b.mul(b.mul(x, x), x);
  const inner = b.scale(b.add(x, b.scale(cube, 0.044715)), Math.sqrt(2 / Math.PI));
  return b.mul(b.scale(x, 0.5), b.offset(b.op("Tanh", [inner]), 1));
}

/**
 * A Dropout node with its ratio: passes on what comes in when the model runs, and training turns it on.
 * @param p share of elements that become 0.
 */
export const dropout =
  (p = 0.5): Module =>
  (s, x) => {
    if (!(p >= 0 && p < 1)) throw s.error(`expected a share from 0 to below 1, got ${p}`);
    return p === 0 ? x : s.typed(s.b.op("Dropout", [x, s.b.scalar(p)]), x.shape);
  };

/** [d0, d1, …] → [d0, d1 · …]: all but the first dimension in one. */
export const flatten = (): Module => (s, x) => {
  const rest = x.shape?.slice(1);
  const known = rest?.every((dim) => typeof dim === "number") ? elementCount(rest as number[]) : null;
  return s.typed(s.b.op("Flatten", [x]), x.shape && [x.shape[0]!, known]);
};
