/**
 * @file Channels out of a model, in place, with the proof that nothing else changed: beside the original with zeros where the
 * channels were.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { compareOutputs } from "../measure/compare.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { ChannelHistory } from "../prune/channels/history.ts";
import type { channelOptions } from "../prune/channels/options.ts";
import { type ChannelResult, maskRemoved, pruneChannels, replayChannels } from "../prune/channels/prune-channels.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import { InputError, messageOf } from "../util/errors.ts";

/** What went, and how exactly the result is the original without it. */
export interface ChannelReport extends ChannelResult {
  /** SQNR in dB of the outputs against the original with zeros where the channels were, the least of them; on one sample. */
  readonly exactness: number;
}

/**
 * Prunes channels, or replays a history, in place.
 * @param feeds One sample of the model's inputs: sizes are observed with it.
 */
export async function channelsOf(
  model: Model,
  options: z.input<typeof channelOptions>,
  { runtime, feeds, seed }: { readonly runtime: Runtime; readonly feeds: Tensors; readonly seed?: number | undefined },
): Promise<ChannelReport> {
  const sizes = { runtime, feeds };
  const twin = cloneModel(model);
  const result = await pruneChannels(model, options, { ...sizes, ...(seed !== undefined && { seed }) });
  await maskRemoved(twin, result.history, sizes);
  return { ...result, exactness: await exactnessOf(twin, model, sizes) };
}

/** Takes the channels of a history out, in place. @returns as {@link channelsOf}'s exactness. */
export async function replayHistory(
  model: Model,
  history: ChannelHistory,
  sizes: { readonly runtime: Runtime; readonly feeds: Tensors },
): Promise<number> {
  const twin = cloneModel(model);
  await replayChannels(model, history, sizes);
  await maskRemoved(twin, history, sizes);
  return exactnessOf(twin, model, sizes);
}

async function exactnessOf(
  twin: Model,
  model: Model,
  { runtime, feeds }: { readonly runtime: Runtime; readonly feeds: Tensors },
): Promise<number> {
  const run = async (one: Model): Promise<Tensors> => {
    const session = await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(one))) });
    try {
      return await session.run(Object.fromEntries(session.inputs.map(({ name }) => [name, feeds[name]!])));
    } finally {
      await session.release();
    }
  };
  const found = compareOutputs(await run(twin), await run(model));
  return Math.min(...found.map((output) => (output.kind === "float" ? output.sqnr : Number.POSITIVE_INFINITY)));
}

const history = z.strictObject({
  version: z.literal(1),
  approximate: z.boolean(),
  removals: z.array(
    z.strictObject({
      value: z.string(),
      axis: z.number().int().min(0),
      size: z.number().int().min(1),
      removed: z.array(z.number().int().min(0)),
    }),
  ),
});

/** @throws InputError for a file that is none. */
export function readHistoryFile(path: string): ChannelHistory {
  try {
    return history.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    const got = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll(/\s+/g, " ") : messageOf(cause);
    throw new InputError({
      area: "file",
      subject: path,
      problem: `expected a history of pruned channels, got ${got}`,
      help: "Such a file is written by tersor prune --pattern channel --history FILE.",
    });
  }
}

/** Whole or not at all. */
export function writeHistoryFile(path: string, content: ChannelHistory): void {
  const partial = `${path}.partial`;
  writeFileSync(partial, `${JSON.stringify(content)}\n`);
  renameSync(partial, path);
}
