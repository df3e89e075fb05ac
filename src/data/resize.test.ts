/** @file Tests of resize.ts against what Pillow makes of the same bytes (scripts/reference/preprocess.py): equal in every bit. */
import { expect, it } from "vitest";
import reference from "../../test/reference/preprocess.json" with { type: "json" };
import { crop, type FilterName, type Image, resize } from "./resize.ts";

/** The same bytes as the script's. */
function picture(width: number, height: number, channels: number): Image {
  let state = 12345n;
  const data = Uint8Array.from({ length: width * height * channels }, () => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n;
    return Number((state >> 16n) & 255n);
  });
  return { width, height, channels, data };
}

it.each(reference.resizes)("$filter $from → $to", ({ filter, from, to, data }) => {
  const result = resize(picture(from[0]!, from[1]!, 3), to[0]!, to[1]!, filter as FilterName);
  expect([result.width, result.height]).toEqual(to);
  expect([...result.data]).toEqual(data);
});

it("keeps an image that has the size, and a constant colour at any size", () => {
  const image = picture(5, 4, 1);
  expect(resize(image, 5, 4, "bicubic")).toBe(image);
  const plain = { width: 9, height: 7, channels: 3, data: new Uint8Array(9 * 7 * 3).fill(200) };
  for (const filter of ["box", "bilinear", "hamming", "bicubic", "lanczos", "nearest"] as const) {
    for (const [width, height] of [
      [3, 2],
      [31, 40],
    ] as const) {
      expect(new Set(resize(plain, width, height, filter).data)).toEqual(new Set([200]));
    }
  }
});

it("without antialiasing takes the two nearest pixels, as OpenCV", () => {
  const row = { width: 8, height: 1, channels: 1, data: Uint8Array.of(0, 10, 20, 30, 40, 50, 60, 200) };
  // Centres at 1.5 and 5.5: the means of pixels 1 and 2, 5 and 6.
  expect([...resize(row, 2, 1, "bilinear", false).data]).toEqual([15, 55]);
});

it("crops and pads", () => {
  const image = { width: 3, height: 2, channels: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  expect([...crop(image, 1, 0, 2, 2, [9]).data]).toEqual([2, 3, 5, 6]);
  expect([...crop(image, -1, 1, 3, 2, [9]).data]).toEqual([9, 4, 5, 9, 9, 9]);
  expect([...crop(image, 2, -1, 3, 2, [9]).data]).toEqual([9, 9, 9, 3, 9, 9]);
  expect([...crop(image, 5, 5, 1, 1, [9]).data]).toEqual([9]);
});
