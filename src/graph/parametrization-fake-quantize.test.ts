import { describe, expect, it } from "vitest";
import {
  bytesOf,
  compareAll,
  initializerOf,
  modelOf,
  opCounts,
  reload,
  runAll,
  runtimes,
  samplesFor,
} from "../../test/helpers.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import type { Model } from "./model.ts";
import { fakeQuantize, mask } from "./parametrization-kinds.ts";
import { checkParametrizations } from "./parametrizations.ts";
import type { Value } from "./value.ts";
import { verifyModel } from "./verify.ts";

/** Two layers; the second weight is used twice. */
const NET = `(float[4, 6] x) => (float[4, 6] y)
  <float[6, 8] w = random(1), float[8, 8] v = random(2), float[8, 6] u = random(3)>
  { a = MatMul(x, w)  r = Relu(a)  b = MatMul(r, v)  c = MatMul(b, v)  y = MatMul(c, u) }`;

const weightIn = (model: Model, name: string): Value => initializerOf(model, name);
const registered = (model: Model): Value => [...model.parametrizations.keys()][0]!;

function maskOf(dims: readonly number[], seed: number): Tensor {
  const random = createRandom(seed);
  const size = dims.reduce((a, b) => a * b, 1);
  return Tensor.of(
    "bool",
    dims,
    Uint8Array.from({ length: size }, () => random.integer(2)),
  );
}

/** Largest difference between two models on the same inputs, in onnxruntime-node. */
async function gap(a: Model, b: Model): Promise<number> {
  const { samples } = await samplesFor(a);
  const node = await runtimes.node();
  const found = compareAll(await runAll(node, bytesOf(a), samples), await runAll(node, bytesOf(b), samples));
  return Math.max(...found.map((output) => (output.kind === "float" ? output.maxAbs : Number.NaN)));
}

/** Sums of at most 8 products of numbers around 1, in another order: a few units of 2^-24. */
const ROUNDING = 1e-6;

function check(model: Model): void {
  verifyModel(model);
  checkParametrizations(model);
}

const INT8 = { scale: Tensor.scalar("float32", 0.003), zeroPoint: Tensor.scalar("int8", 0) };
const PER_CHANNEL = {
  scale: Tensor.float32(
    [8],
    Float32Array.from({ length: 8 }, (_, c) => 0.002 + c * 0.0007),
  ),
  zeroPoint: Tensor.of("int8", [8], Int8Array.from([0, 1, -2, 3, 0, -5, 8, 0])),
};
/** Scales under which some elements saturate: 4 bits hold ±7 · 0.02. */
const NARROW = {
  scale: Tensor.scalar("float32", 0.02),
  zeroPoint: Tensor.scalar("int8", 0),
  range: { qmin: -7, qmax: 7 },
};

const QUANTIZERS = {
  "per tensor": INT8,
  "uint8, asymmetric": { scale: Tensor.scalar("float32", 0.002), zeroPoint: Tensor.scalar("uint8", 131) },
  "per row": { ...PER_CHANNEL, axis: 0 },
  "per column": { ...PER_CHANNEL, axis: 1 },
  "four bits": NARROW,
  "five bits per row": {
    ...PER_CHANNEL,
    scale: Tensor.float32([8], new Float32Array(8).fill(0.012)),
    axis: 0,
    range: { qmin: -12, qmax: 15 },
  },
  "five bits per column": { ...PER_CHANNEL, axis: 1, range: { qmin: -12, qmax: 15 } },
} as const;

describe("fake-quantize", () => {
  it.each(Object.entries(QUANTIZERS))(
    "on a weight, %s: commit gives the numbers that the nodes give",
    async (_name, quantizer) => {
      const model = modelOf(NET);
      const value = fakeQuantize.insert(model, weightIn(model, "v"), quantizer, { observer: "min-max" });
      check(model);
      const limits = "range" in quantizer ? ("axis" in quantizer ? { Max: 1, Min: 1 } : { Clip: 1 }) : {};
      expect(opCounts(model)).toEqual({ MatMul: 4, Relu: 1, QuantizeLinear: 1, DequantizeLinear: 1, ...limits });
      const loaded = reload(model);
      const after = fakeQuantize.commit(loaded, registered(loaded));
      check(loaded);
      expect(after.name).toBe("v");
      expect(opCounts(loaded)).toEqual({ MatMul: 4, Relu: 1 });
      expect([...loaded.graph.initializers].length).toBe(3);
      // The rounded weight itself, element by element, as ONNX Runtime computes it.
      const probe = reload(model);
      const result = registered(probe);
      probe.graph.setOutputs([result]);
      const [outputs] = await runAll(await runtimes.node(), bytesOf(probe), [
        { x: Tensor.float32([4, 6], new Float32Array(24)) },
      ]);
      expect(outputs![result.name]!.floats()).toEqual(after.constant!.floats());
      expect(await gap(model, loaded)).toBeLessThan(ROUNDING);
      expect(await gap(model, modelOf(NET))).toBeGreaterThan(ROUNDING);
      // Undone instead, it is the original.
      const before = modelOf(NET);
      const bytes = bytesOf(before);
      fakeQuantize.remove(before, fakeQuantize.insert(before, weightIn(before, "v"), quantizer));
      check(before);
      expect(bytesOf(before)).toEqual(bytes);
      expect(value.users.size).toBe(2);
    },
  );

  it.each([
    ["int8", 0, undefined, [0, 2, 2, 0, -2, 127, -128, 127, -128, 3]],
    ["int8", 100, undefined, [0, 2, 2, 0, -2, 27, -228, 27, -228, 3]],
    ["uint8", 100, undefined, [0, 2, 2, 0, -2, 155, -100, 155, -100, 3]],
    ["int8", 0, { qmin: -3, qmax: 2 }, [0, 2, 2, 0, -2, 2, -3, 2, -3, 2]],
  ] as const)(
    "%s, zero point %d: ties go to even, and what is too large saturates",
    async (dtype, zero, range, expected) => {
      const model = modelOf(
        "(float[10] x) => (float[10] y) <float[10] w = {0.5, 1.5, 2.5, -0.5, -1.5, 300, -300, 1e30, -1e30, 3}> { y = Add(x, w) }",
      );
      fakeQuantize.insert(model, weightIn(model, "w"), {
        scale: Tensor.scalar("float32", 1),
        zeroPoint: Tensor.scalar(dtype, zero),
        range,
      });
      const x = Tensor.float32([10], new Float32Array(10));
      const [shown] = await runAll(await runtimes.node(), bytesOf(model), [{ x }]);
      expect(shown!["y"]!.numbers()).toEqual(expected);
      const committed = fakeQuantize.commit(model, registered(model));
      expect(committed.constant!.numbers().map((value) => value + 0)).toEqual(expected);
    },
  );

  it("on an activation: all users see it, it can be removed, not committed", async () => {
    const model = modelOf(NET);
    const { graph } = model;
    const r = [...graph.nodes()].find((node) => node.is("Relu"))!.output();
    fakeQuantize.insert(model, r, { scale: Tensor.scalar("float32", 0.05), zeroPoint: Tensor.scalar("uint8", 3) });
    const loaded = reload(model);
    check(loaded);
    expect(await gap(loaded, modelOf(NET))).toBeGreaterThan(ROUNDING);
    expect(() => fakeQuantize.commit(loaded, registered(loaded))).toThrow(/expected a constant, got an activation/);
    fakeQuantize.remove(loaded, registered(loaded));
    check(loaded);
    expect(bytesOf(loaded)).toEqual(bytesOf(modelOf(NET)));
  });

  it("on a graph's input and output keeps their names", async () => {
    const model = modelOf(NET);
    const [x] = model.graph.inputs;
    const [y] = model.graph.outputs;
    const zero = { scale: Tensor.scalar("float32", 0.05), zeroPoint: Tensor.scalar("int8", 0) };
    fakeQuantize.insert(model, x!, zero);
    fakeQuantize.insert(model, y!, zero);
    check(model);
    const loaded = reload(model);
    expect([loaded.graph.inputs[0]!.name, loaded.graph.outputs[0]!.name]).toEqual(["x", "y"]);
    expect(await gap(loaded, modelOf(NET))).toBeGreaterThan(0.001);
    for (const value of [...loaded.parametrizations.keys()]) fakeQuantize.remove(loaded, value);
    check(loaded);
    expect(await gap(loaded, modelOf(NET))).toBe(0);
    expect(loaded.graph.outputs[0]!.name).toBe("y");
  });

  it("keeps a Clip of the model's own", () => {
    const text = `(float[4] x) => (float[4] y) <float low = {0}, float high = {6}> { a = Clip(x, low, high)  y = Abs(a) }`;
    const model = modelOf(text);
    const clip = model.graph.nodes().next().value!;
    const value = fakeQuantize.insert(model, clip.output(), INT8);
    const loaded = reload(model);
    fakeQuantize.remove(loaded, registered(loaded));
    expect(value.producer?.opType).toBe("DequantizeLinear");
    expect(opCounts(loaded)).toEqual({ Clip: 1, Abs: 1 });
    expect(bytesOf(loaded)).toEqual(bytesOf(modelOf(text)));
  });

  it("behind a mask: the mask is committed first", async () => {
    const model = modelOf(NET);
    const masked = mask.insert(model, weightIn(model, "v"), maskOf([8, 8], 5));
    fakeQuantize.insert(model, masked, { ...PER_CHANNEL, axis: 1 });
    const loaded = reload(model);
    check(loaded);
    const by = (kind: string): Value => [...loaded.parametrizations].find(([, entry]) => entry.kind === kind)![0];
    expect(() => fakeQuantize.commit(loaded, by("fake-quantize"))).toThrow(
      /got a mask.*Commit or remove the mask first/,
    );
    mask.commit(loaded, by("mask"));
    fakeQuantize.commit(loaded, by("fake-quantize"));
    check(loaded);
    expect(opCounts(loaded)).toEqual({ MatMul: 4, Relu: 1 });
    expect(await gap(model, loaded)).toBeLessThan(ROUNDING);
  });

  it("refuses what does not fit", () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    const insert = (quantizer: Parameters<typeof fakeQuantize.insert>[2]) => () =>
      fakeQuantize.insert(model, v, quantizer);
    expect(insert({ ...INT8, scale: Tensor.scalar("int32", 1) })).toThrow(/expected a float32 scale/);
    expect(insert({ ...INT8, zeroPoint: Tensor.scalar("int32", 1) })).toThrow(/8 or 16 bits, got int32/);
    expect(insert(PER_CHANNEL)).toThrow(/expected an axis with 8 channels, got axis undefined/);
    expect(insert({ ...PER_CHANNEL, axis: 2 })).toThrow(/got axis 2 of \[8,8\]/);
    expect(insert({ ...INT8, range: { qmin: -200, qmax: 7 } })).toThrow(/within -128 … 127/);
    expect(insert({ ...INT8, zeroPoint: Tensor.of("int16", [], new Int16Array(1)) })).toThrow(/opset 21 or newer/);
    expect(bytesOf(model)).toEqual(bytesOf(modelOf(NET)));
  });
});
