import { describe, expect, it } from "vitest";
import { type Box, diceOfBits, diceOfBoxes, findBoxes, matchBoxes, packPixels, unpackPixels } from "./boxes.ts";

/** A map from rows of digits: tenths of a probability. */
const map = (rows: readonly string[]): Float32Array =>
  Float32Array.from([...rows.join("")], (digit) => Number(digit) / 10);

describe("findBoxes", () => {
  it("finds areas that touch at corners as one, drops small and faint ones", () => {
    const rows = [
      "0000000000000", //
      "0999000004440",
      "0999000004440",
      "0999000004440",
      "0000999000000",
      "0000999000000",
      "0000999000990",
    ];
    // The first area is two squares that touch at a corner: its box is less than half full, and so under 0.6 in the mean.
    expect(findBoxes(map(rows), 13)).toEqual([]);
    const apart = rows.map((row) => row.replace("0000999", "0000099"));
    expect(findBoxes(map(apart), 13)).toEqual([[1, 1, 4, 4]]);
  });

  it("drops boxes whose mean is under 0.6", () => {
    expect(findBoxes(map(["5555", "5555", "7777"]), 4)).toEqual([]);
    expect(findBoxes(map(["5555", "7777", "7777"]), 4)).toEqual([[0, 0, 4, 3]]);
  });
});

describe("distances", () => {
  const a: Box[] = [
    [0, 0, 4, 2],
    [0, 4, 4, 6],
  ];

  it("counts common area", () => {
    expect(diceOfBoxes(a, a, 8, 8)).toEqual([32, 32]);
    expect(diceOfBoxes(a, [[0, 0, 4, 2]], 8, 8)).toEqual([16, 24]);
  });

  it("matches boxes one to one", () => {
    expect(matchBoxes(a, [[0, 0, 4, 3]])).toEqual([2, 3]);
    expect(matchBoxes(a, [[0, 0, 4, 5]])).toEqual([0, 3]);
    expect(matchBoxes([], [])).toEqual([0, 0]);
  });

  it("counts common pixels through the packed form", () => {
    const [x, y] = [map(["9090990909"]), map(["9900990000"])].map(packPixels).map(unpackPixels) as [
      Uint8Array,
      Uint8Array,
    ];
    expect(diceOfBits(x, y)).toEqual([6, 10]);
  });
});
