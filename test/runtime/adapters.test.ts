import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { createAnyRuntime, createRuntime } from "../../src/runtime/create-node.ts";
import { createWebRuntime } from "../../src/runtime/onnxruntime-web.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { describeRuntime } from "./conformance.ts";
import { modelBytes, NATIVE_ONLY } from "./models.ts";

// One process: each adapter must work while the other is loaded.
describeRuntime("onnxruntime-node", () => createRuntime("onnxruntime-node"));
describeRuntime("onnxruntime-web", () => createRuntime("onnxruntime-web"));

describe("both packages in one process", () => {
  it("onnxruntime-web runs WASM, not what onnxruntime-node registered", async () => {
    const bytes = modelBytes(NATIVE_ONLY);
    const native = await createRuntime("onnxruntime-node");
    const session = await native.load({ bytes });
    await session.run({ x: Tensor.float32([1, 16, 2, 2], new Float32Array(64)) });
    await session.release();

    const web = await createRuntime("onnxruntime-web");
    await expect(web.load({ bytes })).rejects.toThrow(/ReorderInput.*not a registered/);
    // Only the WASM binding words its errors like this.
    await expect(web.load({ bytes: new Uint8Array(9) })).rejects.toThrow(/Can't create a session. ERROR_CODE: \d+/);

    // The trap itself: CommonJS shares one registry of providers, and a "web" session without a choice loads natively.
    const require = createRequire(import.meta.url);
    require("onnxruntime-node");
    const ort = require("onnxruntime-web") as typeof import("onnxruntime-web");
    const trapped = await ort.InferenceSession.create(bytes);
    await trapped.release();
    await expect(ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] })).rejects.toThrow(/ReorderInput/);
  });

  it("agree on a model", async () => {
    const bytes = modelBytes("g (float[2, 2] x) => (float[2, 2] y) { m = MatMul(x, x) y = Softmax(m) }");
    const x = Tensor.float32([2, 2], [0.5, -1, 2, 0.25]);
    const [native, web] = [await createRuntime("onnxruntime-node"), await createRuntime("onnxruntime-web")];
    const results: number[][] = [];
    for (const runtime of [native, web]) {
      const session = await runtime.load({ bytes });
      results.push((await session.run({ x }))["y"]!.numbers());
      await session.release();
    }
    // Both use float32: a few units in the last place of numbers below 1.
    for (const [index, value] of results[0]!.entries()) expect(value).toBeCloseTo(results[1]![index]!, 6);
  });
});

describe("what an adapter cannot do", () => {
  it("onnxruntime-node takes external data with a path only", async () => {
    const runtime = await createAnyRuntime();
    expect(runtime.name).toBe("onnxruntime-node");
    const model = { bytes: modelBytes(NATIVE_ONLY), external: { "w.bin": new Uint8Array(4) } };
    await expect(runtime.load(model)).rejects.toThrow(/external data.*Write the model to a file first/);
  });

  it("onnxruntime-web without a file system takes bytes only", async () => {
    const runtime = await createWebRuntime();
    await expect(runtime.load({ path: "model.onnx" })).rejects.toThrow(/expected the model's bytes/);
  });
});
