/**
 * @file Repairs a model without a single label, anywhere: the weights of PP-OCR's direction classifier (is a line of text
 * upside down?) are damaged until it is right no more often than a coin, and it learns the original's answers on images
 * that nobody labelled. Images come from whatever canvas there is, ONNX Runtime as a runtime.
 */
import { batch } from "../../src/data/combine.ts";
import { fromSamples } from "../../src/data/source.ts";
import type { Model } from "../../src/graph/model.ts";
import { loadModel, saveModel } from "../../src/graph/model-file.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { Sample } from "../../src/step/data.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { CheckpointStore } from "../../src/train/checkpoint.ts";
import type { TrainResult } from "../../src/train/context.ts";
import type { LogRecord, TrainHooks } from "../../src/train/events.ts";
import { train } from "../../src/train/trainer.ts";
import { namedConstants } from "../../src/train/write-back.ts";
import { createRandom } from "../../src/util/random.ts";

/** The classifier's window: height and width. */
export const WINDOW = [48, 192] as const;

export interface DirectionSettings {
  readonly steps: number;
  /** Default 32. */
  readonly batchSize?: number;
  /** Default 3e-3. */
  readonly learningRate?: number;
  readonly validateEvery?: number;
  readonly checkpointEvery?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly timeWays?: boolean;
}

export interface DirectionData {
  /** The bytes of the classifier's file. */
  readonly original: Uint8Array;
  /** What it learns from. A tenth of them, 100 at most, chooses the best state. */
  readonly training: readonly Sample[];
  /** What it is judged on. */
  readonly fresh: readonly Sample[];
}

export interface DirectionContext {
  readonly runtime: Runtime;
  readonly checkpoints?: CheckpointStore;
  readonly resume?: boolean;
  readonly log?: (record: LogRecord) => void;
  readonly hooks?: TrainHooks;
  readonly signal?: AbortSignal;
  /** Hears how large the noise is and how often the damaged model still agrees. */
  readonly onDamage?: (share: number, agreement: number) => void;
}

export interface DirectionResult {
  readonly model: Model;
  readonly training: TrainResult;
  /** Share of the fresh images on which model and original agree, and the answers themselves: 1 is upside down. */
  readonly before: number;
  readonly after: number;
  readonly answers: Readonly<Record<"original" | "damaged" | "repaired", readonly number[]>>;
}

/**
 * The left of a line in the classifier's window.
 * @param input float32 [3, 48, width], zeros to the right of the text.
 * @param turned upside down.
 */
export function lineSample(input: Float32Array, width: number, turned: boolean): Sample {
  const [height, inner] = WINDOW;
  const x = new Float32Array(3 * height * inner);
  for (let row = 0; row < 3 * height; row++) {
    x.set(input.subarray(row * width, row * width + Math.min(width, inner)), row * inner);
  }
  const plane = height * inner;
  if (turned) for (let c = 0; c < 3; c++) x.subarray(c * plane, (c + 1) * plane).reverse();
  return { inputs: { x: Tensor.float32([1, 3, height, inner], x) } };
}

/** Adds noise to every weight of a convolution or layer, as large as this share of the weights' own size. */
function damage(model: Model, share: number): void {
  const random = createRandom(1);
  for (const { tensor, set } of namedConstants(model).values()) {
    if (tensor.dtype !== "float32" || tensor.dims.length < 2) continue;
    const values = tensor.floats();
    const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    const noisy = values.map((value) => value + share * size * random.normal());
    set(Tensor.float32(tensor.dims, noisy));
  }
}

/** What a model answers: one class per sample. */
async function answersOf(
  model: Model,
  data: readonly Sample[],
  { runtime, signal }: DirectionContext,
): Promise<number[]> {
  const session = await runtime.load({ bytes: saveModel(model) });
  const found: number[] = [];
  for await (const { inputs } of batch(fromSamples(data), 20).samples()) {
    const pairs = Object.values(await session.run(inputs))[0]!.floats();
    for (let i = 0; i < pairs.length; i += 2) found.push(Number(pairs[i + 1]! > pairs[i]!));
    // A thread that computes itself hears of the signal now.
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
  }
  await session.release();
  return found;
}

/** Damages a copy of the classifier and repairs it. */
export async function repairDirection(
  { original: bytes, training, fresh }: DirectionData,
  settings: DirectionSettings,
  context: DirectionContext,
): Promise<DirectionResult> {
  const { batchSize = 32, learningRate = 3e-3, seed = 0, threads = 1, steps } = settings;
  const { validateEvery = 50, checkpointEvery = validateEvery, timeWays } = settings;
  const original = loadModel(bytes);
  const expected = await answersOf(original, fresh, context);
  const agreement = (own: readonly number[]): number =>
    own.filter((answer, i) => answer === expected[i]).length / own.length;
  let [model, damaged] = [original, expected];
  for (let share = 0.1; agreement(damaged) >= 0.6; share += 0.1) {
    model = loadModel(bytes);
    damage(model, share);
    damaged = await answersOf(model, fresh, context);
    context.onDamage?.(share, agreement(damaged));
  }
  const output = model.graph.outputs[0]!.name;
  const kept = Math.min(100, Math.floor(training.length / 10));
  const result = await train(
    model,
    {
      losses: [{ kind: "distillation", output, target: `teacher:${output}` }],
      optimizer: { kind: "adam" },
      schedule: { kind: "cosine" },
      learningRate,
      batchNorm: "batch-statistics",
      batchSize,
      steps,
      metric: "agreement",
      validateEvery,
      checkpointEvery,
      logEvery: 1,
      seed,
      threads,
      timeWays,
    },
    {
      ...context,
      teacher: original,
      data: fromSamples(training.slice(kept)),
      validation: fromSamples(training.slice(0, kept)),
    },
  );
  const repaired = await answersOf(model, fresh, context);
  return {
    model,
    training: result,
    before: agreement(damaged),
    after: agreement(repaired),
    answers: { original: expected, damaged, repaired },
  };
}
