/**
 * @file Text areas in a map of probabilities as PP-OCR's post-processing finds them, up to the boxes' growth.
 *
 * PaddleOCR's DBPostProcess: pixels over 0.3, their connected areas, a box around each, boxes kept whose mean probability is
 * 0.6 or more and whose shorter side is 3 or more. Two simplifications: boxes are upright (the texts of our pages are), and they
 * are not grown by `unclip_ratio` (that is a function of the box alone, so it adds nothing to a comparison of boxes).
 * https://github.com/PaddlePaddle/PaddleOCR/blob/release/2.7/ppocr/postprocess/db_postprocess.py
 */

/** PaddleOCR's `det_db_thresh`, `det_db_box_thresh` and `min_size`. */
const PIXEL = 0.3;
const MEAN = 0.6;
const SIDE = 3;

/** Left, top, right, bottom; right and bottom are the first column and row outside. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/** Boxes around the areas of a map of `width` columns, from the top. */
export function findBoxes(map: Float32Array, width: number): Box[] {
  const height = map.length / width;
  const seen = new Uint8Array(map.length);
  const boxes: Box[] = [];
  const stack: number[] = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] === 1 || !(map[start]! > PIXEL)) continue;
    let [x0, y0, x1, y1] = [width, height, 0, 0];
    seen[start] = 1;
    stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)];
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x + 1);
      y0 = Math.min(y0, y);
      y1 = Math.max(y1, y + 1);
      // Eight neighbours, as cv2.findContours has it.
      for (let j = Math.max(0, y - 1); j <= Math.min(height - 1, y + 1); j++) {
        for (let i = Math.max(0, x - 1); i <= Math.min(width - 1, x + 1); i++) {
          const next = j * width + i;
          if (seen[next] === 1 || !(map[next]! > PIXEL)) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    const box: Box = [x0, y0, x1, y1];
    if (Math.min(x1 - x0, y1 - y0) >= SIDE && meanOf(map, width, box) >= MEAN) boxes.push(box);
  }
  return boxes;
}

function meanOf(map: Float32Array, width: number, [x0, y0, x1, y1]: Box): number {
  let sum = 0;
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) sum += map[y * width + x]!;
  return sum / ((x1 - x0) * (y1 - y0));
}

/** The pixels over the threshold, one bit each, as base64. */
export function packPixels(map: Float32Array): string {
  const bits = new Uint8Array(Math.ceil(map.length / 8));
  for (let i = 0; i < map.length; i++) if (map[i]! > PIXEL) bits[i >> 3]! |= 1 << (i & 7);
  return Buffer.from(bits).toString("base64");
}

export function unpackPixels(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

/** Twice the bits in both, and the bits of one and the other together: the two halves of a Dice coefficient. */
export function diceOfBits(a: Uint8Array, b: Uint8Array): readonly [number, number] {
  let [both, sum] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    both += ones(a[i]! & b[i]!);
    sum += ones(a[i]!) + ones(b[i]!);
  }
  return [2 * both, sum];
}

function ones(byte: number): number {
  let count = 0;
  for (let bits = byte; bits !== 0; bits &= bits - 1) count++;
  return count;
}

/** The Dice coefficient of the areas that two lists of boxes cover. */
export function diceOfBoxes(
  a: readonly Box[],
  b: readonly Box[],
  width: number,
  height: number,
): readonly [number, number] {
  const [first, second] = [paint(a, width, height), paint(b, width, height)];
  let [both, sum] = [0, 0];
  for (let i = 0; i < first.length; i++) {
    both += first[i]! & second[i]!;
    sum += first[i]! + second[i]!;
  }
  return [2 * both, sum];
}

function paint(boxes: readonly Box[], width: number, height: number): Uint8Array {
  const mask = new Uint8Array(width * height);
  for (const [x0, y0, x1, y1] of boxes) for (let y = y0; y < y1; y++) mask.fill(1, y * width + x0, y * width + x1);
  return mask;
}

/** Twice the pairs of boxes with an intersection over union of a half or more, and the boxes of both lists: F1. */
export function matchBoxes(a: readonly Box[], b: readonly Box[]): readonly [number, number] {
  const free = new Set(b);
  let pairs = 0;
  for (const box of a) {
    // At a half or more there is at most one, where the boxes of a list do not overlap.
    const partner = [...free].find((other) => overlap(box, other) >= 0.5);
    if (partner === undefined) continue;
    free.delete(partner);
    pairs++;
  }
  return [2 * pairs, a.length + b.length];
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = ([x0, y0, x1, y1]: Box): number => (x1 - x0) * (y1 - y0);
  return (width * height) / (area(a) + area(b) - width * height);
}
