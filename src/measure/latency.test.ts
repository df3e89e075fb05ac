/** @file Tests of interval.ts and latency.ts: known values, and sessions on a clock of our own. */
import { describe, expect, it } from "vitest";
import type { Session, Tensors } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import { median, medianInterval, percentile, verdict } from "./interval.ts";
import { compareLatency } from "./latency.ts";

describe("statistics", () => {
  it("give the values of NumPy's percentile", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(percentile([10, 20, 30, 40], 95)).toBeCloseTo(38.5, 12);
    expect([percentile([5], 95), percentile([1, 2], 0), percentile([1, 2], 100)]).toEqual([5, 1, 2]);
    expect(median([])).toBeNaN();
  });

  it("cover the true median about as often as they say", () => {
    const random = createRandom(7);
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const values = Array.from({ length: 40 }, () => 1.3 + 0.2 * random.normal());
      const { low, high } = medianInterval(values, { seed: trial, resamples: 300 });
      if (low <= 1.3 && 1.3 <= high) covered++;
    }
    // 190 expected; 3 standard deviations are 9, and the bootstrap of a median is a little off either way.
    expect(covered).toBeGreaterThan(176);
    expect(covered).toBeLessThan(200);
  });

  it("are the same for the same seed", () => {
    const values = [1, 2, 3, 4, 5, 6, 7];
    expect(medianInterval(values, { seed: 1 })).toEqual(medianInterval(values, { seed: 1 }));
    expect(medianInterval([2])).toEqual({ median: 2, low: 2, high: 2, count: 1 });
    expect(medianInterval([]).low).toBeNaN();
  });

  it("decide by interval and tolerance", () => {
    const of = (low: number, mid: number, high: number) => verdict({ low, median: mid, high, count: 9 });
    expect(of(1.2, 1.3, 1.4)).toBe("faster");
    expect(of(0.7, 0.8, 0.9)).toBe("slower");
    expect(of(0.9, 1.3, 1.7)).toBe("same"); // not shown
    expect(of(1.001, 1.01, 1.015)).toBe("same"); // not worth a word
    expect(of(0.985, 0.99, 0.995)).toBe("same");
    expect(verdict({ low: 1.001, median: 1.01, high: 1.02, count: 9 }, { tolerance: 0 })).toBe("faster");
    expect(verdict(medianInterval([]))).toBe("same");
    expect(() => verdict({ low: 1, median: 1, high: 1, count: 1 }, { tolerance: -1 })).toThrow(OptionError);
  });
});

describe("compareLatency", () => {
  const feeds = [1, 2].map((value): Tensors => ({ x: Tensor.scalar("float32", value) }));

  /** Sessions that move a clock on: `cost` milliseconds by name, feed and round; the machine may slow down for all. */
  function bench(cost: Readonly<Record<string, (feed: number) => number>>) {
    const log: string[] = [];
    let clock = 0;
    const sessions = Object.entries(cost).map(([name, time]) => {
      const run = async (inputs: Tensors) => {
        const feed = inputs["x"]!.numbers()[0]!;
        log.push(`${name}${feed}`);
        clock += time(feed);
        return {};
      };
      return { name, session: { inputs: [], outputs: [], run, release: async () => {} } satisfies Session };
    });
    return { log, sessions, now: () => clock };
  }

  it("finds ratio and percentiles, paired by round", async () => {
    const { sessions, now } = bench({ a: (feed) => 10 * feed, b: (feed) => 5 * feed, c: (feed) => 12 * feed });
    const { rounds, sessions: results } = await compareLatency(sessions, feeds, { budgetMs: 1, minRounds: 12, now });
    expect(rounds).toBe(12);
    expect(results[0]).toEqual({ name: "a", p50: 15, p95: 20, ratio: undefined, verdict: undefined });
    expect(results[1]).toMatchObject({
      name: "b",
      p50: 7.5,
      ratio: { median: 2, low: 2, high: 2, count: 12 },
      verdict: "faster",
    });
    expect(results[2]).toMatchObject({ verdict: "slower" });
  });

  it("runs each session once per round on the same feeds, in every order on every feed", async () => {
    const { sessions, now, log } = bench({ a: () => 1, b: () => 1 });
    await compareLatency(sessions, feeds, { budgetMs: 0, minRounds: 4, warmup: 0, now });
    expect(log.join(" ")).toBe("a1 b1 b2 a2 b1 a1 a2 b2");
  });

  it("spends the budget after the warm-up, within the bounds on rounds", async () => {
    const make = () => bench({ a: () => 10 });
    const within = make();
    expect((await compareLatency(within.sessions, feeds, { budgetMs: 200, now: within.now })).rounds).toBe(20);
    expect(within.log).toHaveLength(22);
    const short = make();
    expect((await compareLatency(short.sessions, feeds, { budgetMs: 1, now: short.now })).rounds).toBe(10);
    const long = make();
    expect((await compareLatency(long.sessions, feeds, { budgetMs: 1e9, now: long.now })).rounds).toBe(1000);
  });

  it("stops when asked, passes on errors, and wants something to run", async () => {
    const controller = new AbortController();
    const { sessions, log } = bench({
      a: () => {
        controller.abort(new Error("enough"));
        return 1;
      },
      b: () => 1,
    });
    await expect(compareLatency(sessions, feeds, { signal: controller.signal })).rejects.toThrow("enough");
    expect(log).toEqual(["a1"]);
    const broken = bench({
      a: () => {
        throw new Error("no kernel");
      },
    });
    await expect(compareLatency(broken.sessions, feeds)).rejects.toThrow("no kernel");
    await expect(compareLatency([], feeds)).rejects.toThrow(OptionError);
    await expect(compareLatency(sessions, [])).rejects.toThrow(OptionError);
  });

  it("survives a clock of coarse steps", async () => {
    const { sessions } = bench({ a: () => 1, b: () => 1 });
    const { sessions: results } = await compareLatency(sessions, feeds, { budgetMs: 0, now: () => 0 });
    expect(results[1]).toMatchObject({ ratio: { median: 1 }, verdict: "same" });
  });
});
