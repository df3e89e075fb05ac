/**
 * @file Gradients of activation functions, from y instead of x where that is cheaper. At kinks the value is PyTorch's.
 * Source: ONNX operator specifications.
 */
import type { Value } from "../../graph/value.ts";
import { isPositive, switchAt0 } from "../masks.ts";
import { defineGradients, type GradientContext } from "../rule.ts";

/** Constants of SELU as ONNX defines them. */
const SELU = { alpha: 1.6732631921768188, gamma: 1.0507010221481323 } as const;
const HARD_SIGMOID = { alpha: 0.2, beta: 0.5 } as const;
/** HardSwish(x) = x · HardSigmoid(x) with these. */
const HARD_SWISH = { alpha: { float: 1 / 6 }, beta: { float: 0.5 } } as const;

export const ACTIVATION = defineGradients({
  // y = max(x, 0): dx = dy · [y > 0]
  Relu: { rule: (c) => [c.b.mul(c.dy(), isPositive(c.b, c.y()))] },
  // y = x > 0 ? x : αx: dx = dy · (x > 0 ? 1 : α)
  LeakyRelu: {
    rule: (c) => {
      const alpha = c.node.float("alpha", 0.01);
      const slope = alpha >= 0 && alpha <= 1 ? switchAt0(c.b, c.x(0), alpha, 1) : choice(c, 1, c.b.scalar(alpha));
      return [c.b.mul(c.dy(), slope)];
    },
  },
  // y = x > 0 ? x : sx: dx = dy · (x > 0 ? 1 : s), ds = dy · min(x, 0)
  PRelu: {
    broadcasts: true,
    rule: (c) => [
      c.wants(0) ? c.b.mul(c.dy(), choice(c, 1, c.x(1))) : undefined,
      c.wants(1) ? c.b.mul(c.dy(), c.b.op("Min", [c.x(0), c.b.scalar(0)])) : undefined,
    ],
  },
  // y = x > 0 ? x : α(eˣ − 1): dx = dy · (x > 0 ? 1 : y + α)
  Elu: {
    rule: (c) => {
      const alpha = c.node.float("alpha", 1);
      const below = c.b.offset(c.y(), alpha);
      return [c.b.mul(c.dy(), alpha === 1 ? c.b.op("Min", [below, c.b.scalar(1)]) : choice(c, 1, below))];
    },
  },
  // y = γ (x > 0 ? x : α(eˣ − 1)): dx = dy · (x > 0 ? γ : y + γα)
  Selu: {
    rule: (c) => {
      const [alpha, gamma] = [c.node.float("alpha", SELU.alpha), c.node.float("gamma", SELU.gamma)];
      return [c.b.mul(c.dy(), choice(c, gamma, c.b.offset(c.y(), gamma * alpha)))];
    },
  },
  // y = max(x, 0) + min(α(e^(x/α) − 1), 0): dx = dy · min(y/α + 1, 1); max for negative α
  Celu: {
    rule: (c) => {
      const alpha = c.node.float("alpha", 1);
      const below = c.b.offset(c.b.scale(c.y(), 1 / alpha), 1);
      return [c.b.mul(c.dy(), c.b.op(alpha > 0 ? "Min" : "Max", [below, c.b.scalar(1)]))];
    },
  },
  // y = 1 / (1 + e⁻ˣ): dx = dy · (y − y²)
  Sigmoid: { rule: (c) => [c.b.mul(c.dy(), c.b.sub(c.y(), c.b.square(c.y())))] },
  // y = min(max(αx + β, 0), 1): dx = dy · α [0 < y < 1]
  HardSigmoid: {
    rule: (c) => {
      const between = isPositive(c.b, c.b.sub(c.y(), c.b.square(c.y())));
      return [c.b.mul(c.dy(), c.b.scale(between, c.node.float("alpha", HARD_SIGMOID.alpha)))];
    },
  },
  // y = x · HardSigmoid(x; 1/6, 1/2): dx = dy · (|x| < 3 ? x/3 + 1/2 : HardSigmoid(x))
  HardSwish: {
    rule: (c) => {
      const { b } = c;
      const between = b.op("Less", [b.op("Abs", [c.x(0)]), b.scalar(3)]);
      const slope = b.offset(b.scale(c.x(0), 1 / 3), 0.5);
      return [b.mul(c.dy(), b.where(between, slope, b.op("HardSigmoid", [c.x(0)], HARD_SWISH)))];
    },
  },
  // y = tanh x: dx = dy · (1 − y²)
  Tanh: { rule: (c) => [c.b.mul(c.dy(), oneMinusSquare(c, c.y()))] },
  // y = ln(1 + eˣ): dx = dy · σ(x)
  Softplus: { rule: (c) => [c.b.mul(c.dy(), c.b.op("Sigmoid", [c.x(0)]))] },
  // y = x / (1 + |x|): dx = dy · (1 − |y|)²
  Softsign: { rule: (c) => [c.b.mul(c.dy(), c.b.square(c.b.sub(c.b.scalar(1), c.b.op("Abs", [c.y()]))))] },
  // y = x > α ? x : 0: dx = dy · [x > α]
  ThresholdedRelu: {
    rule: (c) => [c.b.mul(c.dy(), isPositive(c.b, c.b.offset(c.x(0), -c.node.float("alpha", 1))))],
  },
  // y = x < −λ ? x + bias : x > λ ? x − bias : 0: dx = dy · [|x| > λ]
  Shrink: {
    rule: (c) => {
      const beyond = c.b.offset(c.b.op("Abs", [c.x(0)]), -c.node.float("lambd", 0.5));
      return [c.b.mul(c.dy(), isPositive(c.b, beyond))];
    },
  },
  Gelu: {
    rule: (c) => [c.b.mul(c.dy(), c.node.string("approximate", "none") === "tanh" ? tanhGelu(c) : exactGelu(c))],
  },
  // y = x t, t = tanh(softplus x): dx = dy · (t + x σ(x) (1 − t²))
  Mish: {
    rule: (c) => {
      const { b } = c;
      const t = b.op("Tanh", [b.op("Softplus", [c.x(0)])]);
      const sigmoid = b.op("Sigmoid", [c.x(0)]);
      return [b.mul(c.dy(), b.add(t, b.mul(b.mul(c.x(0), sigmoid), oneMinusSquare(c, t))))];
    },
  },
  // y = softmax x: dx = y · (dy − Σ dy · y)
  Softmax: {
    rule: (c) => {
      const { b } = c;
      const mean = b.sum(b.mul(c.dy(), c.y()), [c.node.int("axis", -1)]);
      return [b.mul(c.y(), b.sub(c.dy(), mean))];
    },
  },
  // y = ln softmax x: dx = dy − eʸ · Σ dy
  LogSoftmax: {
    rule: (c) => {
      const total = c.b.sum(c.dy(), [c.node.int("axis", -1)]);
      return [c.b.sub(c.dy(), c.b.mul(c.b.op("Exp", [c.y()]), total))];
    },
  },
});

/** x > 0 ? above : below */
function choice(c: GradientContext, above: number, below: Value): Value {
  return c.b.where(c.b.op("Greater", [c.x(0), c.b.scalar(0)]), c.b.scalar(above), below);
}

const oneMinusSquare = (c: GradientContext, v: Value): Value => c.b.sub(c.b.scalar(1), c.b.square(v));

/** y = x Φ(x): dy/dx = Φ(x) + x φ(x), Φ(x) = (1 + erf(x/√2)) / 2, φ(x) = exp(−x²/2) / √2π */
function exactGelu(c: GradientContext): Value {
  const { b } = c;
  const x = c.x(0);
  const cumulative = b.scale(b.offset(b.op("Erf", [b.scale(x, Math.SQRT1_2)]), 1), 0.5);
  const density = b.scale(b.op("Exp", [b.scale(b.square(x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));
  return b.add(cumulative, b.mul(x, density));
}

/** y = x (1 + t) / 2, t = tanh(u), u = √(2/π) (x + a x³): dy/dx = (1 + t)/2 + x/2 (1 − t²) √(2/π) (1 + 3a x²) */
function tanhGelu(c: GradientContext): Value {
  const { b } = c;
  const x = c.x(0);
  const [a, k] = [0.044715, Math.sqrt(2 / Math.PI)];
  const square = b.square(x);
  const t = b.op("Tanh", [b.mul(x, b.offset(b.scale(square, k * a), k))]);
  const inner = b.mul(x, b.offset(b.scale(square, 1.5 * k * a), 0.5 * k));
  return b.add(b.offset(b.scale(t, 0.5), 0.5), b.mul(inner, oneMinusSquare(c, t)));
}
