import { beforeAll, describe, expect, it } from "vitest";
import { modelOf } from "../../test/helpers.ts";
import { fromItems } from "../data/combine.ts";
import type { Model } from "../graph/model.ts";
import { createNodeRuntime } from "../runtime/onnxruntime-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { trainingForm } from "../train/prepare.ts";
import { firstFeeds, layersOf, sameScalars, sharedReads, usualSize } from "./finetune-layers.ts";

const SWITCHED = `(float[N, 4] x, int64 rate) => (float[N, 2] y) <float[4, 4] w = random(1), float[4, 2] v = random(2), int64 wide = {16}>
  {
    is = Equal(rate, wide)
    h = If (is) <
      then_branch = t () => (float[N, 4] ty) { ta = MatMul(x, w) ty = Relu(ta) },
      else_branch = e () => (float[N, 4] ey) { ey = Relu(x) }>
    y = MatMul(h, v)
  }`;
const CHAIN = (names: string): string => {
  const [a, b] = names.split(",");
  return `(float[N, 4] x) => (float[N, 2] y) <float[4, 4] w = random(1), float[4, 4] u = random(2), float[4, 2] v = random(3)>
    { p = MatMul(x, w) ${a} = Relu(p) q = MatMul(${a}, u) ${b} = Relu(q) y = MatMul(${b}, v) }`;
};

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});
const fromSamples = (samples: readonly Sample[]) => fromItems("samples", samples.length, async (i) => samples[i]!);
const x = Tensor.float32([1, 4], [1, 2, 3, 4]);
const choose = async (model: Model, teacher: Model, asked = false) =>
  (await layersOf(model, teacher, { feeds: { x }, runtime, constantInputs: [] }, asked)).values;

describe("values for distillation layer by layer", () => {
  it("are what the layers of both read, but for the input", async () => {
    expect(await choose(modelOf(CHAIN("a,b")), modelOf(CHAIN("a,b")))).toEqual(["a", "b"]);
  });

  it("are none where the teacher is another net, which is an error where it was asked for", async () => {
    const [own, other] = [modelOf(CHAIN("a,b")), modelOf(CHAIN("c,d"))];
    expect(await choose(own, other)).toEqual([]);
    await expect(choose(own, other, true)).rejects.toThrow(/--layerwise: expected a teacher of the same structure/);
    const half = modelOf(CHAIN("a,b").replace("b = Relu(q)", "b = Tanh(q)"));
    expect(await choose(own, half)).toEqual(["a"]);
  });

  it("are learned with steps of the weights' own size", () => {
    const text = `(float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {3, 4, 3, 4}, float[2, 2] v = {30, 40, 30, 40}, float[2] b = {9, 9}>
      { p = MatMul(x, w) q = Add(p, b) r = Relu(q) y = MatMul(r, v) }`;
    // Of √12.5 and √1250 the second is the middle one (of two the larger); the bias does not count.
    expect(usualSize(modelOf(text))).toBeCloseTo(Math.sqrt(1250), 4);
    expect(usualSize(modelOf("(float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }"))).toBe(0.1);
  });

  it("are spread evenly where there are too many", async () => {
    const form = await trainingForm(modelOf(CHAIN("a,b")), [], { runtime, feeds: { x } });
    expect(sharedReads(form, form, 1)).toEqual(["b"]);
  });

  it("are found within branches, once the input that chooses is constant", async () => {
    const model = modelOf(SWITCHED);
    const samples = [1, 2].map((value) => ({
      inputs: { x: Tensor.float32([1, 4], [value, 0, 0, 0]), rate: Tensor.scalar("int64", 16) },
    }));
    const data = fromSamples(samples);
    const constantInputs = await sameScalars(model, data);
    expect(constantInputs).toEqual(["rate"]);
    const feeds = await firstFeeds(model, data);
    const { values } = await layersOf(model, model, { feeds, runtime, constantInputs }, false);
    expect(values).toEqual(["ty"]);
    const other = { inputs: { ...samples[1]!.inputs, rate: Tensor.scalar("int64", 8) } };
    expect(await sameScalars(model, fromSamples([samples[0]!, other]))).toEqual([]);
  });
});
