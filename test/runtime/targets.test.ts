import { describe, expect, it, vi } from "vitest";
import type { SpeedFact } from "../../src/runtime/speed.ts";
import { slowerOn, TARGETS } from "../../src/runtime/targets.ts";

// The figures in the tree are a machine's; the rule is tested on figures of our own.
vi.mock("../../src/runtime/speed-facts.ts", () => ({
  SPEED_FACTS: [
    { target: "web-wasm", pattern: "dynamic-matmul", size: 1, ratio: 0.5 },
    { target: "web-wasm", pattern: "dynamic-matmul", size: 16, ratio: 1.5 },
    { target: "web-wasm", pattern: "dynamic-matmul", size: 64, ratio: 0.9 },
    { target: "node-cpu", pattern: "dynamic-matmul", size: 1, ratio: 5 },
    { target: "node-cpu", pattern: "static-conv", ratio: 0.95 },
    { target: "node-cpu", pattern: "static-conv-depthwise", ratio: 0.7 },
  ] satisfies SpeedFact[],
}));

describe("slowerOn", () => {
  it.each<[number, string | undefined]>([
    [0, "0.50"],
    [1, "0.50"],
    // In the logarithm 2 is a quarter of the way from 1 to 16, 4 half of it.
    [2, "0.75"],
    [4, undefined],
    [16, undefined],
    [32, undefined],
    [60, "0.93"],
    [64, "0.90"],
    [1000, "0.90"],
  ])("between measured numbers of rows: %s", (rows, ratio) => {
    const expected =
      ratio && `web-wasm runs it ${ratio}× as fast as float32 with ${rows} ${rows === 1 ? "row" : "rows"}`;
    expect(slowerOn("web-wasm", "dynamic-matmul", rows)).toBe(expected);
  });

  it("takes the largest measured number where the rows are not known", () => {
    expect(slowerOn("web-wasm", "dynamic-matmul")).toBe("web-wasm runs it 0.90× as fast as float32");
    expect(slowerOn("node-cpu", "dynamic-matmul")).toBeUndefined();
  });

  it("does without rows where none count", () => {
    expect(slowerOn("node-cpu", "static-conv-depthwise", 100)).toBe("node-cpu runs it 0.70× as fast as float32");
    expect(slowerOn("node-cpu", "static-conv")).toBeUndefined();
  });

  it("says nothing about what was not measured", () => {
    expect(slowerOn("web-webgpu", "static-conv")).toBeUndefined();
    expect(slowerOn("node-cpu", "dequantized-matmul", 1)).toBeUndefined();
  });
});

describe("the measured facts", () => {
  it("cover every pattern on every target that is run, in ascending sizes", async () => {
    const { SPEED_FACTS } = await vi.importActual<typeof import("../../src/runtime/speed-facts.ts")>(
      "../../src/runtime/speed-facts.ts",
    );
    const patterns = new Set(SPEED_FACTS.map((fact) => fact.pattern));
    expect(patterns.size).toBeGreaterThanOrEqual(12);
    for (const target of Object.values(TARGETS)) {
      for (const pattern of patterns) {
        const facts = SPEED_FACTS.filter((fact) => fact.target === target.name && fact.pattern === pattern);
        expect(facts.length > 0, `${target.name} ${pattern}`).toBe(target.runtime !== undefined);
        expect(facts.every((fact) => fact.ratio > 0 && Number.isFinite(fact.ratio))).toBe(true);
        const sizes = facts.map((fact) => fact.size ?? 0);
        expect(sizes).toEqual([...new Set(sizes)].sort((a, b) => a - b));
      }
    }
  });
});
