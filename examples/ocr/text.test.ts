/** @file Samples are deterministic, split, balanced, drawn with our fonts only, and prepared as PaddleOCR does. */

import { describe, expect, test } from "vitest";
import { createRandom } from "../../src/util/random.ts";
import { fonts } from "./assets.ts";
import { createCanvas, fontFamilies } from "./canvas.ts";
import { addNoise, blur, type Picture, toInput } from "./image.ts";
import { categories, createPhrase, splitOf } from "./phrases.ts";
import { createSample, fontSizes, noiseLevels, samples } from "./text.ts";

describe("samples", () => {
  test("the same seed and index give the same pixels, whatever was drawn before", () => {
    const again = [...samples({ seed: 7, split: "evaluation", count: 3, start: 4 })];
    for (const sample of again) expect(createSample(7, "evaluation", sample.index)).toEqual(sample);
    expect(createSample(8, "evaluation", 4).text).not.toBe(again[0]!.text);
  });

  test("calibration and evaluation share no text, also across seeds", () => {
    const random = createRandom(1);
    const texts = (split: "calibration" | "evaluation") =>
      new Set(
        categories.flatMap((category) => Array.from({ length: 400 }, () => createPhrase(random, category, split))),
      );
    const evaluation = texts("evaluation");
    expect([...texts("calibration")].filter((text) => evaluation.has(text))).toEqual([]);
    for (const seed of [1, 2]) {
      for (const split of ["calibration", "evaluation"] as const) {
        for (const { text } of samples({ seed, split, count: 10 })) expect(splitOf(text)).toBe(split);
      }
    }
  });

  test("every category goes through all fonts, sizes and noise levels", () => {
    const looks = fonts.length * fontSizes.length * noiseLevels.length;
    expect(fonts.length).toBeGreaterThanOrEqual(4);
    const all = [...samples({ seed: 1, split: "evaluation", count: looks * categories.length })];
    for (const category of categories) {
      const of = all.filter((sample) => sample.category === category);
      expect(new Set(of.map(({ font, size, noise }) => `${font} ${size} ${noise}`)).size).toBe(looks);
    }
    // Only characters that all the fonts have: another would come from another font.
    for (const { text } of all) expect(text).toMatch(/^[!-~]+( [!-~]+)*$/);
  });
});

test("no font but ours, and they differ", () => {
  expect(fontFamilies().every((name) => /^(ocr-|DejaVu|Arimo|Courier Prime)/.test(name))).toBe(true);
  const context = createCanvas(1, 1).getContext("2d");
  const widths = fonts.map(({ family }) => {
    context.font = `40px ${family}`;
    return Math.round(context.measureText("Wiggle 10.50").width);
  });
  // The two fixed-width fonts have nearly the same advance.
  expect(new Set(widths).size).toBeGreaterThanOrEqual(fonts.length - 1);
});

/** A picture whose pixel (x, y) is `color(x, y)`. */
function picture(width: number, height: number, color: (x: number, y: number) => readonly number[]): Picture {
  const pixels = Array.from({ length: width * height }, (_, i) => [...color(i % width, Math.floor(i / width)), 255]);
  return { width, height, data: Uint8ClampedArray.from(pixels.flat()) };
}

describe("toInput", () => {
  test("blue, green, red planes in -1 … 1, zeros to the right", () => {
    const { input, dims } = toInput(picture(100, 48, () => [255, 0, 51]));
    expect(dims).toEqual([1, 3, 48, 128]);
    const at = (plane: number, x: number) => input[(plane * 48 + 20) * 128 + x];
    expect([at(0, 5), at(1, 5), at(2, 5)].map((value) => value!.toFixed(4))).toEqual(["-0.6000", "-1.0000", "1.0000"]);
    expect([at(0, 99), at(0, 100), at(2, 127)]).toEqual([expect.closeTo(-0.6, 6), 0, 0]);
  });

  test("halves bilinearly as OpenCV does: the mean of two neighbours", () => {
    const { input, dims } = toInput(picture(64, 96, (x, y) => [x + y, x + y, x + y]));
    expect(dims[3]).toBe(32);
    // Output (3, 5) averages x 6, 7 and y 10, 11: 6.5 + 10.5 = 17.
    expect(input[5 * 32 + 3]).toBeCloseTo(17 / 127.5 - 1, 6);
  });
});

test("noise has the asked deviation and blur keeps the mean", () => {
  const flat = picture(80, 80, () => [128, 128, 128]);
  addNoise(flat, 10, createRandom(5));
  const values = flat.data.filter((_, i) => i % 4 === 0);
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length);
  // 6,400 draws: the standard error of the deviation is 10 / √12,800 = 0.09.
  expect(Math.abs(deviation - 10)).toBeLessThan(0.4);
  const dot = blur(
    picture(5, 5, (x, y) => (x === 2 && y === 2 ? [160, 160, 160] : [0, 0, 0])),
    0.25,
  );
  const row = (y: number) => [...dot.data].filter((_, i) => i % 4 === 0).slice(y * 5, y * 5 + 5);
  expect([row(1), row(2)]).toEqual([
    [0, 10, 20, 10, 0],
    [0, 20, 40, 20, 0],
  ]);
});
