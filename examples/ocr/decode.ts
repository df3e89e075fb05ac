/** @file Class probabilities to text: greedy CTC decoding with PaddleOCR's key file. */

import { readFileSync } from "node:fs";
import { keysFile } from "./assets.ts";

/** Classes of PP-OCRv4 recognition: the blank, 6,623 keys, the space. */
export const CLASSES = 6625;

/** Index 0: no character, and what separates two equal characters. */
const BLANK = 0;

export interface Reading {
  readonly text: string;
  /** Mean probability of the characters kept, 0 … 1; 0 for an empty text. */
  readonly confidence: number;
}

/** The character of every class: "" for the blank, the keys in order, " " as the last. */
export function loadKeys(path: string = keysFile): readonly string[] {
  const lines = readFileSync(path, "utf8")
    .replace(/\r?\n$/, "")
    .split(/\r?\n/);
  const keys = ["", ...lines, " "];
  if (keys.length !== CLASSES) {
    throw new Error(
      `demo: ${path}: expected ${CLASSES - 2} lines, found ${lines.length}. Use the model's own key file.`,
    );
  }
  return keys;
}

/**
 * Takes the most probable class at every step, keeps one of each run of equals, drops the blanks.
 *
 * @param probabilities float32 [N, T, C], softmax over C
 * @param dims its shape; C must be the number of keys
 * @param keys the character of each class
 * @returns one reading for each of the N lines
 */
export function decode(
  probabilities: Float32Array,
  dims: readonly number[],
  keys: readonly string[],
): readonly Reading[] {
  const [lines = 0, steps = 0, classes = 0] = dims;
  if (dims.length !== 3 || classes !== keys.length || probabilities.length !== lines * steps * classes) {
    throw new Error(
      `demo: decode: expected [N, T, ${keys.length}] probabilities, got [${dims.join(", ")}] with ${probabilities.length} values.`,
    );
  }
  return Array.from({ length: lines }, (_, line): Reading => {
    let text = "";
    let kept = 0;
    let sum = 0;
    let previous = BLANK;
    for (let step = 0; step < steps; step++) {
      const row = (line * steps + step) * classes;
      let best = 0;
      for (let k = 1; k < classes; k++) if (probabilities[row + k]! > probabilities[row + best]!) best = k;
      if (best !== BLANK && best !== previous) {
        text += keys[best]!;
        sum += probabilities[row + best]!;
        kept++;
      }
      previous = best;
    }
    return { text, confidence: kept > 0 ? sum / kept : 0 };
  });
}
