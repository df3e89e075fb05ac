/**
 * @file Statistics as a document: there and back, and damaged in every way.
 */
import { describe, expect, test } from "vitest";
import { FormatError } from "../../util/errors.ts";
import { createObserver, OBSERVER_NAMES, type ObserverName } from "./list.ts";
import type { ObserverState } from "./observer.ts";
import { decodeStatistics, encodeStatistics, type Statistics } from "./statistics.ts";

function statisticsOf(observer: ObserverName): Statistics {
  const values = new Map<string, ObserverState>();
  for (const [i, name] of ["__proto__", "x", "/block.0/Conv_output_0"].entries()) {
    const made = createObserver(observer, {
      scheme: { dtype: "uint8", symmetric: false },
      axis: i === 1 ? 0 : undefined,
    });
    if (i < 2) made.observe(Float32Array.of(0.1, -2, 3, 1e-9), [2, 2]);
    values.set(name, made.save());
  }
  return { model: "f00d", observer, values };
}

test.each(OBSERVER_NAMES)("%s: there and back", (name) => {
  const statistics = statisticsOf(name);
  const text = encodeStatistics(statistics);
  const decoded = decodeStatistics(text, "stats.json");
  expect(decoded.model).toBe("f00d");
  expect([...decoded.values.keys()]).toEqual(["__proto__", "x", "/block.0/Conv_output_0"]);
  expect(encodeStatistics(decoded)).toBe(text);
});

test("values may have other observers than was asked for", () => {
  const values = new Map([...statisticsOf("mse").values, ["y", statisticsOf("min-max").values.get("x")!] as const]);
  const decoded = decodeStatistics(encodeStatistics({ model: "f00d", observer: "mse", values }), "stats.json");
  expect(decoded.values.get("y")!.name).toBe("min-max");
});

describe("refuses", () => {
  const text = encodeStatistics(statisticsOf("histogram"));
  const changed = (change: (document: Record<string, never>) => void): string => {
    const document = JSON.parse(text);
    change(document);
    return JSON.stringify(document);
  };
  type Broken = { values: { value: string; state: Record<string, never> }[]; [key: string]: unknown };
  const cases: [what: string, text: string, problem: RegExp][] = [
    ["other text", "PK\u0003\u0004", /expected the JSON of saved statistics/],
    ["nothing", "null", /expected format "tersor-statistics", got undefined/],
    ["another document", "[1]", /expected format/],
    ["another version", changed((d) => Object.assign(d, { version: 2 })), /expected version 1, got 2/],
    ["an unknown observer", changed((d) => Object.assign(d, { observer: "mean" })), /observer/],
    ["an unknown key", changed((d) => Object.assign(d, { extra: 1 })), /extra/],
    [
      "a value twice",
      changed((d) => {
        const { values } = d as unknown as Broken;
        values.push(values[0]!);
      }),
      /each value once, got "__proto__" twice/,
    ],
    ["huge runs of zeros", text.replace(/"counts 0":\[[^\]]*\]/, '"counts 0":[-4000000000]'), /number of bins/],
    [
      "fractions of zeros",
      text.replace(/"counts 0":\[[^\]]*\]/, '"counts 0":[-2047.5,1]'),
      /"__proto__": .*zeros|bins/,
    ],
    ["missing counts", text.replace(/"counts 0":/, '"counts 9":'), /number of bins, got 0/],
    ["missing extremes", text.replace(/"min":\[[^\]]*\]/, '"min":[]'), /expected 1 finite numbers, got 0/],
    ["a wrong type", text.replace(/"min":\[[^\]]*\]/, '"min":["1"]'), /values\.0\.state\.seen\.min/],
  ];
  test.each(cases)("%s", (_, damagedText, problem) => {
    const decode = () => decodeStatistics(damagedText, "stats.json");
    expect(decode).toThrow(FormatError);
    expect(decode).toThrow(/stats\.json/);
    expect(decode).toThrow(problem);
  });
});
