/**
 * @file Signal to quantization noise ratio: 10 · log10(Σ x² / Σ (x - y)²), in dB. One bit is worth about 6 dB.
 */
import { GraphError } from "../util/errors.ts";
import { type CodeArray, rawCodes } from "./affine.ts";
import { checkSize, forEachSpan, type GroupView } from "./granularity.ts";
import { checkQParams, type QParams } from "./qparams.ts";

/** No noise: +Infinity (also where there is no signal either); noise without signal: -Infinity. NaN in, NaN out. */
function decibels(signal: number, noise: number): number {
  if (noise === 0) return Number.POSITIVE_INFINITY;
  return 10 * Math.log10(signal / noise);
}

/**
 * SQNR in dB of `other` against `reference`, two arrays of one length; sums in float64.
 * +Infinity where they are equal, -Infinity where the reference is all zero and the other is not, NaN where either holds NaN.
 * @throws GraphError for different lengths.
 */
export function sqnr(reference: ArrayLike<number>, other: ArrayLike<number>): number {
  if (reference.length !== other.length) {
    throw new GraphError({
      area: "quantize",
      subject: "sqnr",
      problem: `expected ${reference.length} elements as in the reference, got ${other.length}`,
    });
  }
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; i++) {
    const x = reference[i]!;
    const error = x - other[i]!;
    signal += x * x;
    noise += error * error;
  }
  return decibels(signal, noise);
}

export interface WeightSqnr {
  /** SQNR of the whole tensor, dB. */
  readonly overall: number;
  /** The group with the lowest SQNR (the first of them), dB; undefined where the tensor has no elements. */
  readonly worst: { readonly group: number; readonly sqnr: number } | undefined;
}

/**
 * SQNR of quantized weights, as the runtime will dequantize them (float32), without a dequantized copy.
 * @param data the float32 weights, row-major, with the view's dimensions; `codes` what `quantize` made of them.
 * @throws GraphError for wrong lengths or parameters that do not fit the view.
 */
export function weightSqnr(data: Float32Array, view: GroupView, qparams: QParams, codes: CodeArray): WeightSqnr {
  checkSize(view, data.length);
  checkSize(view, codes.length);
  checkQParams(view, qparams);
  const { scale, zeroPoint } = qparams;
  const { raw, flip } = rawCodes(codes);
  const signal = new Float64Array(view.groups);
  const noise = new Float64Array(view.groups);
  forEachSpan(
    view,
    (start, end, group) => addRun(data, raw, flip, start, end, group, scale, zeroPoint, signal, noise),
    (start, rows, columns, stride, group) => {
      for (let row = 0; row < rows; row++) {
        addRow(data, raw, flip, start + row * stride, columns, group, scale, zeroPoint, signal, noise);
      }
    },
  );
  let [signals, noises] = [0, 0];
  let worst: WeightSqnr["worst"];
  for (let group = 0; group < view.groups; group++) {
    signals += signal[group]!;
    noises += noise[group]!;
    const value = decibels(signal[group]!, noise[group]!);
    if (view.size > 0 && (worst === undefined || value < worst.sqnr)) worst = { group, sqnr: value };
  }
  return { overall: decibels(signals, noises), worst };
}

/** Adds the squares of a run of one group. */
function addRun(
  data: Float32Array,
  raw: Uint8Array | Uint16Array,
  flip: number,
  start: number,
  end: number,
  group: number,
  scale: Float32Array,
  zeroPoint: Int32Array,
  signal: Float64Array,
  noise: Float64Array,
): void {
  const s = scale[group]!;
  const offset = flip + zeroPoint[group]!;
  let signalSum = signal[group]!;
  let noiseSum = noise[group]!;
  for (let i = start; i < end; i++) {
    const x = data[i]!;
    const error = x - Math.fround(((raw[i]! ^ flip) - offset) * s);
    signalSum += x * x;
    noiseSum += error * error;
  }
  signal[group] = signalSum;
  noise[group] = noiseSum;
}

/** Adds the squares of `columns` neighbours that belong to the groups from `group` on. */
function addRow(
  data: Float32Array,
  raw: Uint8Array | Uint16Array,
  flip: number,
  start: number,
  columns: number,
  group: number,
  scale: Float32Array,
  zeroPoint: Int32Array,
  signal: Float64Array,
  noise: Float64Array,
): void {
  for (let c = 0; c < columns; c++) {
    const g = group + c;
    const x = data[start + c]!;
    const error = x - Math.fround(((raw[start + c]! ^ flip) - flip - zeroPoint[g]!) * scale[g]!);
    signal[g] = signal[g]! + x * x;
    noise[g] = noise[g]! + error * error;
  }
}
