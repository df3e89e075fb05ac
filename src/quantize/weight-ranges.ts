/**
 * @file Ranges for weights: their extremes, or those that lose least. With 4 bits, a few large weights make the step too
 * large for all others: clipping them gains decibels. With 8 bits it gains little.
 *
 * `mse`: for each group a grid of ranges between the extremes and a third of them, as in AWQ's and llm-compressor's
 * clipping search; for asymmetric schemes both ends on their own. Errors are those of the values themselves (of a sample of
 * them in groups above 2,048), and the best is kept only where on all values it loses less than the extremes do.
 */
import { minMax } from "./affine.ts";
import { forEachSpan, type GroupView } from "./granularity.ts";
import { chooseQParams, codeRange, type QScheme } from "./qparams.ts";

export type WeightSearch = "min-max" | "mse";

/** Values of a group that candidates are tried on. */
const SAMPLE = 2048;
/** Shares of the extremes: eight candidates, then four around the best. */
const COARSE = [0.94, 0.88, 0.82, 0.75, 0.67, 0.58, 0.48, 0.36];
const FINE = [1.035, 0.965, 1.0175, 0.9825];

/**
 * A range for each group of a view, for `qparamsFromRanges`.
 * @param data float32, row-major, with the view's dimensions.
 * @param search `min-max`: the extremes; `mse`: never with a larger squared error than the extremes have.
 * @throws GraphError naming the first NaN or infinite element, or for a wrong length.
 */
export function weightRanges(
  data: Float32Array,
  view: GroupView,
  scheme: QScheme,
  search: WeightSearch,
): { readonly min: Float32Array; readonly max: Float32Array } {
  const ranges = minMax(data, view);
  if (search === "mse") {
    forEachGroup(data, view, (values, group) => {
      const best = leastError(values, ranges.min[group]!, ranges.max[group]!, scheme);
      ranges.min[group] = best.min;
      ranges.max[group] = best.max;
    });
  }
  return ranges;
}

/** Each group's values in one contiguous array, valid during the call. */
function forEachGroup(data: Float32Array, view: GroupView, visit: (values: Float32Array, group: number) => void): void {
  const { outer, inner } = view;
  if (view.granularity.kind === "per-axis" && inner > 1 && outer > 1) {
    // A group comes in `outer` runs.
    const values = new Float32Array(outer * inner);
    for (let group = 0; group < view.length; group++) {
      for (let o = 0; o < outer; o++) {
        const start = (o * view.length + group) * inner;
        values.set(data.subarray(start, start + inner), o * inner);
      }
      visit(values, group);
    }
    return;
  }
  let columnsValues = new Float32Array(0);
  forEachSpan(
    view,
    (start, end, group) => visit(data.subarray(start, end), group),
    (start, rows, columns, stride, group) => {
      // 16 columns at a time: a cache line of each row is read once.
      if (columnsValues.length < rows * LINE) columnsValues = new Float32Array(rows * LINE);
      for (let from = 0; from < columns; from += LINE) {
        const width = Math.min(LINE, columns - from);
        for (let row = 0; row < rows; row++) {
          const at = start + row * stride + from;
          for (let c = 0; c < width; c++) columnsValues[c * rows + row] = data[at + c]!;
        }
        for (let c = 0; c < width; c++) visit(columnsValues.subarray(c * rows, (c + 1) * rows), group + from + c);
      }
    },
  );
}

const LINE = 16;
const sample = new Float32Array(SAMPLE);

interface Range {
  readonly min: number;
  readonly max: number;
}

function leastError(values: Float32Array, min: number, max: number, scheme: QScheme): Range {
  const extremes = { min, max };
  const low = Math.min(min, 0);
  const high = Math.max(max, 0);
  if (low === 0 && high === 0) return extremes;
  const tried = sampled(values);
  const { qmin, qmax } = codeRange(scheme);
  let share = { low: 1, high: 1 };
  let least = squaredError(tried, extremes, scheme, Number.POSITIVE_INFINITY);
  const attempt = (a: number, b: number): void => {
    const error = squaredError(tried, { min: Math.fround(low * a), max: Math.fround(high * b) }, scheme, least);
    if (error < least) {
      least = error;
      share = { low: a, high: b };
    }
  };
  if (scheme.symmetric || low === 0 || high === 0) {
    // -8 … 7: with this range the largest positive value is a code, too.
    if (scheme.symmetric && qmax < -qmin) attempt((qmax - qmin) / 2 / qmax, (qmax - qmin) / 2 / qmax);
    for (const factor of COARSE) attempt(factor, factor);
    const best = share;
    for (const factor of FINE) attempt(best.low * factor, best.high * factor);
  } else {
    for (const factor of COARSE) attempt(factor, factor);
    for (const factor of COARSE) attempt(share.low, factor);
    for (const factor of COARSE) attempt(factor, share.high);
    const best = share;
    for (const factor of FINE) attempt(best.low * factor, share.high);
    for (const factor of FINE) attempt(share.low, best.high * factor);
  }
  if (share.low === 1 && share.high === 1) return extremes;
  const found = { min: Math.fround(low * share.low), max: Math.fround(high * share.high) };
  if (tried === values) return found;
  const bound = squaredError(values, extremes, scheme, Number.POSITIVE_INFINITY);
  return squaredError(values, found, scheme, bound) < bound ? found : extremes;
}

/** At most 2,048 of a group's values, evenly spaced. */
function sampled(values: Float32Array): Float32Array {
  if (values.length <= SAMPLE) return values;
  const step = values.length / SAMPLE;
  for (let i = 0; i < SAMPLE; i++) sample[i] = values[Math.floor(i * step)]!;
  return sample;
}

const MAGIC = 1.5 * 2 ** 52;

/** Σ (x - dequantized)², with the codes that `quantize` gives; something above `limit` where it is above. */
function squaredError(values: Float32Array, { min, max }: Range, scheme: QScheme, limit: number): number {
  const { scale, zeroPoint } = chooseQParams(min, max, scheme);
  const { qmin, qmax } = codeRange(scheme);
  const low = qmin - zeroPoint;
  const high = qmax - zeroPoint;
  const inverse = 1 / scale;
  if (values.length <= 64) return partialError(values, 0, values.length, scale, inverse, low, high);
  let error = 0;
  for (let from = 0; from < values.length; from += 256) {
    error += partialError(values, from, Math.min(from + 256, values.length), scale, inverse, low, high);
    if (error > limit) break;
  }
  return error;
}

function partialError(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  inverse: number,
  low: number,
  high: number,
): number {
  let even = 0;
  let odd = 0;
  let i = start;
  for (; i + 1 < end; i += 2) {
    const a = values[i]!;
    const b = values[i + 1]!;
    let codeA = Math.fround(a * inverse) + MAGIC - MAGIC;
    let codeB = Math.fround(b * inverse) + MAGIC - MAGIC;
    codeA = codeA < low ? low : codeA > high ? high : codeA;
    codeB = codeB < low ? low : codeB > high ? high : codeB;
    const restA = a - Math.fround(codeA * scale);
    const restB = b - Math.fround(codeB * scale);
    even += restA * restA;
    odd += restB * restB;
  }
  if (i < end) {
    const a = values[i]!;
    const code = Math.min(Math.max(Math.fround(a * inverse) + MAGIC - MAGIC, low), high);
    even += (a - Math.fround(code * scale)) ** 2;
  }
  return even + odd;
}
