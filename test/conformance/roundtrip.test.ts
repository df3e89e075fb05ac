/**
 * @file The models of ONNX's own test suite (Debian's libonnx-testdata) through our codec and graph: the messages must
 * be those that another protobuf implementation reads, and ONNX Runtime must compute the same from them.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createRegistry, equals, fromBinary } from "@bufbuild/protobuf";
import { file_onnx, ModelProtoSchema } from "onnx-buf";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { fromOnnx } from "../../src/graph/from-onnx.ts";
import { toOnnx } from "../../src/graph/to-onnx.ts";
import { decodeModel, decodeTensor } from "../../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../../src/onnx/encode.ts";
import type { ModelProto } from "../../src/onnx/messages.ts";
import { tensorFromProto } from "../../src/onnx/tensor-proto.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

const FOLDER = process.env.TERSOR_ONNX_TESTDATA ?? "/usr/share/libonnx-testdata/data";
const AVAILABLE = existsSync(FOLDER);
const MODELS = AVAILABLE ? findModels(FOLDER) : [];

/** Debian's package of ONNX 1.12 has 1,072; fewer means that the data are incomplete. */
const FEWEST_MODELS = 1072;

/** ONNX's backend tests: `|got - expected| <= ATOL + RTOL · |expected|`; the absolute part is ours, for zeros. */
const RTOL = 1e-3;
const ATOL = 1e-5;

function findModels(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".onnx"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function rewrite(bytes: Uint8Array): Uint8Array {
  return joinChunks(encodeModel(toOnnx(fromOnnx(decodeModel(bytes)))));
}

if (!AVAILABLE)
  console.warn(`No ONNX test data in ${FOLDER}: apt-get install libonnx-testdata, or TERSOR_ONNX_TESTDATA.`);

describe.skipIf(!AVAILABLE && !process.env.CI)("the models of ONNX's test suite", () => {
  it("are all there", () => {
    expect(MODELS.length).toBeGreaterThanOrEqual(FEWEST_MODELS);
  });

  it("decode, become a graph and encode to what protobuf-es reads from the original", () => {
    const different: string[] = [];
    let sameBytes = 0;
    for (const path of MODELS) {
      const bytes = readFileSync(path);
      const written = rewrite(bytes);
      const before = fromBinary(ModelProtoSchema, bytes);
      const after = fromBinary(ModelProtoSchema, written);
      if (!equals(ModelProtoSchema, before, after, { registry: createRegistry(file_onnx), unknown: true }))
        different.push(path);
      if (bytes.equals(written)) sameBytes++;
    }
    console.log(`${MODELS.length} models: ${MODELS.length - different.length} equal, ${sameBytes} byte for byte`);
    expect(different).toEqual([]);
  });

  it("compute the same in ONNX Runtime before and after", async () => {
    const counts = { loads: 0, runs: 0, passes: 0, same: 0, random: 0, "does not load": 0, "does not run": 0 };
    const different: string[] = [];
    for (const path of MODELS) {
      const bytes = readFileSync(path);
      const before = await outputsOf(bytes, path);
      if (before.state !== "does not load") counts.loads++;
      if (before.state !== "runs") {
        counts[before.state]++;
        continue;
      }
      counts.runs++;
      if (before.passes) counts.passes++;
      const after = await outputsOf(rewrite(bytes), path);
      if (after.state === "runs" && same(before.outputs, after.outputs)) counts.same++;
      else if (await isRandom(bytes, path, before.outputs)) counts.random++;
      else different.push(path);
    }
    console.log(
      Object.entries(counts)
        .map(([what, count]) => `${what}: ${count}`)
        .join(", "),
    );
    expect(different).toEqual([]);
    expect(counts.same + counts.random).toBe(counts.runs);
    expect(counts.passes).toBeGreaterThan(0);
  });
});

type Outputs = readonly ort.Tensor[];

type Result =
  | { readonly state: "does not load" | "does not run" }
  | { readonly state: "runs"; readonly outputs: Outputs; readonly passes: boolean };

const QUIET: ort.InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 4,
};

/** Runs all data sets of the model beside `path`. */
async function outputsOf(bytes: Uint8Array, path: string): Promise<Result> {
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(bytes, QUIET);
  } catch {
    return { state: "does not load" };
  }
  try {
    const model = decodeModel(bytes);
    const outputs: ort.Tensor[] = [];
    let passes = true;
    const sets = readdirSync(dirname(path)).filter((name) => name.startsWith("test_data_set_"));
    for (const set of sets.sort()) {
      const folder = join(dirname(path), set);
      const result = await session.run(feedsOf(model, folder));
      const got = session.outputNames.map((name) => result[name] as ort.Tensor);
      if (got.some((tensor) => !ArrayBuffer.isView(tensor.data) && !Array.isArray(tensor.data))) {
        return { state: "does not run" };
      }
      passes &&= got.every((tensor, i) => agrees(tensor, readTensor(join(folder, `output_${i}.pb`))));
      outputs.push(...got);
    }
    return { state: "runs", outputs, passes };
  } catch {
    // Types that onnxruntime-node cannot hand over (sequences, optionals, bfloat16), or no kernel.
    return { state: "does not run" };
  } finally {
    await session.release();
  }
}

function feedsOf(model: ModelProto, folder: string): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const name of readdirSync(folder)) {
    const index = /^input_(\d+)\.pb$/.exec(name)?.[1];
    if (index === undefined) continue;
    const info = model.graph?.input?.[Number(index)];
    if (info?.type?.tensorType === undefined) throw new TypeError(`${basename(folder)}: input ${index} is no tensor`);
    feeds[info.name ?? ""] = toOrt(readTensor(join(folder, name)));
  }
  return feeds;
}

function readTensor(path: string): Tensor {
  return tensorFromProto(decodeTensor(readFileSync(path)));
}

function toOrt(tensor: Tensor): ort.Tensor {
  if (tensor.strings !== undefined) return new ort.Tensor("string", [...tensor.strings], [...tensor.dims]);
  // A copy: ONNX Runtime wants its own alignment.
  const data = tensor.data().slice() as Float32Array;
  return new ort.Tensor(tensor.dtype as "float32", data, [...tensor.dims]);
}

function agrees(got: ort.Tensor, expected: Tensor): boolean {
  if (got.dims.join() !== expected.dims.join()) return false;
  if (expected.strings !== undefined) return expected.strings.every((text, i) => got.data[i] === text);
  if (got.type !== expected.dtype) return false;
  const [a, b] = [toNumbers(got), expected.numbers()];
  return b.every((want, i) => {
    const have = a[i]!;
    if (Number.isNaN(want) || !Number.isFinite(want)) return Object.is(have, want);
    return Math.abs(have - want) <= ATOL + RTOL * Math.abs(want);
  });
}

function toNumbers(tensor: ort.Tensor): number[] {
  if (tensor.type === "float16") {
    const data = tensor.data as Uint16Array;
    return tensorFromProto({ dataType: 10, dims: [...tensor.dims], rawData: bytesOf(data) }).numbers();
  }
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Bit for bit, NaNs too. */
function same(a: Outputs, b: Outputs): boolean {
  return (
    a.length === b.length &&
    a.every((tensor, i) => {
      const other = b[i]!;
      if (tensor.type !== other.type || tensor.dims.join() !== other.dims.join()) return false;
      if (tensor.type === "string") return (tensor.data as string[]).every((text, k) => text === other.data[k]);
      return Buffer.from(bytesOf(tensor.data as Float32Array)).equals(bytesOf(other.data as Float32Array));
    })
  );
}

/** Whether the original gives other outputs in a second session: its operators draw random numbers. */
async function isRandom(bytes: Uint8Array, path: string, outputs: Outputs): Promise<boolean> {
  const again = await outputsOf(bytes, path);
  return again.state === "runs" && !same(outputs, again.outputs);
}
