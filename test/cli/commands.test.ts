/**
 * @file What the commands do when all is well: results, JSON documents, written files, help.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Sensitivity } from "../../src/analyze/sensitivity.ts";
import { fieldsOf, kebab } from "../../src/cli/flags.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { metricOptions } from "../../src/measure/metrics/options.ts";
import { readModelFile, writeModelFile } from "../../src/onnx/file-node.ts";
import type { ModelProto } from "../../src/onnx/messages.ts";
import type { QuantizeFileResult } from "../../src/recipe/quantize-file.ts";
import { SCHEMES } from "../../src/recipe/steps.ts";
import { createNodeRuntime } from "../../src/runtime/onnxruntime-node.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import { VERSION } from "../../src/version.ts";
import { bytesOfModel, Folder, MLP, modelOf } from "./models.ts";
import { type Finished, tersor } from "./run.ts";

/** Sixteen rows: enough for integer kernels to be worth while on every target. */
const ROWS = 16;

const fixtures = new Folder();
beforeAll(async () => {
  fixtures.model("mlp.onnx", MLP);
  const random = createRandom(1);
  for (let i = 0; i < 12; i++) {
    const x = Tensor.float32(
      [ROWS, 64],
      Float32Array.from({ length: ROWS * 64 }, () => random.normal()),
    );
    fixtures.put(`samples/${i}.npz`, encodeNpz({ x }));
  }
  fixtures.put(
    "samples.mjs",
    `console.log("a module that talks");
     const sample = (i) => ({ inputs: { x: { dims: [${ROWS}, 64], data: Float32Array.from({ length: ${ROWS * 64} }, (_, j) => Math.sin(i + j)) } }, label: i });
     export function* calibration() { for (let i = 0; i < 4; i++) yield sample(i); }
     export function* evaluation() { for (let i = 4; i < 8; i++) yield sample(i); }
     export function score(outputs, { label }) { console.log("scored", label); return outputs.y.dims[0]; }`,
  );
  // Labels are what the model itself answers.
  fixtures.put(
    "labelled.mjs",
    `import { readFileSync } from "node:fs";
     const labels = JSON.parse(readFileSync(new URL("labels.json", import.meta.url), "utf8"));
     const sample = (i) => ({ inputs: { x: { dims: [${ROWS}, 64], data: Float32Array.from({ length: ${ROWS * 64} }, (_, j) => Math.sin(i * 7 + j * j)) } }, label: labels[i] });
     export function* evaluation() { for (let i = 0; i < 6; i++) yield sample(i); }`,
  );
  const runtime = await createNodeRuntime();
  const session = await runtime.load({ path: fixtures.at("mlp.onnx") });
  const labels: number[][] = [];
  for (let i = 0; i < 6; i++) {
    const data = Float32Array.from({ length: ROWS * 64 }, (_, j) => Math.sin(i * 7 + j * j));
    const y = (await session.run({ x: Tensor.float32([ROWS, 64], data) }))["y"]!.floats();
    labels.push(
      Array.from({ length: ROWS }, (_, row) => {
        const scores = [...y.subarray(row * 32, (row + 1) * 32)];
        return scores.indexOf(Math.max(...scores));
      }),
    );
  }
  await session.release();
  fixtures.put("labels.json", JSON.stringify(labels));
});
afterAll(() => fixtures.remove());

const QUICK = ["--time", "0", "--no-memory"];
const run = (...args: string[]): Promise<Finished> => tersor(args, fixtures.path);

/** Runs with --json: one document on standard output, nothing that is not for a person's eyes on the other. */
async function json<T>(
  ...args: string[]
): Promise<{ readonly document: T; readonly status: number | null; readonly stderr: string }> {
  const { stdout, stderr, status } = await run(...args, "--json");
  return { document: JSON.parse(stdout) as T, status, stderr };
}

/** Exporters write the path of the module into names; strangers may write anything. */
function withLongNames(): ModelProto {
  const long = `${"/model/encoder/layers.0/attention".repeat(8)}\u001b[31m\n`;
  const domain = `com.example.${"department.".repeat(12)}`;
  const model = modelOf(`g (float[N, M, 128, 128, 128, 128, 128, 128] a, float[N, 300] b) => (float[N, 400] y)
    <float[300, 400] w = random(1), float[1, 1, 1, 1, 1, 1, 300, 1, 1, 1, 1, 1, 1] v = random(2)>
    { y = MatMul(b, w) c = Relu(v) }`);
  const rename = (name: string): string => `${long}${name}`;
  const graph = model.graph!;
  return {
    ...model,
    opsetImport: [...model.opsetImport!, { domain, version: 1 }],
    producerName: long,
    graph: {
      ...graph,
      input: graph.input?.map((value) => ({ ...value, name: rename(value.name!) })),
      output: graph.output?.map((value) => ({ ...value, name: rename(value.name!) })),
      initializer: graph.initializer?.map((tensor) => ({ ...tensor, name: rename(tensor.name!) })),
      node: graph.node?.map((node) => ({
        ...node,
        input: node.input?.map(rename),
        output: node.output?.map(rename),
        ...(node.opType === "Relu" && { domain, opType: "Operator".repeat(12) }),
      })),
    },
  };
}

describe("quantize", () => {
  it("alone writes MODEL.int8.onnx, checked on both targets, and says why this scheme", async () => {
    const { stdout, stderr, status } = await run("quantize", "mlp.onnx", ...QUICK);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^mlp\.onnx → mlp\.int8\.onnx {3}(dynamic|weight)-int8\n {2}Chosen because /);
    expect(stdout).toMatch(/node-cpu {2}smoke-tested\n[\s\S]*web-wasm {2}smoke-tested\n/);
    expect(stdout).toMatch(/OK on node-cpu, web-wasm\n$/);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(readFileSync(fixtures.at("mlp.int8.onnx")).length).toBeLessThan(
      0.4 * readFileSync(fixtures.at("mlp.onnx")).length,
    );
    expect(readModelFile(fixtures.at("mlp.int8.onnx")).proto.metadataProps?.map(({ key }) => key)).toContain("tersor");
  });

  it("prints one JSON document", async () => {
    const { document, status, stderr } = await json<QuantizeFileResult>(
      "quantize",
      "mlp.onnx",
      "-o",
      "j.onnx",
      ...QUICK,
    );
    expect([status, stderr]).toEqual([0, ""]);
    expect(Object.keys(document).sort()).toEqual([
      "command",
      "drops",
      "input",
      "judgements",
      "ledger",
      "machine",
      "ok",
      "others",
      "output",
      "reason",
      "report",
      "saturation",
      "scheme",
      "seconds",
      "targets",
    ]);
    expect(document.output).toMatchObject({ path: "j.onnx", byteLength: readFileSync(fixtures.at("j.onnx")).length });
    expect(document.targets.map(({ target, generated }) => [target, generated])).toEqual([
      ["node-cpu", true],
      ["web-wasm", true],
    ]);
  });

  it.each([
    ["dynamic-int8", ["--shape", `x=${ROWS},64`], "MatMulInteger"],
    ["q8", ["--shape", `x=${ROWS},64`], "MatMulInteger"],
    ["static-int8", ["--data", "samples"], "QuantizeLinear"],
    ["static-int8", ["--data", "random", "--shape", `x=${ROWS},64`], "QuantizeLinear"],
    ["weight-int8", [], "Cast"],
    ["weight-int8", ["--storage", "dequantize-linear"], "DequantizeLinear"],
  ] as const)("--scheme %s %s", async (scheme, more, op) => {
    const output = `${scheme}.onnx`;
    const args = ["quantize", "mlp.onnx", "--scheme", scheme, "-o", output, "--target", "node-cpu", ...more, ...QUICK];
    const { document, status } = await json<QuantizeFileResult>(...args);
    expect([status, document.report.changed, document.targets.length]).toEqual([0, 2, 1]);
    expect(readModelFile(fixtures.at(output)).proto.graph?.node?.map(({ opType }) => opType)).toContain(op);
  });

  it("proves with the user's samples; a module's score decides and its talk goes elsewhere", async () => {
    const args = [
      "quantize",
      "mlp.onnx",
      "--data",
      "samples.mjs",
      "-o",
      "module.onnx",
      "--target",
      "node-cpu",
      ...QUICK,
    ];
    const { document, status, stderr } = await json<QuantizeFileResult>(...args);
    expect([status, document.scheme]).toEqual([0, "static-int8"]);
    const [result] = document.targets;
    expect([result?.generated, result?.dataName, result?.samples]).toEqual([false, "evaluation() of samples.mjs", 4]);
    expect(result?.files.map(({ score }) => score)).toEqual([ROWS, ROWS]);
    expect(stderr).toBe("a module that talks\n");
  });

  it("judges by the metrics that are asked for, and by what may be lost of them", async () => {
    const args = ["quantize", "mlp.onnx", "--scheme", "weight-int8", "--data", "labelled.mjs", "--target", "node-cpu"];
    const asked = ["--metric", "top-1,kl", "--max-drop", "100pt", "-o", "judged.onnx"];
    const { document, status } = await json<QuantizeFileResult>(...args, ...asked, ...QUICK);
    expect(status).toBe(0);
    const [original, result] = document.targets[0]!.files;
    expect(original?.metrics?.map(({ name, value }) => [name, value])).toEqual([["top-1", 1]]);
    expect(result?.metrics?.map(({ name, against }) => [name, against])).toEqual([
      ["top-1", "labels"],
      ["kl", "original"],
    ]);
    expect(document.drops).toMatchObject([{ metric: "top-1", ok: true, target: "node-cpu", limit: 1 }]);
    expect(document.ledger.after).toBeLessThan(document.ledger.before * 0.4);

    fixtures.model("other.onnx", MLP.replace("random(3)", "random(4)"));
    const verify = ["verify", "mlp.onnx", "other.onnx", "--data", "labelled.mjs", "--target", "node-cpu", ...QUICK];
    const missed = await run(...verify, "--max-drop", "1pt");
    expect(missed.status).toBe(1);
    expect(missed.stdout).toMatch(/top-1 +100\.0 % → \d+\.\d % {1,2}\(−/);
    expect(missed.stdout.replace(/\s+/g, " ")).toMatch(/! node-cpu: top-1 loses .* points, at worst .*: over 1pt/);
    const inside = await run(...verify, "--per-tensor", "--ledger");
    expect(inside.stdout).toMatch(/error enters or grows at/);
    expect(inside.stdout).toMatch(/w1 +MatMul +\[64,128\] +32\.8 kB +32\.8 kB +float32, kept/);
    expect(inside.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect((await run(...verify, "--max-drop", "1")).status).toBe(2);
    expect((await run(...verify, "--metric", "accuracy")).stderr).toMatch(/Expected one or more of top-1/);
    expect((await run(...verify, "--metric", "dice")).stderr).toMatch(/metric dice: .*expected a map/);
  });

  it("--no-check writes without running, and says so", async () => {
    const { stdout, status } = await run(
      "quantize",
      "mlp.onnx",
      "--scheme",
      "weight-int8",
      "--no-check",
      "-o",
      "new/folder/n.onnx",
    );
    expect([status, existsSync(fixtures.at("new/folder/n.onnx"))]).toEqual([0, true]);
    expect(stdout).toContain("Not checked");
  });

  it("for a target that does not run here writes, and does not say OK", async () => {
    const { stdout, status } = await run("quantize", "mlp.onnx", "--target", "openvino", "-o", "w.onnx");
    expect([status, existsSync(fixtures.at("w.onnx"))]).toEqual([0, true]);
    expect(stdout).toMatch(/openvino: not run here: /);
    expect(stdout).not.toMatch(/\bOK\b/);
  });

  it("--external-data writes a data file that runtimes find; it is kept for models that have one", async () => {
    const args = ["--scheme", "weight-int8", "--target", "node-cpu,web-wasm", ...QUICK];
    const outside = await run("quantize", "mlp.onnx", "--external-data", "-o", "ext/a.onnx", "--json", ...args);
    expect(outside.status).toBe(0);
    // What travels is the model with its data file.
    const { output } = JSON.parse(outside.stdout);
    expect(output.compressed.bytes).toBe(output.byteLength);
    expect(readdirSync(fixtures.at("ext")).sort()).toEqual(["a.onnx", "a.onnx_data"]);
    const session = await (await createNodeRuntime()).load({ path: fixtures.at("ext/a.onnx") });
    const { y } = await session.run({ x: Tensor.float32([1, 64], new Float32Array(64).fill(1)) });
    await session.release();
    expect(y!.dims).toEqual([1, 32]);

    writeModelFile(fixtures.at("big/model.onnx"), modelOf(MLP), { externalData: true });
    const kept = await run("quantize", "big/model.onnx", ...args);
    expect([kept.status, kept.stderr]).toEqual([0, ""]);
    expect(readdirSync(fixtures.at("big")).sort()).toEqual([
      "model.int8.onnx",
      "model.int8.onnx_data",
      "model.onnx",
      "model.onnx_data",
    ]);
  });
});

describe("verify", () => {
  it("says of one file how fast it runs", async () => {
    const { stdout, status } = await run("verify", "mlp.onnx", "--time", "50ms", "--no-memory");
    expect(status).toBe(0);
    expect(stdout).toMatch(/node-cpu {2}loads and runs +[\d.]+ (µs|ms)/);
    expect(stdout).toMatch(/web-wasm {2}loads and runs/);
  });

  it("compares two: 0 where they agree, 1 where not", async () => {
    fixtures.model("wrong.onnx", MLP.replace("random(3)", "random(9)"));
    interface Document {
      readonly ok: boolean;
      readonly sizes: readonly number[];
      readonly judgements: readonly { readonly usable: boolean }[];
    }
    const same = await json<Document>("verify", "mlp.onnx", "mlp.onnx", ...QUICK);
    expect([same.status, same.document.ok, same.document.judgements.length]).toEqual([0, true, 2]);
    const other = await json<Document>("verify", "mlp.onnx", "wrong.onnx", "--data", "samples", ...QUICK);
    expect([other.status, other.document.ok, other.stderr]).toEqual([1, false, ""]);
    const { stdout } = await run("verify", "mlp.onnx", "wrong.onnx", ...QUICK);
    expect(stdout).toMatch(/! node-cpu: disagrees with the original: output "y": SQNR -?[\d.]+ dB/);
    expect(stdout).toMatch(/NOT OK: see the lines with ! above\n$/);
  });
});

describe("inspect", () => {
  it("keeps to 80 columns with any names, and lets none of them steer the terminal", async () => {
    const path = `${"deep/".repeat(9)}${"long".repeat(20)}.onnx`;
    fixtures.put(path, bytesOfModel(withLongNames()));
    const { stdout, status, stderr } = await run("inspect", path);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).toContain("largest tensors");
    expect(stdout).not.toContain("\u001b");
  });

  it("prints one JSON document with all tensors", async () => {
    interface Document {
      readonly command: string;
      readonly tensors: readonly unknown[];
      readonly integer: { readonly eligible: number };
    }
    const { document, status, stderr } = await json<Document>("inspect", "mlp.onnx");
    expect([status, stderr, document.command]).toEqual([0, "", "inspect"]);
    expect([document.tensors.length, document.integer.eligible]).toEqual([3, 2]);
  });

  it("ranks nodes by what quantizing them costs", async () => {
    const args = ["inspect", "mlp.onnx", "--sensitivity", "--data", "samples", "--samples", "3"];
    const { stdout, status, stderr } = await run(...args);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/mlp\.onnx {3}static-int8\n\n {2}quantized alone .*noise +of all +saves/);
    expect(stdout.match(/MatMul/g)?.length).toBeGreaterThanOrEqual(2);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    const keep = await json<{ readonly sensitivity: Sensitivity }>(...args.slice(0, 3), "keep-one", ...args.slice(3));
    expect(keep.document.sensitivity).toMatchObject({ mode: "keep-one", samples: 3, metric: "sqnr" });
    expect((await run("inspect", "mlp.onnx", "--sensitivity", "--scheme", "float16")).stderr).toMatch(/got float16/);
  });
});

describe("help", () => {
  const measuring = [
    "data",
    "samples",
    "target",
    "shape",
    "threads",
    "time",
    "no-memory",
    "seed",
    "allow-external-outside",
    "json",
  ];
  const steps = Object.values(SCHEMES).flatMap(({ options }) =>
    Object.entries(fieldsOf(options)).map(([name, field]) => `${field.default === true ? "no-" : ""}${kebab(name)}`),
  );
  const metrics = ["metric", "ctc-keys", ...Object.keys(fieldsOf(metricOptions)).map(kebab)];
  const samples = ["sensitivity", "scheme", "data", "samples", "time", "shape", "seed"];
  const quantizing = ["output", "scheme", "calibration-samples", "no-check", "external-data", "verbose"];

  it.each([
    ["quantize", [...quantizing, ...measuring, ...steps, ...metrics, "max-drop"]],
    ["verify", [...measuring, ...metrics, "max-drop", "per-tensor", "ledger"]],
    ["doctor", ["original", ...measuring, ...metrics]],
    ["inspect", ["tensors", "allow-external-outside", "json", ...samples, ...metrics]],
  ])("%s lists every flag", async (command, flags) => {
    const { stdout, status } = await run(command, "--help");
    expect(status).toBe(0);
    const listed = [...stdout.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name);
    expect([...new Set(flags)].filter((flag) => !listed.includes(flag))).toEqual([]);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  it("--version, help and nothing at all", async () => {
    expect(await run("--version")).toEqual({ status: 0, signal: null, stdout: `${VERSION}\n`, stderr: "" });
    expect((await run("--help")).stdout).toMatch(/inspect[\s\S]*quantize[\s\S]*verify[\s\S]*doctor/);
    expect(await run()).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("Usage: tersor") });
  });
});
