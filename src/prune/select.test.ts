import { describe, expect, it } from "vitest";
import { matrixView, type Pattern, parsePattern, patternText } from "./pattern.ts";
import { type Scored, selectGlobal, selectLocal, smallest } from "./select.ts";

const of = (dims: readonly number[], scores: readonly number[], axis = 0, kept?: readonly number[]): Scored => ({
  name: "w",
  scores: Float32Array.from(scores),
  kept: kept && Uint8Array.from(kept),
  view: matrixView(dims, axis),
});
const local = (item: Scored, pattern: string, amount = 0.5): string =>
  selectLocal(item, parsePattern(pattern), amount).join("");

describe("patterns", () => {
  it("are read and written", () => {
    for (const text of ["unstructured", "2:4", "1:16", "4x1", "1x4", "16x1", "row", "column"]) {
      expect(patternText(parsePattern(text))).toBe(text);
    }
    for (const text of ["4:2", "2:2", "0:4", "0x4", "rows", "2:4:8", ""])
      expect(() => parsePattern(text)).toThrow("expected");
  });

  const scores = [1, 9, 2, 8, 7, 3, 6, 4];

  it("unstructured: the lowest go", () => expect(local(of([2, 4], scores), "unstructured")).toBe("01011010"));
  it("n:m: the highest n of m in a row stay", () => expect(local(of([2, 4], scores), "2:4")).toBe("01011010"));
  it("n:m along the inputs of a weight [inputs, outputs]", () =>
    // Inputs of output 0: 1, 2, 7, 6; of output 1: 9, 8, 3, 4.
    expect(local(of([4, 2], scores, 1), "2:4")).toBe("01011010"));
  it("n:m in a shorter last group", () => expect(local(of([1, 6], [1, 2, 3, 4, 5, 6]), "2:4")).toBe("001111"));
  it("n:m of what is left", () => expect(local(of([1, 4], [9, 8, 7, 6], 0, [0, 1, 0, 1]), "1:4")).toBe("0100"));
  it("blocks of outputs × inputs, cut at the edge", () => {
    // Columns 0–1, 2–3, 4: means 3, 7, 5.
    expect(local(of([1, 5], [2, 4, 6, 8, 5]), "1x2", 1 / 3)).toBe("00111");
    expect(local(of([3, 2], [1, 9, 2, 9, 8, 0]), "2x1", 0.5)).toBe("010110");
  });
  it("rows and columns", () => {
    expect(local(of([2, 4], scores), "row")).toBe("00001111");
    expect(local(of([2, 4], scores), "column", 0.25)).toBe("01110111");
    expect(local(of([2, 4], scores), "column", 0.5)).toBe("01010101");
    expect(local(of([4, 2], scores, 1), "row")).toBe("01010101");
  });
});

describe("selection", () => {
  it("compares rows of different sizes by their means", () => {
    const items = [of([2, 2], [1, 1, 5, 5]), of([2, 4], [2, 2, 2, 2, 4, 4, 4, 4])];
    expect(selectGlobal(items, { kind: "row" }, 0.5).map((kept) => kept.join(""))).toEqual(["0011", "00001111"]);
  });

  it("takes a share of what is left, rows that are gone do not count", () => {
    const row: Pattern = { kind: "row" };
    const item = of([4, 1], [1, 2, 3, 4], 0, [0, 1, 1, 1]);
    expect(selectLocal(item, row, { count: 1 }).join("")).toBe("0011");
    expect(selectLocal(item, row, 1 / 3).join("")).toBe("0011");
    expect(() => selectLocal(item, row, { count: 4 })).toThrow("at most the 3 units that are left");
  });

  it("takes the first of equal ones", () => expect(smallest(Float32Array.of(2, 1, 1, 1, 0), 3).join("")).toBe("01101"));
});
