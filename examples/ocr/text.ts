/** @file Labelled line images for the recognition model: the same seed gives the same samples. */

import { createRandom, type Random } from "../../src/util/random.ts";
import { type Font, fonts } from "./assets.ts";
import { createCanvas } from "./canvas.ts";
import { addNoise, blur, type InputDims, type Picture, toInput } from "./image.ts";
import { type Category, categories, createPhrase, type Split } from "./phrases.ts";

/** Font sizes in pixels, before the line is scaled to the model's height of 48. */
export const fontSizes = [16, 24, 40] as const;

interface NoiseLevel {
  readonly name: string;
  /** Side weight of the blur kernel at size 24; it grows with the font. */
  readonly blur: number;
  /** Standard deviation of the noise, in levels of 255. */
  readonly sigma: number;
  /** Smallest and largest distance between ink and paper, in levels of 255. */
  readonly contrast: readonly [number, number];
}

export const noiseLevels: readonly NoiseLevel[] = [
  { name: "clean", blur: 0, sigma: 0, contrast: [170, 255] },
  { name: "noisy", blur: 0.1, sigma: 10, contrast: [110, 180] },
  { name: "faint", blur: 0.2, sigma: 14, contrast: [60, 100] },
];

export interface Sample {
  readonly index: number;
  readonly split: Split;
  readonly category: Category;
  /** What the image says: printable ASCII, single spaces. */
  readonly text: string;
  readonly font: string;
  /** Pixels. */
  readonly size: number;
  readonly noise: string;
  /** The line as it was drawn, cropped around the text. */
  readonly image: Picture;
  /** float32 [1, 3, 48, W], blue, green, red in −1 … 1, zeros right of the text. */
  readonly input: Float32Array;
  readonly dims: InputDims;
}

export interface SampleOptions {
  readonly seed: number;
  readonly split: Split;
  readonly count: number;
  /** Index of the first sample; default 0. */
  readonly start?: number;
}

interface Look {
  readonly font: Font;
  readonly size: number;
  readonly noise: NoiseLevel;
}

const looks: readonly Look[] = fonts.flatMap((font) =>
  fontSizes.flatMap((size) => noiseLevels.map((noise) => ({ font, size, noise }))),
);

/** Ink and paper as greys with a slight tint, `contrast` levels apart; one line in eight is light on dark. */
function chooseColors(random: Random, [low, high]: readonly [number, number]): { ink: string; paper: string } {
  const contrast = low + random.next() * (high - low);
  const dark = random.next() * (255 - contrast);
  const css = (level: number): string => {
    const tinted = [0, 0, 0].map(() => Math.round(Math.min(255, Math.max(0, level + 8 * (random.next() - 0.5)))));
    return `rgb(${tinted.join(", ")})`;
  };
  const [below, above] = [css(dark), css(dark + contrast)];
  return random.next() < 0.125 ? { ink: above, paper: below } : { ink: below, paper: above };
}

/** Draws `text` on one line, cropped to the font's line with a small random margin (a share of the size). */
function draw(text: string, { font, size, noise }: Look, random: Random): Picture {
  const margin = () => size * (0.12 + 0.2 * random.next());
  const [left, right, top, bottom] = [margin() + 1, margin() + 1, margin(), margin()];
  const style = `${size}px ${font.family}`;
  measuring.font = style;
  const measured = measuring.measureText(text);
  // Cropped as a text detector would: from the tallest capital to the descenders, whether the text has them or not.
  const ascent = Math.max(measured.actualBoundingBoxAscent, 0.7 * size);
  const descent = Math.max(measured.actualBoundingBoxDescent, 0.1 * size);
  const width = Math.ceil(left + measured.width + right);
  const height = Math.ceil(top + ascent + descent + bottom);
  const context = createCanvas(width, height).getContext("2d");
  const { ink, paper } = chooseColors(random, noise.contrast);
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  context.fillStyle = ink;
  context.font = style;
  context.fillText(text, left, top + ascent);
  const plain: Picture = { width, height, data: context.getImageData(0, 0, width, height).data };
  const picture = noise.blur > 0 ? blur(plain, Math.min(1 / 3, (noise.blur * size) / 24)) : plain;
  if (noise.sigma > 0) addNoise(picture, noise.sigma, random);
  return picture;
}
const measuring = createCanvas(1, 1).getContext("2d");

/**
 * Sample `index` of a split. Categories take turns, so that any count divisible by five has them equally often; each
 * category goes through all fonts × sizes × noise levels in a shuffled order before one comes again.
 */
export function createSample(seed: number, split: Split, index: number): Sample {
  const which = index % categories.length;
  const category = categories[which]!;
  const turn = Math.floor(index / categories.length);
  const side = split === "calibration" ? 0x5ca1ab1e : 0;
  const order = createRandom(seed ^ side ^ Math.imul(1 + Math.floor(turn / looks.length), 0x9e3779b1)).shuffle([
    ...looks.keys(),
  ]);
  const look = looks[order[(turn + which * 11) % looks.length]!]!;
  const random = createRandom(Math.imul(seed ^ side, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35));
  const text = createPhrase(random, category, split);
  const image = draw(text, look, random);
  const { font, size, noise } = look;
  return { index, split, category, text, font: font.family, size, noise: noise.name, image, ...toInput(image) };
}

/** Samples `start` … `start + count − 1` of a split, one at a time. */
export function* samples({ seed, split, count, start = 0 }: SampleOptions): Generator<Sample> {
  for (let index = start; index < start + count; index++) yield createSample(seed, split, index);
}
