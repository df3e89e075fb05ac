/**
 * @file Operators that move, join, cut and repeat elements: axes are permuted, cut and put together with them.
 */
import { Tensor } from "../../../tensor/tensor.ts";
import type { Axis } from "../ids.ts";
import type { Rule, RuleContext, Rules } from "../rule.ts";
import { positiveAxis } from "../rule.ts";
import { pinOnShrink, retargetOnShrink, setInts } from "../shape-inputs.ts";

const transpose: Rule = (c) => {
  const axes = c.axes(0)!;
  const perm = c.node.ints("perm") ?? axes.map((_, i) => axes.length - 1 - i);
  c.setOutput(perm.map((from) => axes[from]));
};

/** Squeeze and Unsqueeze move nothing: the axes that are not of size 1 stay in order. */
const ones: Rule = (c) => {
  const [before, after] = [c.inputDims(0), c.outputDims()];
  const kept = c.axes(0)!.filter((_, i) => before[i] !== 1);
  let next = 0;
  c.setOutput(after.map((size) => (size === 1 ? undefined : kept[next++])));
};

const concat: Rule = (c) => {
  const rank = c.outputDims().length;
  const along = positiveAxis(c.node.int("axis", 0), rank);
  const inputs = c.node.inputs.map((_, index) => index);
  const axes = Array.from({ length: rank }, (_, axis): Axis => {
    if (axis !== along)
      return inputs.slice(1).reduce<Axis>((ids, i) => c.join(ids, c.axes(i)![axis]), c.axes(0)![axis]);
    if (inputs.every((i) => c.axes(i)![axis] === undefined)) return undefined;
    const parts = inputs.map((i) => c.axes(i)![axis] ?? stays(c, c.inputDims(i)[axis]!));
    return Int32Array.from(parts.flatMap((part) => [...part]));
  });
  c.setOutput(axes);
};

/** Positions that keep their place in an axis of which others may go. */
function stays(c: RuleContext, count: number): Int32Array {
  const ids = c.fresh(count);
  c.forbid(ids, "it takes them from an axis that has to stay");
  return ids;
}

const split: Rule = (c) => {
  const axes = c.axes(0)!;
  const along = positiveAxis(c.node.int("axis", 0), axes.length);
  const ids = axes[along];
  let at = 0;
  const sizes = c.node.outputs.map((value, index) => (value === undefined ? undefined : c.outputDims(index)[along]!));
  if (sizes.some((size) => size === undefined)) return c.refuse("one of its outputs is left out");
  const parts = sizes.map((size) => {
    const part = ids?.subarray(at, at + size!);
    at += size!;
    return part;
  });
  parts.forEach((part, index) => {
    c.setOutput(
      axes.map((axis, i) => (i === along ? part : axis)),
      index,
    );
  });
  c.onShrink((kept) => {
    if (!kept.shrinks(ids)) return;
    c.node.attributes.delete("num_outputs");
    setInts(
      c.node,
      1,
      parts.map((part) => kept.positions(part!).length),
    );
  });
};

const slice: Rule = (c) => {
  const axes = c.axes(0)!;
  const [before, after] = [c.inputDims(0), c.outputDims()];
  const constants = [1, 2, 3, 4].map((index) => c.constant(index));
  const [starts, ends] = constants;
  const over = constants[2] ?? starts?.map((_, i) => i);
  const steps = constants[3] ?? (c.node.inputs[4] === undefined ? starts?.map(() => 1) : undefined);
  const known = starts !== undefined && ends !== undefined && over !== undefined && steps !== undefined;
  if (!known || (c.node.inputs[3] !== undefined && constants[2] === undefined)) {
    for (const axis of axes) c.forbid(axis, "what it cuts out is computed");
    c.setOutput(axes.map((axis, i) => (before[i] === after[i] ? axis : undefined)));
    return;
  }
  const result = [...axes];
  const cuts: { readonly at: number; readonly ids: Int32Array; readonly begin: number }[] = [];
  over.forEach((axis, at) => {
    const where = positiveAxis(axis, axes.length);
    const ids = axes[where];
    if (ids === undefined) return;
    if (steps[at] !== 1) {
      c.forbid(ids, "it takes positions of this axis in steps");
      result[where] = undefined;
      return;
    }
    const start = starts[at]!;
    const begin = Math.min(Math.max(start < 0 ? start + before[where]! : start, 0), before[where]!);
    result[where] = ids.subarray(begin, begin + after[where]!);
    cuts.push({ at, ids, begin });
  });
  c.setOutput(result);
  c.onShrink((kept) => {
    if (!cuts.some(({ ids }) => kept.shrinks(ids))) return;
    const [newStarts, newEnds] = [[...starts], [...ends]];
    for (const { at, ids, begin } of cuts) {
      const where = positiveAxis(over[at]!, axes.length);
      const positions = kept.positions(ids);
      newStarts[at] = positions.filter((position) => position < begin).length;
      newEnds[at] = positions.filter((position) => position < begin + after[where]!).length;
    }
    setInts(c.node, 1, newStarts);
    setInts(c.node, 2, newEnds);
    if (c.node.inputs[3] === undefined) setInts(c.node, 3, over);
  });
};

/** X with one axis replaced by those of the indices: constant indices choose positions, others look rows up. */
const gather: Rule = (c) => {
  const data = c.axes(0)!;
  const indices = c.axes(1)!;
  const along = positiveAxis(c.node.int("axis", 0), data.length);
  const chosen = c.constant(1);
  const ids = data[along];
  let inner: readonly Axis[] = indices;
  if (ids !== undefined && chosen !== undefined && indices.length === 1) {
    const positions = chosen.map((index) => positiveAxis(index, ids.length));
    inner = [Int32Array.from(positions, (position) => ids[position]!)];
    c.forbid(indices[0], "they are indices");
    c.onShrink((kept) => {
      if (!kept.shrinks(ids)) return;
      const now = new Map(kept.positions(ids).map((position, index) => [position, index]));
      const renumbered = positions.flatMap((position) => now.get(position) ?? []);
      c.node.setInput(
        1,
        c.node.graph!.addInitializer(`${c.node.label}_indices`, Tensor.int64([renumbered.length], renumbered)),
      );
    });
  } else c.forbid(ids, "it looks positions of this axis up");
  c.setOutput([...data.slice(0, along), ...inner, ...data.slice(along + 1)]);
  if (c.isWeight(0)) {
    data.forEach((_, axis) => {
      if (axis !== along) c.source(0, axis, axis < along ? axis : axis + indices.length - 1);
    });
  }
};

/** Axes that it lengthens from 1 may be of any size: the target says it. */
const expand: Rule = (c) => {
  const before = c.inputDims(0);
  const after = c.outputDims();
  const axes = after.map((size, axis) => {
    const own = axis - after.length + before.length;
    if (size === 1) return undefined;
    return own >= 0 && before[own] === size ? c.axes(0)![own] : c.fresh(size);
  });
  c.setOutput(axes);
  retargetOnShrink(c, 1, axes);
};

const constantOfShape: Rule = (c) => {
  const axes = c.outputDims().map((size) => (size === 1 ? undefined : c.fresh(size)));
  c.setOutput(axes);
  retargetOnShrink(c, 0, axes);
};

const tile: Rule = (c) => {
  const before = c.inputDims(0);
  c.setOutput(
    c.outputDims().map((size, axis) => {
      const ids = c.axes(0)![axis];
      return ids && (size === before[axis] ? ids : Int32Array.from({ length: size }, (_, i) => ids[i % ids.length]!));
    }),
  );
};

/**
 * Constants before and after. On a channel axis (the shortcut of He et al. 2016 that adds zeros) what is added are
 * channels as all others.
 */
const pad: Rule = (c) => {
  const before = c.inputDims(0);
  const rank = before.length;
  const counts =
    c.node.inputs[3] === undefined && c.node.string("mode", "constant") === "constant" ? c.constant(1) : undefined;
  const axes = c.axes(0)!;
  const padded: { readonly axis: number; readonly head: Int32Array; readonly tail: Int32Array }[] = [];
  const result = axes.map((ids, axis) => {
    if (ids === undefined || before[axis] === c.outputDims()[axis]) return ids;
    const [first, last] = [counts?.[axis] ?? -1, counts?.[axis + rank] ?? -1];
    if (first < 0 || last < 0) {
      c.forbid(ids, "it pads this axis");
      return undefined;
    }
    const own = { axis, head: c.fresh(first), tail: c.fresh(last) };
    padded.push(own);
    return Int32Array.from([...own.head, ...ids, ...own.tail]);
  });
  c.setOutput(result);
  c.onShrink((kept) => {
    if (!padded.some(({ head, tail }) => kept.shrinks(head) || kept.shrinks(tail))) return;
    const now = [...counts!];
    for (const { axis, head, tail } of padded) {
      now[axis] = kept.positions(head).length;
      now[axis + rank] = kept.positions(tail).length;
    }
    setInts(c.node, 1, now);
  });
};

/** The two last axes are rows and columns of a triangle. */
const triangle: Rule = (c) => {
  const axes = c.axes(0)!;
  for (const axis of axes.slice(-2)) c.forbid(axis, "it compares rows with columns");
  c.setOutput(axes.map((axis, i) => (i >= axes.length - 2 ? undefined : axis)));
};

/** What is computed from sizes goes on seeing the old ones; every target shape is corrected where it is used. */
const shape: Rule = (c) => {
  c.setOutput([undefined]);
  pinOnShrink(c);
};

const fixedOutput: Rule = (c) => {
  c.refuse("it counts elements");
};

export const MOVEMENT: Rules = {
  Concat: concat,
  ConstantOfShape: constantOfShape,
  Expand: expand,
  Gather: gather,
  Pad: pad,
  Shape: shape,
  Size: fixedOutput,
  Slice: slice,
  Split: split,
  Squeeze: ones,
  Tile: tile,
  Transpose: transpose,
  Trilu: triangle,
  Unsqueeze: ones,
};
