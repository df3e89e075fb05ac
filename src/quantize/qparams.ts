/**
 * @file Scale and zero point from a range of values.
 * Source: PyTorch `torch.ao.quantization.observer.UniformQuantizationObserverBase._calculate_qparams`, in float32 as there.
 */
import type { DType } from "../tensor/dtype.ts";
import { GraphError, OptionError } from "../util/errors.ts";
import { describeView, type Granularity, type GroupView } from "./granularity.ts";

/** Smallest and largest code of each integer type that QuantizeLinear writes. */
export const CODE_RANGES = {
  int8: { qmin: -128, qmax: 127 },
  uint8: { qmin: 0, qmax: 255 },
  int16: { qmin: -32768, qmax: 32767 },
  uint16: { qmin: 0, qmax: 65535 },
  int4: { qmin: -8, qmax: 7 },
  uint4: { qmin: 0, qmax: 15 },
} as const satisfies Partial<Record<DType, { qmin: number; qmax: number }>>;

export type CodeDType = keyof typeof CODE_RANGES;

/** How ranges become scales and zero points. */
export interface QScheme {
  readonly dtype: CodeDType;
  /** Symmetric: zero point in the middle (0, or 128 for uint8), scale from the larger of |min| and |max|. */
  readonly symmetric: boolean;
  /** 8-bit types only: 7 bits (-64 … 63, 0 … 127), so that u8×s8 products do not saturate without VNNI. Default false. */
  readonly reduceRange?: boolean;
  /** Leaves the lowest code out (-127 … 127, 1 … 255), as ONNX Runtime does for weights. Default false. */
  readonly narrowRange?: boolean;
  /** Smallest scale of a range that is not all zero, at least 2^-126. Default 2^-23, PyTorch's `eps` (float32 machine epsilon). */
  readonly eps?: number;
}

/**
 * The parameters of an affine quantization `x ≈ (code - zeroPoint) · scale`. `scale` (float32, positive) and `zeroPoint` (a
 * code) have one element per group of the {@link GroupView} of `granularity`, in its order.
 */
export interface QParams {
  readonly scale: Float32Array;
  readonly zeroPoint: Int32Array;
  readonly dtype: CodeDType;
  readonly granularity: Granularity;
  /** Lowest code in use where narrower than the type. Default: the type's. */
  readonly qmin?: number;
  /** Highest code in use where narrower than the type. Default: the type's. */
  readonly qmax?: number;
}

/** The codes a scheme uses. @throws OptionError for `reduceRange` on a type that has not 8 bits. */
export function codeRange(scheme: Pick<QScheme, "dtype" | "reduceRange" | "narrowRange">): {
  readonly qmin: number;
  readonly qmax: number;
} {
  let { qmin, qmax }: { qmin: number; qmax: number } = CODE_RANGES[scheme.dtype];
  if (scheme.reduceRange) {
    if (scheme.dtype !== "int8" && scheme.dtype !== "uint8") {
      throw new OptionError({
        area: "quantize",
        subject: "reduceRange",
        problem: `expected dtype int8 or uint8, got ${scheme.dtype}`,
        help: "A reduced range is for 8-bit kernels that add two products in 16 bits.",
      });
    }
    // PyTorch: quant_min // 2, quant_max // 2.
    qmin = Math.floor(qmin / 2);
    qmax = Math.floor(qmax / 2);
  }
  return { qmin: scheme.narrowRange ? qmin + 1 : qmin, qmax };
}

/** `value` rounded to the nearest integer, ties to even (`torch.round`, `numpy.rint`); |value| < 2^51. */
function roundHalfEven(value: number): number {
  const MAGIC = 1.5 * 2 ** 52; // above 2^52 the spacing of float64 is 1: the addition rounds
  return value + MAGIC - MAGIC;
}

/**
 * Scale and zero point for one group.
 *
 * The range is widened to include 0 (so 0 is always exact), then, in float32:
 * - symmetric: `scale = max(-min, max) / ((qmax - qmin) / 2)`, zero point 0, or the middle code for unsigned types;
 * - asymmetric: `scale = (max - min) / (qmax - qmin)`, `zeroPoint = clamp(qmin - round(min / scale), qmin, qmax)`.
 *
 * A scale under `eps` becomes `eps`. A constant range is no special case once widened. Two deviations from PyTorch: an
 * all-zero range gets scale 1 (PyTorch: eps; a pruned channel's bias would overflow int32 at `xScale · eps`), and a narrowed
 * unsigned range has its zero point in its own middle (PyTorch with reduce_range: 128, which 0 … 127 does not contain).
 *
 * @throws GraphError where min or max is NaN or infinite, or min > max; OptionError as {@link codeRange}.
 */
export function chooseQParams(min: number, max: number, scheme: QScheme): { scale: number; zeroPoint: number } {
  if (!Number.isFinite(min) || !Number.isFinite(max) || min > max) {
    throw new GraphError({
      area: "quantize",
      subject: `range ${min} … ${max}`,
      problem: min > max ? "expected min <= max, got min > max" : "expected finite numbers, got NaN or infinity",
      help: "Look for NaN, infinite or missing values in the weights or in the calibration data.",
    });
  }
  const { qmin, qmax } = codeRange(scheme);
  const low = Math.fround(Math.min(min, 0));
  const high = Math.fround(Math.max(max, 0));
  const middle = qmin < 0 ? 0 : (qmin + qmax + 1) >> 1;
  if (low === 0 && high === 0) return { scale: 1, zeroPoint: scheme.symmetric ? middle : qmin };
  const eps = Math.max(Math.fround(scheme.eps ?? 2 ** -23), 2 ** -126);
  if (scheme.symmetric) {
    const scale = Math.fround(Math.max(-low, high) / ((qmax - qmin) / 2));
    return { scale: Math.max(scale, eps), zeroPoint: middle };
  }
  const span = Math.fround(high - low);
  // A span above float32's largest number still has a float32 scale: only then the difference stays in float64.
  const scale = Math.max(Math.fround((Number.isFinite(span) ? span : high - low) / (qmax - qmin)), eps);
  const zeroPoint = qmin - roundHalfEven(Math.fround(low / scale));
  return { scale, zeroPoint: Math.min(Math.max(zeroPoint, qmin), qmax) };
}

/**
 * {@link chooseQParams} for every group of a view: `ranges` as `minMax` or an observer gives them, one element per group.
 * @throws GraphError naming the tensor and the group whose range is not finite, or where the number of ranges is wrong.
 */
export function qparamsFromRanges(
  ranges: { readonly min: ArrayLike<number>; readonly max: ArrayLike<number> },
  view: GroupView,
  scheme: QScheme,
): QParams {
  const { groups } = view;
  const subject = describeView(view);
  if (ranges.min.length !== groups || ranges.max.length !== groups) {
    throw new GraphError({
      area: "quantize",
      subject,
      problem: `expected ${groups} ranges, got ${ranges.min.length} minima and ${ranges.max.length} maxima`,
    });
  }
  const { qmin, qmax } = codeRange(scheme);
  const scale = new Float32Array(groups);
  const zeroPoint = new Int32Array(groups);
  for (let group = 0; group < groups; group++) {
    const min = ranges.min[group]!;
    const max = ranges.max[group]!;
    if (!Number.isFinite(min) || !Number.isFinite(max)) {
      throw new GraphError({
        area: "quantize",
        subject,
        problem: `expected a finite range, got ${min} … ${max} in group ${group} of ${groups}`,
        help: "Look for NaN, infinite or missing values in the weights or in the calibration data.",
      });
    }
    const chosen = chooseQParams(min, max, scheme);
    scale[group] = chosen.scale;
    zeroPoint[group] = chosen.zeroPoint;
  }
  return { scale, zeroPoint, dtype: scheme.dtype, granularity: view.granularity, qmin, qmax };
}

/** @throws GraphError where parameters do not fit the view, a scale is not positive and finite, or a zero point is no code. */
export function checkQParams(view: GroupView, qparams: QParams): void {
  const { scale, zeroPoint, dtype } = qparams;
  const fail = (problem: string): never => {
    throw new GraphError({ area: "quantize", subject: describeView(view), problem });
  };
  if (scale.length !== view.groups || zeroPoint.length !== view.groups) {
    fail(`expected ${view.groups} scales and zero points, got ${scale.length} and ${zeroPoint.length}`);
  }
  const { qmin, qmax } = CODE_RANGES[dtype];
  for (let group = 0; group < scale.length; group++) {
    const s = scale[group]!;
    const zero = zeroPoint[group]!;
    if (!(s > 0 && s < Number.POSITIVE_INFINITY)) fail(`expected positive finite scales, got ${s} in group ${group}`);
    if (zero < qmin || zero > qmax) fail(`expected zero points of ${dtype}, got ${zero} in group ${group}`);
  }
}
