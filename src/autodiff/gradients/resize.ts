/**
 * @file Gradients of Resize and of the operators that move between channels and space.
 * Source: ONNX Resize-19, DepthToSpace-13, SpaceToDepth-13.
 */
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { defineGradients, type GradientContext } from "../rule.ts";
import { type ResizeMode, resizeMatrix } from "./resize/matrix.ts";

interface Axis {
  readonly axis: number;
  readonly input: number;
  readonly output: number;
  readonly scale: number;
}

export const RESIZE = defineGradients({
  // y = M₀ x M₁ᵀ, one matrix per axis that changes: dx = M₀ᵀ dy M₁
  Resize: {
    rule: (c) => {
      const axes = resizedAxes(c);
      if (axes.length === 0) return [c.dy()];
      const mode = resizeMode(c);
      const ways = repeats(axes, mode) ? (["sum", "matrices"] as const) : (["matrices"] as const);
      return [c.choose("dX", ways) === "sum" ? summed(c, axes) : multiplied(c, axes, mode)];
    },
  },
  // y = x with channels moved into space: dx = dy moved back
  DepthToSpace: {
    rule: (c) => {
      const { b, node } = c;
      const size = node.int("blocksize", 1);
      if (node.string("mode", "DCR") === "DCR") return [b.op("SpaceToDepth", [c.dy()], { blocksize: { int: size } })];
      const [n, channels, height, width] = c.dims(c.x(0)) as [number, number, number, number];
      const split = b.reshape(c.dy(), [n, channels / size ** 2, height, size, width, size]);
      return [b.reshape(b.transpose(split, [0, 1, 3, 5, 2, 4]), [n, channels, height, width])];
    },
  },
  SpaceToDepth: {
    rule: (c) => [c.b.op("DepthToSpace", [c.dy()], { blocksize: { int: c.node.int("blocksize", 1) } })],
  },
});

/** Axes along which the length or the scale is not 1. */
function resizedAxes(c: GradientContext): Axis[] {
  const { node } = c;
  const [x, y] = [c.dims(c.x(0)), c.dims(c.y())];
  const scales = c.constants(node.inputs[2], "scales");
  const given = node.ints("axes")?.map((axis) => (axis < 0 ? axis + x.length : axis)) ?? x.map((_, axis) => axis);
  if ((node.string("keep_aspect_ratio_policy") ?? "stretch") !== "stretch") {
    throw c.unsupported("expected scales that sizes alone determine, got keep_aspect_ratio_policy");
  }
  if (node.int("antialias", 0) !== 0) throw c.unsupported("the filter of antialias has no gradient here");
  return x.flatMap((input, axis) => {
    const output = y[axis]!;
    const at = given.indexOf(axis);
    const scale = scales === undefined || scales.length === 0 || at < 0 ? output / input : scales[at]!;
    return scale === 1 && input === output ? [] : [{ axis, input, output, scale }];
  });
}

function resizeMode(c: GradientContext): ResizeMode {
  const { node } = c;
  const mode = node.string("mode", "nearest");
  const transformation = node.string("coordinate_transformation_mode", "half_pixel");
  if (mode !== "nearest" && mode !== "linear" && mode !== "cubic") throw c.unsupported(`unknown mode "${mode}"`);
  if (transformation === "tf_crop_and_resize") throw c.unsupported("cropping by a region has no gradient here");
  return {
    mode,
    transformation,
    nearest: node.string("nearest_mode", "round_prefer_floor"),
    a: node.float("cubic_coeff_a", -0.75),
    excludeOutside: node.int("exclude_outside", 0) === 1,
  };
}

/** Every element is there a whole number of times, side by side. */
function repeats(axes: readonly Axis[], mode: ResizeMode): boolean {
  if (mode.mode !== "nearest") return false;
  return axes.every((axis) => {
    const times = axis.output / axis.input;
    if (!Number.isInteger(times)) return false;
    const matrix = resizeMatrix(axis, mode);
    return Array.from({ length: axis.output }, (_, o) => o).every(
      (o) => matrix[o * axis.input + Math.floor(o / times)] === 1,
    );
  });
}

/** Sums over the repetitions. */
function summed(c: GradientContext, axes: readonly Axis[]): Value {
  const dims = c.dims(c.x(0));
  const split: number[] = [];
  const over: number[] = [];
  for (const [axis, length] of dims.entries()) {
    split.push(length);
    const resized = axes.find((other) => other.axis === axis);
    if (resized === undefined) continue;
    over.push(split.length);
    split.push(resized.output / length);
  }
  return c.b.sum(c.b.reshape(c.dy(), split), over, false);
}

/** One product per axis: along the last by the matrix from the right, along others by its transpose from the left. */
function multiplied(c: GradientContext, axes: readonly Axis[], mode: ResizeMode): Value {
  const { b } = c;
  const dims = [...c.dims(c.y())];
  let dx = c.dy();
  for (const entry of axes) {
    const { axis, input, output } = entry;
    const matrix = Tensor.float32([output, input], resizeMatrix(entry, mode));
    if (axis === dims.length - 1) dx = b.matmul(dx, b.initializer(matrix, "matrix"));
    else {
      const behind = dims.slice(axis + 1).reduce((all, n) => all * n, 1);
      const split = b.reshape(dx, [...dims.slice(0, axis), output, behind]);
      const turned = b.initializer(transposed(matrix), "matrix");
      dx = b.reshape(b.matmul(turned, split), [...dims.slice(0, axis), input, ...dims.slice(axis + 1)]);
    }
    dims[axis] = input;
  }
  return dx;
}

function transposed(matrix: Tensor): Tensor {
  const [rows, columns] = matrix.dims as [number, number];
  const from = matrix.floats();
  return Tensor.float32(
    [columns, rows],
    Float32Array.from({ length: from.length }, (_, i) => from[(i % rows) * columns + Math.floor(i / rows)]!),
  );
}
