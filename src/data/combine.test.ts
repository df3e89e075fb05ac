/** @file Tests of combine.ts: parts, order and batches, over sources that can be read anywhere and those that cannot. */
import { expect, it } from "vitest";
import type { DataSource, Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { batch, fromItems, limit, shuffle, skip, split } from "./combine.ts";

const sample = (value: number): Sample => ({ inputs: { x: Tensor.float32([1, 2], [value, -value]) }, label: value });

/** Also says what was read. */
function items(length: number): { readonly source: DataSource; readonly read: number[] } {
  const read: number[] = [];
  const source = fromItems("items", length, async (index) => {
    read.push(index);
    return sample(index);
  });
  return { source, read };
}

/** From the front only, as a module. */
const stream = (length: number, known = false): DataSource => ({
  name: "stream",
  length: known ? length : undefined,
  *samples() {
    for (let i = 0; i < length; i++) yield sample(i);
  },
});

async function labels(source: DataSource): Promise<unknown[]> {
  const result: unknown[] = [];
  for await (const { label } of source.samples()) result.push(label);
  return result;
}

it("takes parts without reading what is passed over", async () => {
  const { source, read } = items(10);
  const part = limit(skip(source, 3), 4);
  expect([part.length, await labels(part), await labels(part)]).toEqual([4, [3, 4, 5, 6], [3, 4, 5, 6]]);
  expect(read).toEqual([3, 4, 5, 6, 3, 4, 5, 6]);
  expect(await labels(limit(skip(stream(10), 3), 4))).toEqual([3, 4, 5, 6]);
  expect([skip(stream(3, true), 5).length, await labels(skip(stream(3), 5))]).toEqual([0, []]);
  expect(limit(source, 50)).toBe(source);
  expect(() => limit(source, 0)).toThrow(OptionError);
  expect(() => skip(source, -1)).toThrow(OptionError);
});

it("does not ask a source for one sample more", async () => {
  let made = 0;
  const source = {
    name: "dear",
    *samples() {
      for (;;) yield sample(made++);
    },
  };
  await labels(limit(source, 3));
  expect(made).toBe(3);
});

it("shuffles by the seed alone, and each time alike", async () => {
  const [first, again, other] = [1, 1, 2].map((seed) => shuffle(items(50).source, seed));
  const order = await labels(first!);
  expect(await labels(first!)).toEqual(order);
  expect(await labels(again!)).toEqual(order);
  expect(await labels(other!)).not.toEqual(order);
  expect([...order].sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 50 }, (_, i) => i));
  // Parts of it share nothing.
  const parts = [...(await labels(limit(first!, 20))), ...(await labels(skip(first!, 20)))];
  expect(parts).toEqual(order);
  expect(() => shuffle(stream(5, true), 0)).toThrow(/expected data that can be read in any order, got stream/);
});

it("spreads classes over the order in their proportions", async () => {
  // 60 of class 0, 30 of 1, 10 of 2, sorted as folders are.
  const classOf = (index: number) => (index < 60 ? 0 : index < 90 ? 1 : 2);
  const order = (await labels(shuffle(items(100).source, 5, classOf))) as number[];
  expect(new Set(order).size).toBe(100);
  for (let start = 0; start < 100; start += 20) {
    const counts = [0, 0, 0];
    for (const index of order.slice(start, start + 20)) counts[classOf(index)]!++;
    // 12, 6 and 2, each at most one off.
    expect(counts.every((count, group) => Math.abs(count - [12, 6, 2][group]!) <= 1)).toBe(true);
  }
  expect(order.filter((index) => index < 60)).not.toEqual(Array.from({ length: 60 }, (_, i) => i));
});

it("splits without overlap where enough are left", async () => {
  const many = split(items(30).source, { calibration: 12, evaluation: 10 });
  expect(many.disjoint).toBe(true);
  expect(await labels(many.calibration)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  expect(await labels(many.evaluation)).toEqual(Array.from({ length: 10 }, (_, i) => i + 12));
  const few = split(items(20).source, { calibration: 12 });
  expect([few.disjoint, (await labels(few.evaluation)).length]).toEqual([false, 20]);
  expect(split(stream(100), { calibration: 5 }).disjoint).toBe(false);
});

it("makes batches along the first axis, with a list of labels", async () => {
  const source = batch(items(5).source, 2);
  const batches: Sample[] = [];
  for await (const entry of source.samples()) batches.push(entry);
  expect([source.name, source.length]).toEqual(["items, 2 to a sample", 3]);
  expect(batches.map(({ label }) => label)).toEqual([[0, 1], [2, 3], [4]]);
  expect(batches.map(({ inputs }) => inputs["x"]!.dims)).toEqual([
    [2, 2],
    [2, 2],
    [1, 2],
  ]);
  expect(batches[1]!.inputs["x"]!.numbers()).toEqual([2, -2, 3, -3]);
  const whole = batch(items(5).source, 2, undefined, true);
  expect([whole.length, await labels(whole)]).toEqual([
    2,
    [
      [0, 1],
      [2, 3],
    ],
  ]);
});

it("joins strings, and refuses other shapes", async () => {
  const texts = batch(
    { name: "s", samples: () => ["a", "b"].map((text) => ({ inputs: { t: Tensor.strings([1], [text]) } })) },
    2,
  );
  for await (const { inputs } of texts.samples()) expect(inputs["t"]!.strings).toEqual(["a", "b"]);
  const shapes = (...dims: (readonly number[])[]) =>
    batch(
      {
        name: "s",
        samples: () =>
          dims.map((dim) => ({ inputs: { x: Tensor.float32(dim, new Float32Array(dim.reduce((a, b) => a * b, 1))) } })),
      },
      2,
    );
  await expect(labels(shapes([1, 2], [1, 3]))).rejects.toThrow(
    /input "x": expected samples of one shape .* float32\[1,2\] and float32\[1,3\]/,
  );
  await expect(labels(shapes([], []))).rejects.toThrow(InputError);
});
