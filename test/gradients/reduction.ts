/**
 * @file Cases of src/autodiff/gradients/reduction.ts: every operator with axes as attribute and as input, positive, negative,
 * left out, with and without reduced axes.
 */
import type { REDUCTION } from "../../src/autodiff/gradients/reduction.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CaseTable } from "./cases.ts";
import type { CaseInput, GradientCase } from "./check.ts";

type Fill = "whole" | "normal" | "positive" | "distinct";

function input(dims: readonly number[], fill: Fill): CaseInput {
  if (fill === "positive") return { dims, low: 0.5, high: 2 };
  return fill === "distinct" ? { dims, distinct: 1 } : dims;
}

/** `axesInputSince`: the opset from which axes are an input. */
function cases(fill: Fill, axesInputSince: number): readonly [GradientCase, ...GradientCase[]] {
  const linear = fill === "whole" || fill === "distinct";
  const make = (axes: readonly number[] | undefined, keepDims: boolean | undefined, opset: number): GradientCase => {
    const attribute = axes !== undefined && opset < axesInputSince;
    const x = input([2, 3, 4], fill);
    return {
      name: `axes ${axes?.join(" ") ?? "left out"}, keepdims ${keepDims ?? "left out"}, opset ${opset}`,
      inputs: axes === undefined || attribute ? [x] : [x, Tensor.int64([axes.length], axes)],
      attributes: {
        ...(attribute && { axes: { ints: axes } }),
        ...(keepDims !== undefined && { keepdims: { int: keepDims ? 1 : 0 } }),
      },
      linear,
      opset,
    };
  };
  const noop = (name: string, inputs: readonly CaseInput[]): GradientCase => ({
    name,
    inputs,
    attributes: { noop_with_empty_axes: { int: 1 } },
    linear,
    opset: 18,
  });
  return [
    make([1], undefined, 17),
    make([1], false, 17),
    make([0], false, 17),
    make([-1, 0], true, 17),
    make([0, 2], false, 18),
    make([-2], true, 18),
    make(undefined, true, 17),
    make(undefined, false, 18),
    make([0, 1, 2], false, 18),
    noop("noop with axes", [input([2, 3], fill), Tensor.int64([1], [1])]),
    { name: "one element", inputs: [input([1, 1], fill)], attributes: { keepdims: { int: 0 } }, linear },
  ];
}

const passesOn = (fill: Fill): GradientCase => ({
  name: "noop without axes",
  inputs: [input([2, 3], fill)],
  attributes: { noop_with_empty_axes: { int: 1 } },
  opset: 18,
});

export const REDUCTION_CASES: CaseTable<typeof REDUCTION> = {
  ReduceSum: [...cases("whole", 13), passesOn("normal")],
  ReduceMean: [...cases("whole", 18), passesOn("normal")],
  ReduceMax: [...cases("distinct", 18), passesOn("distinct")],
  ReduceMin: [...cases("distinct", 18), passesOn("distinct")],
  ReduceProd: [...cases("positive", 18), passesOn("positive")],
  ReduceL1: [...cases("distinct", 18), passesOn("distinct")],
  ReduceL2: [...cases("normal", 18), passesOn("distinct")],
  ReduceLogSum: [...cases("positive", 18), passesOn("positive")],
  ReduceLogSumExp: [...cases("normal", 18), passesOn("normal")],
  ReduceSumSquare: [...cases("normal", 18), passesOn("normal")],
};
