import { describe, expect, it } from "vitest";
import { modelOf } from "../../test/helpers.ts";
import { fromSamples } from "../data/source.ts";
import type { Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { batchAxes, epochBatches, joinSamples, openReader } from "./batches.ts";

/** As recurrent models are exported: the state's first axis counts layers. */
const RECURRENT = modelOf(`(float[N, 2] x, float[2, N, 3] h, int64 rate) => (float[N, 2] y) { y = Identity(x) }`);

const sample = (at: number): Sample => ({
  inputs: {
    x: Tensor.float32([1, 2], [at, at + 0.5]),
    h: Tensor.float32([2, 1, 3], [at, at, at, -at, -at, -at]),
    rate: Tensor.scalar("int64", 8000),
  },
});

describe("batches", () => {
  it("join states of recurrent layers along their second axis", () => {
    const axes = batchAxes(RECURRENT, sample(1));
    expect([...axes]).toEqual([["h", 1]]);
    const { inputs } = joinSamples([sample(1), sample(2)], axes);
    expect(Object.values(inputs).map(String)).toEqual(["float32[2,2]", "float32[2,2,3]", "int64[]"]);
    expect(inputs["h"]!.numbers()).toEqual([1, 1, 1, 2, 2, 2, -1, -1, -1, -2, -2, -2]);
  });

  it("are of samples that differ in nothing but that axis", async () => {
    const reader = await openReader(fromSamples([1, 2, 3, 4].map(sample)));
    const options = { seed: 1, batchSize: 2, lastBatch: "drop", axes: batchAxes(RECURRENT, sample(1)) } as const;
    const shapes: string[] = [];
    for await (const { inputs } of epochBatches(reader, { epoch: 0, index: 0, waiting: [] }, options)) {
      shapes.push(String(inputs["h"]));
    }
    expect(shapes).toEqual(["float32[2,2,3]", "float32[2,2,3]"]);
  });

  it("join along the first axis where the model fixes every other, too", () => {
    const fixed = modelOf(`(float[4, 2] x) => (float[4, 2] y) { y = Identity(x) }`);
    expect([...batchAxes(fixed, { inputs: { x: Tensor.float32([1, 2], [0, 0]) } })]).toEqual([]);
  });
});
