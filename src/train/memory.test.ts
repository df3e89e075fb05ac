import { describe, expect, it } from "vitest";
import { modelOf, runtimes } from "../../test/helpers.ts";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { buildModel } from "../nn/build-model.ts";
import { sequential } from "../nn/containers.ts";
import { flatten, relu } from "../nn/layers/activation.ts";
import { conv2d } from "../nn/layers/convolution.ts";
import { linear } from "../nn/layers/linear.ts";
import { batchNorm } from "../nn/layers/normalization.ts";
import { maxPool2d } from "../nn/layers/pooling.ts";
import { transformerEncoderLayer } from "../nn/layers/transformer.ts";
import type { Module } from "../nn/module.ts";
import { observeShapes } from "../runtime/collect.ts";
import { Tensor } from "../tensor/tensor.ts";
import { addBackwardDims, type Dims } from "./backward-dims.ts";
import { buildTraining } from "./build.ts";
import { executionOrder, livePeak } from "./memory.ts";

const NETS: Readonly<Record<"convolutions" | "attention", { readonly module: Module; readonly dims: Dims }>> = {
  convolutions: {
    module: sequential(
      conv2d(3, 8, 3, { padding: 1, stride: 2 }),
      batchNorm(8),
      relu(),
      conv2d(8, 8, 3, { groups: 8, dilation: 2, padding: 2 }),
      maxPool2d(3, { stride: 2, padding: 1 }),
      flatten(),
      linear(8 * 16, 5),
    ),
    dims: [4, 3, 16, 16],
  },
  attention: {
    module: transformerEncoderLayer(8, 2, { dimFeedforward: 16, dropout: 0, batchFirst: true }),
    dims: [2, 5, 8],
  },
};

/** The step with what it is fed, and the dimensions of all its values as a run shows them. */
async function stepOf(name: keyof typeof NETS): Promise<{ model: Model; shapes: ReadonlyMap<Value, Dims> }> {
  const { module, dims } = NETS[name];
  const runtime = await runtimes.node();
  const model = buildModel(module, { input: { name: "x", dims: ["N", ...dims.slice(1)] }, output: "y", seed: 1 });
  const fill = (own: Dims): Tensor => Tensor.float32(own, new Float32Array(own.reduce((a, b) => a * b, 1)).fill(0.5));
  const target = fill(name === "attention" ? dims : [4, 5]);
  const options = { losses: [{ kind: "mse" as const }], optimizer: { kind: "adam" as const }, clipNorm: 1 };
  const program = await buildTraining(
    model,
    { ...options, batchNorm: "batch-statistics" },
    { runtime, feeds: { x: fill(dims), label: target } },
  );
  const state = new Map(program.state.map(({ input, initial }) => [input, initial]));
  const feeds = Object.fromEntries(
    program.step.graph.inputs.map((value) => {
      const own = value.name === "x" ? fill(dims) : value.name === "label" ? target : state.get(value.name);
      return [value.name, own ?? Tensor.scalar("float32", 0.1)];
    }),
  );
  return { model: program.step, shapes: await observeShapes(program.step, runtime, feeds) };
}

describe("dimensions of the backward pass", () => {
  it.each(["convolutions", "attention"] as const)("are those of a run: %s", async (name) => {
    const { model, shapes } = await stepOf(name);
    const nodes = [...model.graph.nodes()];
    // All but what is fed is to be found. LayerNormalization's second output is the forward pass's own.
    const known = new Map<Value, Dims>(model.graph.inputs.map((value) => [value, shapes.get(value)!]));
    for (const node of nodes.filter((one) => one.is("LayerNormalization")))
      for (const value of node.outputs) if (value) known.set(value, shapes.get(value)!);
    addBackwardDims(nodes, known);
    const wrong = nodes.flatMap(({ opType, outputs }) =>
      outputs.flatMap((value) =>
        value === undefined || String(known.get(value)) === String(shapes.get(value))
          ? []
          : [`${opType}: [${known.get(value)}], is [${shapes.get(value)}]`],
      ),
    );
    expect(wrong).toEqual([]);
  });
});

describe("what is alive at once", () => {
  const chain = (body: string): Model => modelOf(`(float[10] x) => (float[10] y) { ${body} }`);
  const peak = (model: Model): number =>
    livePeak(executionOrder([...model.graph.nodes()]), (value) => (value.isOutput ? 0 : 40));

  it("is two values of a chain, and one where operators write over their input", () => {
    expect(peak(chain("a = Softsign(x) b = Softsign(a) c = Softsign(b) y = Softsign(c)"))).toBe(80);
    expect(peak(chain("a = Relu(x) b = Relu(a) c = Relu(b) y = Relu(c)"))).toBe(40);
  });

  it("keeps what is used later, and views keep what they are made of", () => {
    expect(peak(chain("a = Relu(x) b = Relu(a) c = Relu(b) y = Add(c, a)"))).toBe(80);
    expect(peak(chain("a = Relu(x) b = Identity(a) c = Softsign(b) d = Softsign(c) y = Add(d, b)"))).toBe(120);
  });

  it("begins with what the last end needs", () => {
    const { graph } = modelOf(
      "(float[2] x) => (float[2] y, float[2] z) { a = Relu(x) y = Relu(a) b = Relu(a) z = Relu(b) }",
    );
    const order = executionOrder([...graph.nodes()]).map((node) => node.output().name);
    expect(order).toEqual(["a", "b", "z", "y"]);
  });
});
