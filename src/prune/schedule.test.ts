import { describe, expect, it } from "vitest";
import { cycleAt, pruningUpdates, type SparsitySchedule, sparsityAt, sparsityScheduleOptions } from "./schedule.ts";

const schedule = (input: unknown): SparsitySchedule => sparsityScheduleOptions.parse(input);
const sparsities = (own: SparsitySchedule, final: number, total: number): number[] =>
  pruningUpdates(own, total).map((update) => sparsityAt(own, final, update, total));

describe("sparsity over updates", () => {
  it("one-shot: all at once", () => {
    const own = schedule({ kind: "one-shot", begin: 0.25 });
    expect(pruningUpdates(own, 100)).toEqual([25]);
    expect([24, 25, 100].map((update) => sparsityAt(own, 0.9, update, 100))).toEqual([0, 0.9, 0.9]);
  });

  it("constant: the same, chosen again until the end", () => {
    const own = schedule({ kind: "constant", begin: 0.1, end: 0.5, every: 15 });
    expect(pruningUpdates(own, 100)).toEqual([10, 25, 40, 50]);
    expect(sparsities(own, 0.8, 100)).toEqual([0.8, 0.8, 0.8, 0.8]);
  });

  it("linear and cubic: Zhu & Gupta's formula by hand, the last pruning included", () => {
    const linear = schedule({ kind: "linear", end: 1, every: 25, initial: 0.1 });
    // 0.1 + 0.8 · p
    for (const [i, value] of [0.1, 0.3, 0.5, 0.7, 0.9].entries()) {
      expect(sparsities(linear, 0.9, 100)[i]).toBeCloseTo(value, 12);
    }
    const cubic = schedule({ kind: "cubic", end: 0.8, every: 20 });
    // 0.9 · (1 − (1 − p)³) at p = 0, ¼, ½, ¾, 1: (1 − p)³ = 1, 27/64, 1/8, 1/64, 0
    for (const [i, left] of [1, 27 / 64, 1 / 8, 1 / 64, 0].entries()) {
      expect(sparsities(cubic, 0.9, 100)[i]).toBeCloseTo(0.9 * (1 - left), 12);
    }
    expect(sparsityAt(cubic, 0.9, 100, 100)).toBe(0.9);
    expect(pruningUpdates(schedule({ kind: "cubic", end: 0.5, every: 30 }), 100)).toEqual([0, 30, 50]);
  });

  it("iterative: each cycle takes the same share of what is left, the last is exact", () => {
    const own = schedule({ kind: "iterative", cycles: 3, end: 0.5 });
    expect(pruningUpdates(own, 100)).toEqual([0, 25, 50]);
    // 1 − 0.001^(c / 3): of each thousand 100, 10, 1 are left
    const [first, second, third] = sparsities(own, 0.999, 100);
    expect(first).toBeCloseTo(0.9, 12);
    expect(second).toBeCloseTo(0.99, 12);
    expect(third).toBe(0.999);
    expect(pruningUpdates(schedule({ kind: "iterative", cycles: 1 }), 10)).toEqual([0]);
  });

  it("never falls, and stays in its bounds", () => {
    for (const kind of ["one-shot", "constant", "linear", "cubic", "iterative"]) {
      for (const total of [1, 7, 1000]) {
        const own = schedule({ kind, begin: 0.1 });
        const updates = pruningUpdates(own, total);
        expect(updates).toEqual([...new Set(updates)].sort((a, b) => a - b));
        const all = Array.from({ length: total + 1 }, (_item, update) => sparsityAt(own, 0.7, update, total));
        expect(all.every((value, i) => value >= (all[i - 1] ?? 0) && value <= 0.7)).toBe(true);
        expect(all.at(-1)).toBe(0.7);
      }
    }
  });
});

describe("cycles", () => {
  it("are the stretches between cuts; the last ends with the training", () => {
    const own = schedule({ kind: "iterative", begin: 0.1, end: 0.5, cycles: 3 });
    const at = (update: number) => cycleAt(own, update, 100);
    expect([at(0), at(10), at(29), at(30), at(99)]).toEqual([
      { begin: 0, length: 10 },
      { begin: 10, length: 20 },
      { begin: 10, length: 20 },
      { begin: 30, length: 20 },
      { begin: 50, length: 50 },
    ]);
    expect(cycleAt(schedule({ kind: "cubic" }), 60, 100)).toEqual({ begin: 0, length: 100 });
  });
});
