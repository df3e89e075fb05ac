/**
 * @file Options of channel pruning.
 */
import { z } from "zod";

export const channelOptions = z.object({
  amount: z.number().min(0).max(1).default(0.3).describe("share that goes: of what `of` says"),
  of: z
    .enum(["channels", "macs", "parameters"])
    .default("channels")
    .describe("what the amount is a share of: channels that may go, or all MACs or parameters of the model"),
  scope: z
    .enum(["global", "group"])
    .default("global")
    .describe("rank all channels together, or take the same share of every group"),
  criterion: z
    .enum(["l1", "l2", "ln", "batch-norm", "random"])
    .default("l2")
    .describe(
      "how channels are scored: norm of the weights that make them, scale of their batch normalization, or chance",
    ),
  n: z.number().positive().default(2).describe("the n of criterion ln"),
  reduce: z
    .enum(["mean", "sum", "max"])
    .default("mean")
    .describe("how scores of several weights that make one channel (residual additions) become one"),
  normalize: z
    .enum(["mean", "max", "none"])
    .default("mean")
    .describe("what scores of a group are divided by, so that groups compare"),
  rank: z
    .enum(["score", "score-per-mac"])
    .default("score")
    .describe("order in which channels go: lowest score first, or lowest score per MAC that goes with it"),
  multiple: z.number().int().min(1).default(8).describe("what is left of a group is a multiple of it (or all of it)"),
  minimum: z.number().int().min(1).default(8).describe("channels that are left of every group at least"),
  limit: z.number().min(0).max(1).default(0.9).describe("share of one group that goes at most"),
  amounts: z
    .record(z.string(), z.number().min(0).max(1))
    .default({})
    .describe("amounts of their own for groups, by patterns of names (* and ?) of a node, weight or value in them"),
  protect: z
    .array(z.string())
    .default([])
    .describe("no channels of groups in which a node, weight or value has such a name (* and ?)"),
  approximate: z
    .boolean()
    .default(false)
    .describe("also channels that are normalized over (LayerNormalization): the result differs more than a mask would"),
});

export type ChannelOptions = z.output<typeof channelOptions>;
