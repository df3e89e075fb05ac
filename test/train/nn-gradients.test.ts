/**
 * @file Gradients of layers and small networks against PyTorch's: of every parameter and every float input, for a loss that
 * weighs each element of the outputs by a number of its own. Recurrent layers are unrolled before.
 */
import { describe, expect, it } from "vitest";
import { differentiate } from "../../src/autodiff/differentiate.ts";
import { Builder } from "../../src/graph/builder.ts";
import type { Model } from "../../src/graph/model.ts";
import type { Value } from "../../src/graph/value.ts";
import { loadStateDict, parametersOf } from "../../src/nn/state.ts";
import { unrollRecurrent } from "../../src/passes/unroll-recurrent.ts";
import { observeShapes } from "../../src/runtime/collect.ts";
import type { Runtime, Tensors } from "../../src/runtime/runtime.ts";
import { runStep } from "../../src/step/run.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { bytesOf, runtimes } from "../helpers.ts";
import { buildCase, feedsOf, REFERENCE } from "../nn/reference.ts";

/** Of the largest element of each gradient: sums of float32 products, forward and backward, against float64. */
const RELATIVE = 1e-5;

async function withoutRecurrence(model: Model, runtime: Runtime, feeds: Tensors): Promise<void> {
  for (const [value, dims] of await observeShapes(model, runtime, feeds)) {
    if (value.type === undefined) value.setTensorType("float32", dims);
  }
  await runStep(model, unrollRecurrent, {}, { runtime });
}

async function gradientsOf(name: string): Promise<Readonly<Record<string, Tensor>>> {
  const reference = REFERENCE[name]!;
  const runtime = await runtimes.node();
  const model = buildCase(name);
  loadStateDict(model, reference.state);
  const { graph } = model;
  const feeds = feedsOf(name);
  if (/lstm|gru/.test(name)) await withoutRecurrence(model, runtime, feeds);
  const b = new Builder(graph, "loss/");
  const parts = graph.outputs.map((value, i) =>
    b.sum(b.mul(value, b.initializer(reference.seeds[i]!)), undefined, false),
  );
  const loss = b.op("Sum", parts);
  loss.setTensorType("float32", []);
  const inputs = graph.inputs.filter((_, i) => reference.inputGradients[i] !== undefined);
  const wrt = [...parametersOf(model), ...inputs];
  graph.setOutputs([loss]);
  const shapes = await observeShapes(model, runtime, feeds);
  const { gradients, unreached } = differentiate({ loss, wrt, shapes });
  expect(unreached).toEqual([]);
  const outputs = new Map<string, Value>(wrt.map((value) => [value.name, b.op("Identity", [gradients.get(value)!])]));
  graph.setOutputs([...outputs.values()]);
  const session = await runtime.load({ bytes: bytesOf(model) });
  try {
    const results = await session.run(feeds);
    return Object.fromEntries([...outputs].map(([key, value]) => [key, results[value.name]!]));
  } finally {
    await session.release();
  }
}

describe("gradients are PyTorch's", () => {
  it.each(Object.keys(REFERENCE))("%s", async (name) => {
    const { gradients, inputGradients } = REFERENCE[name]!;
    const ours = await gradientsOf(name);
    const wanted: Record<string, Tensor> = { ...gradients };
    inputGradients.forEach((gradient, i) => {
      if (gradient !== undefined) wanted[`x${i}`] = gradient;
    });
    expect(Object.keys(ours).sort()).toEqual(Object.keys(wanted).sort());
    for (const [key, gradient] of Object.entries(wanted)) {
      expect(ours[key]!.dims, key).toEqual(gradient.dims);
      const got = ours[key]!.floats();
      const largest = gradient.floats().reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const worst = gradient.floats().reduce((most, x, i) => Math.max(most, Math.abs(got[i]! - x)), 0);
      expect(worst, key).toBeLessThanOrEqual(RELATIVE * largest);
    }
  });
});
