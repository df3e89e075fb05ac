/**
 * @file Bad inputs tried: what is typed, the exit status, and the words that the message must have (what, where,
 * expected, got, what to do). After each the output is as it was, and nothing is left behind.
 */
import { existsSync, linkSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeFixtures } from "./bad-input-fixtures.ts";
import { Folder } from "./models.ts";
import { type Finished, inParallel, tersor } from "./run.ts";

interface Case {
  /** The command line; "../" is the folder of the fixtures. */
  readonly run: string;
  /** 1: a file that was asked about does not load; 2: bad usage or input. */
  readonly status: 1 | 2;
  readonly says: RegExp;
  /** Prepares the case's own folder. */
  readonly prepare?: (folder: string) => void;
}

/** Without measuring: what fails before is what is tested. */
const FAST = "--scheme weight-int8 --no-check";
const ONE = "--target node-cpu --time 0 --no-memory";
const copyOfInput = (folder: string): void => writeFileSync(join(folder, "in.onnx"), mlp());
let mlp: () => Uint8Array;

const bad = (run: string, says: RegExp, more: Partial<Case> = {}): Case => ({ run, says, status: 2, ...more });

const CASES: readonly Case[] = [
  // Not a model.
  bad("inspect ../text.onnx", /text\.onnx: expected an ONNX model, got a text file\. Give the \.onnx file/),
  bad("inspect ../page.onnx", /page\.onnx: expected an ONNX model, got an HTML page \(a failed download\?\)/),
  bad("inspect ../zip.onnx", /zip\.onnx: expected an ONNX model, got a zip archive/),
  bad("inspect ../array.onnx", /array\.onnx: expected an ONNX model, got a NumPy \.npy file/),
  bad("inspect ../pointer.onnx", /expected an ONNX model, got a Git LFS pointer/),
  bad("inspect ..", /\.\.: expected a model file, got a folder\. Give the \.onnx file in it/),
  bad("inspect ../nowhere.onnx", /nowhere\.onnx: expected a model file, found nothing there\. Check the path/),
  bad("inspect ../mlp.onnx/x", /mlp\.onnx\/x: expected a model file, found nothing there/),
  bad("inspect /dev/null", /\/dev\/null: expected a model file, got a pipe or device/),
  bad("inspect ../empty.onnx", /empty\.onnx: expected an ONNX model, got an empty file\. Was the download/),
  bad("inspect ../cut-5.onnx", /cut-5\.onnx: .*the end of the data .*The file is damaged, truncated/),
  bad("inspect ../cut-60.onnx", /cut-60\.onnx: .*expected .* got .*truncated/),
  bad("inspect ../cut-20000.onnx", /cut-20000\.onnx: .*expected .* got .*truncated/),
  bad("quantize ../cut-end.onnx -o OUT", /cut-end\.onnx: .*expected .* got .*truncated/),
  bad("verify ../cut-end.onnx", /cut-end\.onnx: .*truncated/),
  bad(
    "inspect ../newer.onnx",
    /newer\.onnx: expected IR version 14 or older, got 99 .*Export with an older ONNX, or update/,
  ),
  bad("quantize ../dangling.onnx -o OUT", /dangling\.onnx: .*node "y" \(Add\): expected its input "nowhere" to be/),
  bad(
    "quantize ../quantized.onnx -o OUT",
    /quantized\.onnx: .*\(QuantizeLinear\).*quantized already\. Give the original/,
  ),
  bad(
    `quantize ../quantized.onnx -o OUT ${FAST}`,
    /expected weights that can be quantized, found none.*Nothing was written/,
  ),
  bad("quantize ../relu.onnx -o OUT", /relu\.onnx: expected weights that can be quantized, found none/),

  // External data.
  bad(
    "inspect ../missing/model.onnx",
    /"weights\.bin": expected the file .*missing\/weights\.bin, found nothing there\. Put/,
  ),
  bad(
    "inspect ../short/model.onnx",
    /short\/model\.onnx: .*tensor "w1": expected 32768 bytes .* got a file of 5000 bytes.*cut off/,
  ),
  bad(
    "inspect ../outside/dots.onnx",
    /"\.\.\/data\.bin": expected a path within the model's folder, got one with "\.\.".*--allow-external-outside/,
  ),
  bad(
    "quantize ../outside/absolute.onnx -o OUT",
    /expected a path within the model's folder, got an absolute path.*--allow/,
  ),
  bad("verify ../outside/link.onnx", /"link\.bin": .*got a link that leads out of it.*--allow-external-outside/),

  // Where the result goes.
  bad(
    `quantize ../mlp.onnx ${FAST} -o ../mlp.onnx/out.onnx`,
    /a part of its path is a file, not a folder\. Choose another output/,
  ),
  bad(
    `quantize ../mlp.onnx ${FAST} -o /proc/out.onnx`,
    /\/proc\/out\.onnx: .*Choose another output with -o; nothing was written/,
  ),
  bad(
    `quantize ../mlp.onnx ${FAST} -o /proc/new/deep/out.onnx`,
    /\/proc\/new\/deep\/out\.onnx: .*Choose another output/,
  ),
  bad(
    `quantize ../mlp.onnx ${FAST} -o /sys/out.onnx`,
    /\/sys\/out\.onnx: its folder may not be written.*Choose another/,
  ),
  bad(`quantize ../mlp.onnx ${FAST} -o .`, /\.: expected a file name, got a folder\. Give the name of the \.onnx file/),
  bad(`quantize ../mlp.onnx ${FAST} -o new/`, /new\/: expected a file name, got a folder/),
  bad(`quantize in.onnx ${FAST} -o in.onnx`, /expected another file than the input, got the input itself/, {
    prepare: copyOfInput,
  }),
  bad(`quantize in.onnx ${FAST} -o ./in.onnx`, /got the input itself\. The original is never overwritten/, {
    prepare: copyOfInput,
  }),
  bad(`quantize in.onnx ${FAST} -o soft.onnx`, /soft\.onnx: .*got the input itself/, {
    prepare(folder) {
      copyOfInput(folder);
      symlinkSync("in.onnx", join(folder, "soft.onnx"));
    },
  }),
  bad(`quantize in.onnx ${FAST} -o hard.onnx`, /hard\.onnx: .*got the input itself/, {
    prepare(folder) {
      copyOfInput(folder);
      linkSync(join(folder, "in.onnx"), join(folder, "hard.onnx"));
    },
  }),
  bad(
    `quantize ../taken/input.onnx ${FAST} -o ../taken/model.onnx`,
    /model\.onnx_data is the input's own.*choose another output/,
  ),
  bad(`quantize ../taken/input.onnx ${FAST} -o ../taken/model.onnx_data`, /got the input itself/),

  // Usage.
  bad("quantise ../mlp.onnx", /unknown command 'quantise'\s+\(Did you mean quantize\?\)/),
  bad("quantize", /missing required argument 'model'/),
  bad("quantize ../mlp.onnx ../relu.onnx", /too many arguments/),
  bad("quantize ../mlp.onnx -o OUT --tagret node-cpu", /unknown option '--tagret'\s+\(Did you mean --target\?\)/),
  bad(
    "quantize ../mlp.onnx -o OUT --scheme int3",
    /--scheme: expected auto, dynamic-int8, .*got int3\. See tersor quantize --help/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --target node",
    /--target.* Expected one or more of node-cpu, web-wasm, web-webgpu, tensorrt, openvino, got node/,
  ),
  bad("quantize ../mlp.onnx -o OUT --target ,", /--target.* Expected one or more of node-cpu/),
  bad(
    "quantize ../mlp.onnx -o OUT --shape 1,64",
    /--shape.* Expected an input's name and its dimensions, such as x=1,3,224,224/,
  ),
  bad("quantize ../mlp.onnx -o OUT --shape x=1,wide", /--shape.* Expected an input's name and its dimensions/),
  bad("quantize ../mlp.onnx -o OUT --shape x=", /--shape.* Expected an input's name and its dimensions/),
  bad("quantize ../mlp.onnx -o OUT --time soon", /--time.* Expected a time such as 3s, 500ms or 2m/),
  bad("quantize ../mlp.onnx -o OUT --samples 0", /--samples.* Expected a whole number from 1 up/),
  bad("quantize ../mlp.onnx -o OUT --threads 1.5", /--threads.* Expected a whole number from 1 up/),
  bad("quantize ../mlp.onnx -o OUT --min-sqnr loud", /--min-sqnr.* Expected a number/),
  bad("quantize ../mlp.onnx -o OUT --min-elements 0", /option "minElements": .*>=1/),
  bad("quantize ../mlp.onnx -o OUT --storage zip", /--storage.* Allowed choices are cast, dequantize-linear/),
  bad(
    "quantize ../mlp.onnx -o OUT --scheme weight-int8 --reduce-range on",
    /\(--reduce-range\): expected an option of weight-int8, got one of dynamic-int8, static-int8\. Leave it out/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --scheme static-int8",
    /static-int8: expected calibration data, got none\. Give samples with --data/,
  ),
  bad(
    "verify ../mlp.onnx --target web-webgpu --browser ../nowhere",
    /nowhere: expected the program of a Chrome, Chromium or Edge, found none there\. --browser auto/,
  ),
  bad("verify ../mlp.onnx --serve --target node-cpu", /--target: expected web-wasm or web-webgpu with --serve/),
  bad("verify ../mlp.onnx --serve --cert ../mlp.onnx", /--cert, --key: expected both, got only --cert/),
  bad("verify ../mlp.onnx --serve --ort-web ../data", /data: expected a folder of onnxruntime-web/),
  bad("inspect ../mlp.onnx --tensors many", /--tensors.* Expected a number/),
  bad("doctor ../nowhere", /nowhere: expected a folder or a model file, found nothing there/),
  bad("doctor ../data", /data: expected \.onnx files, found none\. Give a folder with models/),
  bad("doctor ../taken --original ../nowhere.onnx", /nowhere\.onnx: expected a model file, found nothing there/),

  // Samples.
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/nowhere",
    /data\/nowhere: expected a file or folder, got a path where there is none/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/empty",
    /data\/empty: expected \.npz or \.npy files, or images, got an empty folder\. Save one \.npz per sample/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/table.csv",
    /table\.csv: expected \.npz, \.npy, images, .* or a module .*got \.csv/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/names.npz",
    /names\.npz: expected the model's inputs, got "input": missing "x".*takes x \(float32 \[batch, 64\]\)/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/dtype.npz",
    /dtype\.npz: input "x": expected float32, got float64\. Save as float32/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/rank.npz",
    /input "x": expected shape \[batch, 64\], got \[64\]\. The batch dimension is missing/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/dim.npz",
    /input "x": expected shape \[batch, 64\], got \[1, 63\]\. Bring the data/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/cut.npz",
    /cut\.npz: expected a zip archive, got one that is cut off or damaged.*Save it again/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/cut.npy",
    /cut\.npy: expected 256 bytes of data .* got 72 .*The file is cut off/,
  ),
  bad(
    "quantize ../embedding.onnx -o OUT --data ../data/good.npz",
    /missing "ids", "bias", "x" is not an input.*takes ids \(int64/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/exports.mjs",
    /exports\.mjs: expected an exported function calibration\(\) or evaluation\(\), got exports samples/,
  ),
  bad("quantize ../mlp.onnx -o OUT --data ../data/import.mjs", /import\.mjs: cannot be loaded: boom/),
  bad("quantize ../mlp.onnx -o OUT --data ../data/syntax.mjs", /syntax\.mjs: cannot be loaded: /),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/throws.mjs",
    /calibration\(\) of .*throws\.mjs: it threw RangeError: boom \(at .*throws\.mjs:2\)\. Correct the module/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/none.mjs",
    /none\.mjs: expected samples from calibration\(\), got none/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/plain.mjs",
    /sample 1: expected \{ inputs: \{ name: tensor \}, label\? \}/,
  ),
  bad(
    `verify ../mlp.onnx ${ONE} --data ../data/score-throws.mjs`,
    /score\(\) .*score-throws\.mjs: it threw TypeError: boom\. Correct the module/,
  ),
  bad(
    `verify ../mlp.onnx ${ONE} --data ../data/score-text.mjs`,
    /score\(\) .*score-text\.mjs: expected a number, got "good"/,
  ),
  bad(
    "quantize ../picky.onnx -o OUT --shape x=1,3,9,9",
    /picky\.onnx: it does not run with x \[1, 3, 9, 9\]: Reshape: .*Give its real shapes with --shape/,
  ),
  bad(
    "quantize ../picky.onnx -o OUT --shape pixels=1,3,9,9",
    /shape of "pixels": expected the name of an input\. The model has x/,
  ),
  bad(
    "quantize ../picky.onnx -o OUT --shape x=1,4,9,9",
    /shape of "x": expected \[1, 3, height, width\], got \[1, 4, 9, 9\]/,
  ),
  bad("quantize ../picky.onnx -o OUT", /picky\.onnx: it does not run with none of|picky\.onnx: .*none of 13 guesses/),

  // Images and texts.
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos --preprocess ../data/nowhere.json",
    /nowhere\.json: expected a file, found nothing there\. Check the path/,
  ),
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos --preprocess ../data/unknown.json",
    /unknown\.json: unknown key sizes\. Keys are: input, color, resize/,
  ),
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos --preprocess ../data/large.json",
    /large\.json: "resize\.width": expected 8 for x \(float32 \[N, 3, 8, 8\]\), got 9/,
  ),
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos",
    /photos\/torn\.png: expected an image that sharp reads, got: .*Convert it to PNG/,
  ),
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos --labels ../data/table.csv",
    /table\.csv, line 1: expected a file and its label, got 3 columns.*file,label/,
  ),
  bad(
    "quantize ../conv.onnx -o OUT --data ../data/photos --tokenizer ../data/nowhere.json",
    /photos\/: option "tokenizer": expected options for images, got one for texts\. Leave it out/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --data ../data/photos",
    /photos\/: expected an input for images \[N, C, H, W\] .*got x \(float32 \[batch, 64\]\)/,
  ),
  bad(
    "quantize ../picky.onnx -o OUT --data ../data/photos",
    /expected to be told the size of images.*x \(float32 \[1, 3, height, width\]\)\. Say .*--preprocess imagenet/,
  ),
  bad(
    "quantize ../embedding.onnx -o OUT --data ../data/texts.jsonl",
    /texts\.jsonl: expected a tokenizer for texts, got none\. Give .*--tokenizer/,
  ),
  bad(
    "quantize ../embedding.onnx -o OUT --data ../data/texts.jsonl --tokenizer ../data/large.json",
    /texts\.jsonl: input "ids": expected inputs that a text gives \(input_ids, .*Write a module/,
  ),
  bad(
    "quantize ../ids.onnx -o OUT --data ../data/texts.jsonl --tokenizer ../data/large.json",
    /large\.json: expected a Hugging Face tokenizer\.json .*got other JSON/,
  ),
  bad(
    "quantize ../ids.onnx -o OUT --data ../data/texts.jsonl --tokenizer ../data/tokenizer.json",
    /texts\.jsonl, line 2: expected JSON, got: .*Plain text goes into a \.txt file/,
  ),
  bad(
    "quantize ../few-ids.onnx -o OUT --data ../data/words.txt --tokenizer ../data/tokenizer.json",
    /expected values that the model runs on, got: .*Gather.*texts its own tokenizer/,
  ),
  bad(
    "quantize ../mlp.onnx -o OUT --preprocess imagenet",
    /--preprocess: expected --data with samples that it says something about, got none/,
  ),
  bad(
    "verify ../mlp.onnx --data ../data/good.mjs --shuffle",
    /shuffle: expected data that can be read in any order, got evaluation\(\) of good\.mjs/,
  ),
  bad("quantize ../mlp.onnx -o OUT --data ../data/good.npz --batch 0", /option "batch": .*>=1/),

  // Models that no runtime loads.
  bad(
    "quantize ../unknown-op.onnx -o OUT",
    /unknown-op\.onnx: expected a model that onnxruntime-node .* loads, got: .*No Op registered for Frobnicate/,
  ),
  bad(
    `quantize ../unknown-op.onnx -o OUT --scheme weight-int8 ${ONE}`,
    /unknown-op\.onnx on node-cpu: expected the original to load and run, got: .*Frobnicate.*Nothing was written/,
  ),
  bad(
    `verify ../unknown-op.onnx ${ONE}`,
    /unknown-op\.onnx on node-cpu: expected a model to load and run, got: .*Frobnicate/,
    { status: 1 },
  ),
];

describe("bad inputs", () => {
  const fixtures = new Folder();
  const results = new Map<Case, { finished: Finished; changed: string[] }>();

  beforeAll(async () => {
    makeFixtures(fixtures);
    mlp = () => readFileSync(fixtures.at("mlp.onnx"));
    const untouched = snapshot(fixtures.path);
    await inParallel([...CASES.entries()], 3, async ([index, entry]) => {
      const folder = join(fixtures.path, `case-${index}`);
      // An old output is there in every second case: it must stay; in the others none may appear.
      fixtures.put(`case-${index}/.keep`, "");
      if (index % 2 === 0) fixtures.put(`case-${index}/out.onnx`, "old");
      entry.prepare?.(folder);
      const before = snapshot(folder);
      const args = entry.run.split(" ").map((part) => (part === "OUT" ? "out.onnx" : part));
      const finished = await tersor(args, folder);
      results.set(entry, { finished, changed: difference(before, snapshot(folder)) });
    });
    expect(difference(untouched, snapshot(fixtures.path))).toEqual([]);
  }, 600_000);
  afterAll(() => fixtures.remove());

  it.each(CASES)("$run", (entry) => {
    const { finished, changed } = results.get(entry)!;
    const { status, stdout, stderr } = finished;
    expect(stderr).toMatch(entry.says);
    expect(status).toBe(entry.status);
    // No stack trace, no promise of a bug where the input is at fault, nothing among the results.
    expect(stderr).not.toMatch(/^\s+at |unexpected error/m);
    expect(stdout).toBe("");
    expect(changed).toEqual([]);
  });

  it("says it as JSON, too, where that was asked for", async () => {
    const { status, stdout, stderr } = await tersor(["verify", "nowhere.onnx", "--json"], fixtures.path);
    const { ok, error } = JSON.parse(stdout) as { ok: boolean; error: { name: string; message: string } };
    expect([status, ok, error.name]).toEqual([2, false, "InputError"]);
    expect(error.message).toMatch(/nowhere\.onnx: expected a model file, found nothing there/);
    expect(stderr).toContain(error.message);
  });
});

describe("--allow-external-outside", () => {
  const fixtures = new Folder();
  beforeAll(() => makeFixtures(fixtures));
  afterAll(() => fixtures.remove());

  it("lets data outside of the folder through, although no runtime reads them there", async () => {
    const names = ["dots", "absolute", "link"];
    await inParallel(names, 2, async (name) => {
      const args = ["quantize", `outside/${name}.onnx`, "-o", `${name}.onnx`, "--scheme", "weight-int8"];
      const { status, stderr } = await tersor([...args, ...ONE.split(" "), "--allow-external-outside"], fixtures.path);
      expect([name, status, stderr]).toEqual([name, 0, ""]);
      expect(existsSync(fixtures.at(`${name}.onnx`))).toBe(true);
    });
    const args = ["verify", "outside/dots.onnx", "outside/link.onnx", "--allow-external-outside", ...ONE.split(" ")];
    expect(await tersor(args, fixtures.path)).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(fixtures.path).filter((name) => name.startsWith(".tersor-"))).toEqual([]);
  });
});

/** Contents of the files in a folder, by name; folders by their name alone. */
function snapshot(folder: string): Map<string, string> {
  return new Map(
    readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith("case-"))
      .map((entry) => [entry.name, entry.isDirectory() ? "" : readFileSync(join(folder, entry.name), "latin1")]),
  );
}

function difference(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}
