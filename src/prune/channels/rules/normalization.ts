/**
 * @file Normalizations: what a mean or a variance is taken over has to stay, what has statistics of its own may go.
 *
 * LayerNormalization over the channels: without some of them mean and variance are others, so the pruned model does not
 * equal the masked one. It is forbidden, unless `approximate` asks for what fine-tuning then has to mend.
 */
import type { Rule, RuleContext, Rules } from "../rule.ts";
import { positiveAxis } from "../rule.ts";
import { spatial } from "./pooling.ts";

/** Joins parameters of one number per channel; of one channel they have nothing to join. */
function perChannel(c: RuleContext, inputs: readonly number[]): void {
  const channels = c.axes(0)![1];
  for (const index of inputs) {
    const own = c.axes(index);
    if (own !== undefined && c.inputDims(index)[0] !== 1) c.join(channels, own[0]);
  }
}

/** Statistics per channel, stored or taken from the batch. */
const batch: Rule = (c) => {
  perChannel(c, [1, 2, 3, 4]);
  const [, channels] = c.axes(0)!;
  c.setOutput(c.axes(0)!);
  for (let index = 1; index < c.node.outputs.length; index++) {
    if (c.node.outputs[index] !== undefined) c.setOutput([channels], index);
  }
};

const instance: Rule = (c) => {
  perChannel(c, [1, 2]);
  spatial(c);
};

/** A group has statistics together and goes as a whole. Scales are per channel, before opset 21 per group. */
const group: Rule = (c) => {
  const channels = c.axes(0)![1];
  const groups = c.node.int("num_groups", 1);
  const count = c.inputDims(0)[1]!;
  const size = count / groups;
  c.tieEach(channels, (i) => channels![i - (i % size)]!);
  for (const index of [1, 2]) {
    const own = c.axes(index)?.[0];
    if (own === undefined) continue;
    if (channels === undefined) c.forbid(own, "its channels have to stay");
    else c.tieEach(own, (i) => channels[own.length === count ? i : i * size]!);
  }
  if (groups === 1) c.forbid(channels, "it takes mean and variance over this axis");
  c.onShrink((kept) => {
    if (channels !== undefined && kept.shrinks(channels)) {
      c.node.set("num_groups", { int: kept.positions(channels).length / size });
    }
  });
  spatial(c);
};

/** Over all axes from `axis` on. */
const layer: Rule = (c) => {
  const axes = [...c.axes(0)!];
  const first = positiveAxis(c.node.int("axis", -1), axes.length);
  for (let at = first; at < axes.length; at++) {
    if (!c.approximate) c.forbid(axes[at], "it takes mean and variance over this axis");
    for (const index of [1, 2]) {
      const own = c.axes(index);
      const along = at - axes.length + (own?.length ?? 0);
      if (own !== undefined && along >= 0 && c.inputDims(index)[along] !== 1) axes[at] = c.join(axes[at], own[along]);
    }
  }
  c.setOutput(axes);
  const statistics = axes.map((axis, at) => (at < first ? axis : undefined));
  for (let index = 1; index < c.node.outputs.length; index++) {
    if (c.node.outputs[index] !== undefined) c.setOutput(statistics, index);
  }
};

/** Over the axes of the attribute; by default all but the channels. */
const meanVariance: Rule = (c) => {
  const axes = c.axes(0)!;
  const over = new Set((c.node.ints("axes") ?? [0, 2, 3]).map((axis) => positiveAxis(axis, axes.length)));
  for (const at of over) c.forbid(axes[at], "it takes mean and variance over this axis");
  c.setOutput(axes.map((axis, at) => (over.has(at) ? undefined : axis)));
};

const localResponse: Rule = (c) => {
  const axes = c.axes(0)!;
  c.forbid(axes[1], "it normalizes over neighbouring channels");
  c.setOutput(axes.map((axis, at) => (at === 1 ? undefined : axis)));
};

export const NORMALIZATION: Rules = {
  BatchNormalization: batch,
  GroupNormalization: group,
  InstanceNormalization: instance,
  LayerNormalization: layer,
  LRN: localResponse,
  MeanVarianceNormalization: meanVariance,
  RMSNormalization: layer,
  SimplifiedLayerNormalization: layer,
};
