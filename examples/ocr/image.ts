/** @file Pixels to the model's input: blur, noise, and PaddleOCR's preparation for recognition. */

import type { Random } from "../../src/util/random.ts";

/** Interleaved RGBA, 8 bits a channel, rows from the top: `data.length` = width · height · 4. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** Shape [1, 3, 48, W]. */
export type InputDims = readonly [1, 3, 48, number];

export const INPUT_HEIGHT = 48;
/**
 * Lines are padded to a multiple of this, so that a runtime sees about twenty shapes. PaddleOCR pads to at least 320;
 * one line at a time that costs up to twice the time, and padding to 320 or to multiples of 8 changed exact match by
 * less than half a point on 600 lines.
 */
export const WIDTH_STEP = 32;

/** One pass of the separable kernel (side, 1 − 2 · side, side) over both axes; 0 changes nothing, 0.25 is binomial. */
export function blur(picture: Picture, side: number): Picture {
  const { width, height } = picture;
  const pass = (from: Uint8ClampedArray, step: number, length: number, other: number, otherStep: number) => {
    const to = new Uint8ClampedArray(from.length);
    for (let line = 0; line < other; line++) {
      for (let i = 0; i < length; i++) {
        const at = line * otherStep + i * step;
        const before = i > 0 ? at - step : at;
        const after = i < length - 1 ? at + step : at;
        for (let c = 0; c < 4; c++) {
          to[at + c] = (1 - 2 * side) * from[at + c]! + side * (from[before + c]! + from[after + c]!);
        }
      }
    }
    return to;
  };
  const rows = pass(picture.data, 4, width, height, width * 4);
  return { width, height, data: pass(rows, width * 4, height, width, 4) };
}

/** Adds grey gaussian noise of standard deviation `sigma` (levels of 255) in place: one draw a pixel. */
export function addNoise(picture: Picture, sigma: number, random: Random): void {
  const { data } = picture;
  for (let at = 0; at < data.length; at += 4) {
    const offset = sigma * random.normal();
    for (let c = 0; c < 3; c++) data[at + c] = data[at + c]! + offset;
  }
}

/**
 * What PaddleOCR's `resize_norm_img` does: bilinear to height 48 at the same aspect ratio (pixel centres as in
 * OpenCV's INTER_LINEAR), (x / 255 − 0.5) / 0.5, channels blue, green, red, zeros to the right.
 * https://github.com/PaddlePaddle/PaddleOCR/blob/release/2.7/tools/infer/predict_rec.py
 */
export function toInput(picture: Picture): { input: Float32Array; dims: InputDims } {
  const { width, height, data } = picture;
  const inner = Math.max(1, Math.ceil((INPUT_HEIGHT * width) / height));
  const padded = Math.ceil(inner / WIDTH_STEP) * WIDTH_STEP;
  const plane = INPUT_HEIGHT * padded;
  const input = new Float32Array(3 * plane); // [1, 3, 48, W]
  const clamp = (value: number, last: number): number => Math.min(Math.max(value, 0), last);
  for (let y = 0; y < INPUT_HEIGHT; y++) {
    const fromY = clamp(((y + 0.5) * height) / INPUT_HEIGHT - 0.5, height - 1);
    const y0 = Math.floor(fromY);
    const y1 = Math.min(y0 + 1, height - 1);
    const wy = fromY - y0;
    for (let x = 0; x < inner; x++) {
      const fromX = clamp(((x + 0.5) * width) / inner - 0.5, width - 1);
      const x0 = Math.floor(fromX);
      const x1 = Math.min(x0 + 1, width - 1);
      const wx = fromX - x0;
      for (let c = 0; c < 3; c++) {
        const top = data[(y0 * width + x0) * 4 + c]! * (1 - wx) + data[(y0 * width + x1) * 4 + c]! * wx;
        const bottom = data[(y1 * width + x0) * 4 + c]! * (1 - wx) + data[(y1 * width + x1) * 4 + c]! * wx;
        const value = top * (1 - wy) + bottom * wy;
        input[(2 - c) * plane + y * padded + x] = (value / 255 - 0.5) / 0.5;
      }
    }
  }
  return { input, dims: [1, 3, INPUT_HEIGHT, padded] };
}
