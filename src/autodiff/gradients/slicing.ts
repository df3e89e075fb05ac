/**
 * @file Gradient of Slice: zeros between the elements and around them. Source: ONNX operator Slice, version 13.
 */
import type { Value } from "../../graph/value.ts";
import type { GradientContext, InputGradients } from "../rule.ts";

/** Smaller than any start or end: "from the last to the first". */
const BEFORE_ALL = -(2 ** 31 - 1);

// y[i] = x[start + i · step]: dx is dy with step − 1 zeros between its elements, padded to the size of x. A negative
// step is a positive one with dy reversed.
export function sliceBack(c: GradientContext): InputGradients {
  const [from, to] = [c.dims(c.y()), c.dims(c.x(0))];
  if (from.includes(0)) return [c.b.full(0, to)];
  const starts = c.constants(c.x(1), "the starts")!;
  const axes = (c.constants(c.node.inputs[3], "the axes") ?? starts.map((_, i) => i)).map((axis) =>
    axis < 0 ? axis + to.length : axis,
  );
  const steps = c.constants(c.node.inputs[4], "the steps") ?? starts.map(() => 1);
  const reversed: number[] = [];
  const stride = to.map(() => 1);
  const first = to.map(() => 0);
  axes.forEach((axis, i) => {
    const [dim, step] = [to[axis]!, steps[i]!];
    const start = starts[i]! < 0 ? starts[i]! + dim : starts[i]!;
    stride[axis] = Math.abs(step);
    first[axis] = Math.min(Math.max(start, 0), dim - 1);
    if (step > 0) return;
    reversed.push(axis);
    first[axis] += (from[axis]! - 1) * step;
  });
  let dx = c.dy();
  if (reversed.length > 0) {
    const ends = reversed.map(() => BEFORE_ALL);
    const back = reversed.map(() => -1);
    dx = c.b.slice(dx, back, ends, reversed, back);
  }
  dx = dilate(c, dx, from, stride);
  const after = to.map((dim, axis) => dim - first[axis]! - from[axis]! * stride[axis]!);
  return [pad(c, dx, first, after)];
}

/** step − 1 zeros behind each element along each axis: [n] as [n, 1], padded to [n, step], as [n · step]. */
function dilate(c: GradientContext, dy: Value, dims: readonly number[], stride: readonly number[]): Value {
  if (stride.every((step) => step === 1)) return dy;
  const split = dims.flatMap((dim, axis) => (stride[axis] === 1 ? [dim] : [dim, 1]));
  const after = dims.flatMap((_, axis) => (stride[axis] === 1 ? [0] : [0, stride[axis]! - 1]));
  const wide = pad(
    c,
    c.b.reshape(dy, split),
    after.map(() => 0),
    after,
  );
  return c.b.reshape(
    wide,
    dims.map((dim, axis) => dim * stride[axis]!),
  );
}

/** Zeros before and after each axis; negative numbers cut off. */
export function pad(c: GradientContext, x: Value, before: readonly number[], after: readonly number[]): Value {
  if (before.every((n) => n === 0) && after.every((n) => n === 0)) return x;
  return c.b.op("Pad", [x, c.b.ints([...before, ...after])]);
}
