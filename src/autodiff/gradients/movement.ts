/**
 * @file Gradients of operators that move elements: the adjoint puts each one back where it came from, and adds where
 * several came from one place. Source: ONNX operator specifications.
 */
import type { Value } from "../../graph/value.ts";
import { defineGradients, type GradientContext, type GradientRow, type InputGradients } from "../rule.ts";
import { axisOf, gatherBack, gatherElementsBack, gatherNdBack, scatterBack } from "./indexing.ts";
import { padBack } from "./padding.ts";
import { sliceBack } from "./slicing.ts";

/** The same elements in the same order: dx = dy in the shape of x. */
const reshapes: GradientRow = { rule: (c) => [c.b.reshape(c.dy(), c.dims(c.x(0)))] };

// y = x with its axes permuted: dx = dy with the inverse permutation.
function transposeBack(c: GradientContext): InputGradients {
  const rank = c.dims(c.x(0)).length;
  const perm = c.node.ints("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inverse = perm.map((_, axis) => perm.indexOf(axis));
  return [c.b.transpose(c.dy(), inverse)];
}

// y[i + r·d] = x[i] for every r: dx = Σ over r. Each repeated axis becomes two, the first of which is summed.
function tileBack(c: GradientContext): InputGradients {
  const [from, to] = [c.dims(c.y()), c.dims(c.x(0))];
  const split = to.flatMap((dim, axis) => (from[axis] === dim ? [dim] : [from[axis]! / Math.max(dim, 1), dim]));
  const summed: number[] = [];
  let at = 0;
  for (const [axis, dim] of to.entries()) {
    if (from[axis] !== dim) summed.push(at++);
    at++;
  }
  return [c.b.sum(c.b.reshape(c.dy(), split), summed, false)];
}

// y = [x₀, x₁, …]: dxᵢ = the part of dy.
function concatBack(c: GradientContext): InputGradients {
  const axis = axisOf(c.node.int("axis", 0), c.dims(c.y()).length);
  const sizes = c.node.inputs.map((_, i) => c.dims(c.x(i))[axis]!);
  if (sizes.length > 1 && sizes.every((_, i) => c.wants(i))) {
    const attributes = { axis: { int: axis } };
    return c.b.node("Split", [c.dy(), c.b.ints(sizes)], attributes, sizes.length).outputs;
  }
  let end = 0;
  return sizes.map((size, i) => {
    end += size;
    return c.wants(i) ? c.b.slice(c.dy(), [end - size], [end], [axis]) : undefined;
  });
}

// yᵢ = a part of x: dx = [dy₀, dy₁, …], zeros for parts that nothing used.
function splitBack(c: GradientContext): InputGradients {
  const dims = c.dims(c.x(0));
  const axis = axisOf(c.node.int("axis", 0), dims.length);
  const parts: Value[] = [];
  for (const [i, output] of c.node.outputs.entries()) {
    if (c.has(i)) parts.push(c.dy(i));
    else {
      const size = output === undefined ? splitSizes(c, dims[axis]!)[i]! : c.dims(output)[axis]!;
      if (size > 0) parts.push(c.b.full(0, dims.with(axis, size)));
    }
  }
  return [c.b.concat(parts, axis)];
}

/** Sizes of a Split's parts: given, or equal with a smaller last one (18). */
function splitSizes(c: GradientContext, dim: number): readonly number[] {
  const given = c.constants(c.node.inputs[1], "the sizes");
  if (given !== undefined) return given;
  const count = c.node.int("num_outputs", c.node.outputs.length);
  const size = Math.ceil(dim / count);
  return Array.from({ length: count }, (_, i) => Math.max(0, Math.min(size, dim - i * size)));
}

export const MOVEMENT = defineGradients({
  Reshape: reshapes,
  Flatten: reshapes,
  Squeeze: reshapes,
  Unsqueeze: reshapes,
  Transpose: { rule: transposeBack },
  // y = x repeated along axes of size 1: the driver sums.
  Expand: { broadcasts: true, rule: (c) => [c.dy()] },
  Tile: { rule: tileBack },
  Concat: { rule: concatBack },
  Split: { rule: splitBack },
  Slice: { rule: sliceBack },
  Pad: { rule: padBack },
  Gather: { rule: gatherBack },
  GatherElements: { rule: gatherElementsBack },
  GatherND: { rule: gatherNdBack },
  ScatterElements: { rule: (c) => scatterBack(c, "ScatterElements", "GatherElements") },
  ScatterND: { rule: (c) => scatterBack(c, "ScatterND", "GatherND") },
  // It is its own inverse.
  ReverseSequence: {
    rule: (c) => [
      c.b.op("ReverseSequence", [c.dy(), c.x(1)], {
        batch_axis: { int: c.node.int("batch_axis", 1) },
        time_axis: { int: c.node.int("time_axis", 0) },
      }),
    ],
  },
  Compress: { never: "how many elements it keeps depends on its condition: use Where, or Gather with fixed indices" },
  Unique: { never: "how many elements it keeps depends on their values" },
  ConstantOfShape: { zero: true },
  Range: { zero: true },
  EyeLike: { zero: true },
});
