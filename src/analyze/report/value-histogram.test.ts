/** @file Tests of value-histogram.ts: counts and shares beside plain counting, ranges beside the operator's formula. */
import { describe, expect, it } from "vitest";
import { modelOf } from "../../../test/helpers.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { HistogramCounter, rangeOf } from "./value-histogram.ts";

const about = { name: "v", node: "n", opType: "Relu", range: undefined, dynamic: false };

/** The range of x in a model that quantizes it by these constants. */
function rangeIn(constants: string, inputs: string, opset = 17) {
  const model = modelOf(
    `(float[4] x) => (float[4] y) <${constants}> { q = QuantizeLinear(x, ${inputs}) y = DequantizeLinear(q, ${inputs}) }`,
    opset,
  );
  return rangeOf(model.graph.inputs[0]!);
}

describe("rangeOf", () => {
  it("is what codes stand for: (q − zero point) · scale", () => {
    const unsigned = rangeIn("float s = {0.5}, uint8 z = {10}", "s, z");
    expect(unsigned).toEqual({
      range: { min: -5, max: 122.5, dtype: "uint8", scale: 0.5, zeroPoint: 10 },
      dynamic: false,
    });
    expect(rangeIn("float s = {0.25}, int8 z = {-3}", "s, z").range).toMatchObject({ min: -31.25, max: 32.5 });
    expect(rangeIn("float s = {1}", "s").range).toMatchObject({ min: 0, max: 255, dtype: "uint8", zeroPoint: 0 });
  });

  it("is unknown per channel, and where it is found while the model runs", () => {
    expect(rangeIn("float[4] s = {1, 2, 3, 4}, uint8[4] z = {0, 0, 0, 0}", "s, z").range).toBeUndefined();
    const dynamic = modelOf("(float[4] x) => (uint8[4] q, float s, uint8 z) { q, s, z = DynamicQuantizeLinear(x) }");
    expect(rangeOf(dynamic.graph.inputs[0]!)).toEqual({ range: undefined, dynamic: true });
    expect(rangeOf(dynamic.graph.outputs[0]!)).toEqual({ range: undefined, dynamic: false });
  });
});

describe("HistogramCounter", () => {
  const random = createRandom(3);
  const samples = Array.from({ length: 3 }, (_, i) =>
    Float32Array.from({ length: 5000 }, () => (i + 1) * random.normal()),
  );
  const all = samples.flatMap((data) => [...data]);

  it("counts every finite element, between the extremes of all samples", () => {
    const counter = new HistogramCounter(about);
    for (const data of samples) counter.add(Tensor.float32([5000], data));
    const found = counter.result()!;
    expect(found).toMatchObject({
      ...about,
      elements: 15_000,
      nonFinite: 0,
      low: Math.min(...all),
      high: Math.max(...all),
    });
    expect(found.counts.reduce((a, b) => a + b, 0)).toBeCloseTo(15_000, 6);
    // A growing range spreads counts over neighbours: quarters of the range stay right within a bin's worth.
    const quarter = (found.high - found.low) / 4;
    for (let part = 0; part < 4; part++) {
      const from = found.low + part * quarter;
      const exact = all.filter((x) => x >= from && x < from + quarter).length;
      const counted = found.counts.slice(part * 64, (part + 1) * 64).reduce((a, b) => a + b, 0);
      expect(Math.abs(counted - exact)).toBeLessThan(150);
    }
  });

  it("says what share is clipped, exactly", () => {
    const range = { min: -1.5, max: 2, dtype: "uint8", scale: 0.01, zeroPoint: 150 } as const;
    const counter = new HistogramCounter({ ...about, range });
    for (const data of samples) counter.add(Tensor.float32([5000], data));
    const found = counter.result()!;
    // Half a step beyond the ends still rounds to the last code.
    expect(found.below).toBe(all.filter((x) => x < -1.505).length / all.length);
    expect(found.above).toBe(all.filter((x) => x > 2.005).length / all.length);
  });

  it("keeps what is not finite apart", () => {
    const counter = new HistogramCounter(about);
    counter.add(Tensor.float32([4], [Number.NaN, 1, Number.POSITIVE_INFINITY, 1]));
    expect(counter.result()).toMatchObject({ elements: 2, nonFinite: 2, low: 1, high: 1 });
    const empty = new HistogramCounter(about);
    empty.add(Tensor.float32([1], [Number.NaN]));
    expect(empty.result()).toBeUndefined();
  });
});
