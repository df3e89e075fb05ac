/** @file Tests of tensor-errors.ts: noise that is put in at a known place is found there. */
import { describe, expect, it } from "vitest";
import { modelOf, runtimes } from "../../test/helpers.ts";
import { staticInt8 } from "../quantize/static-int8.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { compareTensors, noiseShare, worstTensors } from "./tensor-errors.ts";

const random = createRandom(5);
const inputs = Array.from(
  { length: 3 },
  (): Tensors => ({
    x: Tensor.float32(
      [8, 32],
      Float32Array.from({ length: 256 }, () => random.normal()),
    ),
  }),
);
const data = { name: "three", length: 3, samples: () => inputs.map((feeds) => ({ inputs: feeds })) };
const runtime = await runtimes.node();

const clean = `(float[8, 32] x) => (float[8, 16] y)
  <float[32, 32] w = random(1), float[32, 32] v = random(2), float[32, 16] u = random(3), float a = {1}>
  { p = MatMul(x, w) q = Mul(p, a) r = Relu(q) s = MatMul(r, v) t = Tanh(s) y = MatMul(t, u) }`;

describe("compareTensors", () => {
  it("finds where the error enters", async () => {
    // A tenth more in the middle: an error of exactly −20 dB of the signal behind it.
    const noisy = modelOf(clean.replace("a = {1}", "a = {1.1}"));
    const { values, missing, samples } = await compareTensors(modelOf(clean), noisy, runtime, data);
    expect([samples, missing, values.map(({ name }) => name).join(" ")]).toEqual([3, 0, "p q r s t y"]);
    const [p, q, r] = values;
    expect(p).toMatchObject({
      node: expect.any(String),
      opType: "MatMul",
      sqnr: Number.POSITIVE_INFINITY,
      added: 0,
      drop: 0,
    });
    expect(q!.sqnr).toBeCloseTo(20, 3);
    expect(q).toMatchObject({ opType: "Mul", input: Number.POSITIVE_INFINITY });
    expect(q!.added).toBeCloseTo(0.01, 5);
    expect(q!.drop).toBeCloseTo(40, 3);
    expect(q!.cosine).toBeCloseTo(1, 6);
    expect(Math.abs(r!.added)).toBeLessThan(1e-6);
    expect(worstTensors(values)[0]?.name).toBe("q");
  });

  it("reads values behind the pairs of static quantization, within any budget", async () => {
    const quantized = modelOf(clean);
    await runStep(quantized, staticInt8, { minElements: 1, target: ["node-cpu"] }, { runtime, calibration: data });
    const original = modelOf(clean);
    const whole = await compareTensors(original, quantized, runtime, data);
    expect(whole.values.map(({ name }) => name)).toContain("y");
    for (const { sqnr } of whole.values) {
      // 8 bits in three layers: far above nonsense, far below equality.
      expect(sqnr).toBeGreaterThan(20);
      expect(sqnr).toBeLessThan(70);
    }
    const pieces = await compareTensors(original, quantized, runtime, data, { budget: 1, samples: 3 });
    // Other outputs may let the runtime fuse other nodes: integer kernels round by a code.
    pieces.values.forEach(({ name, sqnr }, i) => {
      expect([name, Math.abs(sqnr - whole.values[i]!.sqnr) < 3]).toEqual([whole.values[i]!.name, true]);
    });
  });

  it("counts values that the other model does not have", async () => {
    const other = modelOf(clean.replace("r = Relu(q) s = MatMul(r, v)", "rr = Relu(q) s = MatMul(rr, v)"));
    expect(await compareTensors(modelOf(clean), other, runtime, data)).toMatchObject({ missing: 1 });
  });
});

it("caps noise at the signal", () => {
  expect([noiseShare(20), noiseShare(-7), noiseShare(Number.POSITIVE_INFINITY)]).toEqual([0.01, 1, 0]);
});
