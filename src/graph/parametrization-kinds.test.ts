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
import { codebook, mask, PARAMETRIZATIONS } from "./parametrization-kinds.ts";
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

describe("mask", () => {
  const kept = maskOf([8, 8], 5);

  it("takes elements out for all users, as a plain product would", async () => {
    const model = modelOf(NET);
    const value = mask.insert(model, weightIn(model, "v"), kept, { criterion: "l1" });
    check(model);
    expect(opCounts(model)).toEqual({ MatMul: 4, Relu: 1, Where: 1 });
    expect([...value.users].map((node) => node.output().name)).toEqual(["b", "c"]);
    const plain = modelOf(NET);
    const v = weightIn(plain, "v");
    v.initializer = Tensor.float32(
      [8, 8],
      v.constant!.floats().map((x, i) => x * kept.bytes()[i]!),
    );
    expect(await gap(model, plain)).toBeLessThan(ROUNDING);
    // The test would see a mask that does nothing.
    expect(await gap(model, modelOf(NET))).toBeGreaterThan(0.001);
  });

  it("survives saving and loading, entry and details included", async () => {
    const model = modelOf(NET);
    const value = mask.insert(model, weightIn(model, "v"), kept, { criterion: "l1" });
    const loaded = reload(model);
    check(loaded);
    expect([...loaded.parametrizations]).toEqual([
      [expect.objectContaining({ name: value.name }), { kind: "mask", details: { criterion: "l1" } }],
    ]);
    expect(await gap(model, loaded)).toBe(0);
    expect(bytesOf(loaded)).toEqual(bytesOf(model));
    expect(await gap(reload(loaded), modelOf(NET))).toBeGreaterThan(0.001);
  });

  it("commit writes the zeros into the weight; NaN under the mask goes, too", async () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    v.initializer = Tensor.float32(
      [8, 8],
      v.constant!.floats().map((x, i) => (kept.bytes()[i] ? x : Number.NaN)),
    );
    mask.insert(model, v, kept);
    const loaded = reload(model);
    const after = mask.commit(loaded, registered(loaded));
    check(loaded);
    expect(after.name).toBe("v");
    expect(opCounts(loaded)).toEqual({ MatMul: 4, Relu: 1 });
    expect([...loaded.graph.initializers].map((value) => value.name)).toEqual(["w", "v", "u"]);
    expect(loaded.parametrizations.size).toBe(0);
    expect(reload(loaded).metadata.size).toBe(0);
    expect(await gap(model, loaded)).toBeLessThan(ROUNDING);
  });

  it("remove gives the model back as it was", () => {
    const model = modelOf(NET);
    const before = bytesOf(model);
    mask.remove(model, mask.insert(model, weightIn(model, "v"), kept));
    check(model);
    expect(bytesOf(model)).toEqual(before);
  });

  it("leaves what else reads the weight alone when it commits", () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    const value = mask.insert(model, v, kept);
    const [first] = value.users;
    first!.setInput(1, v);
    const original = v.constant!;
    const after = mask.commit(model, value);
    check(model);
    expect(v.constant).toBe(original);
    expect(after.constant!.floats().filter((x) => x === 0).length).toBe(
      kept.bytes().filter((keep) => keep === 0).length,
    );
    expect(first!.input(1)).toBe(v);
  });

  it("refuses what does not fit", () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    expect(() => mask.insert(model, v, maskOf([8, 6], 1))).toThrow(/expected a mask bool\[8,8\], got bool\[8,6\]/);
    expect(() => mask.insert(model, v, Tensor.of("uint8", [8, 8], new Uint8Array(64)))).toThrow(/got uint8/);
    mask.insert(model, v, kept);
    expect(() => mask.insert(model, v, kept)).toThrow(/expected no mask on it/);
    expect(() => mask.remove(model, weightIn(model, "w"))).toThrow(/expected one, found no parametrization/);
    const old = modelOf(NET, 8);
    expect(() => mask.insert(old, weightIn(old, "v"), kept)).toThrow(/expected opset 9 or newer, got 8/);
    expect([...old.graph.initializers].length).toBe(3);
  });
});

describe("codebook", () => {
  const table = Tensor.float32([5], [-0.2, -0.05, 0, 0.05, 0.2]);
  const random = createRandom(9);
  const indices = Tensor.of(
    "uint8",
    [8, 8],
    Uint8Array.from({ length: 64 }, () => random.integer(5)),
  );

  it("stores indices, survives, and both ends give the expanded weight", async () => {
    const plain = modelOf(NET);
    const v = weightIn(plain, "v");
    v.initializer = Tensor.float32(
      [8, 8],
      Float32Array.from(indices.bytes(), (index) => table.floats()[index]!),
    );
    const model = modelOf(NET);
    codebook.insert(model, weightIn(model, "v"), table, indices);
    const loaded = reload(model);
    check(loaded);
    expect(opCounts(loaded)).toEqual({ MatMul: 4, Relu: 1, Cast: 1, Gather: 1 });
    expect(registered(loaded).name).toBe("v");
    expect(await gap(loaded, plain)).toBeLessThan(ROUNDING);
    for (const end of ["commit", "remove"] as const) {
      const ended = reload(loaded);
      PARAMETRIZATIONS.codebook[end](ended, registered(ended));
      check(ended);
      expect(opCounts(ended)).toEqual({ MatMul: 4, Relu: 1 });
      expect(weightIn(ended, "v").constant!.floats()).toEqual(v.constant!.floats());
      expect([...ended.graph.initializers].length).toBe(3);
    }
  });

  it("under a mask", async () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    mask.insert(model, v, maskOf([8, 8], 5));
    codebook.insert(model, v, table, indices);
    const loaded = reload(model);
    check(loaded);
    const by = (kind: string): Value => [...loaded.parametrizations].find(([, entry]) => entry.kind === kind)![0];
    expect(() => mask.commit(loaded, by("mask"))).toThrow(/Commit or remove the codebook first/);
    codebook.commit(loaded, by("codebook"));
    mask.commit(loaded, by("mask"));
    check(loaded);
    expect(opCounts(loaded)).toEqual({ MatMul: 4, Relu: 1 });
    expect(await gap(model, loaded)).toBeLessThan(ROUNDING);
  });

  it("refuses what does not fit", () => {
    const model = modelOf(NET);
    const v = weightIn(model, "v");
    const short = Tensor.float32([4], [0, 1, 2, 3]);
    expect(() => codebook.insert(model, v, short, indices)).toThrow(/expected indices below 4, got 4/);
    expect(() => codebook.insert(model, weightIn(model, "w"), table, indices)).toThrow(
      /uint8\[6,8\], got uint8\[8,8\]/,
    );
    expect(() => codebook.insert(model, v, Tensor.float32([1, 5], table.floats()), indices)).toThrow(
      /expected a table/,
    );
    expect(() => codebook.insert(model, model.graph.inputs[0]!, table, indices)).toThrow(/got an activation/);
    expect(bytesOf(model)).toEqual(bytesOf(modelOf(NET)));
  });
});

describe("in subgraphs", () => {
  const text = `(bool c, float[2, 3] x) => (float[2, 3] y) <float[3, 3] w = random(1)> {
    y = If (c) <
      then_branch = t () => (float[2, 3] p) { p = MatMul(x, w) },
      else_branch = e () => (float[2, 3] q) <float[3, 3] v = random(2)> { a = MatMul(x, w)  q = MatMul(a, v) }
    >
  }`;

  it("outer weights are masked for the branches, inner ones within", async () => {
    const model = modelOf(text);
    mask.insert(model, weightIn(model, "w"), maskOf([3, 3], 1));
    mask.insert(model, weightIn(model, "v"), maskOf([3, 3], 2));
    const loaded = reload(model);
    check(loaded);
    expect(loaded.parametrizations.size).toBe(2);
    for (const value of [...loaded.parametrizations.keys()]) mask.commit(loaded, value);
    check(loaded);
    for (const c of [0, 1]) {
      const feeds = { c: Tensor.of("bool", [], Uint8Array.of(c)), x: Tensor.float32([2, 3], [1, 2, 3, 4, 5, 6]) };
      const node = await runtimes.node();
      const [a] = await runAll(node, bytesOf(model), [feeds]);
      const [b] = await runAll(node, bytesOf(loaded), [feeds]);
      const [original] = await runAll(node, bytesOf(modelOf(text)), [feeds]);
      expect(compareAll([a!], [b!])[0]).toMatchObject({ maxAbs: expect.closeTo(0, 6) });
      expect(b!["y"]!.floats()).not.toEqual(original!["y"]!.floats());
    }
  });
});
