/** @file Tests of meter.ts: which metrics are measured, and of what. */
import { describe, expect, it } from "vitest";
import type { Tensors } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createMeter } from "./meter.ts";

const scores = (...values: number[]): Tensors => ({ y: Tensor.float32([1, values.length], values) });
const sample = (label?: unknown) => (label === undefined ? { inputs: {} } : { inputs: {}, label });
const names = (results: readonly { readonly name: string }[] | undefined) => results?.map(({ name }) => name);

describe("what is measured where nothing was asked for", () => {
  it("is the user's score, else top-1 of labels that are classes, else nothing, or agreement", () => {
    const measured = (label: unknown, hasScore: boolean, fallback?: boolean) => {
      const meter = createMeter({ fallback }, hasScore);
      const answer = { outputs: scores(0, 1), ...(hasScore && { score: 0.5 }) };
      meter.add(sample(label), answer, [answer]);
      return names(meter.results().others[0]);
    };
    expect(measured(1, true)).toEqual(["score"]);
    expect(measured(1, false, true)).toEqual(["top-1"]);
    expect(measured("one", false)).toEqual([]);
    expect(measured(undefined, false)).toEqual([]);
    expect(measured(undefined, false, true)).toEqual(["agreement"]);
  });

  it("falls back on what outputs allow", () => {
    const measured = (dims: number[], values: number[]) => {
      const meter = createMeter({ fallback: true }, false);
      const answer = { outputs: { y: Tensor.float32(dims, values) } };
      meter.add(sample(), answer, [answer]);
      return names(meter.results().others[0]);
    };
    expect(measured([1, 1, 2, 2], [0, 1, 0.5, 0])).toEqual(["dice"]);
    expect(measured([1, 1], [0.7])).toEqual(["agreement"]);
    expect(() => measured([1, 1], [17])).toThrow(/by which answers can be compared.*Say with --metric/);
    expect(() => measured([1, 3, 1, 1], [0, 0, 1])).toThrow(/by which answers can be compared/);
  });
});

describe("results", () => {
  it("compare each file with the original on the same samples", () => {
    const meter = createMeter({ names: ["top-1", "agreement", "sqnr"] }, false);
    const right = { outputs: scores(0, 1) };
    const wrong = { outputs: scores(1, 0) };
    for (let i = 0; i < 10; i++) meter.add(sample(1), i < 9 ? right : wrong, [i < 7 ? right : wrong]);
    const { original, others } = meter.results();
    expect(original).toHaveLength(1);
    expect(original[0]).toMatchObject({ name: "top-1", value: 0.9, original: 0.9, samples: 10, against: "labels" });
    const [top1, agreement, sqnr] = others[0]!;
    expect(top1).toMatchObject({ value: 0.7, original: 0.9, differing: 2, direction: "higher", unit: "share" });
    expect(top1?.difference?.value).toBeCloseTo(-0.2, 12);
    expect(top1!.difference!.low).toBeLessThan(-0.2);
    expect(agreement).toMatchObject({ value: 0.8, original: 1, against: "original" });
    expect(sqnr).toMatchObject({ original: Number.POSITIVE_INFINITY, unit: "dB" });
    expect(sqnr?.difference).toBeUndefined();
    expect(sqnr?.value).toBeCloseTo(10 * Math.log10(10 / 4), 10);
    expect(JSON.parse(JSON.stringify(others[0]![0]))).toEqual(others[0]![0]);
  });

  it("compare with the original's answers where there are no labels, and say so", () => {
    const meter = createMeter({ names: ["top-1"] }, false);
    meter.add(sample(), { outputs: scores(0, 1) }, [{ outputs: scores(0, 2) }]);
    expect(meter.results()).toMatchObject({ original: [], others: [[{ against: "original", value: 1, original: 1 }]] });
  });

  it("pass over samples without a label among those that have one", () => {
    const meter = createMeter({ names: ["top-1"] }, false);
    const answer = { outputs: scores(0, 1) };
    for (const label of [1, undefined, 0]) meter.add(sample(label), answer, [answer]);
    expect(meter.results().others[0]![0]).toMatchObject({ samples: 2, value: 0.5 });
  });

  it("are none of a file that failed or answers in another form, and of the rest all the same", () => {
    const meter = createMeter({ names: ["top-1"] }, false);
    const answer = { outputs: scores(0, 1) };
    meter.add(sample(1), answer, [answer, answer, { outputs: {} }]);
    meter.add(sample(1), answer, [answer, undefined, answer]);
    expect(meter.results().others.map((results) => results.length)).toEqual([1, 0, 0]);
  });

  it("name the metric where it does not fit, and the module that has no score", () => {
    expect(() => createMeter({ names: ["dice"] }, false).add(sample(1), { outputs: scores(0, 1, 2) }, [])).toThrow(
      /^metric dice: metric: outputs: expected a map/,
    );
    expect(() => createMeter({ names: ["score"] }, false).add(sample(), { outputs: {} }, [])).toThrow(
      /expected a data module that exports score/,
    );
    expect(() => createMeter({ names: ["accuracy"] }, false)).toThrow(/got accuracy/);
  });
});
