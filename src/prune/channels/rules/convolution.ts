/**
 * @file Convolutions. Channels of X end in them; channels of Y are made by the weights.
 *
 *   Conv           W [O, I/g, k…]   X [N, I, …] → Y [N, O, …]
 *   ConvTranspose  W [I, O/g, k…]
 *
 * With g groups, group j has the inputs j·I/g … and the outputs j·O/g …. Either whole groups go, with all their inputs and
 * outputs (depthwise: each channel is one), or the same positions of every group: whichever leaves more to choose from.
 */
import type { Axis } from "../ids.ts";
import type { RuleContext, Rules } from "../rule.ts";

interface Grouped {
  readonly groups: number;
  /** Inputs and outputs per group. */
  readonly inputs: number;
  readonly outputs: number;
}

const conv = (c: RuleContext): void => {
  const w = c.axes(1)!;
  const [O, inputs] = c.inputDims(1) as [number, number];
  const groups = c.node.int("group", 1);
  const outputs = O / groups;
  const size = { groups, inputs, outputs };
  const x = channelsIn(c);
  let y: Axis = w[0];
  if (groups === 1) {
    c.join(x, w[1]);
    c.sink(1, 1);
  } else if (wholeGroups(size)) {
    y = joinWhole(c, x, w[0], size);
    c.forbid(w[1], "its groups go as wholes");
    groupsFollow(c, y, outputs);
  } else {
    joinWithin(c, x, w[1], inputs);
    tieWithin(c, y, outputs);
    c.sink(1, 1);
  }
  c.source(1, 0, 1);
  finish(c, y);
};

const convTranspose = (c: RuleContext): void => {
  const w = c.axes(1)!;
  const [I, outputs] = c.inputDims(1) as [number, number];
  const groups = c.node.int("group", 1);
  const size = { groups, inputs: I / groups, outputs };
  const x = channelsIn(c);
  if (groups === 1) {
    c.join(x, w[0]);
    c.sink(1, 0);
    c.source(1, 1, 1);
    finish(c, w[1]);
  } else if (wholeGroups(size)) {
    const joined = c.join(x, w[0]);
    c.forbid(w[1], "its groups go as wholes");
    const y = c.fresh(groups * outputs);
    if (joined === undefined) c.forbid(y, "its input channels have to stay");
    else {
      for (let j = 0; j < groups; j++) {
        c.tie([...slice(joined, j, size.inputs), ...slice(y, j, outputs)]);
      }
    }
    groupsFollow(c, y, outputs);
    c.source(1, 0, 1);
    finish(c, y);
  } else {
    c.join(x, w[0]);
    tieWithin(c, w[0], size.inputs);
    c.sink(1, 0);
    const y = c.fresh(groups * outputs);
    joinWithin(c, y, w[1], outputs);
    c.source(1, 1, 1);
    finish(c, y);
  }
};

const wholeGroups = ({ groups, inputs, outputs }: Grouped): boolean => groups >= Math.min(inputs, outputs);

/** The channels of X; windows slide over the axes behind them. */
function channelsIn(c: RuleContext): Axis {
  const [, channels, ...spatial] = c.axes(0)!;
  for (const axis of spatial) c.forbid(axis, "it slides windows over this axis");
  for (const axis of c.axes(1)!.slice(2)) c.forbid(axis, "it is a part of windows");
  return channels;
}

function finish(c: RuleContext, y: Axis): void {
  const rank = c.outputDims().length;
  const bias = c.axes(2);
  if (bias !== undefined) c.join(y, bias[0]);
  c.setOutput([c.axes(0)![0], y, ...Array.from({ length: rank - 2 }, () => undefined)]);
}

const slice = (ids: Int32Array, group: number, size: number): Int32Array =>
  ids.subarray(group * size, (group + 1) * size);

/** Inputs and outputs of a group are one class. */
function joinWhole(c: RuleContext, x: Axis, w: Axis, { groups, inputs, outputs }: Grouped): Axis {
  if (x === undefined) {
    c.forbid(w, "its input channels have to stay");
    return w;
  }
  if (w === undefined) {
    c.forbid(x, "it has one output channel");
    return w;
  }
  for (let j = 0; j < groups; j++) c.tie([...slice(x, j, inputs), ...slice(w, j, outputs)]);
  return w;
}

/** The same position of every group is one class, and is the position of the weight's axis. */
function joinWithin(c: RuleContext, all: Axis, weight: Axis, perGroup: number): void {
  if (all === undefined) c.forbid(weight, "its input channels have to stay");
  else if (weight === undefined) c.forbid(all, "its groups have one channel each");
  else c.tieEach(all, (i) => weight[i % perGroup]!);
}

function tieWithin(c: RuleContext, all: Axis, perGroup: number): void {
  c.tieEach(all, (i) => all![i % perGroup]!);
}

function groupsFollow(c: RuleContext, y: Axis, outputs: number): void {
  c.onShrink((kept) => {
    if (y !== undefined && kept.shrinks(y)) c.node.set("group", { int: kept.positions(y).length / outputs });
  });
}

export const CONVOLUTION: Rules = { Conv: conv, ConvTranspose: convTranspose };
