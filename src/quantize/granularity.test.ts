/**
 * @file Granularities against a brute-force enumeration of indices.
 */
import { describe, expect, test } from "vitest";
import { GraphError, OptionError } from "../util/errors.ts";
import { checkFinite, checkSize, forEachSpan, type Granularity, groupView } from "./granularity.ts";

/** Coordinates of a flat index. */
function coordinates(index: number, dims: readonly number[]): number[] {
  const at: number[] = [];
  for (const dim of dims.toReversed()) {
    at.unshift(index % dim);
    index = Math.floor(index / dim);
  }
  return at;
}

/** The index into the ONNX scale tensor, from the definition: the coordinates along `scaleDims`, row-major. */
function groupOf(index: number, dims: readonly number[], granularity: Granularity): number {
  const at = coordinates(index, dims);
  if (granularity.kind === "per-tensor") return 0;
  const axis = granularity.axis < 0 ? granularity.axis + dims.length : granularity.axis;
  if (granularity.kind === "per-axis") return at[axis]!;
  let group = 0;
  dims.forEach((dim, d) => {
    const blocked = d === axis;
    group = group * (blocked ? Math.ceil(dim / granularity.blockSize) : dim);
    group += blocked ? Math.floor(at[d]! / granularity.blockSize) : at[d]!;
  });
  return group;
}

const CASES: [dims: number[], granularity: Granularity, scaleDims: number[]][] = [
  [[], { kind: "per-tensor" }, []],
  [[3, 4, 5], { kind: "per-tensor" }, []],
  [[7], { kind: "per-axis", axis: 0 }, [7]],
  [[4, 3, 2, 2], { kind: "per-axis", axis: 0 }, [4]],
  [[4, 3, 2, 2], { kind: "per-axis", axis: 1 }, [3]],
  [[4, 3, 2, 2], { kind: "per-axis", axis: -3 }, [3]],
  [[5, 6], { kind: "per-axis", axis: -1 }, [6]],
  [[2, 4500], { kind: "per-axis", axis: 1 }, [4500]], // more columns than one tile
  [[6, 10], { kind: "blocked", axis: 1, blockSize: 4 }, [6, 3]],
  [[10, 6], { kind: "blocked", axis: 0, blockSize: 4 }, [3, 6]],
  [[2, 7, 3], { kind: "blocked", axis: -2, blockSize: 3 }, [2, 3, 3]],
  [[2, 3, 5], { kind: "blocked", axis: 0, blockSize: 16 }, [1, 3, 5]],
  [[3, 0], { kind: "per-axis", axis: 0 }, [3]],
];

describe("groupView", () => {
  test.each(CASES)("%j %j", (dims, granularity, scaleDims) => {
    const view = groupView(dims, granularity);
    expect(view.scaleDims).toEqual(scaleDims);
    expect(view.groups).toBe(scaleDims.reduce((a, b) => a * b, 1));
    const visited = new Array<number>(view.size).fill(-1);
    const visit = (index: number, group: number): void => {
      expect(visited[index]).toBe(-1);
      visited[index] = group;
    };
    forEachSpan(
      view,
      (start, end, group) => {
        for (let i = start; i < end; i++) visit(i, group);
      },
      (start, rows, columns, stride, group) => {
        for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) visit(start + r * stride + c, group + c);
      },
    );
    const [so, sb, si] = view.strides;
    visited.forEach((group, index) => {
      expect(group).toBe(groupOf(index, dims, granularity));
      // The documented index layout says the same.
      const i = index % view.inner;
      const a = Math.floor(index / view.inner) % view.length;
      const o = Math.floor(index / (view.inner * view.length));
      expect(o * so + Math.floor(a / view.block) * sb + i * si).toBe(group);
    });
  });

  test("refuses axes outside the tensor and block sizes that are none, naming dims and axis", () => {
    expect(() => groupView([4, 3], { kind: "per-axis", axis: 2 }, "fc.weight")).toThrow(
      /fc\.weight \[4, 3\]: expected an axis in -2 … 1, got axis 2/,
    );
    expect(() => groupView([], { kind: "per-axis", axis: 0 })).toThrow(/a scalar has none/);
    expect(() => groupView([4, 3], { kind: "per-axis", axis: 0.5 })).toThrow(OptionError);
    expect(() => groupView([4, 3], { kind: "blocked", axis: -1, blockSize: 0 })).toThrow(
      /\[4, 3\], axis 1: expected a block size that is a positive integer, got 0/,
    );
  });
});

test("checkFinite names the first value that is not finite by index and coordinates", () => {
  const view = groupView([2, 3], { kind: "per-tensor" }, "w");
  expect(() => checkFinite(view, Float32Array.of(1, 2, 3, 4, Number.NaN, Number.POSITIVE_INFINITY))).toThrow(
    /w \[2, 3\]: expected finite values, got NaN at index 4 \(\[1, 1\]\)/,
  );
  expect(() => checkFinite(view, new Float32Array(6))).not.toThrow();
  expect(() => checkSize(view, 5)).toThrow(GraphError);
});
