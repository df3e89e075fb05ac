/** @file What training finds in models that layers built: their parameters, all of them, and nothing else. */
import { expect, it } from "vitest";
import { fromSamples } from "../../src/data/source.ts";
import { buildModel } from "../../src/nn/build-model.ts";
import { sequential } from "../../src/nn/containers.ts";
import { constant } from "../../src/nn/init.ts";
import { flatten } from "../../src/nn/layers/activation.ts";
import { embedding, linear } from "../../src/nn/layers/linear.ts";
import { parametersOf } from "../../src/nn/state.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { findParameters } from "../../src/train/parameters.ts";
import { train } from "../../src/train/trainer.ts";
import { reload, runtimes } from "../helpers.ts";
import { buildCase, REFERENCE } from "../nn/reference.ts";

const ALL = { train: [], freeze: [] };
const names = (values: readonly { readonly name: string }[]): string[] => values.map(({ name }) => name).sort();

it.each(Object.keys(REFERENCE))("%s", (name) => {
  const model = reload(buildCase(name));
  const wanted = Object.keys(REFERENCE[name]!.gradients).sort();
  expect(names(parametersOf(model))).toEqual(wanted);
  expect(names(findParameters(model, ALL).parameters)).toEqual(wanted);
});

it("a scalar of a module of one's own", () => {
  const model = buildModel((s, x) => s.b.mul(x!, s.parameter("scale", [1], constant(1))), {
    input: { name: "x", dims: ["N", 3] },
  });
  expect(names(findParameters(model, ALL).parameters)).toEqual(["scale"]);
});

it("no padding row of an embedding: it stays 0 while the others learn", async () => {
  const net = sequential(embedding(4, 3, { paddingIdx: 1 }), flatten(), linear(6, 2));
  const model = buildModel(net, { input: { name: "x", dims: ["N", 2], dtype: "int64" }, seed: 1 });
  const table = (): number[] =>
    [...model.graph.initializers].find(({ name }) => name === "0.weight")!.initializer!.numbers();
  const before = table();
  const samples = Array.from({ length: 16 }, (_, i) => ({
    inputs: { x: Tensor.int64([1, 2], [i % 4, 1]) },
    label: i % 2,
  }));
  const options = { losses: [{ kind: "cross-entropy" as const }], batchSize: 8, epochs: 2, learningRate: 0.1 };
  await train(
    model,
    { ...options, optimizer: { kind: "adamw" } },
    { runtime: await runtimes.node(), data: fromSamples(samples) },
  );
  const after = table();
  expect(after.slice(3, 6)).toEqual([0, 0, 0]);
  for (const row of [0, 2, 3])
    expect(after.slice(3 * row, 3 * row + 3)).not.toEqual(before.slice(3 * row, 3 * row + 3));
});
