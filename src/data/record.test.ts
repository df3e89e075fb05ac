/**
 * @file Tests of record.ts and its two forms, on real sessions of both runtimes: what is fed is what is saved, and the
 * application notices nothing.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ortNode from "onnxruntime-node";
import * as ortWeb from "onnxruntime-web";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bytesOf, modelOf } from "../../test/helpers.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { loadData } from "./load-node.ts";
import { decodeNpz } from "./npz.ts";
import { record } from "./record-node.ts";
import { record as recordWeb } from "./record-web.ts";

let folder: string;
let paths = 0;
const fresh = (): string => join(folder, `feeds-${++paths}`);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-record-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODEL = `(float[N, 2] x, int64[N, 2] ids, bool[N, 2] mask) => (float[N, 2] y)
  { f = Cast <to = 1> (ids) m = Cast <to = 1> (mask) s = Add(x, f) y = Mul(s, m) }`;

/** A session that an application might have, and its feeds. */
async function application(ort: typeof ortNode | typeof ortWeb) {
  const session = await ort.InferenceSession.create(bytesOf(modelOf(MODEL)));
  const feeds = (value: number) => ({
    x: new ort.Tensor("float32", Float32Array.of(value, -value), [1, 2]),
    ids: new ort.Tensor("int64", BigInt64Array.of(1n, 2n ** 40n), [1, 2]),
    mask: new ort.Tensor("bool", Uint8Array.of(1, 0), [1, 2]),
  });
  return { session: session as ortNode.InferenceSession, feeds };
}

const savedX = (path: string): number[] =>
  readdirSync(path)
    .sort()
    .map((name) => decodeNpz(readFileSync(join(path, name)))["x"]!.numbers()[0]!);

describe.each([
  ["onnxruntime-node", ortNode],
  ["onnxruntime-web", ortWeb],
] as const)("%s", (_, ort) => {
  it("saves the first runs, in files that --data reads; then the session is the original", async () => {
    const { session, feeds } = await application(ort);
    const original = session.run;
    const path = fresh();
    const recording = record(session, { samples: 3, path });
    for (let i = 1; i <= 5; i++) {
      const given = feeds(i);
      const running = session.run(given);
      // What the application does with its buffers afterwards is its own affair.
      (given.x.data as Float32Array)[0] = 99;
      await running;
    }
    await recording.done;
    expect([recording.count, session.run]).toEqual([3, original]);
    expect(Object.hasOwn(session, "run")).toBe(false);
    expect(readdirSync(path).sort()).toEqual(["feed-00001.npz", "feed-00002.npz", "feed-00003.npz"]);
    expect(savedX(path)).toEqual([1, 2, 3]);
    const dtype = { x: "float32", ids: "int64", mask: "bool" } as const;
    const inputs = Object.entries(dtype).map(([name, type]) => ({ name, dtype: type, shape: [null, 2] }));
    const source = await loadData(path, { inputs });
    for await (const sample of source.samples()) {
      expect(sample.inputs["ids"]!.data()).toEqual(BigInt64Array.of(1n, 2n ** 40n));
      expect(sample.inputs["mask"]!.numbers()).toEqual([1, 0]);
    }
    await session.release();
  });

  it("leaves results, options and errors of runs as they are, and keeps no run that failed", async () => {
    const { session, feeds } = await application(ort);
    const path = fresh();
    const recording = record(session, { samples: 2, path });
    const result = await session.run(feeds(5), ["y"], { tag: "mine" });
    expect([...(result["y"]!.data as Float32Array)]).toEqual([6, 0]);
    await expect(session.run({})).rejects.toThrow(/x/);
    const wrong = { ...feeds(6), x: new ort.Tensor("float32", new Float32Array(3), [1, 3]) } as never;
    await expect(session.run(wrong)).rejects.toThrow();
    await session.run(feeds(7));
    await recording.done;
    expect(savedX(path)).toEqual([5, 7]);
    await session.release();
  });
});

/** A session that only counts, for what does not depend on a runtime. */
function counting() {
  let runs = 0;
  const session = { run: async (feeds: object, ...rest: unknown[]) => ({ feeds, rest, runs: ++runs }) };
  const feed = (value: number) => ({ x: { type: "float32", dims: [1], data: Float32Array.of(value) } });
  return { session, feed };
}

it("keeps every k-th run, goes on where it stopped, and stops when told", async () => {
  const { session, feed } = counting();
  const original = session.run;
  const path = fresh();
  const first = record(session, { samples: 4, every: 3, path });
  for (let i = 0; i < 7; i++) await session.run(feed(i));
  await first.stop();
  expect([first.count, savedX(path), session.run]).toEqual([3, [0, 3, 6], original]);
  const second = record(session, { samples: 4, path });
  for (let i = 10; i < 15; i++) await session.run(feed(i));
  await second.done;
  expect(savedX(path)).toEqual([0, 3, 6, 10]);
  const third = record(session, { samples: 4, path });
  await third.done;
  expect([third.count, session.run]).toEqual([4, original]);
});

it("keeps an even choice of all runs in a reservoir", async () => {
  const { session, feed } = counting();
  const recording = recordWeb(session, { samples: 50, sampling: "reservoir", seed: 3 });
  for (let i = 0; i < 1000; i++) await session.run(feed(i));
  await recording.stop();
  const zip = join(folder, "feeds.zip");
  writeFileSync(zip, new Uint8Array(await recording.blob().arrayBuffer()));
  const source = await loadData(zip, { inputs: [{ name: "x", dtype: "float32", shape: [null] }] });
  const kept: number[] = [];
  for await (const { inputs } of source.samples()) kept.push(inputs["x"]!.numbers()[0]!);
  expect([kept.length, new Set(kept).size, recording.count]).toEqual([50, 50, 50]);
  // 50 numbers drawn from 0 … 999 have a mean of 499.5 ± 40 (one standard deviation).
  const mean = kept.reduce((a, b) => a + b) / 50;
  expect(Math.abs(mean - 499.5)).toBeLessThan(120);
  expect(() => recording.download()).toThrow(OptionError);
});

it("counts runs that overlap once each", async () => {
  const { session, feed } = counting();
  const path = fresh();
  const recording = record(session, { samples: 3, path });
  await Promise.all([1, 2, 3, 4, 5].map((value) => session.run(feed(value))));
  await recording.done;
  expect(savedX(path)).toEqual([1, 2, 3]);
});

it("fetches what lies on a GPU before it runs", async () => {
  const { session } = counting();
  const path = fresh();
  const recording = record(session, { samples: 1, path });
  let fetched = false;
  const getData = async () => {
    fetched = true;
    return Float32Array.of(4);
  };
  const remote = {
    type: "float32",
    dims: [1],
    location: "gpu-buffer",
    getData,
    get data(): never {
      throw new Error("The data is not on CPU.");
    },
  };
  await session.run({ x: remote });
  await recording.done;
  expect([fetched, savedX(path)]).toEqual([true, [4]]);
});

it("never lets its own failures into the application", async () => {
  const { session, feed } = counting();
  const path = fresh();
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const recording = record(session, { samples: 5, path });
  rmSync(path, { recursive: true });
  expect((await session.run(feed(1))).runs).toBe(1);
  await expect(recording.done).rejects.toThrow(/ENOENT/);
  expect((await session.run(feed(2))).runs).toBe(2);
  expect(warn.mock.calls.flat()).toEqual([expect.stringMatching(/^tersor: recording ended: .*ENOENT/)]);
  warn.mockRestore();
  const onError = vi.fn();
  const other = record(session, { path: fresh(), onError });
  await session.run({ x: { type: "int4", dims: [2], data: Uint8Array.of(1) } });
  await expect(other.done).rejects.toThrow(InputError);
  expect(onError.mock.calls[0]![0].message).toMatch(/input "x"/);
});

it("restores a session that somebody wrapped before, and leaves later wrappers alone", async () => {
  const { session, feed } = counting();
  const before = vi.fn(session.run);
  session.run = before;
  const first = recordWeb(session, { samples: 1 });
  await session.run(feed(1));
  await first.done;
  expect(session.run).toBe(before);
  const second = recordWeb(session, { samples: 1 });
  const inner = session.run;
  const after = vi.fn((feeds: object) => inner(feeds));
  session.run = after;
  await session.run(feed(2));
  await second.done;
  expect(session.run).toBe(after);
  expect((await session.run(feed(3))).runs).toBe(3);
  expect(second.count).toBe(1);
});

it("refuses counts and folders that cannot be", () => {
  const { session } = counting();
  expect(() => record(session, { samples: 0, path: fresh() })).toThrow(OptionError);
  expect(() => recordWeb(session, { every: 1.5 })).toThrow(OptionError);
  const file = fresh();
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, "");
  expect(() => record(session, { path: file })).toThrow(/expected a folder to write samples to/);
});
