/** @file CTC collapse rules, the key file, and what decode refuses. */

import { describe, expect, test } from "vitest";
import { CLASSES, decode, loadKeys } from "./decode.ts";

const KEYS = ["", "a", "b", " "];

/** Probabilities [1, T, 4] where step t puts `peak` on `path[t]` and the rest evenly elsewhere. */
function path(classes: readonly number[], peak = 0.7): [Float32Array, number[]] {
  const data = classes.flatMap((best) => KEYS.map((_, k) => (k === best ? peak : (1 - peak) / 3)));
  return [Float32Array.from(data), [1, classes.length, KEYS.length]];
}

describe("decode", () => {
  test.each([
    ["runs collapse", [1, 1, 1, 2, 2], "ab"],
    ["a blank separates equal characters", [1, 0, 1], "aa"],
    ["blanks vanish", [0, 0, 1, 0, 0, 2, 0], "ab"],
    ["the last class is the space", [1, 3, 3, 2], "a b"],
    ["only blanks", [0, 0], ""],
  ])("%s", (_, classes, text) => {
    expect(decode(...path(classes), KEYS)[0]!.text).toBe(text);
  });

  test("confidence is the mean over kept characters only", () => {
    const [a] = path([1, 1], 0.9);
    const [blank] = path([0], 0.4);
    const [b] = path([2], 0.5);
    const [reading] = decode(Float32Array.from([...a, ...blank, ...b]), [1, 4, 4], KEYS);
    expect(reading!.confidence).toBeCloseTo(0.7, 6);
    expect(decode(...path([0]), KEYS)[0]!.confidence).toBe(0);
  });

  test("lines of a batch do not run into each other", () => {
    const [data] = path([1, 1, 1, 2]);
    expect(decode(data, [2, 2, 4], KEYS).map(({ text }) => text)).toEqual(["a", "ab"]);
  });

  test("refuses another number of classes", () => {
    const [data] = path([1]);
    expect(() => decode(data, [1, 1, 4], ["", "a"])).toThrow("expected [N, T, 2]");
  });
});

test("the key file gives blank, keys, space", () => {
  const keys = loadKeys();
  expect(keys).toHaveLength(CLASSES);
  expect([keys[0], keys[1], keys[CLASSES - 1]]).toEqual(["", "'", " "]);
  expect(new Set(keys).has("A")).toBe(true);
});
