/**
 * @file Gradients of quantizers, so that a QuantizeLinear → DequantizeLinear pair trains as a fake quantizer: straight
 * through inside the range, and to the scale as in LSQ (Esser et al., Learned Step Size Quantization, 2020, equation 3; its
 * gradient scale factor is the optimizer's).
 *
 * The gradient of a quantized tensor is that of the float x̂ = (q − z) s that it stands for. So each of the two nodes has its
 * own rule, and what moves quantized tensors between them (Reshape, Transpose, Concat …) needs none of its own.
 * With one scale the parts add up to LSQ's: (q − z) − x/s inside the range, q − z outside.
 */
import type { Value } from "../../graph/value.ts";
import { DTYPES, type DType, dtypeFromCode, elementCount } from "../../tensor/dtype.ts";
import { areEqual } from "../masks.ts";
import { defineGradients, type GradientContext } from "../rule.ts";

const INTEGER = {
  never: "integer operators have no gradient rule: train the float model with QuantizeLinear → DequantizeLinear pairs",
} as const;

export const QUANTIZATION = defineGradients({
  // q = saturate(round(x / s) + z), of whose x̂ the gradient comes: dx = dx̂ [in range], ds = −Σ dx · x / s
  QuantizeLinear: {
    surrogate: true,
    rule: (c) => {
      const { b } = c;
      const x = c.x(0);
      const qparams = layout(c, x);
      const { min, max } = integerRange(c);
      const zero = c.node.inputs[2] === undefined ? undefined : b.op("Cast", [c.x(2)], { to: { int: 1 } });
      // x is in range where round(x / s) + z is: a half more on both sides.
      const bound = (end: number): Value => {
        const steps = zero === undefined ? b.scalar(end) : b.sub(b.scalar(end), zero);
        return qparams.shaped(b.mul(c.x(1), steps));
      };
      const [low, high] = [bound(min - 0.5), bound(max + 0.5)];
      const clipped = qparams.perTensor ? b.op("Clip", [x, low, high]) : b.op("Min", [b.op("Max", [x, low]), high]);
      const dx = b.mul(c.dy(), areEqual(b, clipped, x));
      return [dx, c.wants(1) ? b.neg(qparams.perScale(b.mul(dx, x))) : undefined];
    },
  },
  // x̂ = (q − z) s: dq is dx̂ itself, ds = Σ dx̂ · (q − z) = Σ dx̂ · x̂ / s
  DequantizeLinear: {
    rule: (c) => {
      const scale = (): Value => layout(c, c.y()).perScale(c.b.mul(c.dy(), c.y()));
      return [c.wants(0) ? c.dy() : undefined, c.wants(1) ? scale() : undefined];
    },
  },
  DynamicQuantizeLinear: INTEGER,
  MatMulInteger: INTEGER,
  ConvInteger: INTEGER,
  QLinearMatMul: INTEGER,
  QLinearConv: INTEGER,
});

interface Layout {
  readonly perTensor: boolean;
  /** A tensor like the scale, so that it broadcasts to the quantized one. */
  shaped(value: Value): Value;
  /** Sums what belongs to one scale and divides by the scale. */
  perScale(value: Value): Value;
}

function layout(c: GradientContext, like: Value): Layout {
  const { b } = c;
  const [dims, scale] = [c.dims(like), c.dims(c.x(1))];
  if (c.node.int("block_size", 0) !== 0) {
    throw c.unsupported("expected one scale per tensor or per axis, got blocks", "Use a scale per axis.");
  }
  if (elementCount(scale) === 1) {
    return {
      perTensor: true,
      shaped: (value) => (scale.length === 0 ? value : b.reshape(value, [])),
      perScale: (value) => b.div(b.sum(value, undefined, false), c.x(1)),
    };
  }
  const given = c.node.int("axis", 1);
  const axis = given < 0 ? given + dims.length : given;
  const rest = dims.flatMap((_, i) => (i === axis ? [] : [i]));
  return {
    perTensor: false,
    shaped: (value) =>
      b.reshape(
        value,
        dims.map((dim, i) => (i === axis ? dim : 1)),
      ),
    perScale: (value) => b.div(b.sum(value, rest, false), c.x(1)),
  };
}

function integerRange(c: GradientContext): { readonly min: number; readonly max: number } {
  const dtype: DType =
    c.node.inputs[2]?.dtype ?? dtypeFromCode(c.node.int("output_dtype", 0)) ?? c.y().dtype ?? "uint8";
  const { kind, bits } = DTYPES[dtype];
  if (kind === "unsigned") return { min: 0, max: 2 ** bits - 1 };
  if (kind === "signed") return { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 };
  throw c.unsupported(`expected an integer type, got ${dtype}`);
}
