import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { bytesOf, initializerOf, modelOf } from "../../test/helpers.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { FileMeasurement, TargetMeasurement } from "./job.ts";
import { measureTarget } from "./measure-target.ts";
import { type SparseFacts, sparseFiles, sparseVerdict } from "./sparse-verdict.ts";
import { zerosOf } from "./zeros.ts";

const folder = mkdtempSync(join(tmpdir(), "tersor-sparse-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Two layers; `keep` says which elements of the first one's weight [64, 80] stay. */
function modelWith(keep: (row: number, column: number) => boolean): ReturnType<typeof modelOf> {
  const model = modelOf(`(float[4, 64] x) => (float[4, 10] y)
    <float[64, 80] w = random(1), float[80, 10] v = random(2)> { h = MatMul(x, w)  r = Relu(h)  y = MatMul(r, v) }`);
  const value = initializerOf(model, "w");
  const data = value.initializer!.floats().map((x, i) => (keep(Math.floor(i / 80), i % 80) ? x : 0));
  value.initializer = Tensor.float32([64, 80], data);
  return model;
}

const unstructured = (): ReturnType<typeof modelOf> => modelWith((row, column) => (row * 31 + column * 17) % 10 === 0);
const twoOfFour = (): ReturnType<typeof modelOf> => modelWith((row, column) => (row + column) % 4 < 2);

function measured(file: Partial<FileMeasurement>, change: Partial<TargetMeasurement> = {}): TargetMeasurement {
  return { target: "node-cpu", files: [{ name: "original" }, { name: "pruned", ...file }], ...change };
}

function latency(median: number, verdict?: "faster" | "same" | "slower"): FileMeasurement["latency"] {
  const ratio = { median, low: median - 0.02, high: median + 0.02, count: 100 };
  return { p50: 1, p95: 1, ratio, ...(verdict && { verdict }) };
}

describe("zerosOf", () => {
  it("adds up what lies where", () => {
    const zeros = zerosOf(unstructured());
    expect(zeros).toMatchObject({ elements: 5920, zeros: 4608, pattern: "unstructured", channels: 90 });
    expect(zeros.sparsity).toBeCloseTo(4608 / 5920, 12);
    expect(zerosOf(twoOfFour())).toMatchObject({ zeros: 2560, pattern: "2:4", emptyChannels: 0 });
    expect(zerosOf(modelWith((_row, column) => column > 7))).toMatchObject({ emptyChannels: 8 });
    expect(zerosOf(modelWith(() => true))).toMatchObject({ zeros: 0, pattern: undefined, sparsity: 0 });
  });

  it("sees through masks, and counts tied weights once", () => {
    const model = modelOf(`(float[2, 8] x) => (float[2, 8] y) <float[8, 8] w = random(1)>
      { h = MatMul(x, w)  y = MatMul(h, w) }`);
    const kept = Uint8Array.from({ length: 64 }, (_, i) => (i % 8 === 3 ? 0 : 1));
    mask.insert(model, initializerOf(model, "w"), Tensor.of("bool", [8, 8], kept));
    const zeros = zerosOf(model);
    expect(zeros).toMatchObject({ elements: 64, zeros: 8, channels: 8, emptyChannels: 1 });
    expect(zeros.weights.map(({ name, masked }) => [name, masked])).toEqual([["w", true]]);
  });
});

describe("sparseFiles", () => {
  it("weighs the file in both forms, and leaves the model alone", async () => {
    const model = unstructured();
    const before = bytesOf(model);
    const { dense, sparse } = await sparseFiles(model);
    expect(bytesOf(model)).toEqual(before);
    expect([dense.bytes, dense.gzip]).toEqual([before.byteLength, gzipSync(before, { level: 6 }).byteLength]);
    expect(sparse!.bytes).toBeLessThan(0.4 * dense.bytes);
    expect((await sparseFiles(modelWith(() => true))).sparse).toBeUndefined();
  });
});

describe("sparseVerdict", () => {
  const sentences = (facts: Omit<SparseFacts, "zeros">, model = unstructured()): readonly string[] =>
    sparseVerdict({ zeros: zerosOf(model), ...facts }).targets.flatMap((target) => target.sentences);

  it("says how many zeros there are, and how they lie", () => {
    const summary = (model: ReturnType<typeof modelOf>): string => sparseVerdict({ zeros: zerosOf(model) }).summary;
    expect(summary(unstructured())).toBe("77.8 % of 5,920 weights are zero, wherever they lie (unstructured).");
    expect(summary(twoOfFour())).toBe("43.2 % of 5,920 weights are zero, in the pattern 2:4.");
    expect(summary(modelWith(() => true))).toBe("None of 5,920 weights is zero.");
  });

  it("names the measured ratio", () => {
    expect(sentences({ measured: [measured({ latency: latency(1, "same") })] })).toEqual([
      "The zeros make it no faster: measured 1.00× the original's speed (0.98–1.02).",
      "ONNX Runtime makes weights dense when it loads them.",
    ]);
    expect(sentences({ measured: [measured({ latency: latency(0.9, "slower") })] })[0]).toBe(
      "The zeros make it no faster: measured 0.90× slower (0.88–0.92).",
    );
  });

  it("does not credit zeros with what they cannot have done", () => {
    const [first] = sentences({ measured: [measured({ latency: latency(1.4, "faster") })] });
    expect(first).toMatch(
      /^Measured 1\.40× faster \(1\.38–1\.42\); it is not the zeros: zeros by themselves were measured there at .*× the speed of dense weights\.$/,
    );
  });

  it("falls back on facts, and says where there is none", () => {
    const zeros = zerosOf(twoOfFour());
    const targets = ["node-cpu", "web-webgpu", "tensorrt", "openvino"] as const;
    const verdict = sparseVerdict({ zeros }, targets);
    const of = (target: string): string =>
      verdict.targets.find((found) => found.target === target)!.sentences.join(" ");
    expect(of("node-cpu")).toMatch(/^The zeros make it no faster: zeros by themselves were measured .* 2:4 zeros;/);
    expect(of("web-webgpu")).toMatch(/^Its speed was not measured\. ONNX Runtime makes weights dense/);
    expect(of("tensorrt")).toMatch(/^Not run here: .* has kernels for 2:4 zeros on GPUs from Ampere on/);
    expect(of("openvino")).toMatch(/^Not run here: .* rules only\.$/);
    expect(sparseVerdict({ zeros: zerosOf(unstructured()) }, ["tensorrt"]).targets[0]!.sentences[0]).toMatch(
      /only, not for unstructured ones\.$/,
    );
    expect(sentences({ measured: [measured({ error: { stage: "load", message: "no" } })] })[0]).toBe(
      "The file does not load, so its speed is not known.",
    );
  });

  it("says what compressing gives, and what the sparse form", async () => {
    const model = unstructured();
    const files = await sparseFiles(model);
    const original = { bytes: 24_000, gzip: 22_000, brotli: undefined };
    const facts = { zeros: zerosOf(model), files, original };
    const { storage } = sparseVerdict(facts, ["node-cpu", "web-webgpu"]);
    expect(storage[0]).toMatch(
      /^The file takes 23\.8 kB with dense weights, gzip .* kB, brotli .* \(before pruning: gzip 22\.0 kB\)\.$/,
    );
    expect(storage[1]).toMatch(
      /^With sparse initializers \(store-sparse\) it takes .* kB, gzip .* kB, brotli .* kB\.$/,
    );
    expect(storage.slice(2).join(" ")).toMatch(/^A server that compresses .*\. web-webgpu does not load sparse init/);
    const bytes = { bytes: 1000, gzip: undefined, brotli: undefined };
    const alone = { ...facts, files: { dense: bytes, sparse: undefined }, original: undefined };
    expect(sparseVerdict(alone).storage).toEqual([
      "The file takes 1.00 kB with dense weights.",
      "Sparse initializers would not make it smaller.",
    ]);
  });

  it("compares the transfer of both forms", () => {
    const zeros = zerosOf(unstructured());
    const of = (dense: number, sparse: number): string =>
      sparseVerdict({
        zeros,
        files: {
          dense: { bytes: 10_000, gzip: dense, brotli: undefined },
          sparse: { bytes: 4000, gzip: sparse, brotli: undefined },
        },
      }).storage[2]!;
    expect(of(2000, 1500)).toMatch(/: they save 25\.0 % there, too\.$/);
    expect(of(2000, 2010)).toMatch(/: they make no difference there\.$/);
    expect(of(2000, 3000)).toMatch(/: they make the transfer 50\.0 % larger\.$/);
  });

  it("says what would be faster", () => {
    const zeros = zerosOf(modelWith((row, column) => column > 7 && (row + column) % 3 === 0));
    expect(sparseVerdict({ zeros }).instead).toEqual([
      "8 of 90 output channels are nothing but zeros: they can be taken out at no loss.",
      "What runs faster everywhere is taking whole channels out (pattern channel): the tensors shrink.",
    ]);
    const channels = { macs: 0.52, bytes: 0.48, speed: { "node-cpu": 1.8 } };
    expect(sparseVerdict({ zeros, channels }).instead[1]).toBe(
      "Taking whole channels out instead would take away 52.0 % of the products and 48.0 % of the bytes; measured: 1.80× on node-cpu.",
    );
  });

  it("takes what verification measures", async () => {
    const paths = { original: modelWith(() => true), pruned: unstructured() };
    const files = Object.entries(paths).map(([name, model]) => {
      const path = join(folder, `${name}.onnx`);
      writeFileSync(path, bytesOf(model));
      return { name, path };
    });
    const data = { kind: "generated", count: 2 } as const;
    const result = await measureTarget({ target: "node-cpu", files, data, threads: 1, budgetMs: 20, seed: 0 });
    const said = sentences({ measured: [result] }).join(" ");
    expect(said).toContain(`${result.files[1]!.latency!.ratio!.median.toFixed(2)}×`);
    expect(said).toContain("dense when it loads them");
  });
});
