import { beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.ts";
import type { Value } from "../../src/graph/value.ts";
import { type CollectOptions, collect, observeShapes } from "../../src/runtime/collect.ts";
import { createRuntime } from "../../src/runtime/create-node.ts";
import type { Runtime, Tensors } from "../../src/runtime/runtime.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { InputError } from "../../src/util/errors.ts";
import { createRandom } from "../../src/util/random.ts";
import { graphModel } from "./models.ts";

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createRuntime("onnxruntime-node");
});

/** The value of the main graph with this name. */
function named(model: Model, name: string): Value {
  const made = [...model.graph.nodes()].flatMap((node) => node.outputs);
  const found = [...model.graph.inputs, ...model.graph.initializers, ...made].find((value) => value?.name === name);
  if (found === undefined) throw new Error(`no value ${name}`);
  return found;
}

describe("observeShapes", () => {
  it("finds the dimensions of all values for one set of inputs", async () => {
    const model = graphModel(
      `g (float[N, 4] x, int64[K] to) => (float[A, B] y) <float[4, 3] w = random(1)>
       { m = MatMul(x, w) n = Relu(m) y = Reshape(n, to) s = ReduceSum <keepdims = 0>(m) }`,
    );
    const feeds = { x: Tensor.float32([6, 4], new Float32Array(24)), to: Tensor.int64([2], [2, -1]) };
    const shapes = await observeShapes(model, runtime, feeds);
    const byName = Object.fromEntries([...shapes].map(([value, dims]) => [value.name, dims]));
    expect(byName).toEqual({ x: [6, 4], to: [2], w: [4, 3], m: [6, 3], n: [6, 3], y: [2, 9], s: [] });
    expect(shapes.get(named(model, "m"))).toEqual([6, 3]);
    // Other sizes give other shapes: nothing is remembered, and the model is as it was.
    const again = await observeShapes(model, runtime, { ...feeds, x: Tensor.float32([0, 4], []), to: feeds.to });
    expect(again.get(named(model, "n"))).toEqual([0, 3]);
    expect(model.graph.outputs.map((value) => value.name)).toEqual(["y"]);
  });

  it("leaves out outputs that nobody wants, inner graphs, and values that are declared to be no tensors", async () => {
    const model = graphModel(
      `g (float[N] x, bool c) => (float[N] y, seq(float[N]) q) {
         d, = Dropout(x)
         y = If (c) <then_branch = t () => (float[N] p) { p = Neg(d) }, else_branch = e () => (float[N] r) { r = Abs(d) }>
         q = SequenceConstruct(d)
       }`,
    );
    const c = Tensor.of("bool", [], Uint8Array.of(1));
    const shapes = await observeShapes(model, runtime, { x: Tensor.float32([3], [1, 2, 3]), c });
    expect([...shapes.keys()].map((value) => value.name).sort()).toEqual(["c", "d", "x", "y"]);
  });

  it("takes a model without nodes", async () => {
    const model = graphModel("g (float[N] x) => (float[N] x) { }");
    const shapes = await observeShapes(model, runtime, { x: Tensor.float32([5], new Float32Array(5)) });
    expect([...shapes.values()]).toEqual([[5]]);
  });
});

/** Counts what is loaded, run and released. */
function counting(inner: Runtime): { readonly runtime: Runtime; readonly counts: Record<string, number> } {
  const counts = { loaded: 0, released: 0, runs: 0 };
  return {
    counts,
    runtime: {
      ...inner,
      async load(model, options) {
        const session = await inner.load(model, options);
        counts.loaded++;
        return {
          ...session,
          run(feeds, fetch) {
            counts.runs++;
            return session.run(feeds, fetch);
          },
          release() {
            counts.released++;
            return session.release();
          },
        };
      },
    },
  };
}

describe("collect", () => {
  const random = createRandom(5);
  const samples = [2, 3, 1].map((rows) => ({
    inputs: {
      x: Tensor.float32(
        [rows, 4],
        Float32Array.from({ length: rows * 4 }, () => random.normal()),
      ),
    } as Tensors,
  }));
  const source = { name: "three", length: 3, samples: () => samples };
  const build = (): Model =>
    graphModel(
      `g (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = random(1), float[3] b = random(2)>
       { m = MatMul(x, w) n = Add(m, b) y = Relu(n) }`,
    );
  const names = ["x", "m", "n", "y"];

  const run = async (
    options: CollectOptions,
  ): Promise<{ seen: Record<string, number[][]>; counts: Record<string, number>; count: number }> => {
    const model = build();
    const counted = counting(runtime);
    const seen: Record<string, number[][]> = {};
    const count = await collect(
      model,
      counted.runtime,
      names.map((name) => named(model, name)),
      source,
      (point, tensor) => {
        seen[point.name] ??= [];
        seen[point.name]!.push(tensor.numbers());
      },
      options,
    );
    return { seen, counts: counted.counts, count };
  };

  it("shows each point of each sample, in the order of the samples", async () => {
    const { seen, counts, count } = await run({});
    expect(count).toBe(3);
    expect(seen["x"]).toEqual(samples.map(({ inputs }) => inputs["x"]!.numbers()));
    expect(seen["m"]!.map((values) => values.length)).toEqual([6, 9, 3]);
    expect(seen["y"]).toEqual(seen["n"]!.map((values) => values.map((value) => Math.max(value, 0))));
    // One session to find the sizes, one for the data.
    expect(counts).toEqual({ loaded: 2, released: 2, runs: 4 });
  });

  it("reads the data once per group that fits the budget, with the same observations", async () => {
    const whole = await run({});
    // Of the first sample x takes 32 bytes, the others 24: three fit into 80.
    const some = await run({ budget: 80 });
    expect(some.seen).toEqual(whole.seen);
    expect(some.counts).toEqual({ loaded: 3, released: 3, runs: 1 + 2 * 3 });
    // A point that alone is larger than the budget is a group of its own; inputs need no run.
    const single = await run({ budget: 1 });
    expect(single.seen).toEqual(whole.seen);
    expect(single.counts).toEqual({ loaded: 5, released: 5, runs: 1 + 3 * 3 });
    expect(single.count).toBe(3);
  });

  it("tells its progress over all groups", async () => {
    const steps: (readonly [number, number | undefined])[] = [];
    await run({ budget: 80, progress: (_task, done, total) => steps.push([done, total]) });
    expect(steps).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6]));
  });

  it("stops between samples when it is cancelled, and releases its sessions", async () => {
    const model = build();
    const counted = counting(runtime);
    const controller = new AbortController();
    let seen = 0;
    const observe = (): void => {
      seen++;
      controller.abort(new Error("enough"));
    };
    const points = [named(model, "m")];
    const { signal } = controller;
    await expect(collect(model, counted.runtime, points, source, observe, { signal })).rejects.toThrow("enough");
    expect(seen).toBe(1);
    expect(counted.counts["released"]).toBe(counted.counts["loaded"]);
    await expect(run({ signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  });

  it("releases its sessions where an observer throws", async () => {
    const model = build();
    const counted = counting(runtime);
    const observe = (): void => {
      throw new Error("no");
    };
    await expect(collect(model, counted.runtime, [named(model, "m")], source, observe)).rejects.toThrow("no");
    expect(counted.counts["released"]).toBe(counted.counts["loaded"]);
  });

  it("refuses a source without samples, by name", async () => {
    const model = build();
    const empty = { name: "calib/", samples: () => [] };
    const collecting = collect(model, runtime, [named(model, "m")], empty, () => {});
    await expect(collecting).rejects.toBeInstanceOf(InputError);
    await expect(collecting).rejects.toThrow("data: calib/: expected samples, found none.");
  });

  it("takes sources that are read asynchronously", async () => {
    const model = build();
    async function* read(): AsyncGenerator<(typeof samples)[number]> {
      yield* samples;
    }
    let seen = 0;
    const observe = (): void => void seen++;
    expect(await collect(model, runtime, [named(model, "n")], { name: "later", samples: read }, observe)).toBe(3);
    expect(seen).toBe(3);
  });
});

describe("at the edges", () => {
  it("observeShapes: a sequence inside the model without a declared type", async () => {
    const model = graphModel(
      "g (float[N] x) => (float[N] y) <int64 zero = {0}> { s = SequenceConstruct(x, x) y = SequenceAt(s, zero) }",
    );
    const shapes = await observeShapes(model, runtime, { x: Tensor.float32([2], [1, 2]) });
    expect([...shapes.keys()].map((value) => value.name)).not.toContain("s");
    expect(shapes.get(named(model, "y"))).toEqual([2]);
  });

  it("collect: no points (a model in which nothing can be quantized) is no lack of samples", async () => {
    const model = graphModel("g (float[N] x) => (float[N] y) { y = Neg(x) }");
    const samples = [{ inputs: { x: Tensor.float32([1], [1]) } }];
    expect(await collect(model, runtime, [], { name: "one", samples: () => samples }, () => {})).toBe(0);
  });
});
