/**
 * @file Quantizes one constant weight: scales, codes and what is lost, kept small for models larger than memory.
 */
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { byteLengthOf, elementCount } from "../tensor/dtype.ts";
import { packNibbles } from "../tensor/packed.ts";
import { bytesOf, isFloatingPoint, Tensor } from "../tensor/tensor.ts";
import { TersorError } from "../util/errors.ts";
import { quantize } from "./affine.ts";
import { type Granularity, groupView } from "./granularity.ts";
import { type CodeDType, type QParams, type QScheme, qparamsFromRanges } from "./qparams.ts";
import { weightSqnr } from "./sqnr.ts";
import { weightRanges } from "./weight-ranges.ts";

export interface QuantizedWeight {
  /** Codes with the weight's dimensions (or transposed, where that was asked for). */
  readonly codes: Tensor;
  readonly qparams: QParams;
  /** Signal-to-quantization-noise ratio in decibels. */
  readonly sqnr: number;
}

export interface WeightScheme {
  readonly dtype: "int8" | "uint8" | "int4";
  readonly granularity: Granularity;
  /** How ranges come from the weights: their extremes, or what loses least. Default: `mse` for int4, else `min-max`. */
  readonly search?: "min-max" | "mse";
  /** 7 bits, for processors on which u8×s8 products saturate. Default false. */
  readonly reduceRange?: boolean;
  /** Smallest scale of each channel, where something else than the weight needs it to be larger. */
  readonly minScale?: Float32Array;
  /** Factor on all values before quantization. Default 1. */
  readonly factor?: number;
  /** Store a matrix `[N, K]` as `[K, N]`. The granularity is that of the matrix before. Default false. */
  readonly transpose?: boolean;
}

/** Codes that a model's weights may hold in memory together; those beyond are computed again when they are written. */
const KEEP_BYTES = 256e6;
const kept = new WeakMap<Model, number>();

/** Weights as small as 1e-30 are no reason to round their scale up to PyTorch's epsilon, which is meant for activations. */
const WEIGHT_EPS = 2 ** -126;

/**
 * Symmetric quantization of a weight without the lowest code (−127 … 127; 1 … 255 around 128).
 * @returns The result, or the reason why it cannot be.
 */
export function quantizeWeight(value: Value, scheme: WeightScheme): QuantizedWeight | string {
  const tensor = value.constant;
  if (tensor === undefined) return "its weight is not constant";
  if (!isFloatingPoint(tensor.dtype)) return `its weight is ${tensor.dtype}`;
  if (tensor.size === 0) return "its weight is empty";
  try {
    const { dims } = tensor;
    const view = groupView(dims, scheme.granularity, `weight "${value.name}"`);
    const read = (): Float32Array => scaled(tensor.floats(), scheme.factor);
    const data = read();
    const form: QScheme = {
      dtype: scheme.dtype,
      symmetric: true,
      narrowRange: true,
      reduceRange: scheme.reduceRange,
      eps: WEIGHT_EPS,
    };
    const search = scheme.search ?? (scheme.dtype === "int4" ? "mse" : "min-max");
    const qparams = qparamsFromRanges(weightRanges(data, view, form, search), view, form);
    scheme.minScale?.forEach((least, group) => {
      if (qparams.scale[group]! < least) qparams.scale[group] = least;
    });
    const codes = quantize(data, view, qparams);
    const sqnr = weightSqnr(data, view, qparams, codes).overall;
    const shape = scheme.transpose ? dims.toReversed() : dims;
    const arrange = (computed: ArrayBufferView & { readonly length: number }): Uint8Array => {
      const ordered = scheme.transpose ? transpose(bytesOf(computed), dims[0]!, dims[1]!) : bytesOf(computed);
      return scheme.dtype === "int4" ? packNibbles(ordered) : ordered;
    };
    const length = byteLengthOf(scheme.dtype, elementCount(dims));
    const { model } = value.graph;
    const total = (kept.get(model) ?? 0) + length;
    if (total > KEEP_BYTES) {
      const again = (): Uint8Array => arrange(quantize(read(), view, qparams));
      return { codes: Tensor.deferred(scheme.dtype, shape, again), qparams, sqnr };
    }
    kept.set(model, total);
    const bytes = arrange(codes);
    return { codes: new Tensor(scheme.dtype, shape, { byteLength: length, bytes: () => bytes }), qparams, sqnr };
  } catch (error) {
    if (error instanceof TersorError && error.code === "GRAPH") return error.message;
    throw error;
  }
}

/** A tensor of codes that are one to a byte. */
export function codesTensor(dtype: CodeDType, dims: readonly number[], codes: Int8Array): Tensor {
  const bytes = dtype === "int4" ? packNibbles(bytesOf(codes)) : bytesOf(codes);
  return new Tensor(dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
}

function scaled(data: Float32Array, factor = 1): Float32Array {
  return factor === 1 ? data : data.map((value) => value * factor);
}

/** One byte per element, `[rows, columns]` to `[columns, rows]`. */
function transpose(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = bytes[r * columns + c]!;
  return result;
}
