/** @file Layers and containers against PyTorch: state_dict names and shapes, and outputs of the same weights. */
import { describe, expect, it } from "vitest";
import { verifyModel } from "../../src/graph/verify.ts";
import { loadStateDict, stateDict } from "../../src/nn/state.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { bytesOf, reload, runtimes } from "../helpers.ts";
import { buildCase, feedsOf, MODULES, REFERENCE } from "./reference.ts";

/** Of the largest output: float32 sums of a few dozen terms against float64. */
const RELATIVE = 1e-5;

function expectClose(got: Tensor, wanted: Tensor, subject: string): void {
  expect(got.dims, subject).toEqual(wanted.dims);
  const [a, b] = [got.floats(), wanted.floats()];
  const scale = b.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const worst = b.reduce((most, x, i) => Math.max(most, Math.abs(a[i]! - x)), 0);
  expect(worst, subject).toBeLessThanOrEqual(RELATIVE * scale);
}

/** Every way in which a layer's graph differs. */
const WAYS = [
  { name: "known dimensions", options: {}, runtime: "node" },
  { name: "known ranks only", options: { dynamic: true }, runtime: "node" },
  { name: "opset 21", options: { opset: 21 }, runtime: "node" },
  { name: "onnxruntime-web", options: {}, runtime: "web" },
] as const;

it("has a module of ours for every reference, and the other way round", () => {
  expect(Object.keys(MODULES)).toEqual(Object.keys(REFERENCE));
});

describe.each(Object.keys(REFERENCE))("%s", (name) => {
  const reference = REFERENCE[name]!;

  it("has PyTorch's state_dict", () => {
    const shapes = (state: Readonly<Record<string, Tensor>>): unknown =>
      Object.fromEntries(Object.entries(state).map(([key, { dtype, dims }]) => [key, `${dtype} [${dims.join()}]`]));
    const model = buildCase(name);
    expect(shapes(stateDict(model))).toEqual(shapes(reference.state));
    loadStateDict(model, reference.state);
    const loaded = stateDict(reload(model));
    for (const [key, tensor] of Object.entries(reference.state)) expect(loaded[key]!.bytes()).toEqual(tensor.bytes());
  });

  it.each(WAYS)("computes what PyTorch does: $name", async ({ options, runtime }) => {
    const model = buildCase(name, options);
    loadStateDict(model, reference.state);
    verifyModel(model);
    const session = await (await runtimes[runtime]()).load({ bytes: bytesOf(model) });
    try {
      const outputs = await session.run(feedsOf(name));
      for (const [i, wanted] of reference.outputs.entries()) expectClose(outputs[`y${i}`]!, wanted, `${name}, y${i}`);
    } finally {
      await session.release();
    }
  });
});
