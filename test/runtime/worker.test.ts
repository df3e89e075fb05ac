import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorkerRuntime, threadChannel, type WorkerRuntime } from "../../src/runtime/worker.ts";
import { connectRuntime } from "../../src/runtime/worker-client.ts";
import { packError, type RuntimeName, unpackError } from "../../src/runtime/worker-messages.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { FormatError, InputError, OptionError, TersorError } from "../../src/util/errors.ts";
import { describeRuntime } from "./conformance.ts";
import { modelBytes, NATIVE_ONLY } from "./models.ts";

const NAMES: readonly RuntimeName[] = ["onnxruntime-node", "onnxruntime-web"];

for (const name of NAMES) {
  describeRuntime(
    `${name} in a worker`,
    () => startWorkerRuntime(name),
    (runtime) => (runtime as WorkerRuntime).close(),
  );
}

/** Squares a matrix again and again: tens of milliseconds at least in any runtime, for as long as `times` says. */
const LONG = `g (float[256, 256] x, int64 times, bool yes) => (float[256, 256] y) {
  y = Loop <body = b (int64 i, bool go, float[256, 256] state) => (bool on, float[256, 256] next)
    { on = Identity(go) m = MatMul(state, state) next = Softmax(m) }> (times, yes, x)
}`;

const longFeeds = (times: number): Record<string, Tensor> => ({
  x: Tensor.float32([256, 256], new Float32Array(256 * 256).fill(0.01)),
  times: Tensor.scalar("int64", times),
  yes: Tensor.of("bool", [], Uint8Array.of(1)),
});

describe.each(NAMES)("%s in a worker", (name) => {
  let runtime: WorkerRuntime;
  beforeAll(async () => {
    runtime = await startWorkerRuntime(name);
  });
  afterAll(() => runtime.close());

  it("leaves the event loop free while a model runs", async () => {
    const session = await runtime.load({ bytes: modelBytes(LONG) });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const { y } = await session.run(longFeeds(150));
    clearInterval(timer);
    expect(y!.dims).toEqual([256, 256]);
    // On the caller's own thread the count would be 0: the run would block it from beginning to end.
    expect(ticks).toBeGreaterThan(5);
  });

  it("passes errors of Tersor with their class, of others with their text", async () => {
    const session = await runtime.load({ bytes: modelBytes("g (float x) => (float y) { y = Neg(x) }") });
    await expect(session.run({})).rejects.toBeInstanceOf(InputError);
    await expect(session.run({})).rejects.toMatchObject({ name: "InputError", code: "INPUT", subject: "inputs" });
    const x = Tensor.scalar("float32", 1);
    await expect(session.run({ x }, ["nope"])).rejects.toMatchObject({ name: "RangeError" });
    await session.release();
    await expect(session.run({ x })).rejects.toThrow("expected a loaded one, got a released one");
  });

  it("is what it says", async () => {
    const loading = runtime.load({ bytes: modelBytes(NATIVE_ONLY) });
    if (name === "onnxruntime-web") await expect(loading).rejects.toThrow(/ReorderInput/);
    else expect((await loading).inputs).toHaveLength(1);
  });

  it("does not need the caller's buffers after a call has begun", async () => {
    const session = await runtime.load({ bytes: modelBytes("g (float[N] x) => (float[N] y) { y = Neg(x) }") });
    const data = Float32Array.of(1, 2, 3);
    const running = session.run({ x: Tensor.float32([3], data) });
    data.fill(9);
    expect((await running)["y"]!.numbers()).toEqual([-1, -2, -3]);
    expect(data.length).toBe(3);
  });

  it("can at last be closed while a model runs; that call and later ones reject", async () => {
    const session = await runtime.load({ bytes: modelBytes(LONG) });
    const running = expect(session.run(longFeeds(300))).rejects.toThrow(`${name} in a worker: it was closed`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await runtime.close();
    await running;
    await expect(session.run(longFeeds(1))).rejects.toThrow("it was closed");
    await expect(runtime.load({ bytes: modelBytes(LONG) })).rejects.toBeInstanceOf(TersorError);
    await runtime.close();
  });
});

describe("a worker that dies", () => {
  /** A thread that runs this code for each request. */
  const start = (code: string): Promise<WorkerRuntime> => {
    const script = `const { parentPort } = require("node:worker_threads"); parentPort.on("message", (m) => { ${code} });`;
    return connectRuntime(threadChannel(new Worker(script, { eval: true }), true), "onnxruntime-node");
  };
  const STARTED = `if (m.kind === "start") return parentPort.postMessage({ id: m.id, result: { version: "1.0.0" } });`;

  it("rejects all pending calls and all later ones", async () => {
    const runtime = await start(`${STARTED} process.exit(3);`);
    const bytes = modelBytes(LONG);
    const calls = await Promise.allSettled([runtime.load({ bytes }), runtime.load({ bytes })]);
    expect(calls.map((call) => call.status)).toEqual(["rejected", "rejected"]);
    await expect(runtime.load({ bytes })).rejects.toThrow(
      "runtime: onnxruntime-node in a worker: expected an answer, but the worker ended with exit status 3. Start",
    );
    await expect(runtime.load({ bytes })).rejects.toMatchObject({ code: "WORKER" });
    await runtime.close();
  });

  it("reports what was thrown in it", async () => {
    const runtime = await start(`${STARTED} throw new Error("out of luck");`);
    await expect(runtime.load({ bytes: new Uint8Array(1) })).rejects.toThrow("the worker failed: out of luck");
    await runtime.close();
  });

  it("is reported where it dies at the start", async () => {
    await expect(start("process.exit(0);")).rejects.toThrow("the worker ended with exit status 0");
  });

  it("keeps what cannot be sent to one call", async () => {
    const runtime = await start(`${STARTED} parentPort.postMessage({ id: m.id, result: m.options ?? null });`);
    const options = { config: { "a.b": (() => {}) as unknown as string } };
    await expect(runtime.load({ bytes: new Uint8Array(1) }, options)).rejects.toThrow(/load: .*could not be cloned/);
    await expect(runtime.load({ bytes: new Uint8Array(1) }, {})).resolves.toBeDefined();
    await runtime.close();
  });
});

describe("errors between threads", () => {
  it.each([
    new OptionError({ area: "a", subject: "s", problem: "p", help: "Do this." }),
    new FormatError({ area: "a", subject: "s", problem: "p", offset: 3, field: "f" }),
    new TersorError("OTHER", { area: "a", subject: "s", problem: "p" }),
    new TypeError("plain"),
  ])("keep class and text: $name", (error) => {
    const copy = unpackError(structuredClone(packError(error)));
    expect(copy.message).toBe(error.message);
    expect(copy.name).toBe(error.name);
    if (!(error instanceof TersorError)) return;
    expect(copy).toBeInstanceOf(error.constructor);
    expect(copy).toMatchObject({ code: error.code, area: error.area, subject: error.subject, help: error.help });
  });

  it("need not be errors", () => {
    expect(unpackError(packError("text")).message).toBe("text");
  });
});
