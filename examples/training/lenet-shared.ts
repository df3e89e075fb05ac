/**
 * @file LeNet-5 on MNIST from nothing, anywhere: Node (lenet.ts), a browser's page (browser/), the bench that compares
 * them. Nothing here is a platform's: files come as bytes, ONNX Runtime as a runtime.
 *
 * A tenth of the training images is kept for validation and chooses the epoch; the test images are looked at once.
 */

import { createAugmenter } from "../../src/data/augment.ts";
import { batch, limit, shuffle, skip } from "../../src/data/combine.ts";
import { fromIdx, type IdxFiles, type IdxOptions } from "../../src/data/idx-source.ts";
import type { Model } from "../../src/graph/model.ts";
import { saveModel } from "../../src/graph/model-file.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import { lenet5 } from "../../src/nn/models/lenet.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import type { TrainResult } from "../../src/train/context.ts";
import type { LogRecord, TrainHooks } from "../../src/train/events.ts";
import { train } from "../../src/train/trainer.ts";

export interface LenetSettings {
  /** Of the training set, those for validation included. Default: all. */
  readonly images?: number;
  /** Of the test set. Default: all. */
  readonly testImages?: number;
  readonly epochs: number;
  /** Default 128. */
  readonly batchSize?: number;
  /** Default 0.02. */
  readonly learningRate?: number;
  /** Moves training images by up to one pixel. */
  readonly shift?: boolean;
  readonly seed?: number;
  readonly threads?: number;
  /** See the trainer's option: faster, and no longer the same numbers in every run. */
  readonly timeWays?: boolean;
  /** Updates between two checkpoints. Default: an epoch. */
  readonly checkpointEvery?: number;
}

export interface LenetContext {
  readonly runtime: Runtime;
  readonly checkpoints?: CheckpointStore;
  readonly resume?: boolean;
  readonly log?: (record: LogRecord) => void;
  readonly hooks?: TrainHooks;
  readonly signal?: AbortSignal;
}

export interface LenetResult {
  readonly model: Model;
  readonly training: TrainResult;
  /** The class that the model gives each test image, and the right one. */
  readonly answers: readonly { readonly given: number; readonly right: number }[];
  /** Share of test images with a wrong answer. */
  readonly testError: number;
}

/** Trains, and looks at the test images. */
export async function trainLenet(
  files: { readonly train: IdxFiles; readonly test: IdxFiles },
  settings: LenetSettings,
  context: LenetContext,
): Promise<LenetResult> {
  const { epochs, batchSize = 128, learningRate = 0.02, seed = 0, threads = 1, timeWays, checkpointEvery } = settings;
  const { runtime, signal } = context;
  const model = buildModel(lenet5(), { input: { name: "x", dims: ["N", 1, 28, 28] }, output: "logits", seed });
  const form: IdxOptions = {
    input: { name: "x", dtype: "float32", shape: ["N", 1, 28, 28] },
    preprocess: { scale: 1 / 255, mean: [0.1307], std: [0.3081] },
  };
  const all = fromIdx(files.train, form);
  const images = limit(shuffle(all, seed, all.groupOf), settings.images ?? all.length);
  const kept = Math.floor(images.length! / 10);
  const augmenter = createAugmenter("shift=1", { seed });
  const training = await train(
    model,
    {
      losses: [{ kind: "cross-entropy" }],
      optimizer: { kind: "sgd", momentum: 0.9, weightDecay: 5e-4 },
      schedule: { kind: "cosine" },
      learningRate,
      batchSize,
      epochs,
      seed,
      threads,
      timeWays,
      checkpointEvery,
      logEvery: 1,
    },
    {
      ...context,
      data: skip(images, kept),
      validation: limit(images, kept),
      ...(settings.shift && {
        augment: (sample, _random, { epoch, index }) => ({
          ...sample,
          inputs: { x: augmenter.batch(sample.inputs["x"]!, [index], epoch) },
        }),
        augmentName: augmenter.description,
      }),
    },
  );
  const test = fromIdx(files.test, form);
  const answers: { given: number; right: number }[] = [];
  const session = await runtime.load({ bytes: saveModel(model) }, { threads });
  for await (const { inputs, label } of batch(limit(test, settings.testImages ?? test.length), 100).samples()) {
    const logits = (await session.run(inputs))["logits"]!.floats();
    [label].flat().forEach((right, i) => {
      const row = logits.subarray(10 * i, 10 * (i + 1));
      answers.push({ given: row.indexOf(Math.max(...row)), right: Number(right) });
    });
    // A thread that computes itself hears of the signal now.
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
  }
  await session.release();
  const wrong = answers.filter(({ given, right }) => given !== right).length;
  return { model, training, answers, testError: wrong / answers.length };
}
