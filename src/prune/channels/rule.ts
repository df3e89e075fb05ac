/**
 * @file What a rule of channel pruning is: it says how the axes of a node's inputs become those of its outputs.
 *
 * A rule gives every output its axes and, on the way,
 *   joins    axes whose positions can only go together,
 *   forbids  axes whose positions must all stay (a sum, a maximum or a norm over them would be another),
 *   names    sources (weights that make channels) and sinks (where channels are summed up and end),
 *   says     what to rewrite when positions have gone (a target shape, bounds, a number of groups).
 * Initializers need no rule to shrink: their axes have ids as all others.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import type { Axes, Axis } from "./ids.ts";

/** What is left once a removal is decided. */
export interface Kept {
  /** Positions of an axis that stay, ascending; all of them for an axis that keeps its size. */
  positions(axis: Int32Array): readonly number[];
  /** Whether any position goes. */
  shrinks(axis: Axis): boolean;
}

export interface RuleContext {
  readonly node: Node;
  /** Options that rules look at. */
  readonly approximate: boolean;
  /** Sizes of an input that is there. */
  inputDims(index: number): readonly number[];
  outputDims(index?: number): readonly number[];
  /** Axes of an input; undefined where it is left out. */
  axes(index: number): Axes | undefined;
  /** Contents of a constant input, as numbers; undefined where it is not constant or left out. */
  constant(index: number): readonly number[] | undefined;
  /** Whether an input is a constant, or is computed from constants only. */
  isWeight(index: number): boolean;
  setOutput(axes: Axes, index?: number): void;
  fresh(count: number): Int32Array;
  /** Joins position by position. Where one keeps its size, or the lengths differ, the other has to keep it, too. */
  join(a: Axis, b: Axis): Axis;
  /** All positions go together: one class. */
  tie(ids: Iterable<number>): void;
  /** Every position goes together with another id. */
  tieEach(ids: Axis, partner: (position: number) => number): void;
  forbid(axis: Axis, reason: string): void;
  /** Forbids all axes of all inputs: the node is not understood. */
  refuse(reason: string): void;
  /** The positions of this axis of a weight make the channels of an axis of an output. */
  source(input: number, weightAxis: number, outputAxis: number, output?: number): void;
  /** Over this axis of an input the node sums products: a channel that is zero there has gone. */
  sink(input: number, axis: number): void;
  /** Called when a removal is carried out, before initializers shrink; constants and sizes are still the old ones. */
  onShrink(apply: (kept: Kept) => void): void;
  /**
   * Which of several axes carries the channels that an axis is split into (attention: heads, or the elements of each).
   * Gives the position among `candidates`; another one is tried where all channels of the first have to stay.
   */
  choose(candidates: readonly number[], carried: (chosen: number) => Int32Array): number;
}

export type Rule = (context: RuleContext) => void;

export type Rules = Readonly<Record<string, Rule>>;

/** A value whose axis a removal changes, with its new size. */
export interface Resized {
  readonly value: Value;
  readonly axis: number;
  readonly size: number;
}

/** Counts an axis from the end where it is negative. */
export const positiveAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
