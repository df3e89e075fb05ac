import { describe, expect, it } from "vitest";
import { createRandom } from "../../util/random.ts";
import { fakeQuantize } from "../affine.ts";
import { groupView } from "../granularity.ts";
import { chooseQParams, type QParams } from "../qparams.ts";
import { chooseObserver, type ObserverCandidate } from "./choose-observer.ts";
import { keepFloat } from "./keep-float.ts";

function candidate(name: string, min: number, max: number): ObserverCandidate {
  const { scale, zeroPoint } = chooseQParams(min, max, { dtype: "uint8", symmetric: false });
  const qparams: QParams = {
    scale: Float32Array.of(scale),
    zeroPoint: Int32Array.of(zeroPoint),
    dtype: "uint8",
    granularity: { kind: "per-tensor" },
  };
  return { name, qparams };
}

describe("choosing among observers", () => {
  const k = 16;
  const random = createRandom(4);
  /** Entry 3 of every row is an outlier. */
  const values = Float32Array.from({ length: 64 * k }, (_, i) => random.normal() * (i % k === 3 ? 40 : 1));
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const candidates = [candidate("min-max", low, high), candidate("percentile", -4, 4)];

  it("takes the one that loses less of the values", () => {
    const { index, errors } = chooseObserver(candidates, values);
    const view = groupView([values.length], { kind: "per-tensor" });
    candidates.forEach(({ qparams }, i) => {
      const rounded = fakeQuantize(values, view, qparams);
      const plain = values.reduce((sum, x, j) => sum + (x - rounded[j]!) ** 2, 0);
      expect(errors[i]! / plain).toBeCloseTo(1, 6);
    });
    // Clipping numbers of 40 to 4 loses most.
    expect(index).toBe(0);
  });

  it("or less of the result: what the layer does not look at may be clipped", () => {
    const blind = Float32Array.from({ length: 8 * k }, (_, i) => (i % k === 3 ? 0 : random.normal()));
    expect(chooseObserver(candidates, values, { weight: blind, k }).index).toBe(1);
    const seeing = Float32Array.from({ length: 8 * k }, () => random.normal());
    expect(chooseObserver(candidates, values, { weight: seeing, k }).index).toBe(0);
  });

  it("judges large layers by a part of them", () => {
    const [rows, wide, outputs] = [512, 256, 512];
    const x = Float32Array.from({ length: rows * wide }, () => random.normal());
    const weight = Float32Array.from({ length: outputs * wide }, () => random.normal());
    const { errors } = chooseObserver([candidate("wide", -40, 40), candidate("right", -5, 5)], x, { weight, k: wide });
    // E[(w·d)²] = |d|² for normal weights: the sampled error is near outputs times the values' own.
    chooseObserver([candidate("wide", -40, 40), candidate("right", -5, 5)], x).errors.forEach((own, i) => {
      expect(errors[i]! / (own * outputs)).toBeGreaterThan(0.9);
      expect(errors[i]! / (own * outputs)).toBeLessThan(1.1);
    });
  });

  it("a histogram says nearly the same", () => {
    const counts = new Uint32Array(2048);
    for (const x of values) counts[Math.min(Math.floor(((x - low) / (high - low)) * 2048), 2047)]!++;
    const exact = chooseObserver(candidates, values).errors;
    chooseObserver(candidates, { min: low, max: high, counts }).errors.forEach((error, i) => {
      expect(error / exact[i]!).toBeGreaterThan(0.9);
      expect(error / exact[i]!).toBeLessThan(1.1);
    });
  });

  it("takes the first of equals", () => {
    expect(chooseObserver([candidates[0]!, candidates[0]!], values).index).toBe(0);
  });
});

describe("keeping nodes in float", () => {
  it("takes what loses most for its cost, while the budget lasts", () => {
    const ranked = [
      { node: "large", loss: 5, cost: 100 },
      { node: "small", loss: 2, cost: 10 },
      { node: "harmless", loss: 0, cost: 1 },
      { node: "better", loss: -1, cost: 1 },
      { node: "free", loss: 0.1, cost: 0 },
      { node: "middle", loss: 3, cost: 40 },
    ];
    expect(keepFloat(ranked, 150)).toEqual(["free", "small", "middle", "large"]);
    expect(keepFloat(ranked, 60)).toEqual(["free", "small", "middle"]);
    expect(keepFloat(ranked, 0)).toEqual(["free"]);
    expect(keepFloat([], 10)).toEqual([]);
  });

  it("is not led astray by a crumb", () => {
    const ranked = [
      { node: "crumb", loss: 1, cost: 1 },
      { node: "loaf", loss: 50, cost: 100 },
    ];
    expect(keepFloat(ranked, 100)).toEqual(["loaf"]);
  });
});
