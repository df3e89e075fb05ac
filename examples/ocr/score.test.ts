/** @file Known error rates, the normalization, and the interval's behaviour. */

import { describe, expect, test } from "vitest";
import { compareWithOriginal, normalize, score } from "./score.ts";

test("all white space collapses, U+3000 too", () => {
  expect(normalize("\u3000 a \t\u3000b\n")).toBe("a b");
});

describe("score", () => {
  test("error rate is summed over the corpus, not averaged over samples", () => {
    // 1 edit in 2 characters and 0 in 8: 1/10, where the mean of the samples would be 1/4.
    expect(score(["ab", "12345678"], ["ax", "12345678"])).toEqual({ samples: 2, cer: 0.1, exact: 0.5 });
  });

  test("trailing spaces are no error, inner ones are", () => {
    expect(score(["a b"], ["a\u3000b "])).toMatchObject({ cer: 0, exact: 1 });
    expect(score(["a b"], ["ab"])).toMatchObject({ cer: 1 / 3, exact: 0 });
  });

  test("agreement compares with the original, right or wrong", () => {
    expect(score(["ab", "cd"], ["ax", "cd"], ["ax ", "ce"])).toMatchObject({ exact: 0.5, agreement: 0.5 });
  });

  test("refuses lists of different length", () => {
    expect(() => score(["a", "b"], ["a"])).toThrow("got 1 for 2");
  });
});

describe("paired bootstrap", () => {
  const references = Array.from({ length: 200 }, (_, i) => String(10000 + i));
  const original = references.map((text, i) => (i % 5 === 0 ? `${text}9` : text));

  test("the same readings give an interval of zero", () => {
    const { cer, exact } = compareWithOriginal(references, original, original);
    expect([cer, exact]).toEqual([
      { difference: 0, low: 0, high: 0 },
      { difference: 0, low: 0, high: 0 },
    ]);
  });

  test("width is what the binomial law says", () => {
    const worse = original.map((text, i) => (i % 10 === 1 ? `${text}7` : text));
    const { cer, exact } = compareWithOriginal(references, worse, original);
    expect(exact.difference).toBeCloseTo(-0.1, 12);
    expect(cer.difference).toBeCloseTo(0.02, 12);
    // ±1.96 · √(0.1 · 0.9 / 200) = ±0.0416; 2,000 resamples place each bound within about 0.005.
    expect(Math.abs(exact.low + 0.1416)).toBeLessThan(0.01);
    expect(Math.abs(exact.high + 0.0584)).toBeLessThan(0.01);
    expect(cer.low).toBeGreaterThan(0);
  });

  test("the seed decides", () => {
    const worse = references.map((text, i) => (i % 3 === 0 ? "" : text));
    const interval = (seed: number) => compareWithOriginal(references, worse, original, { seed }).cer;
    expect(interval(3)).toEqual(interval(3));
    expect(interval(3)).not.toEqual(interval(4));
  });
});
