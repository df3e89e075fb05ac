/**
 * @file Reading and writing models: time and memory of our codec and graph beside protobuf-es (onnx-buf), on a model of
 * 210 MB in 2,000 nodes and a small one of 20,000 nodes.
 *
 * Times are medians of interleaved rounds in one warm process. Memory is that of the first decode + encode in a fresh
 * process: the growth of its peak resident size, and of what is alive after garbage collection with the results held.
 * Ours encodes to a list of chunks, protobuf-es to one buffer; writing them out is not measured.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { decodeModel } from "../src/onnx/decode.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { readFileBytes } from "../src/onnx/file-node.ts";
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "../src/onnx/messages.ts";
import { createRandom } from "../src/util/random.ts";
import { report, timeInterleaved } from "./report.ts";

/** DESIGN §5: decode + encode of either model. */
const GOAL_MS = 50;
const GOAL_MB = 64;

const MB = 1e6;

const MODELS = {
  "210 MB, 2,000 nodes": () => chain(2000, 210 * MB, false),
  "20,000 nodes": () => chain(20_000, 20_000 * 64, false),
  "20,000 nodes, shapes declared": () => chain(20_000, 20_000 * 64, true),
} as const;

type ModelName = keyof typeof MODELS;

/** A chain of blocks as exporters write them: long names, four initializers and three attributes for eight nodes. */
const BLOCK: readonly { readonly op: string; readonly weight?: true; readonly attribute?: AttributeProto }[] = [
  { op: "LayerNormalization", weight: true, attribute: { name: "axis", type: ATTRIBUTE_TYPE.int, i: -1n } },
  { op: "MatMul", weight: true },
  { op: "Add", weight: true },
  { op: "Transpose", attribute: { name: "perm", type: ATTRIBUTE_TYPE.ints, ints: [0n, 2n, 1n, 3n] } },
  { op: "Mul", weight: true },
  { op: "Softmax", attribute: { name: "axis", type: ATTRIBUTE_TYPE.int, i: 3n } },
  { op: "Sigmoid" },
  { op: "Relu" },
];

function chain(count: number, weightBytes: number, declared: boolean): ModelProto {
  const random = createRandom(1);
  const bytesEach = Math.floor((weightBytes / count / 4) * 2) * 4;
  const node: NodeProto[] = [];
  const initializer: TensorProto[] = [];
  const valueInfo: ValueInfoProto[] = [];
  const shape = { dim: [{ dimParam: "batch" }, { dimValue: 64 }, { dimValue: 56 }, { dimValue: 56 }] };
  const type = { tensorType: { elemType: 1, shape } };
  let last = "input";
  for (let i = 0; i < count; i++) {
    const { op, weight, attribute } = BLOCK[i % BLOCK.length]!;
    const name = `/encoder/layer.${Math.floor(i / BLOCK.length)}/${op}`;
    const input = [last];
    if (weight) {
      const bytes = new Uint8Array(bytesEach);
      for (let k = 0; k < bytesEach; k += 997) bytes[k] = random.integer(256);
      input.push(`onnx::${op}_${i}`);
      initializer.push({ dims: [bytesEach / 4], dataType: 1, name: `onnx::${op}_${i}`, rawData: bytes });
    }
    last = `${name}_output_0`;
    node.push({ input, output: [last], name, opType: op, ...(attribute && { attribute: [attribute] }) });
    valueInfo.push({ name: last, type });
  }
  return {
    irVersion: 8,
    producerName: "bench",
    opsetImport: [{ version: 17 }],
    graph: {
      node,
      name: "main",
      initializer,
      input: [{ name: "input", type }],
      output: [{ name: last, type }],
      ...(declared && { valueInfo: valueInfo.slice(0, -1) }),
    },
  };
}

const CODECS = {
  tersor: (bytes: Uint8Array) => {
    const model = decodeModel(bytes);
    return { model, out: encodeModel(model) };
  },
  "tersor with graph": (bytes: Uint8Array) => {
    const model = fromOnnx(decodeModel(bytes));
    return { model, out: encodeModel(toOnnx(model)) };
  },
  "onnx-buf": (bytes: Uint8Array) => {
    const model = fromBinary(ModelProtoSchema, bytes);
    return { model, out: toBinary(ModelProtoSchema, model) };
  },
} as const;

type Codec = keyof typeof CODECS;

interface Memory {
  readonly peakMB: number;
  readonly heldMB: number;
}

/** In a fresh process: one decode + encode of the file, after a few of a small model to load the code. */
function measureMemory(codec: Codec, path: string, warm: string): Memory {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 20; i++) CODECS[codec](readFileSync(warm));
  const bytes = readFileBytes(path);
  collect();
  resetPeak();
  const before = process.memoryUsage();
  const result = CODECS[codec](bytes);
  const peak = peakBytes();
  collect();
  const after = process.memoryUsage();
  if (result.out.length === 0) throw new Error("nothing was encoded");
  const held = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  return { peakMB: Math.max(0, peak - before.rss) / MB, heldMB: held / MB };
}

/** Linux keeps a resettable high-water mark; getrusage's is that of the process before exec, too. */
function resetPeak(): void {
  if (process.platform === "linux") writeFileSync("/proc/self/clear_refs", "5");
}

function peakBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? Number.NaN) * 1024;
}

function inChild(codec: Codec, path: string, warm: string): Memory {
  const script = fileURLToPath(import.meta.url);
  const args = [...process.execArgv, script, "--child", codec, path, warm];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Memory;
}

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), "tersor-bench-"));
  const table: Record<string, string | number>[] = [];
  const results: unknown[] = [];
  try {
    const warm = join(folder, "warm.onnx");
    writeFileSync(warm, joinChunks(encodeModel(chain(1000, 6400, true))));
    for (const name of Object.keys(MODELS) as ModelName[]) {
      const path = join(folder, "model.onnx");
      writeFileSync(path, joinChunks(encodeModel(MODELS[name]())));
      const bytes = readFileBytes(path);
      const proto = decodeModel(bytes);
      const graph = fromOnnx(proto);
      const message = fromBinary(ModelProtoSchema, bytes);
      const times = timeInterleaved({
        decode: () => decodeModel(bytes),
        fromOnnx: () => fromOnnx(proto),
        toOnnx: () => toOnnx(graph),
        encode: () => encodeModel(proto),
        both: () => CODECS.tersor(bytes),
        all: () => CODECS["tersor with graph"](bytes),
        bufDecode: () => fromBinary(ModelProtoSchema, bytes),
        bufEncode: () => toBinary(ModelProtoSchema, message),
        bufBoth: () => CODECS["onnx-buf"](bytes),
      });
      const parts = {
        tersor: { decode: times.decode, graph: undefined, encode: times.encode, all: times.both },
        "tersor with graph": {
          decode: times.decode,
          graph: times.fromOnnx.median + times.toOnnx.median,
          encode: times.encode,
          all: times.all,
        },
        "onnx-buf": { decode: times.bufDecode, graph: undefined, encode: times.bufEncode, all: times.bufBoth },
      };
      for (const codec of Object.keys(CODECS) as Codec[]) {
        const memory = inChild(codec, path, warm);
        const { decode, graph: graphMs, encode, all } = parts[codec];
        table.push({
          model: name,
          codec,
          "decode ms": decode.median.toFixed(1),
          "graph ms": graphMs?.toFixed(1) ?? "-",
          "encode ms": encode.median.toFixed(1),
          "all ms": all.median.toFixed(1),
          "peak MB": memory.peakMB.toFixed(0),
          "held MB": memory.heldMB.toFixed(0),
        });
        results.push({ model: name, bytes: bytes.byteLength, codec, ...parts[codec], ...memory });
      }
      results.push({ model: name, times });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  report("codec", { goal: { decodeAndEncodeMs: GOAL_MS, peakMB: GOAL_MB } }, table, results);
}

const [, , flag, codec, path, warm] = process.argv;
if (flag === "--child") console.log(JSON.stringify(measureMemory(codec as Codec, path!, warm!)));
else main();
