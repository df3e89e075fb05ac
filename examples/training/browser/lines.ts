/**
 * @file Lines of text drawn with the browser's own canvas and fonts: what the classifier learns from needs no labels.
 */

import type { Sample } from "../../../src/step/data.ts";
import { createRandom, type Random } from "../../../src/util/random.ts";
import { addNoise, type Picture, toInput } from "../../ocr/image.ts";
import { categories, createPhrase, type Split } from "../../ocr/phrases.ts";
import { lineSample } from "../direction-shared.ts";

export interface DrawOptions {
  readonly seed: number;
  /** Texts of one never come in the other. */
  readonly split: Split;
  readonly count: number;
  readonly signal?: AbortSignal | undefined;
}

const FONTS = ["sans-serif", "serif", "monospace"] as const;
const STYLES = ["", "bold ", "italic "] as const;
/** Pixels, before a line is scaled to 48. */
const SIZES = [18, 26, 40] as const;

/** Every other line is upside down. The same seed gives the same lines, on a machine with the same fonts. */
export async function drawSamples({ seed, split, count, signal }: DrawOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let index = 0; index < count; index++) {
    const random = createRandom(Math.imul(seed, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35));
    const text = createPhrase(random, categories[index % categories.length]!, split);
    const { input, dims } = toInput(drawLine(text, random));
    samples.push(lineSample(input, dims[3], index % 2 === 1));
    if (index % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
  }
  return samples;
}

const canvas = new OffscreenCanvas(1200, 80);
const context = canvas.getContext("2d", { willReadFrequently: true })!;

function drawLine(text: string, random: Random): Picture {
  const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)]!;
  const size = pick(SIZES);
  const margin = (): number => 1 + size * (0.12 + 0.2 * random.next());
  const [left, right, top, bottom] = [margin(), margin(), margin(), margin()];
  context.font = `${pick(STYLES)}${size}px ${pick(FONTS)}`;
  const measured = context.measureText(text);
  const ascent = Math.max(measured.actualBoundingBoxAscent, 0.7 * size);
  const descent = Math.max(measured.actualBoundingBoxDescent, 0.1 * size);
  const width = Math.min(canvas.width, Math.ceil(left + measured.width + right));
  const height = Math.min(canvas.height, Math.ceil(top + ascent + descent + bottom));
  const contrast = 90 + random.next() * 165;
  const dark = random.next() * (255 - contrast);
  const grey = (level: number): string => `rgb(${[level, level, level].map(Math.round).join(" ")})`;
  const [ink, paper] = random.next() < 0.125 ? [dark + contrast, dark] : [dark, dark + contrast];
  context.fillStyle = grey(paper);
  context.fillRect(0, 0, width, height);
  context.fillStyle = grey(ink);
  context.fillText(text, left, top + ascent);
  const { data } = context.getImageData(0, 0, width, height);
  const picture = { width, height, data };
  if (random.next() < 0.5) addNoise(picture, 10, random);
  return picture;
}
