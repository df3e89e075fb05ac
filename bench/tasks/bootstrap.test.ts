import { describe, expect, it } from "vitest";
import { estimate } from "./bootstrap.ts";
import { goalsMet } from "./goals.ts";
import type { Part, Task } from "./task.ts";

/** 400 samples of which a fifth are right. */
const parts: readonly Part[] = Array.from({ length: 400 }, (_, i) => [i % 5 === 0 ? 1 : 0, 1]);

describe("estimate", () => {
  it("has the width that the normal approximation gives for a share", () => {
    const { value, low, high } = estimate(parts);
    expect(value).toBe(0.2);
    // 1.96 √(p (1 - p) / n) = 0.0392; 2,000 resamples place the bounds to about a twentieth of that.
    expect(value - low).toBeCloseTo(0.0392, 2);
    expect(high - value).toBeCloseTo(0.0392, 2);
  });

  it("resamples a file and the original alike", () => {
    expect(estimate(parts, parts)).toEqual({ value: 0, low: 0, high: 0 });
    // One more right in every tenth sample: the difference is 0.1, less uncertain than two shares apart.
    const better = parts.map(([top], i): Part => [i % 10 === 1 ? 1 : top, 1]);
    const { value, low, high } = estimate(better, parts);
    expect(value).toBeCloseTo(0.1, 12);
    expect(high - low).toBeLessThan(2 * 0.0392);
  });
});

describe("goalsMet", () => {
  const of = (value: number, difference?: number) => ({
    target: "node-cpu",
    figures: [
      { name: "f", value: exactly(value), difference: difference === undefined ? undefined : exactly(difference) },
    ],
    latency: { ratio: { median: 1.25 } },
  });
  const exactly = (value: number) => ({ value, low: value, high: value });
  const task = (goals: Task["goals"], better: "higher" | "lower"): Task =>
    ({ goals, figures: [{ name: "f", better, against: "label" }] }) as unknown as Task;
  const met = (goals: Task["goals"], better: "higher" | "lower", value: number, difference?: number): boolean[] =>
    goalsMet(task(goals, better), 0.3, [of(value, difference)]).map((goal) => goal.met);

  it("takes a loss in the direction in which the figure is worse", () => {
    expect(met({ loss: 0.005 }, "lower", 0.03, 0.004)).toEqual([true]);
    expect(met({ loss: 0.005 }, "lower", 0.03, 0.006)).toEqual([false]);
    expect(met({ loss: 0.001 }, "higher", 0.9, -0.001)).toEqual([true]);
    expect(met({ loss: 0.001 }, "higher", 0.9, -0.0011)).toEqual([false]);
  });

  it("knows values, bytes and speed", () => {
    expect(met({ value: 0.98, bytes: 0.3, speed: 1.2 }, "higher", 0.979)).toEqual([false, true, true]);
    expect(met({ value: 0.97, bytes: 0.29, speed: 1.3 }, "higher", 0.979)).toEqual([true, false, false]);
  });

  it("misses what does not run", () => {
    const [goal] = goalsMet(task({ value: 0.98 }, "higher"), 0.3, [
      { target: "web-wasm", figures: [], latency: undefined },
    ]);
    expect(goal).toEqual({ text: "web-wasm: does not run", met: false });
  });
});
