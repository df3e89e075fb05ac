/** @file Tests of collect.ts: what a report looks at, within its time. */
import { describe, expect, it } from "vitest";
import { modelOf, runtimes } from "../../../test/helpers.ts";
import { staticInt8 } from "../../quantize/static-int8.ts";
import { runStep } from "../../step/run.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { collectDetails } from "./collect.ts";

const random = createRandom(5);
const samples = Array.from({ length: 3 }, () => ({
  inputs: {
    x: Tensor.float32(
      [8, 32],
      Float32Array.from({ length: 256 }, () => random.normal()),
    ),
  },
}));
const data = { name: "three", length: 3, samples: () => samples };
const runtime = await runtimes.node();
const text = `(float[8, 32] x) => (float[8, 16] y)
  <float[32, 32] w = random(1), float[32, 32] v = random(2), float[32, 16] u = random(3)>
  { p = MatMul(x, w) r = Relu(p) s = MatMul(r, v) t = Relu(s) y = MatMul(t, u) }`;

async function quantized() {
  const model = modelOf(text);
  await runStep(model, staticInt8, { minElements: 1, target: ["node-cpu"] }, { runtime, calibration: data });
  return model;
}

describe("collectDetails", () => {
  it("compares all values and counts those that are clipped", async () => {
    const found = await collectDetails({ original: modelOf(text), quantized: await quantized(), runtime, data });
    expect(found.leftOut).toEqual([]);
    expect(found.tensors).toMatchObject({ samples: 3 });
    expect(found.tensors!.values.map(({ name }) => name)).toContain("y");
    const histograms = found.histograms!;
    expect(histograms.length).toBeGreaterThan(0);
    for (const { name, range, elements, low, high, below, above } of histograms) {
      expect(elements).toBe(3 * 256);
      // It was calibrated on these very samples: its range holds nearly all of them.
      expect(range!.max, name).toBeGreaterThan(0.3 * high);
      expect(range!.min, name).toBeLessThanOrEqual(Math.max(0.3 * low, 0));
      expect(below + above, name).toBeLessThan(0.05);
    }
  });

  it("says what there was no time for, and still has one sample", async () => {
    let calls = 0;
    // The clock stands still until the first comparison is done; then nearly all of the time is gone.
    const now = () => (calls++ < 4 ? 0 : 45_000);
    const found = await collectDetails({ original: modelOf(text), quantized: await quantized(), runtime, data, now });
    expect(found.tensors!.samples).toBe(1);
    expect(found.leftOut).toEqual([
      expect.stringMatching(/compared on one sample only: 60\.00 s are no time for more/),
    ]);
  });

  it("leaves out what fails, and says why", async () => {
    const broken = { ...runtime, load: () => Promise.reject(new Error("no such operator")) };
    const options = { original: modelOf(text), quantized: await quantized(), data };
    expect(await collectDetails({ ...options, runtime: broken })).toEqual({
      leftOut: ["The comparison of values inside is left out: no such operator."],
    });
    const empty = { name: "none", samples: () => [] };
    expect(await collectDetails({ ...options, runtime, data: empty })).toEqual({ leftOut: [] });
  });

  it("stops where it is cancelled", async () => {
    const options = { original: modelOf(text), quantized: await quantized(), runtime, data };
    const signal = AbortSignal.abort(new Error("cancelled"));
    await expect(collectDetails({ ...options, signal })).rejects.toThrow("cancelled");
  });
});
