import { describe, expect, it } from "vitest";
import { bytesOf, initializerOf, modelOf, reload, runAll, runtimes } from "../../test/helpers.ts";
import { isStoredSparse } from "../onnx/sparse-proto.ts";
import { takesSparse, zeroSpeed } from "../runtime/sparse.ts";
import { runStep } from "../step/run.ts";
import { Tensor } from "../tensor/tensor.ts";
import { storeSparse } from "./store-sparse.ts";

const MODEL = `(float[1, 40] x, float[4] d = {0, 0, 0, 0}) => (float[1, 10] y)
  <float[40, 100] w = random(1), float[100, 10] v = random(2), int4[2] q = {0, 1}>
  { h = MatMul(x, w)  y = MatMul(h, v) }`;

/** w has 90 % zeros, v 30 %. */
function sparse(irVersion = 8): ReturnType<typeof modelOf> {
  const model = modelOf(MODEL);
  model.irVersion = irVersion;
  for (const [name, kept] of [
    ["w", (i: number) => i % 10 === 3],
    ["v", (i: number) => i % 10 > 2],
  ] as const) {
    const value = initializerOf(model, name);
    const data = value.initializer!.floats().map((x, i) => (kept(i) ? x : 0));
    value.initializer = Tensor.float32(value.initializer!.dims, data);
  }
  return model;
}

describe("store-sparse", () => {
  it("stores what gets smaller, and the model gives the same numbers", async () => {
    const [model, before] = [sparse(3), bytesOf(sparse())];
    const report = await runStep(model, storeSparse, {});
    expect(report.changed).toBe(1);
    // 400 values of 4 bytes, 13 positions below 128 of one byte, the others of two, and 22 bytes of types
    expect(report.changes).toEqual(["w: 16.0 kB → 2.41 kB"]);
    expect(report.leftAlone).toEqual([
      { subject: "d", reason: "it is an input's default" },
      { subject: "q", reason: "elements of int4 are no whole bytes" },
    ]);
    expect(model.irVersion).toBe(6);
    model.irVersion = 10; // for int4
    const after = bytesOf(reload(model));
    expect(after.byteLength).toBeLessThan(before.byteLength - 13_000);
    const feed = { x: Tensor.float32([1, 40], new Float32Array(40).fill(0.25)) };
    for (const runtime of [await runtimes.node(), await runtimes.web()]) {
      const [a] = await runAll(runtime, after, [feed]);
      const [b] = await runAll(runtime, before, [feed]);
      expect([...a!.y!.floats()]).toEqual([...b!.y!.floats()]);
    }
  });

  it("minSaving 0 takes small gains, too; none is taken where it would cost", async () => {
    const model = sparse();
    // 700 of 1,000 values: (4 + 2) · 700 bytes are more than 4,000.
    expect((await runStep(model, storeSparse, { minSaving: 0 })).changed).toBe(1);
  });

  it("dense makes them ordinary again", async () => {
    const model = sparse();
    const before = bytesOf(model);
    await runStep(model, storeSparse, {});
    const loaded = reload(model);
    expect(isStoredSparse(initializerOf(loaded, "w").constant!)).toBe(true);
    expect(await runStep(loaded, storeSparse, { form: "dense" })).toEqual({ changed: 1 });
    expect([...initializerOf(loaded, "w").constant!.floats()]).toEqual([
      ...initializerOf(sparse(), "w").constant!.floats(),
    ]);
    expect(bytesOf(loaded).byteLength).toBe(before.byteLength);
  });

  it("stores none for a target that does not load them", async () => {
    const model = sparse();
    const { changed, leftAlone } = await runStep(model, storeSparse, { target: ["node-cpu", "web-webgpu"] });
    expect(changed).toBe(0);
    expect(leftAlone).toContainEqual({ subject: "w", reason: "web-webgpu does not load sparse initializers" });
    const other = await runStep(model, storeSparse, { target: ["openvino"] });
    expect(other.leftAlone).toContainEqual({ subject: "w", reason: "openvino was not seen to load sparse ones" });
  });
});

describe("the facts", () => {
  it("say of each target whether it takes them, and that zeros gain nothing", () => {
    expect([takesSparse("node-cpu"), takesSparse("web-wasm"), takesSparse("web-webgpu")]).toEqual([true, true, false]);
    expect(takesSparse("tensorrt")).toBeUndefined();
    for (const target of ["node-cpu", "web-wasm"] as const) {
      const [low, high] = zeroSpeed(target, "unstructured")!;
      expect(low).toBeLessThanOrEqual(high);
    }
    expect(zeroSpeed("web-webgpu", "2:4")).toBeUndefined();
  });
});
