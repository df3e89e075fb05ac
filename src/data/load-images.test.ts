/** @file Tests of images as data: decoding, labels, order, batches, and what is wrong with them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { TersorError } from "../util/errors.ts";
import { loadData, loadEvaluation } from "./load-node.ts";

const PORT: Port = { name: "pixels", dtype: "float32", shape: ["batch", 3, 2, 2] };
const inputs = [PORT];

let folder: string;
const at = (...parts: string[]): string => join(folder, ...parts);

function put(name: string, content: Uint8Array | string): string {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
  return at(name);
}

/** One colour. */
async function image(name: string, color: readonly [number, number, number], alpha?: number): Promise<string> {
  const [r, g, b] = color;
  const background = alpha === undefined ? { r, g, b } : { r, g, b, alpha };
  const create = { width: 5, height: 3, channels: alpha === undefined ? 3 : 4, background } as const;
  const bytes = await sharp({ create })
    .toFormat(name.split(".").at(-1) as "png")
    .toBuffer();
  return put(name, bytes);
}

async function read(source: DataSource): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source.samples()) samples.push(sample);
  return samples;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tersor-images-"));
  for (let i = 0; i < 12; i++) {
    await image(`photos/${["cat", "dog", "owl"][i % 3]}/${i}.png`, [i * 20, 255 - i * 20, 51]);
  }
  put("photos/.hidden/x.png", "not an image");
  put("photos/README.md", "");
});
afterAll(() => rmSync(folder, { recursive: true }));

it("reads a folder: labels from folders, one order for a seed, what it assumed in the name", async () => {
  const source = await loadData(at("photos"), { inputs });
  expect(source.name).toBe("photos/ (12 images, 3 classes; assumed: stretched to 2×2, RGB, 0…1, NCHW), shuffled");
  expect([source.length, source.classes]).toEqual([12, ["cat", "dog", "owl"]]);
  const samples = await read(source);
  const order = samples.map(({ label }) => label);
  expect([...order.slice(0, 6)].sort()).toEqual([0, 0, 1, 1, 2, 2]);
  expect((await read(source)).map(({ label }) => label)).toEqual(order);
  for (const { inputs: values, label } of samples) {
    const [red] = values["pixels"]!.floats();
    const i = Math.round((red! * 255) / 20);
    expect([values["pixels"]!.dims, label]).toEqual([[1, 3, 2, 2], i % 3]);
    const expected = [i * 20, 255 - i * 20, 51].flatMap((byte) => Array(4).fill(Math.fround(byte / 255)));
    expect(values["pixels"]!.numbers()).toEqual(expected);
  }
  const plain = await read(await loadData(at("photos"), { inputs, shuffle: false }));
  expect(plain.map(({ label }) => label)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
  const other = await read(await loadData(at("photos"), { inputs, seed: 7 }));
  const reds = (some: Sample[]) => some.map(({ inputs: values }) => values["pixels"]!.floats()[0]);
  expect(reds(other)).not.toEqual(reds(samples));
});

it("calibration and evaluation share nothing where enough are left", async () => {
  const reds = (samples: Sample[]) => samples.map((sample) => sample.inputs["pixels"]!.floats()[0]);
  const calibration = reds(await read(await loadData(at("photos"), { inputs, limit: 2 })));
  const evaluation = await loadEvaluation(at("photos"), { inputs, skip: 2, limit: 100 });
  const seen = reds(await read(evaluation.source));
  expect([evaluation.seenBefore, seen.length]).toEqual([false, 10]);
  expect(seen.filter((red) => calibration.includes(red))).toEqual([]);
  const again = await loadEvaluation(at("photos"), { inputs, skip: 5, limit: 100 });
  expect([again.seenBefore, again.source.length]).toEqual([true, 12]);
});

it("fills a batch that the model fixes, and makes others when asked", async () => {
  const four: Port = { ...PORT, shape: [5, 3, 2, 2] };
  const fixed = await loadData(at("photos"), { inputs: [four] });
  const batches = await read(fixed);
  expect([fixed.length, batches.map(({ inputs: values }) => values["pixels"]!.dims[0])]).toEqual([2, [5, 5]]);
  expect((batches[0]!.label as number[]).length).toBe(5);
  const asked = await loadData(at("photos"), { inputs, batch: 8, limit: 10 });
  expect((await read(asked)).map(({ inputs: values }) => values["pixels"]!.dims[0])).toEqual([8, 2]);
  await expect(loadData(at("photos"), { inputs: [four], batch: 4 })).rejects.toThrow(/batch: expected 5, .* got 4/);
  await expect(loadData(at("photos"), { inputs: [four], limit: 3 })).rejects.toThrow(
    /at least 5 samples for one batch, got 3/,
  );
});

it("takes labels from a table, and only its files", async () => {
  const labels = put("labels.csv", "file,label\ncat/0.png,2.5\nowl/2.png,1\n");
  const source = await loadData(at("photos"), { inputs, labels, shuffle: false });
  expect(source.name).toMatch(/^photos\/ \(2 of 12 images, labelled; /);
  expect((await read(source)).map(({ label }) => label)).toEqual([2.5, 1]);
  const classes = put("classes.txt", "owl\ncow\ncat\ndog\n");
  const named = await read(await loadData(at("photos"), { inputs, classes, shuffle: false }));
  expect([named[0]!.label, named[11]!.label]).toEqual([2, 0]);
});

it("reads specifications: presets, files, objects, and one beside the model", async () => {
  const name = async (more: object) => (await loadData(at("photos"), { inputs, ...more })).name;
  expect(await name({ preprocess: "signed" })).toMatch(/by signed: .*\(0…1 − 0\.5\) \/ 0\.5/);
  const file = put("spec.json", '{ "resize": { "width": 2, "height": 2, "filter": "bicubic" }, "color": "bgr" }');
  expect(await name({ preprocess: file })).toMatch(/by spec\.json: stretched to 2×2, bicubic, BGR/);
  expect(await name({ preprocess: { resize: { width: 2, height: 2 } } })).toMatch(/as specified: stretched/);
  const config = '{ "do_resize": true, "size": 2, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5] }';
  put("hub/preprocessor_config.json", config);
  expect(await name({ model: at("hub/onnx/model.onnx") })).toMatch(
    /by preprocessor_config\.json: .*− 0\.5\/0\.5\/0\.5/,
  );
});

it("reads what browsers show: formats, grey, opacity dropped, turned as the camera says", async () => {
  const red = [204, 51, 0] as const;
  const pixels = async (path: string) => {
    const [sample] = await read(
      await loadData(path, { inputs, preprocess: { resize: { width: 2, height: 2 }, scale: 1 } }),
    );
    return sample!.inputs["pixels"]!.numbers();
  };
  const expected = red.flatMap((value) => Array(4).fill(value));
  for (const format of ["png", "webp", "jpeg", "tiff", "gif"]) {
    const values = await pixels(await image(`one/a.${format}`, red));
    // Lossy formats are off by a little.
    values.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!), format).toBeLessThanOrEqual(format === "png" ? 0 : 4);
    });
  }
  expect(await pixels(await image("one/alpha.png", red, 0.5))).toEqual(expected);
  const grey = await sharp(Buffer.from([10, 20, 30, 40]), { raw: { width: 2, height: 2, channels: 1 } })
    .png()
    .toBuffer();
  expect(await pixels(put("one/grey.png", grey))).toEqual([10, 20, 30, 40, 10, 20, 30, 40, 10, 20, 30, 40]);
  const turned = await sharp(Buffer.from([10, 20]), { raw: { width: 2, height: 1, channels: 1 } })
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer();
  const [sample] = await read(
    await loadData(put("one/turned.png", turned), {
      inputs: [{ ...PORT, shape: [1, 1, "height", "width"] }],
      preprocess: { scale: 1 },
    }),
  );
  expect([sample!.inputs["pixels"]!.dims, sample!.inputs["pixels"]!.numbers()]).toEqual([
    [1, 1, 2, 1],
    [10, 20],
  ]);
});

it.each<[string, () => string, () => object, RegExp]>([
  [
    "a torn image",
    () => put("torn/a.png", "PNG"),
    () => ({}),
    /a\.png: expected an image that sharp reads, got: .*Convert it/,
  ],
  [
    "a specification that is not there",
    () => at("photos"),
    () => ({ preprocess: "nowhere.json" }),
    /nowhere\.json: expected a file, found nothing there/,
  ],
  [
    "one that is no JSON",
    () => at("photos"),
    () => ({ preprocess: put("bad.json", "{,") }),
    /bad\.json: expected JSON, got: /,
  ],
  [
    "a table of other files",
    () => at("photos"),
    () => ({ labels: put("other.csv", "x.png,1\n") }),
    /other\.csv: expected files of photos\/, got x\.png/,
  ],
  [
    "a tokenizer",
    () => at("photos"),
    () => ({ tokenizer: "t.json" }),
    /option "tokenizer": expected options for images, got one for texts/,
  ],
  ["a batch of half", () => at("photos"), () => ({ batch: 1.5 }), /option "batch": .*int/],
  [
    "a model of something else",
    () => at("photos"),
    () => ({ inputs: [{ ...PORT, shape: [1, 10] }] }),
    /\[N, C, H, W\].*got pixels/,
  ],
])("says what is wrong: %s", async (_, path, options, message) => {
  const attempt = async () => read(await loadData(path(), { inputs, ...options() }));
  await expect(attempt()).rejects.toThrow(TersorError);
  await expect(attempt()).rejects.toThrow(message);
});
