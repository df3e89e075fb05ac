/**
 * @file What the zeros in a model's weights are worth, in words: its speed per target, its bytes, and what would be faster.
 */
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { compressedSizes, type Sizes } from "../measure/size.ts";
import { chunkBytes, chunksLength, encodeModel } from "../onnx/encode.ts";
import { storeSparse } from "../prune/store-sparse.ts";
import { takesSparse, type ZeroSpeedFact, zeroSpeed } from "../runtime/sparse.ts";
import { TARGETS, type TargetName } from "../runtime/targets.ts";
import { runStep } from "../step/run.ts";
import { formatBytes, formatCount, formatRatio } from "../util/format.ts";
import type { FileMeasurement, TargetMeasurement } from "./job.ts";
import { percent } from "./judge.ts";
import { speedText } from "./measurement-text.ts";
import type { ModelZeros } from "./zeros.ts";

/** What taking channels out would give: estimated, or measured on such a model. */
export interface ChannelEstimate {
  /** Share of the multiplications that would be gone. */
  readonly macs: number;
  /** Share of the file's bytes that would be gone. */
  readonly bytes: number;
  /** Measured time of the original ÷ time of the pruned model, where there is such a measurement. */
  readonly speed?: Readonly<Partial<Record<TargetName, number>>>;
}

/** Bytes of a model's file in the two forms of its weights. */
export interface SparseFiles {
  readonly dense: Sizes;
  /** With sparse initializers where they are smaller; undefined: nowhere. */
  readonly sparse: Sizes | undefined;
}

export interface SparseFacts {
  readonly zeros: ModelZeros;
  /** Of the pruned file beside the original; the last file of each is the one that is judged. */
  readonly measured?: readonly TargetMeasurement[];
  readonly files?: SparseFiles;
  /** Of the file before it was pruned. */
  readonly original?: Sizes;
  readonly channels?: ChannelEstimate;
}

export interface TargetSentences {
  readonly target: TargetName;
  readonly sentences: readonly string[];
}

export interface SparseVerdict {
  /** One line: how many zeros, and how they lie. */
  readonly summary: string;
  readonly targets: readonly TargetSentences[];
  readonly storage: readonly string[];
  /** What would run faster. */
  readonly instead: readonly string[];
}

/** Sizes of the model's file with dense and with sparse weights. The model stays as it is. */
export async function sparseFiles(model: Model): Promise<SparseFiles> {
  const copy = cloneModel(model);
  await runStep(copy, storeSparse, { form: "dense" });
  const dense = await fileSizes(copy);
  const { changed } = await runStep(copy, storeSparse, {});
  return { dense, sparse: changed === 0 ? undefined : await fileSizes(copy) };
}

async function fileSizes(model: Model): Promise<Sizes> {
  const chunks = encodeModel(toOnnx(model));
  function* pieces(): Generator<Uint8Array> {
    for (const chunk of chunks) yield chunkBytes(chunk);
  }
  return compressedSizes(pieces(), { byteLength: chunksLength(chunks) });
}

/**
 * The verdict on a sparse model. Says nothing of targets that are neither measured nor asked for.
 * @param targets Default: those that were measured.
 */
export function sparseVerdict(facts: SparseFacts, targets?: readonly TargetName[]): SparseVerdict {
  const measured = new Map((facts.measured ?? []).map((result) => [result.target, result]));
  const asked = targets ?? [...measured.keys()];
  return {
    summary: summaryOf(facts.zeros),
    targets: asked.map((target) => ({ target, sentences: onTarget(target, facts, measured.get(target)) })),
    storage: storageOf(facts, asked),
    instead: insteadOf(facts),
  };
}

/** "90.0 % of 266,200 weights are zero, wherever they lie (unstructured)." */
function summaryOf({ elements, sparsity, pattern }: ModelZeros): string {
  if (pattern === undefined) return `None of ${formatCount(elements)} weights is zero.`;
  const how = pattern === "unstructured" ? "wherever they lie (unstructured)" : `in the pattern ${pattern}`;
  return `${percent(sparsity)} of ${formatCount(elements)} weights are zero, ${how}.`;
}

function onTarget(target: TargetName, { zeros }: SparseFacts, measured: TargetMeasurement | undefined): string[] {
  const { pattern } = zeros;
  if (pattern === undefined) return [];
  const notRun = measured?.notRunHere ?? TARGETS[target].notRunHere;
  if (target === "tensorrt") {
    const kernels =
      pattern === "2:4"
        ? "TensorRT has kernels for 2:4 zeros on GPUs from Ampere on, where they lie along the input channels"
        : `TensorRT has kernels for 2:4 zeros only, not for ${pattern} ones`;
    return [`Not run here: ${notRun}. ${kernels}.`];
  }
  if (target === "openvino") return [`Not run here: ${notRun}.`];
  const file = measured?.files.at(-1);
  const sentences = [speedSentence(target, pattern, file), "ONNX Runtime makes weights dense when it loads them."];
  const other = elsewhere(pattern);
  if (other !== undefined) sentences.push(other);
  if (notRun !== undefined && file === undefined) sentences.push(`Not run here: ${notRun}.`);
  return sentences;
}

/** n:m zeros are made for hardware that no JavaScript runtime reaches. */
function elsewhere(pattern: string): string | undefined {
  if (pattern === "unstructured") return undefined;
  return `It has no kernels for ${pattern} zeros; they gain on hardware made for them, which no JavaScript runtime reaches.`;
}

function speedSentence(target: TargetName, pattern: string, file: FileMeasurement | undefined): string {
  const kind: ZeroSpeedFact["zeros"] = pattern === "unstructured" ? "unstructured" : "2:4";
  const known = zeroSpeed(target, kind);
  const range =
    known && (known[0] === known[1] ? formatRatio(known[0]) : `${known[0].toFixed(2)}–${formatRatio(known[1])}`);
  const fact = range && `zeros by themselves were measured there at ${range} the speed of dense weights`;
  if (file?.error !== undefined) return `The file does not ${file.error.stage}, so its speed is not known.`;
  const speed = file === undefined ? "" : speedText(file);
  if (speed === "") return fact ? `The zeros make it no faster: ${fact}.` : "Its speed was not measured.";
  const verdict = file?.latency?.verdict;
  if (verdict === "faster") {
    const cause = fact ? `; it is not the zeros: ${fact}` : "; what else changed with the zeros is not known";
    return `Measured ${speed}${cause}.`;
  }
  if (verdict === undefined) return `Measured ${speed}${fact ? `; ${fact}` : ""}.`;
  if (verdict === "slower") return `The zeros make it no faster: measured ${speed}.`;
  return `The zeros make it no faster: measured ${speed.replace(" same", " the original's speed")}.`;
}

/** "gzip 2.10 MB, brotli 1.98 MB". */
function compressed({ gzip, brotli }: Sizes): string {
  const parts = [
    gzip !== undefined && `gzip ${formatBytes(gzip)}`,
    brotli !== undefined && `brotli ${formatBytes(brotli)}`,
  ];
  return parts.filter((part) => part).join(", ");
}

function storageOf({ files, original, zeros }: SparseFacts, targets: readonly TargetName[]): string[] {
  if (files === undefined || zeros.pattern === undefined) return [];
  const { dense, sparse } = files;
  const before = original && compressed(original) ? ` (before pruning: ${compressed(original)})` : "";
  const inTransfer = compressed(dense) ? `, ${compressed(dense)}${before}` : "";
  const sentences = [`The file takes ${formatBytes(dense.bytes)} with dense weights${inTransfer}.`];
  if (sparse === undefined) {
    sentences.push("Sparse initializers would not make it smaller.");
    return sentences;
  }
  const too = compressed(sparse) ? `, ${compressed(sparse)}` : "";
  sentences.push(`With sparse initializers (store-sparse) it takes ${formatBytes(sparse.bytes)}${too}.`);
  const best = (sizes: Sizes): number | undefined => sizes.brotli ?? sizes.gzip;
  const [a, b] = [best(dense), best(sparse)];
  if (a !== undefined && b !== undefined) {
    const transfer =
      b < 0.98 * a
        ? `they save ${percent(1 - b / a)} there, too`
        : b > 1.02 * a
          ? `they make the transfer ${percent(b / a - 1)} larger`
          : "they make no difference there";
    sentences.push(`A server that compresses sends the smaller figures: ${transfer}.`);
  }
  const refused = targets.filter((target) => takesSparse(target) === false);
  if (refused.length > 0) sentences.push(`${refused.join(" and ")} does not load sparse initializers.`);
  return sentences;
}

function insteadOf({ channels, zeros }: SparseFacts): string[] {
  const sentences: string[] = [];
  if (zeros.emptyChannels > 0) {
    const { emptyChannels: empty, channels: all } = zeros;
    sentences.push(
      `${formatCount(empty)} of ${formatCount(all)} output channels are nothing but zeros: they can be taken out at no loss.`,
    );
  }
  if (channels === undefined) {
    if (zeros.pattern !== undefined) {
      sentences.push("What runs faster everywhere is taking whole channels out (pattern channel): the tensors shrink.");
    }
    return sentences;
  }
  const speeds = Object.entries(channels.speed ?? {}).map(([target, ratio]) => `${formatRatio(ratio)} on ${target}`);
  const measured = speeds.length > 0 ? `; measured: ${speeds.join(", ")}` : "";
  sentences.push(
    `Taking whole channels out instead would take away ${percent(channels.macs)} of the products and ${percent(channels.bytes)} of the bytes${measured}.`,
  );
  return sentences;
}
