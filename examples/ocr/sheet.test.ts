/** @file The sheet shows wrong readings in red and only those, and is left whole when written. */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCanvas, loadImage } from "./canvas.ts";
import { renderSheet, writeSheet } from "./sheet.ts";
import { createSample } from "./text.ts";

const sample = createSample(1, "evaluation", 0);
const entry = (text: string) => ({ image: sample.image, text: sample.text, readings: [{ file: "a.onnx", text }] });

async function redPixels(png: Uint8Array): Promise<number> {
  const image = await loadImage(png);
  const context = createCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) if (data[at]! > 180 && data[at + 1]! < 90 && data[at + 2]! < 90) count++;
  return count;
}

test("a wrong reading is red, a right one is not", async () => {
  expect(await redPixels(await renderSheet([entry(`${sample.text}汉`)]))).toBeGreaterThan(50);
  expect(await redPixels(await renderSheet([entry(`${sample.text} `)]))).toBe(0);
});

test("writes one PNG and no leftovers", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sheet-"));
  try {
    await writeSheet(join(folder, "s.png"), [entry("x"), entry("y"), entry("z")], { title: "three" });
    expect(await readdir(folder)).toEqual(["s.png"]);
    expect((await readFile(join(folder, "s.png"))).subarray(1, 4).toString()).toBe("PNG");
  } finally {
    await rm(folder, { recursive: true });
  }
});
