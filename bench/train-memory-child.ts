/**
 * @file Trains one net for a few steps in a process of its own, and says how far its resident memory grew, and how far the
 * estimate said it would.
 *
 * The largest resident size is reset before training (Linux: 5 into /proc/self/clear_refs), so that imports do not count.
 */
import { writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fromItems } from "../src/data/combine.ts";
import type { Model } from "../src/graph/model.ts";
import { buildModel } from "../src/nn/build-model.ts";
import { openModel } from "../src/recipe/open.ts";
import { createNodeRuntime } from "../src/runtime/onnxruntime-node.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import type { MemoryEstimate } from "../src/train/program.ts";
import { train } from "../src/train/trainer.ts";
import type { TrainerInput } from "../src/train/trainer-options.ts";
import { createRandom } from "../src/util/random.ts";
import { residentBytes } from "./child-process.ts";
import { recognition } from "./tasks/ocr.ts";
import { NETS } from "./training-nets.ts";

export interface Spec {
  readonly net: string;
  readonly batch: number;
  readonly options: TrainerInput;
}

export interface Reply {
  readonly estimate: MemoryEstimate;
  readonly baseBytes: number;
  /** Growth until the first step, until the last, and at the end with a validation. */
  readonly builtBytes: number;
  readonly steppedBytes: number;
  readonly peakBytes: number;
}

const STEPS = 4;

interface Job {
  readonly model: Model;
  readonly sample: (index: number) => { readonly inputs: Readonly<Record<string, Tensor>>; readonly label?: unknown };
}

function jobOf(name: string): Job {
  const random = createRandom(1);
  const noise = (dims: readonly number[]): Tensor =>
    Tensor.float32(
      dims,
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.normal()),
    );
  if (name === "recognition") {
    return { model: openModel(recognition.path).model(), sample: () => ({ inputs: { x: noise([1, 3, 48, 320]) } }) };
  }
  const { module, dims } = NETS[name]!;
  const rest = dims.slice(1);
  return {
    model: buildModel(module, { input: { name: "x", dims: ["N", ...rest] }, output: "logits", seed: 1 }),
    sample: (index) => ({ inputs: { x: noise([1, ...rest]) }, label: index % 10 }),
  };
}

const { net, batch, options } = JSON.parse(process.argv[2]!) as Spec;
const { model, sample } = jobOf(net);
const count = batch * STEPS;
const samples = Array.from({ length: count }, (_, i) => sample(i));
const data = fromItems("noise", count, async (index) => samples[index]!);
const runtime = await createNodeRuntime();
setFlagsFromString("--expose-gc");
(runInNewContext("gc") as () => void)();
writeFileSync("/proc/self/clear_refs", "5");
const baseBytes = residentBytes().now;
const grown = (): number => residentBytes().peak - baseBytes;
let [builtBytes, steppedBytes] = [0, 0];
const { memory } = await train(
  model,
  { ...options, batchSize: batch, epochs: 1, keepBest: false },
  {
    runtime,
    data,
    validation: fromItems("noise", batch, async (index) => samples[index]!),
    log: ({ type }) => {
      if (type === "start") builtBytes = grown();
    },
    hooks: {
      onStep: () => {
        steppedBytes = grown();
      },
    },
  },
);
const reply: Reply = { estimate: memory, baseBytes, builtBytes, steppedBytes, peakBytes: grown() };
console.log(JSON.stringify(reply));
