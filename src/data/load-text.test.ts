/** @file Tests of texts as data, and of archives: lines, fields, batches, and what is wrong with them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { afterAll, beforeAll, expect, it } from "vitest";
import reference from "../../test/reference/texts.json" with { type: "json" };
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { Tensor } from "../tensor/tensor.ts";
import { TersorError } from "../util/errors.ts";
import { indexLines } from "./lines-node.ts";
import { loadData } from "./load-node.ts";
import { encodeNpz } from "./npz.ts";

const shape = ["batch", "sequence"];
const inputs: readonly Port[] = [
  { name: "input_ids", dtype: "int64", shape },
  { name: "attention_mask", dtype: "int64", shape },
];

let folder: string;
let tokenizer: string;
const at = (...parts: string[]): string => join(folder, ...parts);

function put(name: string, content: Uint8Array | string): string {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
  return at(name);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tersor-texts-"));
  tokenizer = put("hub/tokenizer.json", JSON.stringify(reference.tokenizers.wordPiece.file));
  put("hub/tokenizer_config.json", '{ "pad_token": "[PAD]", "model_max_length": 12 }');
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(source: DataSource): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source.samples()) samples.push(sample);
  return samples;
}

const ids = (sample: Sample) => sample.inputs["input_ids"]!.numbers();

/** Ids from the reference library, cut to 12 as the configuration says. */
const wanted = (text: string) => {
  const whole = reference.tokenizers.wordPiece.right.find((entry) => entry.text === text && entry.maxLength === null)!;
  return whole.ids.length <= 12 ? whole.ids : [...whole.ids.slice(0, 11), whole.ids.at(-1)];
};

it("reads JSON Lines: objects and strings, labels, limits of the tokenizer", async () => {
  const long = "Models become small, models become fast";
  const path = put(
    "texts.jsonl",
    `\uFEFF{"text": "the quick brown fox", "label": "a"}\n\n${JSON.stringify(long)}\r\n{"text": "the quick brown fox", "label": 3}`,
  );
  const source = await loadData(path, { inputs, tokenizer });
  expect([source.name, source.length]).toEqual(["texts.jsonl (3 texts; tokenizer.json, at most 12 tokens)", 3]);
  for (let round = 0; round < 2; round++) {
    const samples = await read(source);
    expect(samples.map(({ label }) => label)).toEqual(["a", undefined, 3]);
    expect(samples.map(ids)).toEqual([wanted("the quick brown fox"), wanted(long), wanted("the quick brown fox")]);
    expect(samples[0]!.inputs["attention_mask"]!.numbers()).toEqual(ids(samples[0]!).map(() => 1));
  }
  const cut = await read(await loadData(path, { inputs, tokenizer, maxLength: 4 }));
  expect(cut.map((sample) => ids(sample).length)).toEqual([4, 4, 4]);
});

it("pads batches to their longest, and fixed inputs to their length", async () => {
  const path = put("three.jsonl", '"fox"\n"the quick brown fox"\n"dog"\n');
  const [first, second] = await read(await loadData(path, { inputs, tokenizer: at("hub"), batch: 2 }));
  const length = wanted("the quick brown fox").length;
  expect(first!.inputs["input_ids"]!.dims).toEqual([2, length]);
  const mask = first!.inputs["attention_mask"]!.numbers();
  expect(mask.slice(0, length).reduce((a, b) => a + b)).toBeLessThan(length);
  expect(mask.slice(length)).toEqual(Array(length).fill(1));
  // [PAD] is 0.
  expect(
    ids(first!)
      .filter((_, i) => mask[i] === 0)
      .every((id) => id === 0),
  ).toBe(true);
  expect(second!.inputs["input_ids"]!.dims[0]).toBe(1);
  const fixed = inputs.map((port) => ({ ...port, shape: [1, 10] }));
  for (const sample of await read(await loadData(path, { inputs: fixed, tokenizer }))) {
    expect(sample.inputs["input_ids"]!.dims).toEqual([1, 10]);
  }
});

it("takes other fields, pairs, classes, plain lines, the tokenizer beside the model, another order", async () => {
  const path = put("fields.jsonl", '{"q": "the quick brown fox jumps", "a": "over the lazy dog", "y": "no"}\n');
  const options = { textField: "q", pairField: "a", labelField: "y", maxLength: 64 };
  const [sample] = await read(
    await loadData(path, { inputs, tokenizer, ...options, classes: put("c.txt", "yes\nno") }),
  );
  const pair = reference.tokenizers.wordPiece.right.find(
    (entry) => entry.pair === "over the lazy dog" && !entry.maxLength,
  );
  expect([ids(sample!), sample!.label]).toEqual([pair!.ids, 1]);
  const lines = put("lines.txt", "the quick brown fox\ndog\n");
  const plain = await loadData(lines, { inputs, model: at("hub/onnx/model.onnx") });
  expect(ids((await read(plain))[0]!)).toEqual(wanted("the quick brown fox"));
  const many = put("many.txt", Array.from({ length: 40 }, (_, i) => "dog ".repeat(i + 1)).join("\n"));
  const lengths = async (shuffle: boolean) =>
    (await read(await loadData(many, { inputs, tokenizer, maxLength: 99, shuffle }))).map((entry) => ids(entry).length);
  const [order, shuffled] = [await lengths(false), await lengths(true)];
  expect(shuffled).not.toEqual(order);
  expect([...shuffled].sort((a, b) => a - b)).toEqual(order);
});

it("finds lines across chunks of the file, in any order", () => {
  const texts = Array.from({ length: 3000 }, (_, i) => `${i} ${"x".repeat((i * 37) % 900)} größer`);
  const lines = indexLines(put("large.txt", `\n${texts.join("\r\n")}`));
  expect(lines.length).toBe(3000);
  for (let i = 2999; i >= 0; i -= 7) expect(lines.read(i)).toEqual({ text: texts[i], line: i + 2 });
});

it("reads archives of npz, as tersor/web records them", async () => {
  const x: Port = { name: "x", dtype: "float32", shape: [null, 1] };
  const entry = (value: number) =>
    encodeNpz({ x: Tensor.float32([1, 1], [value]), label: Tensor.scalar("int64", value) });
  const files = { "feed-10.npz": entry(10), "feed-2.npz": entry(2), "__MACOSX/._feed-2.npz": new Uint8Array(3) };
  const path = put("feeds.zip", zipSync(files));
  const source = await loadData(path, { inputs: [x] });
  expect([source.name, source.length]).toEqual(["feeds.zip (2 .npz files)", 2]);
  expect((await read(source)).map((sample) => sample.inputs["x"]!.numbers())).toEqual([[2], [10]]);
  const batched = await read(await loadData(path, { inputs: [x], batch: 2 }));
  expect(batched[0]!.inputs["x"]!.numbers()).toEqual([2, 10]);
});

const texts = (content: string) => () => put("bad.jsonl", content);

it.each<[string, () => string, object, RegExp]>([
  [
    "no tokenizer",
    texts('"a"'),
    { tokenizer: undefined },
    /bad\.jsonl: expected a tokenizer for texts, got none.*--tokenizer/,
  ],
  [
    "a tokenizer that is not there",
    texts('"a"'),
    { tokenizer: "nowhere/tokenizer.json" },
    /nowhere\/tokenizer\.json: expected a file, found nothing there\. Give the tokenizer\.json/,
  ],
  [
    "another JSON",
    texts('"a"'),
    { tokenizer: "package.json" },
    /package\.json: expected a Hugging Face tokenizer\.json/,
  ],
  ["an empty file", texts("\n \n"), {}, /bad\.jsonl: expected lines of text, got an empty file/],
  ["a line that is no JSON", texts('"a"\n\n{"text": \n'), {}, /bad\.jsonl, line 3: expected JSON, got: .*\.txt file/],
  [
    "a missing field",
    texts('{"sentence": "a"}'),
    {},
    /line 1: expected a text at "text", got keys sentence\. Say which/,
  ],
  ["a field of another type", texts('{"text": 5}'), {}, /line 1: expected a text at "text", got 5/],
  ["an array", texts("[1]"), {}, /line 1: expected a text at "text", got an array/],
  [
    "a class that nobody knows",
    texts('{"text": "a", "label": "x"}'),
    { classes: "CLASSES" },
    /line 1: expected one of the 2 classes, got "x"/,
  ],
  [
    "a limit beyond the model",
    texts('"a"'),
    { maxLength: 99, inputs: inputs.map((port) => ({ ...port, shape: [1, 8] })) },
    /maxLength: expected at most 8 tokens/,
  ],
  [
    "an input that no text gives",
    texts('"a"'),
    { inputs: [...inputs, { name: "pixel_values", dtype: "float32", shape: undefined }] },
    /input "pixel_values": .*record the feeds/,
  ],
  [
    "preprocessing",
    texts('"a"'),
    { preprocess: "imagenet" },
    /option "preprocess": expected options for texts, got one for images/,
  ],
  [
    "an archive of images",
    () => put("photos.zip", zipSync({ "a.png": new Uint8Array(3) })),
    {},
    /photos\.zip: expected an archive of \.npz files, got a\.png/,
  ],
  [
    "a torn archive",
    () => put("torn.zip", zipSync({ "a.npz": new Uint8Array(30) }).subarray(0, 40)),
    {},
    /torn\.zip: expected a zip archive.*damaged/,
  ],
])("says what is wrong: %s", async (_, path, options, message) => {
  put("classes.txt", "a\nb");
  const given = { inputs, tokenizer, ...options };
  if ("classes" in given) given.classes = at("classes.txt");
  const attempt = async () =>
    read(await loadData(path(), { ...given, ...(path().endsWith(".zip") && { tokenizer: undefined }) }));
  await expect(attempt()).rejects.toThrow(TersorError);
  await expect(attempt()).rejects.toThrow(message);
});
