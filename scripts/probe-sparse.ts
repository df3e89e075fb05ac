/**
 * @file Tries which runtimes take sparse constants, measures how fast weights with zeros run, and writes
 * src/runtime/sparse-facts.ts.
 *
 *   npx tsx scripts/probe-sparse.ts                 all targets, about three minutes; WebGPU where there is a browser
 *   npx tsx scripts/probe-sparse.ts --dry-run       prints, writes nothing
 *
 * Dense weights and those with zeros run in turns, and their processor time counts, as in scripts/probe.ts.
 */
import { execFileSync, fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openRuntime, whyNotHere } from "../src/analyze/open-runtime.ts";
import { Model } from "../src/graph/model.ts";
import { toOnnx } from "../src/graph/to-onnx.ts";
import { median } from "../src/measure/interval.ts";
import { compareLatency } from "../src/measure/latency.ts";
import { describeMachine } from "../src/measure/machine.ts";
import { encodeModel, joinChunks } from "../src/onnx/encode.ts";
import { ATTRIBUTE_TYPE } from "../src/onnx/messages.ts";
import { tensorToSparseProto, toSparse } from "../src/onnx/sparse-proto.ts";
import type { Runtime } from "../src/runtime/runtime.ts";
import { type SparseFormFact, ZERO_PATTERNS, type ZeroSpeedFact } from "../src/runtime/sparse.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { createRandom } from "../src/util/random.ts";

const FACTS_FILE = fileURLToPath(new URL("../src/runtime/sparse-facts.ts", import.meta.url));

const FORM_TARGETS = ["node-cpu", "web-wasm", "web-webgpu"] as const;
const SPEED_TARGETS = ["node-cpu", "web-wasm"] as const;
const OPS = ["MatMul", "Conv"] as const;
const FORMS = ["sparse_initializer", "sparse_value"] as const;

/** Time for one pair of models, in ms. */
const BUDGET_MS = 600;

/** As in scripts/probe.ts: now and then a process stays slow from beginning to end. */
const PROCESSES = 3;

/** Largest difference of outputs of magnitude 1: kernels are the same, buffers may be aligned in other ways. */
const TOLERANCE = 1e-4;

type Op = (typeof OPS)[number];

/** x [64, 512] times three [512, 512], or three 3×3 convolutions of [1, 64, 28, 28]. */
const SHAPES = {
  MatMul: { input: [64, 512], weight: [512, 512] },
  Conv: { input: [1, 64, 28, 28], weight: [64, 64, 3, 3] },
} as const;

const LAYERS = 3;

function normal(dims: readonly number[], deviation: number, seed: number): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => deviation * random.normal());
}

/** Weights with 90 % zeros, or the two smaller of each four inputs zero. */
function withZeros(op: Op, data: Float32Array, zeros: ZeroSpeedFact["zeros"], seed: number): Float32Array {
  const random = createRandom(seed);
  if (zeros !== "2:4") return data.map((value) => (random.next() < 0.9 ? 0 : value));
  // Inputs lie along the first axis of MatMul's weight and within the rows of Conv's.
  const stride = op === "MatMul" ? SHAPES.MatMul.weight[1] : 1;
  const result = data.slice();
  for (let start = 0; start < data.length; start += 4 * stride) {
    for (let column = 0; column < stride; column++) {
      const four = [0, 1, 2, 3].map((i) => start + i * stride + column);
      four.sort((a, b) => Math.abs(data[a]!) - Math.abs(data[b]!));
      result[four[0]!] = 0;
      result[four[1]!] = 0;
    }
  }
  return result;
}

type Storage = "dense" | (typeof FORMS)[number];

function build(op: Op, zeros: ZeroSpeedFact["zeros"] | undefined, storage: Storage): Uint8Array {
  const { input, weight } = SHAPES[op];
  const model = new Model();
  model.irVersion = 8;
  model.opset = 17;
  const { graph } = model;
  graph.name = "probe";
  const x = graph.newValue("x");
  x.setTensorType("float32", input);
  graph.inputs.push(x);
  let value = x;
  const fanIn = op === "MatMul" ? weight[0] : weight[1] * 9;
  for (let layer = 0; layer < LAYERS; layer++) {
    const data = normal(weight, Math.sqrt(2 / fanIn), layer);
    const dense = Tensor.float32(weight, zeros === undefined ? data : withZeros(op, data, zeros, layer));
    let constant = graph.newValue(`w${layer}`);
    if (storage === "sparse_value") {
      const node = graph.add("Constant", [], { name: `w${layer}` });
      const sparseTensor = tensorToSparseProto(toSparse(dense)!, undefined);
      node.attributes.set("sparse_value", {
        proto: { name: "sparse_value", type: ATTRIBUTE_TYPE.sparseTensor, sparseTensor },
      });
      constant = node.output();
    } else {
      constant.initializer = storage === "dense" ? dense : toSparse(dense)!;
      graph.initializers.add(constant);
    }
    const attributes = op === "Conv" ? { pads: { ints: [1, 1, 1, 1] } } : undefined;
    value = graph.add(op, [value, constant], { name: `layer${layer}`, ...(attributes && { attributes }) }).output();
    value = graph.add("Relu", [value], { name: `relu${layer}` }).output();
  }
  value.setTensorType("float32", input);
  graph.setOutputs([value]);
  return joinChunks(encodeModel(toOnnx(model)));
}

async function runOnce(runtime: Runtime, bytes: Uint8Array, x: Tensor, output?: string): Promise<Float32Array> {
  const session = await runtime.load({ bytes }, { threads: 1 });
  try {
    const result = await session.run({ x });
    return result[output ?? session.outputs[0]!.name]!.floats().slice();
  } finally {
    await session.release();
  }
}

async function tryForm(runtime: Runtime, form: (typeof FORMS)[number]): Promise<boolean> {
  for (const op of OPS) {
    const x = Tensor.float32(SHAPES[op].input, normal(SHAPES[op].input, 1, 9));
    const expected = await runOnce(runtime, build(op, "unstructured", "dense"), x);
    try {
      const got = await runOnce(runtime, build(op, "unstructured", form), x);
      if (got.some((value, i) => !(Math.abs(value - expected[i]!) <= TOLERANCE))) return false;
    } catch (error) {
      console.error(`${runtime.name}, ${form}, ${op}: ${error}`);
      return false;
    }
  }
  return true;
}

function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Time of dense weights ÷ time of those with zeros, the median over interleaved rounds. */
async function speed(runtime: Runtime, op: Op, zeros: ZeroSpeedFact["zeros"]): Promise<number> {
  const files = [build(op, undefined, "dense"), build(op, zeros, zeros === "stored-sparse" ? FORMS[0] : "dense")];
  const sessions = await Promise.all(files.map((bytes) => runtime.load({ bytes }, { threads: 1 })));
  const x = Tensor.float32(SHAPES[op].input, normal(SHAPES[op].input, 1, 9));
  const { sessions: timed } = await compareLatency(
    sessions.map((session, i) => ({ name: String(i), session })),
    [{ x }],
    { budgetMs: BUDGET_MS, minRounds: 25, maxRounds: 3000, warmup: 5, now: processorTime },
  );
  for (const session of sessions) await session.release();
  const { median: ratio, low, high } = timed[1]!.ratio!;
  console.error(`${runtime.name} ${op} ${zeros}: ${ratio.toFixed(3)}× (${low.toFixed(3)} to ${high.toFixed(3)})`);
  return ratio;
}

/** What a child process answers. */
interface Probed {
  readonly runtime: string;
  readonly ratios: readonly number[];
}

const CASES = OPS.flatMap((op) => ZERO_PATTERNS.map((zeros) => ({ op, zeros })));

function probeIsolated(target: string): Promise<Probed> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ["--target", target], {
      execArgv: [...process.execArgv, "--no-liftoff"],
    });
    child.on("message", (probed: Probed) => resolve(probed));
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(new Error(`${target}: the process ended with ${signal ?? code}`)));
  });
}

async function writeFacts(
  forms: readonly SparseFormFact[],
  speeds: readonly ZeroSpeedFact[],
  runs: readonly string[],
): Promise<void> {
  const machine = await describeMachine();
  const where = `${machine.processor}, ${machine.platform}, ${machine.host}; ${new Date().toISOString().slice(0, 10)}`;
  const text = `/**
 * @file What runtimes take and how fast zeros run. Written by scripts/probe-sparse.ts: not to be edited.
 * ${runs.join(", ")}; one thread; ${where}.
 */
import type { SparseFormFact, ZeroSpeedFact } from "./sparse.ts";

export const SPARSE_FORM_FACTS: readonly SparseFormFact[] = ${JSON.stringify(forms, null, 2)};

export const ZERO_SPEED_FACTS: readonly ZeroSpeedFact[] = ${JSON.stringify(speeds, null, 2)};
`;
  const biome = fileURLToPath(new URL("../node_modules/@biomejs/biome/bin/biome", import.meta.url));
  const formatted = execFileSync(process.execPath, [biome, "check", "--write", `--stdin-file-path=${FACTS_FILE}`], {
    input: text,
    encoding: "utf8",
  });
  writeFileSync(FACTS_FILE, formatted);
}

const { values } = parseArgs({ options: { target: { type: "string" }, "dry-run": { type: "boolean" } } });
if (values.target !== undefined) {
  const { runtime, close } = await openRuntime({ target: values.target as (typeof SPEED_TARGETS)[number] });
  const ratios: number[] = [];
  for (const { op, zeros } of CASES) ratios.push(await speed(runtime, op, zeros));
  await close();
  process.send!({ runtime: `${runtime.name} ${runtime.version}`, ratios } satisfies Probed);
  process.disconnect();
} else {
  const forms: SparseFormFact[] = [];
  const runs = new Set<string>();
  for (const target of FORM_TARGETS) {
    const missing = await whyNotHere(target);
    if (missing !== undefined) {
      console.error(`${target}: ${missing}`);
      continue;
    }
    const { runtime, close } = await openRuntime({ target });
    for (const form of FORMS) forms.push({ target, form, taken: await tryForm(runtime, form) });
    await close();
  }
  const speeds: ZeroSpeedFact[] = [];
  for (const target of SPEED_TARGETS) {
    const probed: Probed[] = [];
    for (let i = 0; i < PROCESSES; i++) probed.push(await probeIsolated(target));
    runs.add(probed[0]!.runtime);
    CASES.forEach(({ op, zeros }, i) => {
      const ratio = Number(median(probed.map(({ ratios }) => ratios[i]!)).toPrecision(2));
      speeds.push({ target, zeros, op, ratio });
    });
  }
  console.table(forms);
  console.table(speeds);
  if (!values["dry-run"]) await writeFacts(forms, speeds, [...runs]);
}
