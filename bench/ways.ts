/**
 * @file How long each way to compute a gradient of convolutions and pools takes, on the shapes of training nets.
 * Run: `npx tsx bench/ways.ts [threads …]` (default 1 and 2). Writes bench/results/ways.json.
 */
import { type TimedWay, timeWays, type WayCache } from "../src/autodiff/time-ways.ts";
import { type Attributes, Builder } from "../src/graph/builder.ts";
import { Model } from "../src/graph/model.ts";
import { irVersionFor } from "../src/graph/ops/versions.ts";
import type { Value } from "../src/graph/value.ts";
import { channelBlock } from "../src/runtime/channel-block.ts";
import { observeShapes } from "../src/runtime/collect.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { elementCount } from "../src/tensor/dtype.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { report } from "./report.ts";

const OPSET = 17;
const BUDGET_MS = 60;

interface Case {
  /** Net and layer. */
  readonly name: string;
  readonly op: "Conv" | "MaxPool" | "AveragePool";
  readonly inputs: readonly (readonly number[])[];
  readonly attributes: Attributes;
}

function conv(name: string, x: readonly number[], w: readonly number[], stride = 1, group = 1): Case {
  const pad = Math.floor(w[2]! / 2);
  const pads = name.startsWith("LeNet") ? [0, 0, 0, 0] : [pad, pad, pad, pad];
  const attributes = { strides: { ints: [stride, stride] }, pads: { ints: pads }, group: { int: group } };
  return { name, op: "Conv", inputs: [x, w], attributes };
}

function pool(name: string, op: "MaxPool" | "AveragePool", x: readonly number[], k: number, s: number, p = 0): Case {
  const attributes = { kernel_shape: { ints: [k, k] }, strides: { ints: [s, s] }, pads: { ints: [p, p, p, p] } };
  return { name, op, inputs: [x], attributes };
}

const CASES: readonly Case[] = [
  conv("LeNet-5 conv1", [128, 1, 28, 28], [20, 1, 5, 5]),
  conv("LeNet-5 conv2", [128, 20, 12, 12], [50, 20, 5, 5]),
  pool("LeNet-5 pool1", "MaxPool", [128, 20, 24, 24], 2, 2),
  conv("ResNet-20 stem", [64, 3, 32, 32], [16, 3, 3, 3]),
  conv("ResNet-20 stage 1", [64, 16, 32, 32], [16, 16, 3, 3]),
  conv("ResNet-20 stage 2, stride 2", [64, 16, 32, 32], [32, 16, 3, 3], 2),
  conv("ResNet-20 stage 2", [64, 32, 16, 16], [32, 32, 3, 3]),
  conv("ResNet-20 stage 3", [64, 64, 8, 8], [64, 64, 3, 3]),
  conv("ResNet-20 shortcut", [64, 16, 32, 32], [32, 16, 1, 1], 2),
  conv("MobileNetV2 expand", [32, 24, 16, 16], [144, 24, 1, 1]),
  conv("MobileNetV2 depthwise", [32, 144, 16, 16], [144, 1, 3, 3], 1, 144),
  conv("MobileNetV2 depthwise, stride 2", [32, 144, 16, 16], [144, 1, 3, 3], 2, 144),
  conv("MobileNetV2 project", [32, 144, 16, 16], [24, 144, 1, 1]),
  conv("3×3, 64 channels", [16, 64, 28, 28], [64, 64, 3, 3]),
  pool("pool, overlapping", "MaxPool", [16, 64, 56, 56], 3, 2, 1),
  pool("average, overlapping", "AveragePool", [16, 64, 28, 28], 3, 2, 1),
];

/** A model of one node; all inputs are graph inputs, as parameters are in training. */
function modelOf({ op, inputs, attributes }: Case): { model: Model; wrt: Value[]; y: Value } {
  const model = new Model();
  model.opset = OPSET;
  model.irVersion = irVersionFor(OPSET);
  const wrt = inputs.map((dims, i) => {
    const value = model.graph.newValue(`x${i}`);
    value.setTensorType("float32", dims);
    model.graph.inputs.push(value);
    return value;
  });
  const y = new Builder(model.graph).op(op, wrt, attributes);
  model.graph.setOutputs([y]);
  return { model, wrt, y };
}

const node = await createNodeRuntime();
const block = await channelBlock(node);
/** With one thread the processor's time counts, which other work on the machine hardly changes; else the clock on the wall. */
const cpuTime = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const results: (TimedWay & { readonly threads: number; readonly name: string; readonly part: string })[] = [];
for (const threads of process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1, 2]) {
  for (const entry of CASES) {
    const { model, wrt, y } = modelOf(entry);
    const feeds = Object.fromEntries(
      wrt.map(({ name }, i) => [
        name,
        Tensor.float32(entry.inputs[i]!, new Float32Array(elementCount(entry.inputs[i]!))),
      ]),
    );
    const shapes = await observeShapes(model, node, feeds);
    const cache: WayCache = new Map();
    const now = threads === 1 ? cpuTime : undefined;
    await timeWays(model, { loss: y, wrt, shapes, runtime: node, threads, cache, block, now, budgetMs: BUDGET_MS });
    for (const [key, found] of cache) {
      results.push({ threads, name: entry.name, part: key.split("; ").at(-1)!, ...found });
    }
  }
}

report(
  "ways",
  {
    runtime: `${node.name} ${node.version}`,
    opset: OPSET,
    block,
    budgetMs: BUDGET_MS,
    unit: "ms, least of several runs: one thread processor time, several threads time on the wall",
    cases: CASES,
  },
  results.map(({ threads, name, part, ms }) => ({
    threads,
    name,
    part,
    "ms, the fastest first": Object.entries(ms)
      .sort(([, a], [, b]) => a - b)
      .map(([way, time]) => `${way} ${time.toFixed(2)}`)
      .join("  "),
  })),
  results,
);
