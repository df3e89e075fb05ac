import { describe, expect, it } from "vitest";
import { LossCurve } from "./curve.ts";

describe("the course of a loss", () => {
  it("is means over ever longer stretches, which never mix two kinds of loss", () => {
    const curve = new LossCurve();
    for (let step = 1; step <= 2000; step++) curve.add(step, step, step <= 700);
    const points = curve.points(2000);
    expect(points.length).toBeLessThanOrEqual(258);
    expect(points.at(-1)!.step).toBe(2000);
    let before = 0;
    for (const { step, count, loss, layers } of points) {
      expect([before + count, layers]).toEqual([step, step <= 700]);
      // Of the numbers from before + 1 to step.
      expect(loss).toBeCloseTo((before + 1 + step) / 2, 9);
      before = step;
    }
  });

  it("goes on from what a checkpoint has of it", () => {
    const [whole, first] = [new LossCurve(), new LossCurve()];
    for (let step = 1; step <= 301; step++) for (const curve of [whole, first]) curve.add(step, 1 / step, false);
    const second = new LossCurve(JSON.parse(JSON.stringify(first.history)));
    for (let step = 302; step <= 330; step++) for (const curve of [whole, second]) curve.add(step, 1 / step, false);
    expect(second.points(330)).toEqual(whole.points(330));
  });
});
