import { afterAll, describe, expect, it } from "vitest";
import { modelBytes } from "../../test/runtime/models.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createNodeRuntime } from "./onnxruntime-node.ts";
import { createWebRuntime } from "./onnxruntime-web.ts";
import type { Runtime } from "./runtime.ts";
import { createState, type StateStore } from "./stateful.ts";
import { startWorkerRuntime, type WorkerRuntime } from "./worker.ts";

const SIZE = 250_000;

/** v' = v/2 + mean(x) · w; w' = w − v'/8; the result is the mean of w'. */
const STEP = `g (float[4] x, float[${SIZE}] w, float[${SIZE}] v) => (float[${SIZE}] w2, float[${SIZE}] v2, float mean)
  <float half = {0.5}, float eighth = {0.125}> {
    a = ReduceMean<keepdims = 0>(x) p = Mul(v, half) q = Mul(w, a) v2 = Add(p, q)
    d = Mul(v2, eighth) w2 = Sub(w, d) mean = ReduceMean<keepdims = 0>(w2) }`;
const READ = `g (float[${SIZE}] w, float[4] x) => (float y) { m = ReduceMean<keepdims = 0>(w) n = ReduceMean<keepdims = 0>(x) y = Mul(m, n) }`;
const DOUBLE = `g (float[${SIZE}] v) => (float[${SIZE}] v2) { v2 = Add(v, v) }`;

const slots = () => {
  const w = Float32Array.from({ length: SIZE }, (_, i) => Math.sin(i));
  return [
    { name: "weight", input: "w", output: "w2", initial: Tensor.float32([SIZE], w) },
    { name: "velocity", input: "v", output: "v2", initial: Tensor.float32([SIZE], new Float32Array(SIZE)) },
  ] as const;
};
const x = (i: number): Tensor => Tensor.float32([4], [i % 7, 1, 2, 0.25]);

const PLACES: Readonly<Record<string, () => Promise<Runtime>>> = {
  "onnxruntime-node": createNodeRuntime,
  "onnxruntime-web": () => createWebRuntime(),
  "onnxruntime-node in a worker": () => startWorkerRuntime("onnxruntime-node"),
  "onnxruntime-web in a worker": () => startWorkerRuntime("onnxruntime-web"),
};
const started = new Map<string, Promise<Runtime>>();
const start = (place: string): Promise<Runtime> => {
  if (!started.has(place)) started.set(place, PLACES[place]!());
  return started.get(place)!;
};
afterAll(async () => {
  for (const runtime of started.values()) await ((await runtime) as Partial<WorkerRuntime>).close?.();
});

const same = (a: Tensor, b: Tensor): boolean => Buffer.compare(a.bytes(), b.bytes()) === 0;

/** Seven steps, in which the sessions take turns. */
async function train(store: StateStore): Promise<{ weight: Tensor; velocity: Tensor; results: number[] }> {
  const step = await store.load({ bytes: modelBytes(STEP) });
  const double = await store.load({ bytes: modelBytes(DOUBLE) });
  const read = await store.load({ bytes: modelBytes(READ) });
  const results: number[] = [];
  for (let i = 0; i < 7; i++) {
    const { mean, ...others } = await step.step({ x: x(i) });
    expect(Object.keys(others)).toEqual([]);
    if (i % 3 === 2) expect(await double.step({})).toEqual({});
    const { y } = await read.step({ x: x(0) });
    results.push(mean!.numbers()[0]!, y!.numbers()[0]!);
  }
  const all = await store.snapshot();
  return { weight: all.get("weight")!, velocity: all.get("velocity")!, results };
}

describe.each(Object.keys(PLACES))("state in %s", (place) => {
  it("goes from run to run and from session to session", async () => {
    // The same by hand: every run gets what the one before gave.
    const runtime = await createNodeRuntime();
    const [step, double] = [
      await runtime.load({ bytes: modelBytes(STEP) }),
      await runtime.load({ bytes: modelBytes(DOUBLE) }),
    ];
    let [w, v] = [slots()[0].initial, slots()[1].initial];
    for (let i = 0; i < 7; i++) {
      const next = await step.run({ x: x(i), w, v });
      [w, v] = [next["w2"]!, next["v2"]!];
      if (i % 3 === 2) v = (await double.run({ v }))["v2"]!;
    }
    const store = await createState(await start(place), slots());
    const found = await train(store);
    for (const [ours, theirs] of [[found.weight, w] as const, [found.velocity, v] as const]) {
      const worst = ours.floats().reduce((max, value, i) => Math.max(max, Math.abs(value - theirs.floats()[i]!)), 0);
      // Both builds round each of these operators in the same way.
      expect(worst).toBe(0);
    }
    await store.release();
  });

  it("can be read, set and restored; snapshots do not change any more", async () => {
    const store = await createState(await start(place), slots());
    const step = await store.load({ bytes: modelBytes(STEP) });
    await step.step({ x: x(1) });
    const before = await store.snapshot();
    const copy = new Map([...before].map(([name, tensor]) => [name, Uint8Array.from(tensor.bytes())]));
    const first = await step.step({ x: x(2) });
    await step.step({ x: x(3) });
    for (const [name, tensor] of before) expect(Buffer.compare(tensor.bytes(), copy.get(name)!)).toBe(0);
    expect(same(await store.get("weight"), before.get("weight")!)).toBe(false);
    await store.restore(before);
    expect(same(await store.get("weight"), before.get("weight")!)).toBe(true);
    const again = await step.step({ x: x(2) });
    expect(same(again["mean"]!, first["mean"]!)).toBe(true);
    await store.set("velocity", Tensor.float32([SIZE], new Float32Array(SIZE).fill(2)));
    expect((await store.get("velocity")).floats()[7]).toBe(2);
    expect([...(await store.snapshot(["velocity"])).keys()]).toEqual(["velocity"]);
    await store.release();
  });

  it("refuses what does not fit", async () => {
    const runtime = await start(place);
    const store = await createState(runtime, slots());
    const step = await store.load({ bytes: modelBytes(STEP) });
    expect(step.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(step.outputs.map(({ name }) => name)).toEqual(["mean"]);
    await expect(store.get("nothing")).rejects.toThrow('state "nothing": expected one of 2 entries');
    await expect(store.set("weight", x(0))).rejects.toThrow(`expected float32[${SIZE}], got float32[4]`);
    await expect(step.step({ x: x(0), w: slots()[0].initial })).rejects.toThrow('expected no feed of "w", got one');
    // A run that fails changes nothing.
    const before = await store.get("weight");
    await expect(step.step({ x: Tensor.float32([3], [1, 2, 3]) })).rejects.toThrow();
    expect(same(await store.get("weight"), before)).toBe(true);
    await expect(createState(runtime, [slots()[0], slots()[0]])).rejects.toThrow(
      'names that differ, got "weight" twice',
    );
    await store.release();
  });
});

describe("state", () => {
  it("is bitwise the same with and without a worker", async () => {
    for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
      const here = await train(await createState(await start(name), slots()));
      const there = await train(await createState(await start(`${name} in a worker`), slots()));
      expect(same(here.weight, there.weight)).toBe(true);
      expect(same(here.velocity, there.velocity)).toBe(true);
      expect(there.results).toEqual(here.results);
    }
  });

  it("takes no more memory after 500 steps than after 50", async () => {
    const store = await createState(await start("onnxruntime-node"), slots());
    const step = await store.load({ bytes: modelBytes(STEP) });
    const steps = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) await step.step({ x: x(i) });
      return process.memoryUsage.rss();
    };
    const early = await steps(50);
    const late = await steps(450);
    // 450 steps make 900 MB of new state, were it not written into the same two buffers; the rest is the test runner's own.
    expect(late - early).toBeLessThan(90e6);
    await store.release();
  });

  it("is never read and written at once", async () => {
    const session = await (await createNodeRuntime()).load({ bytes: modelBytes(DOUBLE) });
    const v = Tensor.float32([SIZE], new Float32Array(SIZE).fill(1));
    await expect(session.runInto!({ v }, { v2: v }, [])).rejects.toThrow("expected memory that is not fed");
    const store = await createState(await createNodeRuntime(), slots());
    const step = await store.load({ bytes: modelBytes(STEP) });
    const both = [step.step({ x: x(0) }), step.step({ x: x(1) })];
    await expect(Promise.all(both)).rejects.toThrow("expected one run at a time");
    await Promise.allSettled(both);
    await store.release();
  });
});
