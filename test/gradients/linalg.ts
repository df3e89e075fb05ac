/**
 * @file Cases of src/autodiff/gradients/linalg.ts.
 */
import type { LINALG } from "../../src/autodiff/gradients/linalg.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";
import type { GradientCase } from "./check.ts";

const matmul = (a: readonly number[], b: readonly number[]): GradientCase => ({
  name: `[${a.join(", ")}] × [${b.join(", ")}]`,
  inputs: [a, b],
  linear: true,
});

function gemm(transA: number, transB: number, c: readonly number[] | null, alpha = 1, beta = 1): GradientCase {
  return {
    name: `transA ${transA}, transB ${transB}, alpha ${alpha}, beta ${beta}, C ${c === null ? "left out" : `[${c.join(", ")}]`}`,
    inputs: [transA ? [4, 2] : [2, 4], transB ? [3, 4] : [4, 3], ...(c === null ? [] : [c])],
    attributes: {
      transA: { int: transA },
      transB: { int: transB },
      alpha: { float: alpha },
      beta: { float: beta },
    },
    linear: true,
  };
}

const einsum = (equation: string, ...inputs: readonly (readonly number[])[]): GradientCase => ({
  name: equation,
  inputs,
  attributes: { equation: { string: equation } },
  linear: true,
});

const cumulative = (axis: number, exclusive: number, reverse: number): GradientCase => ({
  name: `axis ${axis}, exclusive ${exclusive}, reverse ${reverse}`,
  inputs: [[2, 3, 4], Tensor.scalar("int64", axis)],
  attributes: { exclusive: { int: exclusive }, reverse: { int: reverse } },
  linear: true,
});

const triangle = (upper: number, k: number | null): GradientCase => ({
  name: `upper ${upper}, k ${k}`,
  inputs: [[2, 3, 4], k === null ? null : Tensor.scalar("int64", k)],
  attributes: { upper: { int: upper } },
  linear: true,
});

export const LINALG_CASES: CaseTable<typeof LINALG> = {
  MatMul: [
    matmul([2, 3], [3, 4]),
    matmul([3], [3, 4]),
    matmul([2, 3], [3]),
    matmul([3], [3]),
    matmul([5, 2, 3], [3, 4]),
    matmul([5, 2, 3], [3]),
    matmul([3], [5, 3, 4]),
    matmul([5, 2, 3], [5, 3, 4]),
    matmul([2, 3], [5, 3, 4]),
    matmul([5, 1, 2, 3], [6, 3, 4]),
    matmul([1, 2, 3], [5, 3, 4]),
    matmul([5, 2, 3], [1, 3, 4]),
    matmul([1, 5, 2, 3], [2, 1, 3, 4]),
    { ...matmul([2, 3], [3, 4]), name: "the second alone", wrt: [1] },
  ],
  Gemm: [
    gemm(0, 0, null),
    gemm(0, 1, [3]),
    gemm(1, 0, [2, 1], 0.5, 2),
    gemm(1, 1, [], 1.5, 0.25),
    gemm(0, 0, [2, 3], 2, -1),
    gemm(1, 1, [1, 3]),
    { ...gemm(0, 1, [3]), name: "defaults", attributes: { transB: { int: 1 } } },
  ],
  Einsum: [
    einsum("ij,jk->ik", [2, 3], [3, 4]),
    einsum("ij,jk", [2, 3], [3, 4]),
    einsum("ba,dc", [2, 3], [4, 5]),
    einsum("bA,Ac->cb", [2, 3], [3, 5]),
    einsum("bhqd, bhkd -> bhqk", [2, 2, 3, 4], [2, 2, 5, 4]),
    einsum("bqhd,bkhd->bhqk", [2, 3, 2, 4], [2, 5, 2, 4]),
    einsum("i,j->ij", [3], [4]),
    einsum("...ij,...jk->...ik", [2, 2, 3], [2, 3, 4]),
    einsum("...d,ed->...e", [2, 3, 4], [5, 4]),
    einsum("...ij,jk", [2, 2, 3], [3, 4]),
    einsum("...a,...a->...", [2, 3, 4], [1, 3, 4]),
    einsum("b...->...b", [2, 3, 4]),
    einsum("ij,ij->", [2, 3], [2, 3]),
    einsum("ij,ij->i", [2, 3], [2, 3]),
    einsum("ij,k->k", [2, 3], [4]),
    einsum("ij->ji", [2, 3]),
    einsum("ij->j", [2, 3]),
    einsum("ij->", [2, 3]),
    einsum("cab", [2, 3, 4]),
    einsum("ij->ij", [2, 3]),
    einsum("ij,jk,kl->il", [2, 3], [3, 4], [4, 2]),
  ],
  CumSum: [cumulative(1, 0, 0), cumulative(-1, 1, 0), cumulative(0, 0, 1), cumulative(2, 1, 1)],
  Trilu: [triangle(1, null), triangle(0, null), triangle(1, 1), triangle(0, -1)],
};
