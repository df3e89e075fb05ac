/**
 * @file Gradient of Pad: what was put around is cut off, and goes back to where it was taken from.
 * Source: ONNX operator Pad, versions 13 to 21.
 */
import type { Value } from "../../graph/value.ts";
import type { GradientContext, InputGradients } from "../rule.ts";
import { pad } from "./slicing.ts";

export function padBack(c: GradientContext): InputGradients {
  const dims = c.dims(c.x(0));
  const rank = dims.length;
  const pads = c.constants(c.x(1), "the pads")!;
  const axes = c.constants(c.node.inputs[3], "the axes") ?? dims.map((_, axis) => axis);
  const before = dims.map(() => 0);
  const after = dims.map(() => 0);
  axes.forEach((axis, i) => {
    before[axis < 0 ? axis + rank : axis] = pads[i]!;
    after[axis < 0 ? axis + rank : axis] = pads[axes.length + i]!;
  });
  const mode = c.node.string("mode", "constant");
  if (mode === "constant") return constantBack(c, before, after);
  const fold = FOLDS[mode];
  if (fold === undefined) throw c.unsupported(`expected mode constant, reflect, edge or wrap, got "${mode}"`);
  // First it cuts (negative pads), then it pads: back in reverse order.
  const cut = (n: number): number => Math.min(n, 0);
  let dx = c.dy();
  for (const [axis, dim] of dims.entries()) {
    const [b, a] = [Math.max(before[axis]!, 0), Math.max(after[axis]!, 0)];
    const d = dim + cut(before[axis]!) + cut(after[axis]!);
    if (b === 0 && a === 0) continue;
    if (mode !== "edge" && Math.max(b, a) > (mode === "reflect" ? d - 1 : d)) {
      throw c.unsupported(`axis ${axis} of ${d} elements is padded by more than it has`);
    }
    dx = fold(c, dx, { axis, rank, b, a, d });
  }
  const uncut = (n: number): number => -cut(n);
  return [pad(c, dx, before.map(uncut), after.map(uncut))];
}

// dx = the middle of dy; dvalue = Σ of what is around it.
function constantBack(c: GradientContext, before: readonly number[], after: readonly number[]): InputGradients {
  const negative = (pads: readonly number[]): number[] => pads.map((n) => -n);
  const dx = pad(c, c.dy(), negative(before), negative(after));
  if (!c.wants(2)) return [dx];
  const around = c.b.sub(c.b.sum(c.dy(), undefined, false), c.b.sum(dx, undefined, false));
  return [dx, undefined, c.b.reshape(around, c.dims(c.x(2)))];
}

/** One axis of d elements with b before and a after it. */
interface Side {
  readonly axis: number;
  readonly rank: number;
  readonly b: number;
  readonly a: number;
  readonly d: number;
}

type Fold = (c: GradientContext, dy: Value, side: Side) => Value;

const FOLDS: Readonly<Record<string, Fold>> = {
  // y[i] = x[b − i] before, y[b + d + j] = x[d − 2 − j] after
  reflect: (c, dy, side) => {
    const { b, a, d } = side;
    const first = put(c, reverse(c, cutOut(c, dy, side, 0, b), side), side, 1, b);
    const last = put(c, reverse(c, cutOut(c, dy, side, b + d, a), side), side, d - 1 - a, a);
    return add(c, [cutOut(c, dy, side, b, d), first, last]);
  },
  // y[i] = x[d − b + i] before, y[b + d + j] = x[j] after
  wrap: (c, dy, side) => {
    const { b, a, d } = side;
    const first = put(c, cutOut(c, dy, side, 0, b), side, d - b, b);
    const last = put(c, cutOut(c, dy, side, b + d, a), side, 0, a);
    return add(c, [cutOut(c, dy, side, b, d), first, last]);
  },
  // y[i] = x[0] before, y[b + d + j] = x[d − 1] after
  edge: (c, dy, side) => {
    const { axis, b, a, d } = side;
    const sum = (start: number, length: number): Value => c.b.sum(cutOut(c, dy, side, start, length)!, [axis]);
    if (d === 1) return c.b.sum(dy, [axis]);
    const middle = cutOut(c, dy, side, b + 1, d - 2);
    return c.b.concat([sum(0, b + 1), ...(middle ? [middle] : []), sum(b + d - 1, a + 1)], axis);
  },
};

function cutOut(c: GradientContext, dy: Value, { axis }: Side, start: number, length: number): Value | undefined {
  return length === 0 ? undefined : c.b.slice(dy, [start], [start + length], [axis]);
}

function reverse(c: GradientContext, x: Value | undefined, { axis }: Side): Value | undefined {
  return x && c.b.slice(x, [-1], [-(2 ** 31 - 1)], [axis], [-1]);
}

/** A part of some length that begins at an index of x, with zeros around. */
function put(
  c: GradientContext,
  part: Value | undefined,
  { axis, rank, d }: Side,
  start: number,
  length: number,
): Value | undefined {
  if (part === undefined) return undefined;
  const zeros = Array.from({ length: rank }, () => 0);
  return pad(c, part, zeros.with(axis, start), zeros.with(axis, d - start - length));
}

function add(c: GradientContext, parts: readonly (Value | undefined)[]): Value {
  const there = parts.filter((part) => part !== undefined);
  return there.length === 1 ? there[0]! : c.b.op("Sum", there);
}
