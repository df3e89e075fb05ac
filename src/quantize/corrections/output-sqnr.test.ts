import { expect, it } from "vitest";
import { modelOf, runtimes } from "../../../test/helpers.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { outputSqnr } from "./output-sqnr.ts";

const data = (x: readonly number[]) => ({
  name: "test",
  samples: () => [{ inputs: { x: Tensor.float32([x.length], [...x]) } }],
});

it("compares what goes into Softmax, and other outputs as they are", async () => {
  const text = (factor: number): string =>
    `(float[3] x) => (float[3] y, float[3] z) <float f = {${factor}}> { a = Mul(x, f)  y = Softmax(a)  z = Mul(x, f) }`;
  const models = [modelOf(text(1.0)), modelOf(text(1.1)), modelOf(text(0.9))] as const;
  const before = models[1].graph.outputs.map(({ name }) => name);
  const node = await runtimes.node();
  // A tenth of the signal: 20 dB in both outputs, whatever Softmax makes of it.
  const values = await outputSqnr(models[0], models.slice(1), node, data([1, 200, -3]));
  for (const value of values) expect(value).toBeCloseTo(20, 4);
  // The models are as they were.
  expect(models[1].graph.outputs.map(({ name }) => name)).toEqual(before);
  expect(await outputSqnr(models[0], [models[0]], node, data([1, 2, 3]))).toEqual([300]);
});
