import { describe, expect, it } from "vitest";
import { createRandom } from "../util/random.ts";
import { thresholdOf } from "./threshold.ts";

describe("thresholdOf", () => {
  const random = createRandom(1);
  const normal = Float32Array.from({ length: 20_000 }, () => random.normal() * 10 ** random.integer(6));
  const few = Float32Array.from({ length: 3000 }, () => random.integer(7) - 3);
  const edges = Float32Array.of(0, -0, Infinity, -Infinity, 1e-45, -1e-45, 3.4e38, -3.4e38, 1, -1);

  it.each([
    ["normal", normal],
    ["few values", few],
    ["edges", edges],
  ])("equals sorting: %s", (_name, values) => {
    for (const magnitude of [false, true]) {
      const read = magnitude ? values.map(Math.abs) : values;
      const sorted = read.slice().sort();
      for (const k of [1, 2, Math.ceil(values.length / 3), values.length - 1, values.length]) {
        const { value, below, equal } = thresholdOf(values, k, magnitude);
        expect(value + 0).toBe(sorted[k - 1]! + 0);
        expect(below).toBe(read.filter((x) => x < value).length);
        expect(equal).toBe(read.filter((x) => x === value).length);
      }
    }
  });
});
