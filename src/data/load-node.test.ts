/** @file Tests of load-node.ts and source.ts: folders, files and modules that fit a model, and those that do not. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { FormatError, InputError, OptionError } from "../util/errors.ts";
import { loadData } from "./load-node.ts";
import { encodeNpy } from "./npy.ts";
import { encodeNpz } from "./npz.ts";
import { checkInputs, fromSamples, toTensor } from "./source.ts";

const X: Port = { name: "x", dtype: "float32", shape: ["batch", 2] };
const IDS: Port = { name: "ids", dtype: "int64", shape: [null, "sequence"] };
const x = (value: number) => Tensor.float32([1, 2], [value, value]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-data-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function read(source: DataSource): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source.samples()) samples.push(sample);
  return samples;
}

it("reads a folder of npz in natural order, again and again, with labels", async () => {
  for (const i of [10, 2, 1]) {
    put(`npz/s${i}.npz`, encodeNpz({ x: x(i), ids: Tensor.int64([1, 1], [i]), label: Tensor.scalar("int64", i) }));
  }
  put("npz/.DS_Store", "");
  put("npz/README.md", "");
  const source = await loadData(join(folder, "npz"), { inputs: [X, IDS] });
  expect([source.name, source.length]).toEqual(["npz/ (3 .npz files)", 3]);
  for (let round = 0; round < 2; round++) {
    const samples = await read(source);
    expect(samples.map((sample) => sample.inputs["x"]!.numbers()[0])).toEqual([1, 2, 10]);
    expect(samples.map((sample) => (sample.label as Tensor).numbers()[0])).toEqual([1, 2, 10]);
    expect(Object.keys(samples[0]!.inputs)).toEqual(["x", "ids"]);
  }
  const limited = await loadData(join(folder, "npz"), { inputs: [X, IDS], limit: 2 });
  expect([limited.name, limited.length, (await read(limited)).length]).toEqual(["npz/ (3 .npz files)", 2, 2]);
  await expect(loadData(folder, { inputs: [X], limit: 0 })).rejects.toThrow(OptionError);
});

it("keeps `label` as an input where the model has one", async () => {
  const path = put("label.npz", encodeNpz({ label: x(1) }));
  const [sample] = await read(await loadData(path, { inputs: [{ ...X, name: "label" }] }));
  expect([sample!.inputs["label"]!.dims, sample!.label]).toEqual([[1, 2], undefined]);
});

it("reads npy files for models with one input only", async () => {
  const path = put("one.npy", encodeNpy(x(3)));
  const [sample] = await read(await loadData(path, { inputs: [X] }));
  expect(sample!.inputs["x"]!.numbers()).toEqual([3, 3]);
  await expect(loadData(path, { inputs: [X, IDS] })).rejects.toThrow(
    /expected \.npz files.*2 inputs.*x \(float32 \[batch, 2\]\)/,
  );
});

it("reads modules: plain objects, arrays and async iterables, with score", async () => {
  const path = put(
    "data.mjs",
    `export async function* calibration() {
       for (const i of [1, 2, 3]) yield { inputs: { x: { dims: [1, 2], data: Float32Array.of(i, i) } }, label: "l" + i };
     }
     export const evaluation = () => [{ inputs: { x: { dims: [1, 2], data: Float32Array.of(9, 9), type: "float32" } } }];
     export const score = (outputs, sample) => (sample.label === "l1" ? 1 : 0);`,
  );
  const source = await loadData(path, { inputs: [X], limit: 2 });
  expect(source.name).toBe("calibration() of data.mjs");
  const samples = await read(source);
  expect(samples.map((sample) => sample.label)).toEqual(["l1", "l2"]);
  expect(await read(source)).toHaveLength(2);
  expect(await source.score?.({}, samples[0]!)).toBe(1);
  const [only] = await read(await loadData(path, { inputs: [X], part: "evaluation" }));
  expect(only!.inputs["x"]!.numbers()).toEqual([9, 9]);
});

it.each<[string, () => string, readonly Port[], RegExp]>([
  ["a missing path", () => join(folder, "nowhere"), [X], /nowhere: expected a file or folder/],
  [
    "a wrong extension",
    () => put("a.csv", ""),
    [X],
    /expected \.npz, \.npy, images, idx files \(MNIST\), \.jsonl or \.txt, or a module .* got \.csv/,
  ],
  ["an empty folder", () => join(put("empty/.keep", ""), ".."), [X], /got an empty folder/],
  ["a folder of something else", () => join(put("pdf/a.pdf", ""), ".."), [X], /or images, got a\.pdf/],
  ["a mixed folder", () => [put("mix/a.npy", ""), join(put("mix/a.npz", ""), "..")][1]!, [X], /either .* got 1 and 1/],
  [
    "names",
    () => put("n.npz", encodeNpz({ y: x(1) })),
    [X],
    /n\.npz.*missing "x", "y" is not an input.*takes x \(float32/,
  ],
  ["a missing input", () => put("m.npz", encodeNpz({ x: x(1) })), [X, IDS], /missing "ids"\. The model takes/],
  [
    "the type",
    () => put("f8.npy", encodeNpy(Tensor.of("float64", [1, 2], new Float64Array(2)))),
    [X],
    /f8\.npy: input "x": expected float32, got float64\. Save as float32/,
  ],
  [
    "a fixed dimension",
    () => put("d.npy", encodeNpy(Tensor.float32([1, 3], [1, 2, 3]))),
    [X],
    /expected shape \[batch, 2\], got \[1, 3\]/,
  ],
  ["a missing batch", () => put("b.npy", encodeNpy(Tensor.float32([2], [1, 2]))), [X], /batch dimension is missing/],
  [
    "a module without functions",
    () => put("no.mjs", "export const a = 1;"),
    [X],
    /expected an exported function.* got exports a/,
  ],
  ["a module that fails", () => put("bad.mjs", "throw new Error('boom');"), [X], /cannot be loaded: boom/],
  ["a module without samples", () => put("zero.mjs", "export const calibration = () => [];"), [X], /got none/],
  [
    "a module with one object",
    () => put("obj.mjs", "export const calibration = () => 5;"),
    [X],
    /iterable of samples, got number/,
  ],
  [
    "a sample without inputs",
    () => put("in.mjs", "export const calibration = () => [{ x: 1 }];"),
    [X],
    /sample 1: expected \{ inputs.*got x/,
  ],
  [
    "plain arrays",
    () => put("plain.mjs", "export const calibration = () => [{ inputs: { x: { dims: [1, 2], data: [1, 2] } } }];"),
    [X],
    /input "x": expected data as a typed array/,
  ],
])("says what is wrong: %s", async (_, make, inputs, message) => {
  const attempt = async () => read(await loadData(make(), { inputs }));
  await expect(attempt()).rejects.toThrow(InputError);
  await expect(attempt()).rejects.toThrow(message);
});

it("names the file that is torn", async () => {
  const path = put("torn.npz", encodeNpz({ x: x(1) }).subarray(0, 50));
  const attempt = loadData(path, { inputs: [X] }).then(read);
  await expect(attempt).rejects.toThrow(FormatError);
  await expect(attempt).rejects.toThrow(/torn\.npz/);
});

it("takes a plain array for the type that the model wants", () => {
  expect(toTensor({ dims: [1], data: Uint8Array.of(1) }, "bool", "").dtype).toBe("bool");
  expect(toTensor({ dims: [1], data: Uint8Array.of(1) }, "float32", "").dtype).toBe("uint8");
  expect(toTensor({ dims: [1], data: Uint16Array.of(1) }, "float16", "").dtype).toBe("float16");
  expect(toTensor({ dims: [1], data: ["a"] }, "string", "").strings).toEqual(["a"]);
  expect(() => toTensor({ dims: [1], data: Int32Array.of(1), type: "int64" }, "int64", "s")).toThrow(
    /type int64, got Int32Array/,
  );
  expect(() => toTensor({ dims: [2], data: Int32Array.of(1) }, "int32", "s")).toThrow(InputError);
  expect(checkInputs({ x: x(1) }, [{ ...X, shape: [-1, -1] }], "")).toHaveProperty("x");
});

it("keeps samples in memory", async () => {
  const source = fromSamples([{ inputs: { x: x(1) } }], "mine");
  expect([source.name, source.length, (await read(source)).length]).toEqual(["mine", 1, 1]);
});
