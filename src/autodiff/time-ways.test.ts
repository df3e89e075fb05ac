/** @file Tests of time-ways.ts: what is picked must run and be one of the ways; no time is looked at. */
import { describe, expect, test } from "vitest";
import { modelOf, runtimes } from "../../test/helpers.ts";
import { observeShapes } from "../runtime/collect.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { timeWays, type WayCache } from "./time-ways.ts";

/** Two convolutions alike, one unlike, a pool, and one that does not reach the loss. */
const NET = `(float[2, 4, 8, 8] x, float[4, 4, 3, 3] w1, float[4, 4, 3, 3] w2, float[4, 1, 3, 3] w3)
  => (float[2, 4, 4, 4] y, float[2, 4, 8, 8] other) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w1)
    b = Conv <pads = [1, 1, 1, 1]> (a, w2)
    c = Conv <pads = [1, 1, 1, 1], group = 4> (b, w3)
    y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
    other = Conv <pads = [1, 1, 1, 1]> (x, w1)
  }`;

async function prepare(runtime: Runtime) {
  const model = modelOf(NET);
  const feeds = Object.fromEntries(
    model.graph.inputs.map((value) => {
      const dims = value.shape as number[];
      return [value.name, Tensor.float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1))];
    }),
  );
  const shapes = await observeShapes(model, runtime, feeds);
  const wrt = model.graph.inputs.slice(1);
  const node = (output: string) => [...model.graph.nodes()].find((n) => n.output().name === output)!;
  return { model, node, options: { loss: node("y").output(), wrt, shapes, runtime, budgetMs: 2 } };
}

describe.each(["node", "web"] as const)("ways timed on onnxruntime-%s", (kind) => {
  test("one of the ways for every part, kinds of nodes timed once", async () => {
    const { model, node, options } = await prepare(await runtimes[kind]());
    const cache: WayCache = new Map();
    const before = model.graph.size;
    const choose = await timeWays(model, { ...options, cache });
    expect(model.graph.size).toBe(before);
    const timed = [...cache.keys()].map((key) => `${key.split("; ").at(-2)!.split("(")[0]} ${key.split("; ").at(-1)}`);
    // a has no dX: x is not trained. b is like it and has one.
    expect(timed.sort()).toEqual(["Conv dW", "Conv dW", "Conv dX", "Conv dX", "MaxPool dX"]);
    for (const { way, ms } of cache.values()) {
      expect(Object.keys(ms).length).toBeGreaterThan(1);
      expect(ms[way]).toBe(Math.min(...Object.values(ms)));
    }
    const pool = [...cache].find(([key]) => key.includes("MaxPool"))![1];
    expect(choose(node("y"), "dX", Object.keys(pool.ms))).toBe(pool.way);
    // Nothing to choose for what is not on the way: the first.
    expect(choose(node("other"), "dW", ["first", "second"])).toBe("first");
  });

  test("what a cache has is not timed", async () => {
    const { model, options } = await prepare(await runtimes[kind]());
    const cache: WayCache = new Map();
    await timeWays(model, { ...options, cache });
    const saved: WayCache = new Map(JSON.parse(JSON.stringify([...cache])));
    let loads = 0;
    const runtime: Runtime = {
      ...options.runtime,
      load: (source, session) => {
        loads++;
        return options.runtime.load(source, session);
      },
    };
    await timeWays(model, { ...options, runtime, cache: saved });
    expect(loads).toBe(0);
    expect(saved).toEqual(cache);
  });
});

test("cancelled between two ways", async () => {
  const { model, options } = await prepare(await runtimes.node());
  const controller = new AbortController();
  const progress = (): void => controller.abort(new Error("enough"));
  await expect(timeWays(model, { ...options, progress, signal: controller.signal })).rejects.toThrow("enough");
});
