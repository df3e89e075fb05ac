/**
 * @file The numbers before a model's last Softmax or Sigmoid: losses work on them, because the logarithm of a probability
 * that was rounded to 0 is not finite.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import type { LossContext } from "./loss.ts";

/** log softmax along the axis, [as the output]. Where the output is a Softmax's or LogSoftmax's own, of its input. */
export function logProbabilities(c: LossContext, axis: number): Value {
  const { b } = c;
  const { value, dims } = c.output;
  const last = lastOf(value, ["Softmax", "LogSoftmax"]);
  if (last !== undefined && positive(last.int("axis", -1), dims.length) === axis) {
    if (last.is("LogSoftmax")) return value;
    c.note(`the loss is of the logits before ${last.label} (Softmax)`);
    return b.op("LogSoftmax", [last.input(0)], { axis: { int: axis } });
  }
  return b.op("LogSoftmax", [value], { axis: { int: axis } });
}

/** Whether the output is a Softmax's own along this axis: then a teacher of the same kind gives probabilities, too. */
export function givesProbabilities(c: LossContext, axis: number): boolean {
  const last = lastOf(c.output.value, ["Softmax"]);
  return last !== undefined && positive(last.int("axis", -1), c.output.dims.length) === axis;
}

/** z where the output is sigmoid(z), else the output itself. */
export function binaryLogits(c: LossContext): Value {
  const last = lastOf(c.output.value, ["Sigmoid"]);
  if (last === undefined) return c.output.value;
  c.note(`the loss is of the logits before ${last.label} (Sigmoid)`);
  return last.input(0);
}

function lastOf(value: Value, ops: readonly string[]): Node | undefined {
  let node = value.producer;
  while (node?.is("Identity")) node = node.input(0).producer;
  return node !== undefined && ops.some((op) => node.is(op)) ? node : undefined;
}

const positive = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
