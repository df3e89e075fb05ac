/**
 * @file Operators that make one number of many, or compare many, along axes: what they go over has to stay.
 */
import type { Rule, RuleContext, Rules } from "../rule.ts";
import { positiveAxis } from "../rule.ts";

/** Axes from the attribute or the second input; none: all of them, unless the node says that it does nothing then. */
function reducedAxes(c: RuleContext, rank: number): readonly number[] | undefined {
  const given = c.node.ints("axes") ?? c.constant(1);
  if (given === undefined && c.node.inputs[1] !== undefined) return undefined;
  if (given !== undefined && given.length > 0) return given.map((axis) => positiveAxis(axis, rank));
  return c.node.int("noop_with_empty_axes", 0) !== 0 ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

const reduce: Rule = (c) => {
  const axes = c.axes(0)!;
  const over = reducedAxes(c, axes.length);
  if (over === undefined) return c.refuse("the axes that it reduces are computed");
  remove(c, new Set(over));
};

const argument: Rule = (c) => {
  remove(c, new Set([positiveAxis(c.node.int("axis", 0), c.axes(0)!.length)]));
};

function remove(c: RuleContext, over: ReadonlySet<number>): void {
  const keep = c.node.int("keepdims", 1) !== 0;
  const axes = c.axes(0)!;
  for (const axis of over) c.forbid(axes[axis], "it reduces this axis");
  c.setOutput(axes.flatMap((axis, i) => (over.has(i) ? (keep ? [undefined] : []) : [axis])));
}

/** Every element depends on all of its axis. `flat`: before opset 13 on all axes from this one on. */
export function along(fallback: number, reason: string, flat = false): Rule {
  return (c) => {
    const axes = c.axes(0)!;
    const first = positiveAxis(c.node.int("axis", fallback), axes.length);
    const last = flat ? axes.length - 1 : first;
    for (let axis = first; axis <= last; axis++) c.forbid(axes[axis], reason);
    c.setOutput(axes.map((axis, i) => (i >= first && i <= last ? undefined : axis)));
  };
}

/** The axis is the second input. */
const cumulate: Rule = (c) => {
  const axes = c.axes(0)!;
  const given = c.constant(1)?.[0];
  if (given === undefined) return c.refuse("the axis that it sums over is computed");
  const over = positiveAxis(given, axes.length);
  c.forbid(axes[over], "it sums along this axis");
  c.setOutput(axes.map((axis, i) => (i === over ? undefined : axis)));
};

const REDUCTIONS = [
  "ReduceL1",
  "ReduceL2",
  "ReduceLogSum",
  "ReduceLogSumExp",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceProd",
  "ReduceSum",
  "ReduceSumSquare",
] as const;

const softmax = along(-1, "it normalizes over this axis");

export const REDUCTION: Rules = {
  ...Object.fromEntries(REDUCTIONS.map((op) => [op, reduce])),
  ArgMax: argument,
  ArgMin: argument,
  CumSum: cumulate,
  Hardmax: softmax,
  LogSoftmax: softmax,
  LpNormalization: softmax,
  Softmax: softmax,
};
