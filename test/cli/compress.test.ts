/**
 * @file `tersor compress` as a user runs it: files, exit statuses, what it says, and that its files are those of the command
 * that it names.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openModel } from "../../src/recipe/open.ts";
import { Folder } from "./models.ts";
import { type Finished, startTersor, tersor } from "./run.ts";

/** Rows enough that 8-bit products are worth it, and classes to agree on. */
const CLASSIFIER = `classifier (float[64, 64] x) => (float[64, 16] y)
  <float[64, 128] w1 = random(1), float[128] b1 = random(2), float[128, 16] w2 = random(3)>
  { h = MatMul(x, w1) hb = Add(h, b1) hr = Relu(hb) y = MatMul(hr, w2) }`;

const DATA = `
function* make(seed, count) {
  const next = () => (seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  for (let i = 0; i < count; i++) {
    yield { inputs: { x: { dtype: "float32", dims: [64, 64], data: Float32Array.from({ length: 4096 }, next) } } };
  }
}
export const calibration = () => make(1, 20);
export const evaluation = () => make(2, 60);
`;

const fixtures = new Folder();
beforeAll(() => {
  fixtures.model("model.onnx", CLASSIFIER);
  fixtures.put("data.mjs", DATA);
});
afterAll(() => fixtures.remove());

const COMPRESS = ["compress", "model.onnx", "--data", "data.mjs", "--target", "node-cpu"];
const json = ({ stdout }: Finished): Readonly<Record<string, never>> => JSON.parse(stdout);
const list = (folder: string): string[] =>
  existsSync(fixtures.at(folder)) ? readdirSync(fixtures.at(folder)).sort() : [];

/** Noise, brighter in the pictures of "light". */
async function pictures(): Promise<void> {
  for (const [folder, base] of [
    ["dark", 20],
    ["light", 150],
  ] as const) {
    for (let i = 0; i < 24; i++) {
      const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, at) => base + ((at * 7919 + i * 104729) % 100));
      const raw = { width: 16, height: 16, channels: 3 } as const;
      fixtures.put(`photos/${folder}/${i}.png`, await sharp(data, { raw }).png().toBuffer());
    }
  }
}

describe("tersor compress", () => {
  it("reads images as the other commands do, and names how in the command and in the report", async () => {
    await pictures();
    const conv = "float[32, 3, 16, 16] w = random(1), float[32, 2] v = random(2)";
    fixtures.model(
      "pictures.onnx",
      `net (float[1, 3, 16, 16] x) => (float[1, 2] y) <${conv}> { c = Conv(x, w) r = Relu(c) f = Flatten(r) y = MatMul(f, v) }`,
    );
    const args = ["compress", "pictures.onnx", "-o", "seen", "--data", "photos", "--preprocess", "signed"];
    const more = ["--target", "node-cpu", "--max-drop", "20pt", "--time", "4s", "--report", "seen.html", "--json"];
    const done = await tersor([...args, ...more], fixtures.path);
    const result = json(done) as unknown as { settings: { load: object }; targets: { command: string }[] };
    expect(result.settings.load).toMatchObject({ preprocess: "signed" });
    expect(result.targets[0]!.command).toContain("--data photos --preprocess signed");
    expect(readFileSync(fixtures.at("seen.html"), "utf8")).toContain("What was tried");
    expect([0, 1]).toContain(done.status);
  });

  it("writes a proven file, which the command that it names makes again, and takes up what it has tried", async () => {
    const args = [...COMPRESS, "-o", "out", "--max-drop", "5pt", "--prefer", "size", "--time", "5s", "--json"];
    const first = await tersor(args, fixtures.path);
    expect(first.status, first.stderr).toBe(0);
    const result = json(first) as unknown as {
      files: { path: string; byteLength: number; candidate: { scheme: string } }[];
      targets: { target: string; command: string; proof: { ok: boolean; drops: unknown[] } }[];
      tried: { name: string }[];
      reused: number;
      timeUp: boolean;
      ok: boolean;
    };
    expect(result.ok).toBe(true);
    expect(list("out")).toEqual(["compress.json", "model.int8.onnx"]);
    const bytes = readFileSync(fixtures.at("out/model.int8.onnx"));
    expect(bytes.byteLength).toBe(result.files[0]!.byteLength);
    expect(bytes.byteLength).toBeLessThan(0.5 * readFileSync(fixtures.at("model.onnx")).byteLength);
    expect(result.targets[0]).toMatchObject({ target: "node-cpu", proof: { ok: true } });
    expect(JSON.parse(readFileSync(fixtures.at("out/compress.json"), "utf8")).tried).toHaveLength(result.tried.length);

    const command = result.targets[0]!.command.split(" ").slice(1);
    const made = await tersor(
      [...command.map((word) => word.replace("out/model", "again")), "--no-check"],
      fixtures.path,
    );
    expect(made.status, made.stderr).toBe(0);
    expect(readFileSync(fixtures.at("again.int8.onnx")).equals(bytes)).toBe(true);

    const again = json(await tersor(args, fixtures.path)) as unknown as typeof result;
    expect(again.reused).toBeGreaterThan(0);
    expect(again.ok).toBe(true);
    expect(readFileSync(fixtures.at("out/model.int8.onnx")).byteLength).toBe(again.files[0]!.byteLength);
  }, 60_000);

  it("writes no model where nothing keeps to the budget, and says what stands in the way", async () => {
    // What no 8-bit file reaches: not one of thousands of answers may differ.
    const args = [...COMPRESS, "-o", "missed", "--max-drop", "0.0001pt", "--time", "4s"];
    const { status, stdout } = await tersor(args, fixtures.path);
    expect(status).toBe(1);
    expect(list("missed")).toEqual(["compress.json"]);
    expect(stdout).toContain("nothing within the budget");
    expect(stdout).toContain("nearest");
    expect(stdout).toMatch(/! agreement with the original loses .* over 0\.0001pt/s);
    expect(stdout).toContain("NOT OK: nothing keeps to the budget on node-cpu");
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  }, 60_000);

  it("proves the first file whatever the time, without samples only with schemes that need none", async () => {
    const args = ["compress", "model.onnx", "--time", "0", "--target", "node-cpu", "--json", "--max-drop", "50pt"];
    const result = json(await tersor(args, fixtures.path)) as unknown as {
      files: { candidate: { scheme: string } }[];
      tried: { scheme: string; proofs: Record<string, { judgement: { usable: boolean } }> }[];
      originals: { generated: boolean }[];
      timeUp: boolean;
    };
    const proven = result.tried.filter(({ proofs }) => proofs["node-cpu"] !== undefined);
    expect(proven.map(({ scheme }) => scheme)).toEqual(["weight-int8"]);
    expect(proven[0]?.proofs["node-cpu"]?.judgement.usable).toBe(true);
    expect(result.originals[0]?.generated).toBe(true);
    expect(result.timeUp).toBe(true);
    // A millisecond of timed runs may by chance call a file slower that takes as long: then it is proven, and not taken.
    const taken = result.files.length > 0;
    expect(list("model-compressed")).toEqual(taken ? ["compress.json", "model.int8.onnx"] : ["compress.json"]);
    if (taken) expect(openModel(fixtures.at("model-compressed/model.int8.onnx")).model().graph.outputs).toHaveLength(1);
  }, 60_000);

  it("leaves nothing behind when it is cancelled", async () => {
    const { child, finished } = startTersor([...COMPRESS, "-o", "cancelled", "--time", "30s"], fixtures.path);
    while (child.exitCode === null && !existsSync(fixtures.at("cancelled"))) await sleep(5);
    await sleep(300);
    child.kill("SIGINT");
    const { status, stderr } = await finished;
    expect(status).toBe(130);
    expect(stderr).toContain("cancelled; nothing was written");
    expect(existsSync(fixtures.at("cancelled"))).toBe(false);
  }, 60_000);

  it.each([
    [["--prefer", "beauty"], "beauty"],
    [["--time", "soon"], "Expected a time"],
    [["--max-drop", "much"], "1pt"],
    [["--target", "abacus"], "abacus"],
    [["--data", "nowhere/"], "nowhere"],
    [["--metric", "taste"], "taste"],
  ])("refuses %s", async (flags, text) => {
    const { status, stderr } = await tersor(["compress", "model.onnx", "-o", "bad", ...flags], fixtures.path);
    expect(status).toBe(2);
    expect(stderr).toContain(text);
    expect(existsSync(fixtures.at("bad"))).toBe(false);
  });

  it("refuses a model that is quantized already, and a folder that is a file", async () => {
    await tersor(
      ["quantize", "model.onnx", "-o", "q.onnx", "--scheme", "dynamic-int8", "--force", "--no-check"],
      fixtures.path,
    );
    const quantized = await tersor(["compress", "q.onnx", "--time", "0"], fixtures.path);
    expect(quantized.status).toBe(2);
    expect(quantized.stderr).toContain("q.onnx");
    const file = await tersor(["compress", "model.onnx", "-o", "data.mjs", "--time", "0"], fixtures.path);
    expect(file.status).toBe(2);
    expect(file.stderr).toContain("is a file, not a folder");
  }, 60_000);
});
