/** @file Tests of budget.ts. */
import { describe, expect, it } from "vitest";
import { judgeBudget, parseBudget, withinBudget } from "./budget.ts";
import type { MetricResult } from "./meter.ts";

function result(change: Partial<MetricResult> & { readonly difference?: MetricResult["difference"] }): MetricResult {
  return {
    name: "top-1",
    direction: "higher",
    unit: "share",
    against: "labels",
    samples: 1000,
    value: 0.97,
    low: 0.96,
    high: 0.98,
    original: 0.98,
    difference: { value: -0.005, low: -0.009, high: 0.001 },
    differing: 9,
    ...change,
  };
}

describe("parseBudget", () => {
  it("reads points and percentages", () => {
    expect(parseBudget("1pt")).toEqual({ kind: "points", amount: 0.01, text: "1pt" });
    expect(parseBudget("0.5%")).toEqual({ kind: "relative", amount: 0.005, text: "0.5%" });
    expect(parseBudget("0pt").amount).toBe(0);
    for (const text of ["1", "pt", "-1pt", "1dB", "1 pt 2", ""]) expect(() => parseBudget(text)).toThrow(/1pt or 0.5%/);
  });
});

describe("withinBudget", () => {
  it("decides at the bad end of the interval, whichever way is better", () => {
    const point = parseBudget("1pt");
    expect(withinBudget(result({}), point)).toMatchObject({ ok: true, loss: 0.005, bound: 0.009, limit: 0.01 });
    const wide = result({ difference: { value: -0.005, low: -0.011, high: 0.001 } });
    expect(withinBudget(wide, point)).toMatchObject({
      ok: false,
      text: "top-1 loses 0.50 points, at worst 1.10 points (95 %, 1000 samples): over 1pt; more samples would narrow the interval",
    });
    const cer = { name: "cer", direction: "lower", difference: { value: 0.02, low: -0.001, high: 0.03 } } as const;
    const verdict = withinBudget(result(cer), point);
    expect(verdict).toMatchObject({ ok: false, loss: 0.02, bound: 0.03 });
    expect(verdict.text).toBe("cer loses 2.00 points, at worst 3.00 points (95 %, 1000 samples): over 1pt");
    expect(withinBudget(result({ difference: { value: 0.02, low: 0.01, high: 0.03 } }), point)).toMatchObject({
      ok: true,
      loss: -0.02,
      text: "top-1 gains 2.00 points, at worst 0.00 points, within 1pt",
    });
  });

  it("takes percentages of the original's value", () => {
    const half = result({ original: 0.5, difference: { value: -0.004, low: -0.006, high: 0 } });
    expect(withinBudget(half, parseBudget("1pt")).ok).toBe(true);
    expect(withinBudget(half, parseBudget("1%"))).toMatchObject({ ok: false, loss: 0.008, bound: 0.012 });
    const mse = result({
      name: "mse",
      unit: "value",
      direction: "lower",
      original: 4,
      difference: { value: 0.01, low: 0, high: 0.02 },
    });
    expect(withinBudget(mse, parseBudget("1%"))).toMatchObject({ ok: true, bound: 0.005 });
    expect(() => withinBudget(mse, parseBudget("1pt"))).toThrow(
      /got mse \(value, original 4\)\. Points are hundredths/,
    );
  });

  it("says where samples without a difference are too few to show one", () => {
    const same = { difference: { value: 0, low: 0, high: 0 }, differing: 0 };
    expect(withinBudget(result({ ...same, samples: 100 }), parseBudget("1pt")).text).toBe(
      "top-1 loses nothing, at worst 0.00 points, within 1pt; no answer differs, but 100 samples cannot show losses below 3.0 points",
    );
    expect(withinBudget(result({ ...same, samples: 1000 }), parseBudget("1pt")).text).toMatch(/within 1pt$/);
  });

  it("passes exactly what is allowed", () => {
    const exact = result({ difference: { value: 0.97 - 0.98, low: 0.97 - 0.98, high: 0 } });
    expect(withinBudget(exact, parseBudget("1pt")).ok).toBe(true);
  });
});

describe("judgeBudget", () => {
  const agreement = result({
    name: "agreement",
    against: "original",
    original: 1,
    difference: { value: -0.1, low: -0.2, high: -0.05 },
  });

  it("prefers what knows labels", () => {
    const names = (results: MetricResult[]) =>
      judgeBudget(results, parseBudget("1pt")).map(({ metric, ok }) => [metric, ok]);
    expect(names([agreement, result({}), result({ name: "f1" })])).toEqual([
      ["top-1", true],
      ["f1", true],
    ]);
    expect(names([agreement])).toEqual([["agreement", false]]);
    expect(judgeBudget([agreement], parseBudget("1pt"))[0]?.text).toMatch(
      /^agreement with the original loses 10.00 points/,
    );
  });

  it("wants something to apply to", () => {
    expect(() => judgeBudget([], parseBudget("1pt"))).toThrow(/expected a metric to apply it to/);
    const { difference: _, ...sqnr } = result({
      name: "sqnr",
      unit: "dB",
      against: "original",
      original: Number.POSITIVE_INFINITY,
    });
    expect(() => judgeBudget([sqnr], parseBudget("1pt"))).toThrow(/got sqnr/);
  });
});
