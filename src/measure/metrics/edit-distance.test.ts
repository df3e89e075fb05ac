/** @file Known edit distances, and the normalization of text. */
import { expect, it } from "vitest";
import { editDistance, normalizeText } from "./edit-distance.ts";

it.each([
  ["kitten", "sitting", 3],
  ["", "abc", 3],
  ["abc", "", 3],
  ["abc", "acb", 2],
  ["same", "same", 0],
  ["𝒳y", "y", 1],
])("distance of %j and %j is %i", (a, b, distance) => {
  expect(editDistance([...a], [...b])).toBe(distance);
});

it("compares any elements", () => {
  expect(editDistance(["the", "cat"], ["the", "old", "cat"])).toBe(1);
  expect(editDistance([1, 2, 3], [])).toBe(3);
});

it("collapses all white space, U+3000 too", () => {
  expect(normalizeText("\u3000 a \t\u3000b\n")).toBe("a b");
});
