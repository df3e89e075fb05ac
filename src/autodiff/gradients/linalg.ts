/**
 * @file Gradients of products of matrices, Einsum, CumSum and Trilu.
 * Source: ONNX operator specifications; Giles, Collected matrix derivative results (2008), section 2.2.
 */
import type { Builder } from "../../graph/builder.ts";
import type { Value } from "../../graph/value.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { defineGradients, type GradientContext, type InputGradients } from "../rule.ts";
import { sumTo } from "../sum-to.ts";
import { einsumGradients } from "./einsum.ts";

export const LINALG = defineGradients({
  MatMul: { rule: matmulGradients },
  // Y = α A' B' + β C, X' = X or Xᵀ: dA' = α dY B'ᵀ, dB' = α A'ᵀ dY, dC = β dY
  Gemm: {
    rule: (c) => {
      const { b, node } = c;
      const [transA, transB] = [node.int("transA", 0) !== 0, node.int("transB", 0) !== 0];
      const alpha = node.float("alpha", 1);
      const [dy, x] = [c.dy(), c.x];
      const dC = (): Value => {
        const sum = sumTo(b, dy, c.dims(c.y()), c.dims(x(2)));
        return b.scale(sum, node.float("beta", 1));
      };
      return [
        c.wants(0)
          ? transA
            ? gemm(b, x(1), dy, transB, true, alpha)
            : gemm(b, dy, x(1), false, !transB, alpha)
          : undefined,
        c.wants(1)
          ? transB
            ? gemm(b, dy, x(0), true, transA, alpha)
            : gemm(b, x(0), dy, !transA, false, alpha)
          : undefined,
        c.wants(2) ? dC() : undefined,
      ];
    },
  },
  Einsum: { rule: einsumGradients },
  // y = L x with ones: dx = Lᵀ dy, the sum from the other end
  CumSum: {
    rule: (c) => {
      const { node } = c;
      const reverse = { int: 1 - node.int("reverse", 0) };
      return [c.b.op("CumSum", [c.dy(), c.x(1)], { reverse, exclusive: { int: node.int("exclusive", 0) } })];
    },
  },
  // y = x · mask: dx = dy · mask
  Trilu: {
    rule: (c) => [c.b.op("Trilu", [c.dy(), c.node.inputs[1]], { upper: { int: c.node.int("upper", 1) } })],
  },
  Det: { never: "gradients of determinants need a matrix inverse, which ONNX lacks" },
});

function gemm(b: Builder, left: Value, right: Value, transA: boolean, transB: boolean, alpha = 1): Value {
  return b.op("Gemm", [left, right], {
    ...(transA && { transA: { int: 1 } }),
    ...(transB && { transB: { int: 1 } }),
    ...(alpha !== 1 && { alpha: { float: alpha } }),
  });
}

/**
 * Y = A B: dA = dY Bᵀ, dB = Aᵀ dY, each summed over the batch axes along which it was repeated. A matrix B that all
 * batches share makes it one product of two matrices. Gemm transposes while it reads; for batches ONNX Runtime fuses Transpose and MatMul.
 */
function matmulGradients(c: GradientContext): InputGradients {
  const { b } = c;
  const [givenA, givenB] = [c.dims(c.x(0)), c.dims(c.x(1))];
  const a = givenA.length === 1 ? [1, ...givenA] : givenA;
  const w = givenB.length === 1 ? [...givenB, 1] : givenB;
  const [m, k, n] = [a.at(-2)!, a.at(-1)!, w.at(-1)!];
  const shaped = (value: Value, from: readonly number[], to: readonly number[]): Value =>
    from.length === to.length && from.every((dim, i) => dim === to[i]) ? value : b.reshape(value, to);
  const given = c.dims(c.y());

  if (w.length === 2) {
    const rows = elementCount(a.slice(0, -1));
    const dy = shaped(c.dy(), given, [rows, n]);
    const dA = (): Value => shaped(gemm(b, dy, shaped(c.x(1), givenB, [k, n]), false, true), [rows, k], givenA);
    const dB = (): Value => shaped(gemm(b, shaped(c.x(0), givenA, [rows, k]), dy, true, false), [k, n], givenB);
    return [c.wants(0) ? dA() : undefined, c.wants(1) ? dB() : undefined];
  }
  // B has batch axes; A may be a vector.
  const batch = givenA.length === 1 ? given.slice(0, -1) : given.slice(0, -2);
  const dy = shaped(c.dy(), given, [...batch, m, n]);
  const swapped = (value: Value, rank: number): Value =>
    b.transpose(value, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
  const dA = (): Value => {
    const full = b.matmul(dy, swapped(c.x(1), w.length));
    return shaped(sumTo(b, full, [...batch, m, k], a), a, givenA);
  };
  const dB = (): Value => {
    const full = b.matmul(swapped(shaped(c.x(0), givenA, a), a.length), dy);
    return sumTo(b, full, [...batch, k, n], w);
  };
  return [c.wants(0) ? dA() : undefined, c.wants(1) ? dB() : undefined];
}
