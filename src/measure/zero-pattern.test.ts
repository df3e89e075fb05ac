import { describe, expect, it } from "vitest";
import { createRandom } from "../util/random.ts";
import { zeroPattern } from "./zero-pattern.ts";

/** Keeps the n largest of each m elements that `at` gives. */
function keep(data: Float32Array, groups: readonly (readonly number[])[], n: number): Float32Array {
  const result = data.slice();
  for (const group of groups) {
    const order = [...group].sort((a, b) => Math.abs(data[a]!) - Math.abs(data[b]!));
    for (const at of order.slice(0, group.length - n)) result[at] = 0;
  }
  return result;
}

function normal(size: number): Float32Array {
  const random = createRandom(7);
  return Float32Array.from({ length: size }, () => random.normal());
}

describe("zeroPattern", () => {
  it("2:4 along the inputs of a matrix [K, N], not along its outputs", () => {
    const groups: number[][] = [];
    for (let k = 0; k < 16; k += 4) {
      for (let n = 0; n < 10; n++) groups.push([0, 1, 2, 3].map((i) => (k + i) * 10 + n));
    }
    const data = keep(normal(160), groups, 2);
    expect(zeroPattern(data, [16, 10], 1)).toEqual({
      elements: 160,
      zeros: 80,
      channels: 10,
      emptyChannels: 0,
      nm: { n: 2, m: 4 },
    });
    expect(zeroPattern(data, [16, 10], 0).nm).toBeUndefined();
  });

  it("of a convolution along its channels, or along its rows", () => {
    const dims = [6, 8, 3, 3];
    const rows = Array.from({ length: 54 }, (_, g) => Array.from({ length: 8 }, (_e, i) => g * 8 + i));
    expect(zeroPattern(keep(normal(432), rows, 3), dims, 0).nm).toEqual({ n: 3, m: 8 });
    const channels: number[][] = [];
    for (let o = 0; o < 6; o++) {
      for (let c = 0; c < 8; c += 4) {
        for (let p = 0; p < 9; p++) channels.push([0, 1, 2, 3].map((i) => o * 72 + (c + i) * 9 + p));
      }
    }
    expect(zeroPattern(keep(normal(432), channels, 1), dims, 0).nm).toEqual({ n: 1, m: 4 });
  });

  it("zeros anywhere are no pattern; channels of zeros are counted", () => {
    const random = createRandom(1);
    const data = normal(4096).map((value) => (random.next() < 0.5 ? 0 : value));
    data.fill(0, 64, 192);
    const found = zeroPattern(data, [64, 64], 0);
    expect([found.nm, found.channels, found.emptyChannels]).toEqual([undefined, 64, 2]);
    expect(zeroPattern(normal(64), [8, 8], 0)).toMatchObject({ zeros: 0, nm: undefined });
    expect(zeroPattern(new Float32Array(64), [8, 8], 1)).toMatchObject({ emptyChannels: 8, nm: undefined });
  });
});
