/** @file Tests of IDX files: the format, sets in folders, labels, models of several forms, and what is broken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { FormatError, TersorError } from "../util/errors.ts";
import { shuffle } from "./combine.ts";
import { decodeIdx } from "./idx.ts";
import { fromIdx } from "./idx-source.ts";
import { loadData, loadEvaluation } from "./load-node.ts";

/** Type, dimensions, data. */
function idx(type: number, dims: readonly number[], data: readonly number[]): Uint8Array {
  const head = [
    0,
    0,
    type,
    dims.length,
    ...dims.flatMap((dim) => [dim >>> 24, (dim >> 16) & 255, (dim >> 8) & 255, dim & 255]),
  ];
  return Uint8Array.from([...head, ...data]);
}

/** `count` images of 2 × 3, all pixels of the i-th being `first + i`; labels i mod 3. */
const images = (count: number, first = 0): Uint8Array =>
  idx(
    8,
    [count, 2, 3],
    Array.from({ length: 6 * count }, (_, i) => first + Math.floor(i / 6)),
  );
const labels = (count: number): Uint8Array =>
  idx(
    8,
    [count],
    Array.from({ length: count }, (_, i) => i % 3),
  );

const PORT: Port = { name: "x", dtype: "float32", shape: ["N", 1, 2, 3] };

let folder: string;
const at = (...parts: string[]): string => join(folder, ...parts);
function put(name: string, content: Uint8Array): string {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
  return at(name);
}

async function read(source: DataSource): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source.samples()) samples.push(sample);
  return samples;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-idx-"));
  put("mnist/train-images-idx3-ubyte.gz", gzipSync(images(30)));
  put("mnist/train-labels-idx1-ubyte.gz", gzipSync(labels(30)));
  put("mnist/t10k-images-idx3-ubyte", images(12, 100));
  put("mnist/t10k-labels-idx1-ubyte", labels(12));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("decodeIdx", () => {
  it("reads every type, in this machine's order", () => {
    expect(decodeIdx(idx(8, [2, 2], [0, 1, 254, 255])).numbers()).toEqual([0, 1, 254, 255]);
    expect(decodeIdx(idx(9, [2], [255, 1])).numbers()).toEqual([-1, 1]);
    expect(decodeIdx(idx(11, [2], [1, 0, 255, 254])).numbers()).toEqual([256, -2]);
    expect(decodeIdx(idx(12, [1], [0, 0, 1, 2])).numbers()).toEqual([258]);
    expect(decodeIdx(idx(13, [1], [0x3f, 0xc0, 0, 0])).numbers()).toEqual([1.5]);
    expect(decodeIdx(idx(14, [1], [0xbf, 0xf8, 0, 0, 0, 0, 0, 0])).numbers()).toEqual([-1.5]);
    expect(decodeIdx(idx(8, [0, 28, 28], [])).dims).toEqual([0, 28, 28]);
  });

  it.each([
    ["nothing", new Uint8Array(0), /at least 4 bytes, got 0/],
    ["another format", Uint8Array.of(0x1f, 0x8b, 8, 0, 0), /two zero bytes.*unpacked/],
    ["an unknown type", idx(10, [1], [1]), /type of 8, 9, 11, 12, 13 or 14, got 10/],
    ["no dimensions", idx(8, [], [1]), /1 to 8 dimensions, got 0/],
    ["too many dimensions", idx(8, new Array(9).fill(1), [1]), /1 to 8 dimensions, got 9/],
    ["dimensions that are cut off", idx(8, [3, 3], []).slice(0, 9), /expected 2 dimensions, got 9 bytes/],
    ["a size that nothing has", idx(8, [2 ** 31 - 1, 2 ** 31 - 1], []), /at most 4294967296 elements/],
    ["data that are cut off", images(3).slice(0, -1), /expected 18 bytes for uint8 \[3, 2, 3\], got 17.*cut off/],
    ["data left over", Uint8Array.from([...labels(3), 0]), /expected 3 bytes for uint8 \[3\], got 4/],
  ])("refuses %s", (_name, bytes, text) => {
    expect(() => decodeIdx(bytes, "set")).toThrow(FormatError);
    expect(() => decodeIdx(bytes, "set")).toThrow(text);
  });
});

it("reads the training set of a folder with its labels, classes spread evenly", async () => {
  const source = await loadData(at("mnist"), { inputs: [PORT] });
  expect([source.name, source.length, source.part]).toEqual([
    "train-images-idx3-ubyte.gz (30 images, labelled; assumed: stretched to 3×2, grey, 0…1, NCHW), shuffled",
    30,
    "calibration",
  ]);
  const samples = await read(source);
  expect(samples[0]!.inputs["x"]!.dims).toEqual([1, 1, 2, 3]);
  for (const { inputs, label } of samples) {
    const pixels = inputs["x"]!.floats();
    expect(new Set(pixels).size).toBe(1);
    expect(Math.round(pixels[0]! * 255) % 3).toBe(label);
  }
  for (let from = 0; from < 30; from += 6) {
    const counts = [0, 1, 2].map(
      (label) => samples.slice(from, from + 6).filter((sample) => sample.label === label).length,
    );
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
  }
  const inOrder = await read(await loadData(at("mnist"), { inputs: [PORT], shuffle: false, limit: 2 }));
  expect(inOrder.map(({ inputs }) => inputs["x"]!.floats()[0])).toEqual([0, Math.fround(1 / 255)]);
});

it("takes the test set to evaluate, whole, whatever calibration has seen", async () => {
  const { source, seenBefore } = await loadEvaluation(at("mnist"), { inputs: [PORT], skip: 9 });
  expect([source.length, source.part, seenBefore]).toEqual([12, "evaluation", false]);
  const values = (await read(source)).map(({ inputs }) => Math.round(inputs["x"]!.floats()[0]! * 255));
  expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => 100 + i));
});

it("takes one set for both where there is one, and passes over what calibration has seen", async () => {
  put("one/train-images-idx3-ubyte", images(30));
  const { source, seenBefore } = await loadEvaluation(at("one"), { inputs: [PORT], skip: 9 });
  expect([source.length, source.part, seenBefore]).toEqual([21, "calibration", false]);
  expect((await read(source))[0]!.label).toBeUndefined();
});

it("opens a file, labels given or beside it, and fills batches", async () => {
  const file = put("files/train-images.idx3-ubyte", images(6));
  put("files/train-labels.idx1-ubyte", labels(6));
  const [sample] = await read(await loadData(file, { inputs: [PORT], batch: 4, shuffle: false }));
  expect([sample!.inputs["x"]!.dims, sample!.label]).toEqual([
    [4, 1, 2, 3],
    [0, 1, 2, 0],
  ]);
  const others = put("files/others", idx(8, [6], [9, 9, 9, 9, 9, 9]));
  const [other] = await read(await loadData(file, { inputs: [PORT], labels: others }));
  expect(other!.label).toBe(9);
});

it.each([
  ["rows of pixels", ["N", 6], [1, 6]],
  ["rows of any length", ["N", null], [1, 6]],
  ["a size that is open", ["N", 1, null, null], [1, 1, 2, 3]],
  ["channels last", ["N", 2, 3, 1], [1, 2, 3, 1]],
  ["three channels", ["N", 3, 2, 3], [1, 3, 2, 3]],
  ["another size", ["N", 1, 4, 4], [1, 1, 4, 4]],
  ["no shape at all", undefined, [1, 1, 2, 3]],
] as const)("fits models with %s", async (_name, shape, dims) => {
  const [sample] = await read(await loadData(at("mnist"), { inputs: [{ ...PORT, shape }], shuffle: false, limit: 2 }));
  expect(sample!.inputs["x"]!.dims).toEqual(dims);
});

it("normalizes as specified", async () => {
  const preprocess = { mean: 0.1307, std: 0.3081 };
  const [sample] = await read(await loadData(at("mnist"), { inputs: [PORT], preprocess, shuffle: false }));
  expect(sample!.inputs["x"]!.floats()[0]).toBeCloseTo(-0.1307 / 0.3081, 6);
});

it("says what is wrong", async () => {
  const set = (name: string, content: Uint8Array, more: Readonly<Record<string, Uint8Array>> = {}): string => {
    for (const [other, bytes] of Object.entries(more)) put(`${dirname(name)}/${other}`, bytes);
    return put(name, content);
  };
  const cases: readonly (readonly [string, RegExp, Port?])[] = [
    [set("a/x-images-idx3-ubyte.gz", gzipSync(images(3)).subarray(0, 30)), /whole gzip file.*Download it again/],
    [
      set("b/x-images-idx3-ubyte", images(3), { "x-labels-idx1-ubyte": labels(2) }),
      /expected 3 labels.*got uint8\[2\]/,
    ],
    [set("c/x-labels-idx1-ubyte", labels(3)), /expected images, uint8 \[count, height, width\], got uint8\[3\]/],
    [set("d/x-images-idx3-ubyte", images(3)), /expected 7 values for x.*2×3×1/, { ...PORT, shape: ["N", 7] }],
    [
      dirname(set("e/a-images-idx3-ubyte", images(3), { "b-images-idx3-ubyte": images(3) })),
      /expected one set of images/,
    ],
  ];
  for (const [path, text, port = PORT] of cases) {
    await expect(loadData(path, { inputs: [port] }), path).rejects.toThrow(text);
    await expect(loadData(path, { inputs: [port] }), path).rejects.toThrow(TersorError);
  }
  await expect(loadData(at("mnist"), { inputs: [PORT], tokenizer: "t" })).rejects.toThrow(/option "tokenizer"/);
  await expect(loadData(at("d/x-images-idx3-ubyte"), { inputs: [PORT], labels: at("none") })).rejects.toThrow(
    /cannot be read/,
  );
});

describe("images from bytes, where there are no files", () => {
  const options = { input: PORT, preprocess: { scale: 1 / 255, mean: [0.5], std: [0.25] } };

  it("are the samples that a folder gives", async () => {
    const source = fromIdx({ images: images(30), labels: labels(30), name: "train" }, options);
    const { preprocess } = options;
    const folder = await loadData(at("mnist"), { inputs: [PORT], preprocess, shuffle: true, seed: 7 });
    const [own, others] = [await read(shuffle(source, 7, source.groupOf)), await read(folder)];
    const plain = ({ inputs, label }: Sample) => [label, [...inputs["x"]!.floats()], inputs["x"]!.dims];
    expect(own.map(plain)).toEqual(others.map(plain));
  });

  it("may have no labels, and are refused where the labels are another set's", async () => {
    expect((await read(fromIdx({ images: images(2) }, { input: PORT }))).map(({ label }) => label)).toEqual([
      undefined,
      undefined,
    ]);
    const wrong = { images: images(3), labels: labels(4), name: "digits" };
    expect(() => fromIdx(wrong, options)).toThrow(/digits: labels: expected 3 labels, one per image, got uint8\[4\]/);
  });
});
