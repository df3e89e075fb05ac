/**
 * @file What augmentation does to one image: pure functions of pixels and a generator.
 * Source: Zhong et al. 2017 (random erasing); the rest as in torchvision.transforms.
 */
import type { Random } from "../util/random.ts";

/** One image, [channels, height, width] row-major. */
export interface Pixels {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** A window of the image that begins at (top, left), also beyond its edges: what is not there is `fill`. */
export function windowOf(
  { channels, height, width, data }: Pixels,
  top: number,
  left: number,
  size: { readonly height: number; readonly width: number },
  fill: number,
): Pixels {
  const result = new Float32Array(channels * size.height * size.width);
  if (fill !== 0) result.fill(fill);
  const [from, to] = [Math.max(0, -left), Math.min(size.width, width - left)];
  for (let channel = 0; channel < channels; channel++) {
    for (let y = Math.max(0, -top); y < Math.min(size.height, height - top) && from < to; y++) {
      // Rows are short: a loop takes half the time of set(subarray()).
      const row = (channel * height + top + y) * width + left;
      const target = (channel * size.height + y) * size.width;
      for (let x = from; x < to; x++) result[target + x] = data[row + x]!;
    }
  }
  return { channels, ...size, data: result };
}

/** Moved by up to `most` pixels along both axes. */
export function shift(image: Pixels, most: number, fill: number, random: Random): Pixels {
  const [dy, dx] = [random.integer(2 * most + 1) - most, random.integer(2 * most + 1) - most];
  return dy === 0 && dx === 0 ? image : windowOf(image, dy, dx, image, fill);
}

/** A window of `size` anywhere in the image with `padding` pixels around it. */
export function crop(
  image: Pixels,
  padding: number,
  size: { readonly height: number; readonly width: number },
  fill: number,
  random: Random,
): Pixels {
  const place = (have: number, want: number): number => random.integer(have + 2 * padding - want + 1) - padding;
  return windowOf(image, place(image.height, size.height), place(image.width, size.width), size, fill);
}

/** Mirrored left to right. */
export function mirror({ channels, height, width, data }: Pixels): Pixels {
  const result = new Float32Array(data.length);
  for (let row = 0; row < channels * height; row++) {
    for (let x = 0; x < width; x++) result[row * width + x] = data[(row + 1) * width - 1 - x]!;
  }
  return { channels, height, width, data: result };
}

/** Attempts to place a rectangle that fits, as torchvision makes them. */
const ERASE_ATTEMPTS = 10;

/** `fill` in a rectangle whose share of the area and whose height by width are drawn from ranges, the latter evenly in its logarithm. */
export function erase(
  image: Pixels,
  area: readonly [number, number],
  aspect: readonly [number, number],
  fill: number,
  random: Random,
): Pixels {
  const { channels, height, width } = image;
  const between = ([low, high]: readonly [number, number]): number => low + (high - low) * random.next();
  for (let attempt = 0; attempt < ERASE_ATTEMPTS; attempt++) {
    const pixels = between(area) * height * width;
    const ratio = Math.exp(between([Math.log(aspect[0]), Math.log(aspect[1])]));
    const [h, w] = [Math.round(Math.sqrt(pixels * ratio)), Math.round(Math.sqrt(pixels / ratio))];
    if (h < 1 || w < 1 || h > height || w > width) continue;
    const [top, left] = [random.integer(height - h + 1), random.integer(width - w + 1)];
    const data = image.data.slice();
    for (let row = 0; row < channels * h; row++) {
      const start = (Math.floor(row / h) * height + top + (row % h)) * width + left;
      data.fill(fill, start, start + w);
    }
    return { channels, height, width, data };
  }
  return image;
}

/** Every value times a factor from 1 − strength to 1 + strength. */
export function brightness(image: Pixels, strength: number, random: Random): Pixels {
  return affine(image, 1 + strength * (2 * random.next() - 1), 0);
}

/** The distance of every value from the image's mean times such a factor. */
export function contrast(image: Pixels, strength: number, random: Random): Pixels {
  const factor = 1 + strength * (2 * random.next() - 1);
  let sum = 0;
  for (const value of image.data) sum += value;
  return affine(image, factor, (sum / image.data.length) * (1 - factor));
}

/** value · factor + term */
function affine(image: Pixels, factor: number, term: number): Pixels {
  const data = new Float32Array(image.data.length);
  for (let i = 0; i < data.length; i++) data[i] = image.data[i]! * factor + term;
  return { ...image, data };
}
