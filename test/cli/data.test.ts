/**
 * @file Images, texts and recorded feeds through the command: what is opened for calibration and in the processes that
 * compare is the same, and the result says what was read and how.
 */
import { readdirSync } from "node:fs";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TargetMeasurement } from "../../src/analyze/job.ts";
import { record } from "../../src/data/record-node.ts";
import type { QuantizeFileResult } from "../../src/recipe/quantize-file.ts";
import { createRandom } from "../../src/util/random.ts";
import reference from "../reference/texts.json" with { type: "json" };
import { Folder, MLP } from "./models.ts";
import { tersor } from "./run.ts";

const CONV = `conv (float[N, 3, 16, 16] x) => (float[N, 8] y)
  <float[16, 3, 3, 3] a = random(1), float[32, 16, 3, 3] b = random(2), float[32, 8] c = random(3)>
  { p = Conv(x, a) q = Relu(p) r = Conv(q, b) s = Relu(r) t = GlobalAveragePool(s) u = Flatten(t) y = MatMul(u, c) }`;

/** Ids and mask of texts; the mask cuts off what is padding. */
const TEXT = `text (int64[N, L] input_ids, int64[N, L] attention_mask) => (float[N, 16] y)
  <float[120, 64] table = random(1), float[64, 64] w = random(2), float[64, 16] v = random(3), int64[1] axes = {1}, int64[1] last = {2}>
  { e = Gather(table, input_ids) m = Cast <to = 1> (attention_mask) n = Unsqueeze(m, last) h = Mul(e, n)
    s = ReduceSum <keepdims = 0> (h, axes) r = MatMul(s, w) q = Relu(r) y = MatMul(q, v) }`;

const fixtures = new Folder();
const QUICK = ["--target", "node-cpu", "--time", "0", "--no-memory", "--json"];

beforeAll(async () => {
  fixtures.model("conv.onnx", CONV);
  fixtures.model("text.onnx", TEXT);
  fixtures.model("mlp.onnx", MLP);
  const random = createRandom(1);
  for (let i = 0; i < 24; i++) {
    const [width, height] = [20 + random.integer(20), 20 + random.integer(20)];
    const data = Uint8Array.from({ length: width * height * 3 }, () => random.integer(256));
    const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    fixtures.put(`photos/${i < 12 ? "cat" : "dog"}/${i}.png`, bytes);
  }
  const lines = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({ text: `the ${i} quick fox ${"dog ".repeat(i % 7)}` }),
  );
  fixtures.put("texts.jsonl", lines.join("\n"));
  fixtures.put("tokenizer.json", JSON.stringify(reference.tokenizers.wordPiece.file));
});
afterAll(() => fixtures.remove());

/** Quantizes, and says what was measured on. */
async function quantize(...args: string[]): Promise<TargetMeasurement & { readonly changes: readonly string[] }> {
  const { stdout, stderr } = await tersor(["quantize", ...args, "-o", `${args[0]}.out`, ...QUICK], fixtures.path);
  expect(stderr).toBe("");
  const result = JSON.parse(stdout) as QuantizeFileResult;
  return { ...result.targets[0]!, changes: result.report.changes ?? [] };
}

describe("quantize --data", () => {
  it("calibrates and compares on images that share nothing", async () => {
    const result = await quantize(
      "conv.onnx",
      "--data",
      "photos",
      "--calibration-samples",
      "10",
      "--preprocess",
      "imagenet",
    );
    expect(result.dataName).toMatch(
      /^photos\/ \(24 images, 2 classes; by imagenet: shorter side 18, middle 16×16, RGB, .*shuffled$/,
    );
    expect([result.samples, result.seenBefore ?? false, result.generated]).toEqual([14, false, false]);
    expect(result.changes[0]).toMatch(/calibrated on 10 samples/);
    expect(result.shapes).toEqual({ x: [1, 3, 16, 16] });
  });

  it("puts images together, and says where they were seen before", async () => {
    const result = await quantize("conv.onnx", "--data", "photos", "--batch", "8", "--no-shuffle", "--samples", "16");
    expect(result.dataName).toMatch(/assumed: stretched to 16×16, RGB, 0…1, NCHW\), 8 to a sample$/);
    expect([result.samples, result.seenBefore, result.shapes]).toEqual([2, true, { x: [8, 3, 16, 16] }]);
  });

  it("reads texts with the tokenizer beside the model", async () => {
    const result = await quantize(
      "text.onnx",
      "--data",
      "texts.jsonl",
      "--max-length",
      "8",
      "--calibration-samples",
      "20",
      "--batch",
      "4",
    );
    expect(result.dataName).toBe("texts.jsonl (40 texts; tokenizer.json, at most 8 tokens), 4 to a sample");
    expect([result.samples, result.seenBefore ?? false]).toEqual([5, false]);
    expect(result.shapes!["input_ids"]).toEqual(result.shapes!["attention_mask"]);
  });

  it("reads what record() saved from a running application", async () => {
    const session = await InferenceSession.create(fixtures.at("mlp.onnx"));
    const recording = record(session, { samples: 30, path: fixtures.at("feeds") });
    const random = createRandom(2);
    for (let i = 0; i < 40; i++) {
      const data = Float32Array.from({ length: 16 * 64 }, () => random.normal());
      await session.run({ x: new OrtTensor("float32", data, [16, 64]) });
    }
    await recording.done;
    expect(readdirSync(fixtures.at("feeds")).length).toBe(30);
    const result = await quantize("mlp.onnx", "--data", "feeds", "--calibration-samples", "20");
    expect([result.dataName, result.samples]).toEqual(["feeds/ (30 .npz files)", 10]);
    await session.release();
  });
});

it("verify and doctor open the same samples", async () => {
  fixtures.model("pair/model.onnx", CONV);
  fixtures.model("pair/model_copy.onnx", CONV);
  const data = ["--data", "photos", "--preprocess", "signed", "--samples", "6"];
  const verify = await tersor(["verify", "conv.onnx", "pair/model_copy.onnx", ...data, ...QUICK], fixtures.path);
  const doctor = await tersor(["doctor", "pair", ...data, ...QUICK], fixtures.path);
  const [one] = (JSON.parse(verify.stdout) as { targets: TargetMeasurement[] }).targets;
  const [group] = (JSON.parse(doctor.stdout) as { groups: { targets: TargetMeasurement[] }[] }).groups;
  expect(one).toMatchObject({ samples: 6, dataName: expect.stringMatching(/by signed: stretched to 16×16/) });
  expect(group!.targets[0]!.dataName).toBe(one!.dataName);
});
