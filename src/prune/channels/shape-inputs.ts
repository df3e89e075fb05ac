/**
 * @file Shapes as data. A removal changes sizes that are written down (targets of Reshape, sizes of Split), or computed
 * by Shape, Gather and Concat, often with constants in between.
 *
 * Computations on sizes are not followed: every Shape goes on giving the old size of what has shrunk, so all that is
 * computed from it (a scale 1/√d, too) is as it was; and every target shape gets the new sizes where it is used. Only sizes
 * that shrink are written down; others may stay dynamic.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Axes } from "./ids.ts";
import type { Kept, RuleContext } from "./rule.ts";

/** Gives a node an int64 constant of its own as an input. */
export function setInts(node: Node, input: number, values: readonly number[]): void {
  node.setInput(input, constant(node, values));
}

const constant = (node: Node, values: readonly number[]): Value =>
  node.graph!.addInitializer(`${node.label}_sizes`, Tensor.int64([values.length], values));

/**
 * Corrects a target shape when axes of the output shrink. `merged`: axes that channels share with others whose sizes may
 * be dynamic; where the target is computed they become -1, which stands for whatever is left.
 */
export function retargetOnShrink(
  c: RuleContext,
  input: number,
  axes: Axes,
  merged: readonly boolean[] = axes.map(() => false),
): void {
  const { node } = c;
  const target = node.inputs[input];
  if (target === undefined) return;
  const known = c.constant(input);
  const inputAxes = c.axes(0);
  c.onShrink((kept) => {
    const sizes = new Map<number, number>();
    axes.forEach((axis, i) => {
      if (kept.shrinks(axis)) sizes.set(i, kept.positions(axis!).length);
    });
    if (sizes.size === 0) return;
    if (known !== undefined) {
      setInts(
        node,
        input,
        known.map((size, i) => corrected(size, i, sizes, inputAxes, kept)),
      );
      return;
    }
    override(node, input, axes.length, sizes, merged);
  });
}

/** -1 stays; 0 stays where the input's axis has the new size. */
function corrected(
  size: number,
  axis: number,
  sizes: ReadonlyMap<number, number>,
  inputAxes: Axes | undefined,
  kept: Kept,
): number {
  const now = sizes.get(axis);
  if (now === undefined || size === -1) return size;
  const own = inputAxes?.[axis];
  if (size === 0 && own !== undefined && kept.positions(own).length === now) return 0;
  return now;
}

/** Puts the new sizes into a shape that is computed: in its Concat where there is one, else over its result. */
function override(
  node: Node,
  input: number,
  rank: number,
  sizes: ReadonlyMap<number, number>,
  merged: readonly boolean[],
): void {
  const target = node.input(input);
  const parts = target.producer?.is("Concat") ? target.producer.inputs : undefined;
  const single = parts?.length === rank ? (parts as readonly Value[]) : undefined;
  const rest = single?.findIndex((part) => part.constant?.numbers()[0] === -1) ?? -1;
  // Only one size may be left open.
  const open = rest < 0 && node.is("Reshape") ? [...sizes.keys()].find((axis) => merged[axis]) : undefined;
  const wanted = (axis: number, size: number): number => (axis === open ? -1 : size);
  if (single !== undefined) {
    const replaced = single.map((part, axis) => {
      const size = sizes.get(axis);
      return size === undefined || axis === rest ? part : constant(node, [wanted(axis, size)]);
    });
    const concat = node.graph!.add("Concat", replaced, {
      name: `${node.label}_shape`,
      attributes: { axis: { int: 0 } },
      before: node,
    });
    node.setInput(input, concat.output());
    return;
  }
  const values = Array.from({ length: rank }, (_, axis) => wanted(axis, sizes.get(axis) ?? 1));
  const where = replaceElements(node, target, values, (axis) => sizes.has(axis), node);
  node.setInput(input, where);
}

/** Where(chosen, values, shape), before a node. */
function replaceElements(
  node: Node,
  shape: Value,
  values: readonly number[],
  chosen: (axis: number) => boolean,
  before: Node,
): Value {
  const graph = node.graph!;
  const mask = Tensor.of(
    "bool",
    [values.length],
    Uint8Array.from(values, (_, axis) => (chosen(axis) ? 1 : 0)),
  );
  const inputs = [graph.addInitializer(`${node.label}_chosen`, mask), constant(node, values), shape];
  return graph.add("Where", inputs, { name: `${node.label}_kept`, before }).output();
}

/** A Shape node goes on giving the sizes that its input had before channels went. */
export function pinOnShrink(c: RuleContext): void {
  const { node } = c;
  const axes = c.axes(0)!;
  const dims = c.inputDims(0);
  const rank = dims.length;
  const start = clamp(node.int("start", 0), rank);
  const end = clamp(node.int("end", rank), rank);
  c.onShrink((kept) => {
    const shrunk = axes.map((axis) => kept.shrinks(axis)).slice(start, end);
    if (!shrunk.includes(true)) return;
    const sizes = dims.slice(start, end);
    const output = node.output();
    const after = node.next;
    let pinned: Value | undefined;
    for (const user of [...output.users]) {
      // One size: a constant, or one that did not change.
      const index = user.is("Gather") && user.inputs[0] === output ? user.inputs[1]?.constant : undefined;
      if (index !== undefined && index.size === 1) {
        const at = index.numbers()[0]!;
        const axis = at < 0 ? at + sizes.length : at;
        if (!shrunk[axis]) continue;
        const size = Tensor.int64(index.dims, [sizes[axis]!]);
        const from = user.output();
        if (!from.isOutput) {
          node.graph!.replaceAllUsesWith(from, node.graph!.addInitializer(`${node.label}_size`, size));
          continue;
        }
      }
      pinned ??= replaceElements(node, output, sizes, (axis) => shrunk[axis]!, after ?? user);
      user.inputs.forEach((value, i) => {
        if (value === output && user.output() !== pinned) user.setInput(i, pinned);
      });
    }
    if (output.isOutput) throw node.error("expected sizes that no output of the model shows");
  });
}

const clamp = (axis: number, rank: number): number => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
