/** @file Seeded pages and lines of text for PP-OCR's detection and direction classifier. */
import { fonts } from "../../examples/ocr/assets.ts";
import { createCanvas } from "../../examples/ocr/canvas.ts";
import { addNoise } from "../../examples/ocr/image.ts";
import { categories, createPhrase, type Split } from "../../examples/ocr/phrases.ts";
import { createSample } from "../../examples/ocr/text.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { SEED } from "./task.ts";

const PAGE = 320;
/** ImageNet's, in the order in which PaddleOCR's detection applies them to blue, green, red. */
const MEAN = [0.485, 0.456, 0.406] as const;
const DEVIATION = [0.229, 0.224, 0.225] as const;

/**
 * A picture with text on a shaded ground: float32 [1, 3, size, size].
 * @param size pixels; default 320. There are three to nine lines for each 320 pixels of height.
 */
export function page(split: Split, index: number, size: number = PAGE): Tensor {
  const random = createRandom(Math.imul(SEED + (split === "calibration" ? 77 : 0), 0x85ebca6b) ^ (index + 1));
  const context = createCanvas(size, size).getContext("2d");
  const dark = random.next() < 0.25;
  const grey = (low: number, high: number): string => {
    const level = low + random.integer(high - low);
    return `rgb(${level}, ${level + random.integer(12)}, ${level + random.integer(12)})`;
  };
  const ground = context.createLinearGradient(0, 0, size * random.next(), size);
  for (const stop of [0, 0.5, 1]) ground.addColorStop(stop, dark ? grey(5, 80) : grey(150, 240));
  context.fillStyle = ground;
  context.fillRect(0, 0, size, size);
  // Things that are no text.
  for (let i = random.integer(5); i > 0; i--) {
    context.fillStyle = grey(60, 200);
    context.fillRect(random.integer(size), random.integer(size), random.integer(60), random.integer(60));
  }
  const lines = Math.round((3 + random.integer(7)) * (size / PAGE));
  for (let line = 0; line < lines; line++) {
    const height = 12 + random.integer(16);
    context.font = `${height}px ${fonts[random.integer(fonts.length)]!.family}`;
    context.fillStyle = dark ? grey(170, 240) : grey(0, 90);
    const text = createPhrase(random, categories[random.integer(categories.length)]!, split);
    context.fillText(text, 6 + random.integer(size - 230), Math.round(((line + 0.8) * size) / lines));
  }
  const { data } = context.getImageData(0, 0, size, size);
  addNoise({ width: size, height: size, data }, random.next() * 10, random);
  const plane = size * size;
  const x = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) x[c * plane + i] = (data[i * 4 + 2 - c]! / 255 - MEAN[c]!) / DEVIATION[c]!;
  }
  return Tensor.float32([1, 3, size, size], x);
}

const LINE_WIDTH = 192;
const LINE_HEIGHT = 48;

/** True for the lines that stand upside down. */
export const isTurned = (index: number): boolean => index % 2 === 1;

/** A line cut or padded to what the classifier takes, every second one upside down: float32 [1, 3, 48, 192]. */
export function turnedLine(split: Split, index: number): Tensor {
  const { input, dims } = createSample(SEED + 1, split, index);
  const [, , , width] = dims;
  const x = new Float32Array(3 * LINE_HEIGHT * LINE_WIDTH);
  const used = Math.min(width, LINE_WIDTH);
  for (let row = 0; row < 3 * LINE_HEIGHT; row++) {
    x.set(input.subarray(row * width, row * width + used), row * LINE_WIDTH);
  }
  if (isTurned(index)) {
    const plane = LINE_HEIGHT * LINE_WIDTH;
    for (let c = 0; c < 3; c++) x.subarray(c * plane, (c + 1) * plane).reverse();
  }
  return Tensor.float32([1, 3, LINE_HEIGHT, LINE_WIDTH], x);
}
