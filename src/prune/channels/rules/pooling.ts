/**
 * @file Pooling and what else works within each channel of [N, C, …], over the axes behind it.
 */
import type { Rule, RuleContext, Rules } from "../rule.ts";
import { retargetOnShrink } from "../shape-inputs.ts";

/** [N, C, …] → [N, C, …], windows over the axes behind the channels. */
export function spatial(c: RuleContext): void {
  const [n, channels, ...rest] = c.axes(0)!;
  for (const axis of rest) c.forbid(axis, "it works over this axis");
  c.setOutput([n, channels, ...Array.from({ length: c.outputDims().length - 2 }, () => undefined)]);
}

/** Indices count through the channels, too. */
const maxPool: Rule = (c) => {
  if (c.node.outputs[1] !== undefined) return c.refuse("its second output has indices that count through channels");
  spatial(c);
};

/** Axes that keep their size pass; others are interpolated. A target size of a channel axis is the new one. */
const resize: Rule = (c) => {
  const [before, after] = [c.inputDims(0), c.outputDims()];
  const axes = c.axes(0)!.map((axis, i) => {
    if (before[i] === after[i]) return axis;
    c.forbid(axis, "it resizes this axis");
    return undefined;
  });
  c.setOutput(axes);
  if (c.node.has("axes")) return;
  retargetOnShrink(c, 3, axes);
};

/** X [N, b·b·C', H, W] → [N, C', b·H, b·W]; DCR: channel (i·b + j)·C' + c', CRD: channel c'·b·b + i·b + j. */
const depthToSpace: Rule = (c) => {
  const [n, x] = c.axes(0)!;
  const channels = c.outputDims()[1]!;
  const blocks = c.inputDims(0)[1]! / channels;
  const columnsFirst = c.node.string("mode", "DCR") === "DCR";
  const y = x && c.fresh(channels);
  c.tieEach(x, (i) => y![columnsFirst ? i % channels : Math.floor(i / blocks)]!);
  for (const axis of c.axes(0)!.slice(2)) c.forbid(axis, "it works over this axis");
  c.setOutput([n, channels === 1 ? forbidden(c, x) : y, undefined, undefined]);
};

/** X [N, C, b·H, b·W] → [N, b·b·C, H, W]: channel (i·b + j)·C + c */
const spaceToDepth: Rule = (c) => {
  const [n, x] = c.axes(0)!;
  const channels = c.inputDims(0)[1]!;
  for (const axis of c.axes(0)!.slice(2)) c.forbid(axis, "it works over this axis");
  c.setOutput([
    n,
    x && Int32Array.from({ length: c.outputDims()[1]! }, (_, i) => x[i % channels]!),
    undefined,
    undefined,
  ]);
};

function forbidden(c: RuleContext, axis: Int32Array | undefined): undefined {
  c.forbid(axis, "one channel is left after it");
  return undefined;
}

export const POOLING: Rules = {
  AveragePool: spatial,
  DepthToSpace: depthToSpace,
  GlobalAveragePool: spatial,
  GlobalLpPool: spatial,
  GlobalMaxPool: spatial,
  LpPool: spatial,
  MaxPool: maxPool,
  Resize: resize,
  SpaceToDepth: spaceToDepth,
};
