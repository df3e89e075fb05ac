/**
 * @file How much each channel matters.
 *
 *   norm       ‖w‖ₙ of the slices that make it, over all weights of its group           Li et al. 2017; Fang et al. 2023, 3.3
 *   batch-norm |γ|                                                                      Liu et al. 2017
 */
import type { Value } from "../../graph/value.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { hashBytes } from "../../util/hash.ts";
import { createRandom } from "../../util/random.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Channel, ChannelGroup } from "./groups.ts";
import type { ChannelOptions } from "./options.ts";

/** Slices of one tensor that make a channel. */
export interface Slices {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly positions: readonly number[];
}

/** Scores a channel from the slices of the weights that make it; channels with the lowest scores go first. */
export type ChannelScore = (slices: readonly Slices[], channel: Channel, group: ChannelGroup) => number;

/** Scores in the order of the group's channels, or why there are none. */
export function scoreGroup(
  dependencies: Dependencies,
  group: ChannelGroup,
  options: Pick<ChannelOptions, "criterion" | "n" | "reduce" | "normalize">,
  seed: number,
  custom?: ChannelScore,
): readonly number[] | string {
  const { criterion } = options;
  const weights = criterion === "batch-norm" && !custom ? scalesOf(dependencies, group) : makersOf(dependencies, group);
  if (weights.length === 0) {
    return criterion === "batch-norm" ? "no batch normalization scales them" : "what makes them is not constant";
  }
  if (criterion === "random" && custom === undefined) {
    const random = createRandom(seed ^ hashBytes(new TextEncoder().encode(`${group.value}:${group.axis}`)));
    return group.channels.map(() => random.next());
  }
  const norms = custom ? [] : weights.map((weight) => normsOf(weight, powerOf(options)));
  const scores = group.channels.map((channel) => {
    const slices = weights.map(({ tensor, axis, ids }) => ({
      tensor,
      axis,
      positions: positionsOf(dependencies, ids, channel),
    }));
    if (custom !== undefined) return custom(slices, channel, group);
    const parts = slices.map(({ positions }, i) => {
      const p = powerOf(options);
      return positions.reduce((sum, position) => sum + norms[i]![position]!, 0) ** (1 / p);
    });
    return REDUCE[options.reduce](parts);
  });
  const unit = custom === undefined ? NORMALIZE[options.normalize](scores) : 1;
  return unit > 0 ? scores.map((score) => score / unit) : scores;
}

interface Weight {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly ids: Int32Array;
}

/** The constants behind the sources: the weight itself, or what it is computed from. */
function makersOf(dependencies: Dependencies, { sources, channels }: ChannelGroup): Weight[] {
  const wanted = new Set(channels.map(({ id }) => id));
  const weights: Weight[] = [];
  for (const { weight, ids } of sources) {
    if (weight.constant !== undefined) {
      const axes = dependencies.axes.get(weight);
      const axis = axes?.indexOf(ids) ?? -1;
      if (axis >= 0) weights.push({ tensor: weight.constant, axis, ids });
      continue;
    }
    for (const { value, tensor } of constantsBehind(weight)) {
      const axes = dependencies.axes.get(value) ?? [];
      const axis = axes.findIndex((own) => own?.some((id) => wanted.has(dependencies.ids.find(id))));
      if (axis >= 0) weights.push({ tensor, axis, ids: axes[axis]! });
    }
  }
  return weights;
}

/** Float constants of several axes that a value is computed from; under a mask, with zeros where it hides them. */
function constantsBehind(value: Value): { readonly value: Value; readonly tensor: Tensor }[] {
  const found: { value: Value; tensor: Tensor }[] = [];
  const seen = new Set<Value>();
  const visit = (at: Value): void => {
    if (seen.has(at)) return;
    seen.add(at);
    if (at.constant !== undefined) {
      if (isFloatingPoint(at.dtype) && at.constant.dims.length > 1) found.push({ value: at, tensor: at.constant });
      return;
    }
    const { producer } = at;
    const [mask, weight] = producer?.is("Where") ? producer.inputs : [];
    const masked = mask?.constant;
    if (weight?.constant !== undefined && masked?.dims.join() === weight.constant.dims.join()) {
      const bits = masked!.data();
      const data = weight.constant.floats().map((w, i) => (bits[i] ? w : 0));
      found.push({ value: weight, tensor: { ...weight.constant, floats: () => data } as Tensor });
      return;
    }
    for (const input of producer?.inputs ?? []) if (input !== undefined) visit(input);
  };
  visit(value);
  return found;
}

/** Scales of the batch normalizations that the channels go through. */
function scalesOf(dependencies: Dependencies, { channels }: ChannelGroup): Weight[] {
  const wanted = new Set(channels.map(({ id }) => id));
  return dependencies.vectors.flatMap(({ value, node, input, axes }) => {
    const ids = axes.find((axis) => axis?.some((id) => wanted.has(dependencies.ids.find(id))));
    const isScale = node.is("BatchNormalization") && input === 1 && ids !== undefined;
    return isScale ? [{ tensor: value.constant!, axis: axes.indexOf(ids), ids }] : [];
  });
}

const powerOf = ({ criterion, n }: Pick<ChannelOptions, "criterion" | "n">): number =>
  criterion === "ln" ? n : criterion === "l2" ? 2 : 1;

/** Σ |w|ᵖ of every position along the axis. */
function normsOf({ tensor, axis }: Weight, p: number): Float64Array {
  const { dims } = tensor;
  const data = tensor.floats();
  const size = dims[axis]!;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const sums = new Float64Array(size);
  for (let row = 0, at = 0; at < data.length; row++) {
    let sum = 0;
    for (let i = 0; i < inner; i++, at++) {
      const w = Math.abs(data[at]!);
      sum += p === 1 ? w : p === 2 ? w * w : w ** p;
    }
    sums[row % size]! += sum;
  }
  return sums;
}

function positionsOf({ ids }: Dependencies, axis: Int32Array, { id }: Channel): number[] {
  const positions: number[] = [];
  for (let i = 0; i < axis.length; i++) if (ids.find(axis[i]!) === id) positions.push(i);
  return positions;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const REDUCE: Readonly<Record<ChannelOptions["reduce"], (values: readonly number[]) => number>> = {
  sum,
  mean: (values) => sum(values) / values.length,
  max: (values) => Math.max(...values),
};

const NORMALIZE: Readonly<Record<ChannelOptions["normalize"], (values: readonly number[]) => number>> = {
  mean: (values) => sum(values) / values.length,
  max: (values) => Math.max(...values),
  none: () => 1,
};
