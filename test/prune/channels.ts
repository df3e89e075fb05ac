/**
 * @file What tests of channel pruning share: prunes a model and holds the result against the masked original.
 */
import { cloneModel } from "../../src/graph/clone.ts";
import type { Model } from "../../src/graph/model.ts";
import type { ChannelHistory } from "../../src/prune/channels/history.ts";
import {
  type ChannelResult,
  maskRemoved,
  observeSizes,
  pruneChannels,
} from "../../src/prune/channels/prune-channels.ts";
import type { ChannelScore } from "../../src/prune/channels/scores.ts";
import type { Runtime, Tensors } from "../../src/runtime/runtime.ts";
import { bytesOf, reload, runAll } from "../helpers.ts";

export interface Pruned {
  readonly result: ChannelResult;
  readonly model: Model;
  /** Largest difference of any output to the masked original's, over that output's largest magnitude. */
  readonly difference: number;
  /** The same between the masked original and the original: what went was in use. */
  readonly change: number;
}

/**
 * Bound of the issue: 1e-4 of an output's largest magnitude. Sums of fewer terms are added up in another order; with the
 * depth of these nets and float32 that stays far below it.
 */
export const SAME = 1e-4;

type Options = Parameters<typeof pruneChannels>[1];

type Sizes = ReadonlyMap<string, readonly number[]>;

/** Sizes of all values of a model, by name. */
export function sizesOf(model: Model, runtime: Runtime, feeds: Tensors): Promise<Sizes> {
  return observeSizes(cloneModel(model), { runtime, feeds });
}

/** Prunes a copy; the first of the samples shows sizes, on all of them results are compared. */
export async function pruneAndCompare(
  original: Model,
  options: Options,
  runtime: Runtime,
  samples: readonly Tensors[],
  more: { readonly score?: ChannelScore; readonly history?: ChannelHistory; readonly shapes?: Sizes } = {},
): Promise<Pruned> {
  const shapes = more.shapes ?? (await sizesOf(original, runtime, samples[0]!));
  const pruned = cloneModel(original);
  const result = await pruneChannels(pruned, options, { ...more, shapes });
  const masked = cloneModel(original);
  await maskRemoved(masked, result.history, { shapes });
  const model = reload(pruned);
  const [before, expected, got] = [
    await runAll(runtime, bytesOf(original), samples),
    await runAll(runtime, bytesOf(masked), samples),
    await runAll(runtime, bytesOf(model), samples),
  ];
  return { result, model, difference: differenceOf(expected, got), change: differenceOf(before, expected) };
}

/** The same for all outputs of all samples. */
export function differenceOf(expected: readonly Tensors[], got: readonly Tensors[]): number {
  let worst = 0;
  expected.forEach((outputs, sample) => {
    for (const [name, tensor] of Object.entries(outputs)) {
      const other = got[sample]![name]!;
      if (other.dims.join() !== tensor.dims.join()) {
        throw new Error(`${name}: expected [${tensor.dims.join(", ")}], got [${other.dims.join(", ")}]`);
      }
      const [a, b] = [tensor.numbers(), other.numbers()];
      const scale = a.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      a.forEach((x, i) => {
        const difference = Math.abs(x - b[i]!) / (scale || 1);
        // Not a number is never the same.
        worst = difference <= worst ? worst : difference;
      });
    }
  });
  return worst;
}

/**
 * Makes what goes into a last Sigmoid or Softmax the output, in place. Pruned without fine-tuning, a net may put out
 * probabilities of 1e-9, in which an error of the sum before them is not to be seen, or is all there is.
 */
export function showLogits(model: Model): Model {
  const outputs = model.graph.outputs.map((value) => {
    const { producer } = value;
    return producer?.is("Sigmoid") || producer?.is("Softmax") ? producer.input(0) : value;
  });
  model.graph.setOutputs(outputs);
  for (const value of outputs) if (value.type === undefined) value.setTensorType("float32");
  return model;
}
