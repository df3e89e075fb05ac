/**
 * @file A model larger than 3 GB in external data: time, throughput and peak memory of quantizing it, in a process of its own.
 * Run: `npx tsx bench/big-model.ts [--dir FOLDER] [--layers 45] [--keep] [--run]`. Floor (issue 2): weight-int8 with at most
 * 1 GB of peak memory. `--run` also loads original and result in onnxruntime-node (8 GB of memory) and compares their outputs.
 *
 *   ids [N] → Gather(embedding [32000, 1024]) → MatMul [1024, 4096] → layers × (MatMul [4096, 4096], Relu) → y [N, 4096]
 */
import { mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import type { Value } from "../src/graph/value.ts";
import { compareOutputs } from "../src/measure/compare.ts";
import { writeModelFile } from "../src/onnx/file-node.ts";
import { openModel } from "../src/recipe/open.ts";
import { createRuntime } from "../src/runtime/create-node.ts";
import { elementCount } from "../src/tensor/dtype.ts";
import { bytesOf, Tensor } from "../src/tensor/tensor.ts";
import { createRandom } from "../src/util/random.ts";
import { type ChildFailure, type ChildRun, runChild, runTypeScript } from "./child-process.ts";
import { report } from "./report.ts";

const SEED = 1;
const PEAK_LIMIT = 1e9;
const VOCABULARY = 32_000;
const EMBEDDING = 1024;
const WIDTH = 4096;

const { values: flags } = parseArgs({
  options: {
    dir: { type: "string", default: tmpdir() },
    layers: { type: "string", default: "45" },
    keep: { type: "boolean", default: false },
    run: { type: "boolean", default: false },
  },
});
const layers = Number(flags.layers);

/** Normal numbers, a prime of them: tensors read it from different places, so that no two rows or columns repeat. */
const POOL = 1_048_573;
const random = createRandom(SEED);
const pool = Float32Array.from({ length: POOL }, () => random.normal());

/** The contents of tensor `index`; columns differ in size, so that a scale per channel matters. */
function weight(index: number, dims: readonly number[], deviation: number): Float32Array {
  const [rows, columns] = dims as [number, number];
  const values = new Float32Array(elementCount(dims));
  const scale = Float32Array.from({ length: columns }, (_, c) => deviation * (0.5 + ((c * 37 + index) % 101) / 100));
  let from = (index * 611_953) % POOL;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let c = 0; c < columns; c++, i++) {
      values[i] = pool[from]! * scale[c]!;
      if (++from === POOL) from = 0;
    }
  }
  return values;
}

interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  values(): Float32Array;
}

const weights: readonly Weight[] = [
  { name: "embedding", dims: [VOCABULARY, EMBEDDING], deviation: 1 },
  { name: "project", dims: [EMBEDDING, WIDTH], deviation: Math.sqrt(1 / EMBEDDING) },
  ...Array.from({ length: layers }, (_, layer) => ({
    name: `layer_${layer}`,
    dims: [WIDTH, WIDTH],
    deviation: Math.sqrt(2 / WIDTH),
  })),
].map(({ name, dims, deviation }, index) => ({ name, dims, values: () => weight(index, dims, deviation) }));

function build(): Model {
  const model = new Model();
  model.irVersion = 8;
  model.opsets.set("", 17);
  const { graph } = model;
  graph.name = "big";
  const shape = (width?: number) => ({
    dim: [{ dimParam: "N" }, ...(width === undefined ? [] : [{ dimValue: width }])],
  });
  const ids = graph.newValue("ids", { tensorType: { elemType: 7, shape: shape() } });
  graph.inputs.push(ids);
  const [table, project, ...rest] = weights.map(({ name, dims, values }) =>
    graph.addInitializer(
      name,
      Tensor.deferred("float32", dims, () => bytesOf(values())),
    ),
  ) as [Value, Value, ...Value[]];
  let x = graph.add("Gather", [table, ids], { name: "embed" }).output();
  x = graph.add("MatMul", [x, project], { name: "project_matmul" }).output();
  for (const [layer, matrix] of rest.entries()) {
    x = graph.add("MatMul", [x, matrix], { name: `matmul_${layer}` }).output();
    x = graph.add("Relu", [x], { name: `relu_${layer}` }).output();
  }
  x.type = { tensorType: { elemType: 1, shape: shape(WIDTH) } };
  graph.setOutputs([x]);
  return model;
}

/** Bytes of a model and of the data files beside it. */
const bytesIn = (folder: string): number =>
  readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);

/** Reads a result through the library and compares whole tensors with what went in. Returns the worst |error| ÷ scale. */
function checkTensors(path: string, names: readonly string[]): number {
  const { graph } = openModel(path).model();
  const find = (name: string): Tensor => {
    const value = [...graph.initializers].find((entry) => entry.name === name);
    if (value?.initializer === undefined) throw new Error(`big-model: expected the initializer "${name}", found none`);
    return value.initializer;
  };
  let worst = 0;
  for (const name of names) {
    const { dims, values } = weights.find((entry) => entry.name === name)!;
    const codes = find(`${name}_int8`).data() as Int8Array;
    const scale = find(`${name}_scale`).floats();
    const original = values();
    // Gather's table has a scale per row, a MatMul's weight one per column.
    const [, columns] = dims as [number, number];
    const perRow = scale.length !== columns;
    for (let i = 0; i < original.length; i++) {
      const s = scale[perRow ? Math.floor(i / columns) : i % columns]!;
      const error = Math.abs(codes[i]! * s - original[i]!) / s;
      if (error > worst) worst = error;
    }
  }
  return worst;
}

/** Half a step, and the float32 roundings named in src/quantize/affine.ts. */
const WORST_ERROR = 0.5 + 1e-4;

interface Case {
  readonly name: string;
  readonly scheme: string;
  readonly storage?: string;
  readonly cli?: boolean;
  /** Whether the limit on peak memory is a promise for it. */
  readonly limited: boolean;
}

const CASES: readonly Case[] = [
  { name: "weight-int8", scheme: "weight-int8", limited: true },
  { name: "weight-int8, command", scheme: "weight-int8", cli: true, limited: true },
  { name: "weight-int8, dequantize-linear", scheme: "weight-int8", storage: "dequantize-linear", limited: true },
  { name: "dynamic-int8", scheme: "dynamic-int8", limited: false },
];

const folder = mkdtempSync(join(flags.dir, "tersor-big-"));
process.on("exit", () => {
  if (!flags.keep) rmSync(folder, { recursive: true, force: true });
});

/** The command as a user runs it: each process of it appends its peak to a file when it ends; the largest is Tersor's. */
async function runCommand(model: string, output: string, scheme: string): Promise<ChildRun | ChildFailure> {
  const { mkdirSync, readFileSync } = await import("node:fs");
  mkdirSync(join(output, ".."), { recursive: true });
  const peaks = join(folder, "peaks.txt");
  const script = `import { appendFileSync, readFileSync } from "node:fs";
process.on("exit", () => appendFileSync(${JSON.stringify(peaks)}, /VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1] + "\\n"));`;
  const preload = `--import=data:text/javascript;base64,${Buffer.from(script).toString("base64")}`;
  const start = performance.now();
  const args = [
    "run",
    "-s",
    "tersor",
    "--",
    "quantize",
    model,
    "-o",
    output,
    "--scheme",
    scheme,
    "--no-check",
    "--json",
  ];
  const run = await runChild("sh", ["-c", `npm ${args.join(" ")} > /dev/null && echo '{}'`], {
    env: { NODE_OPTIONS: preload },
  });
  if ("error" in run) return run;
  const peakBytes = Math.max(...readFileSync(peaks, "utf8").trim().split("\n").map(Number)) * 1024;
  const wallSeconds = (performance.now() - start) / 1000;
  return { wallSeconds, seconds: wallSeconds, baseBytes: 0, peakBytes, notes: [] };
}

const need = weights.reduce((sum, { dims }) => sum + 4 * elementCount(dims), 0) * 1.7;
const room = statfsSync(folder);
if (room.bavail * room.bsize < need) {
  throw new Error(`big-model: ${folder}: expected ${(need / 1e9).toFixed(1)} GB of room. Choose another --dir.`);
}

const input = join(folder, "in");
const model = join(input, "big.onnx");
const buildStart = performance.now();
writeModelFile(model, toOnnx(build()), { externalData: true });
const inputBytes = bytesIn(input);
console.error(
  `${(inputBytes / 1e9).toFixed(2)} GB in ${((performance.now() - buildStart) / 1000).toFixed(0)} s: ${model}`,
);

const results: Record<string, unknown>[] = [];
const table: Record<string, string | number>[] = [];
for (const { name, scheme, storage, cli, limited } of CASES) {
  const place = join(folder, "out");
  const output = join(place, "big.int8.onnx");
  const run = cli
    ? await runCommand(model, output, scheme)
    : await runTypeScript(new URL("./peers/quantize-tersor.ts", import.meta.url), {
        model,
        options: { scheme, output, ...(storage && { step: { storage } }) },
      });
  if ("error" in run) {
    console.error(`${name}: ${run.error}`);
    results.push({ name, scheme, storage, ...run });
    table.push({
      case: name,
      "seconds (start included)": run.wallSeconds.toFixed(1),
      "MB/s": "-",
      "peak MB": "-",
      "of that started with": "-",
      "MB out": "-",
      "worst error / scale": "-",
      verdict: "FAILED",
    });
  } else {
    const outputBytes = bytesIn(place);
    const worst =
      scheme === "weight-int8" ? checkTensors(output, ["embedding", "project", `layer_${layers - 1}`]) : undefined;
    const within = !limited || run.peakBytes <= PEAK_LIMIT;
    const exact = worst === undefined || worst <= WORST_ERROR;
    let sqnr: number | undefined;
    if (flags.run && !cli) sqnr = await compareRuns(model, output);
    results.push({ name, scheme, storage, ...run, outputBytes, worstError: worst, sqnr, within, exact });
    table.push({
      case: name,
      "seconds (start included)": `${run.seconds.toFixed(1)} (${run.wallSeconds.toFixed(1)})`,
      "MB/s": (inputBytes / 1e6 / run.seconds).toFixed(0),
      "peak MB": (run.peakBytes / 1e6).toFixed(0),
      "of that started with": run.baseBytes === 0 ? "-" : (run.baseBytes / 1e6).toFixed(0),
      "MB out": (outputBytes / 1e6).toFixed(0),
      "worst error / scale": worst?.toFixed(5) ?? "-",
      ...(flags.run && { "SQNR dB": sqnr?.toFixed(1) ?? "-" }),
      verdict: !within ? "TOO MUCH MEMORY" : !exact ? "WRONG" : limited ? "ok" : "no limit",
    });
  }
  rmSync(place, { recursive: true, force: true });
}

/** One after the other, so that only one of them is in memory. */
async function compareRuns(original: string, result: string): Promise<number | undefined> {
  const runtime = await createRuntime("onnxruntime-node");
  const ids = {
    ids: Tensor.int64(
      [16],
      Array.from({ length: 16 }, (_, i) => (i * 1999) % VOCABULARY),
    ),
  };
  const outputs = [];
  for (const path of [original, result]) {
    const session = await runtime.load({ path }, { threads: 2 });
    outputs.push(await session.run(ids));
    await session.release();
  }
  const [comparison] = compareOutputs(outputs[0]!, outputs[1]!);
  return comparison?.kind === "float" ? comparison.sqnr : undefined;
}

report(
  "big-model",
  {
    seed: SEED,
    inputBytes,
    layers,
    shapes: { embedding: [VOCABULARY, EMBEDDING], project: [EMBEDDING, WIDTH], layer: [WIDTH, WIDTH] },
    peakLimit: PEAK_LIMIT,
    worstError: WORST_ERROR,
    unit: "MB = 1e6 bytes; MB/s of float32 input; peak: VmHWM of the quantizing process",
  },
  table,
  results,
);
if (results.some((result) => "error" in result || result["within"] === false || result["exact"] === false)) {
  process.exitCode = 1;
}
