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
const COARSE = Float64Array.of(0.94, 0.88, 0.82, 0.75, 0.67, 0.58, 0.48, 0.36);
const FINE = Float64Array.of(1.035, 0.965, 1.0175, 0.9825);

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
  if (scheme.symmetric || low === 0 || high === 0) searchTogether(sampled(values), low, high, scheme);
  else searchApart(sampled(values), low, high, scheme);
  const a = best[0]!;
  const b = best[1]!;
  if (a === 1 && b === 1) return extremes;
  const found = { min: Math.fround(low * a), max: Math.fround(high * b) };
  const bound = squaredError(values, extremes, scheme, Number.POSITIVE_INFINITY);
  return squaredError(values, found, scheme, bound) < bound ? found : extremes;
}

/** What the searches found: the shares of low and high. One array for all, since groups are many and small. */
const best = Float64Array.of(1, 1);

/** One share for both ends: symmetric, or values of one sign. */
function searchTogether(values: Float32Array, low: number, high: number, scheme: QScheme): void {
  const { qmin, qmax } = codeRange(scheme);
  const { symmetric } = scheme;
  const span = symmetric ? Math.max(-low, high) : high - low;
  const steps = symmetric ? (qmax - qmin) / 2 : qmax - qmin;
  const zero = symmetric ? (qmin < 0 ? 0 : (qmin + qmax + 1) >> 1) : low < 0 ? qmax : qmin;
  // -8 … 7: with this range the largest positive value is a code, too.
  const first = symmetric && qmax - zero < zero - qmin ? steps / (qmax - zero) : 1;
  let least = Number.POSITIVE_INFINITY;
  let share = 1;
  let centre = 1;
  for (let k = -2; k < COARSE.length + FINE.length; k++) {
    if (k === COARSE.length) centre = share;
    const tried = k === -2 ? 1 : k === -1 ? first : k < COARSE.length ? COARSE[k]! : centre * FINE[k - COARSE.length]!;
    const error = roughError(values, (span * tried) / steps, qmin - zero, qmax - zero, least);
    if (error >= least) continue;
    least = error;
    share = tried;
  }
  best[0] = share;
  best[1] = share;
}

/** Each end in turn, coarse and then fine. */
function searchApart(values: Float32Array, low: number, high: number, scheme: QScheme): void {
  const { qmin, qmax } = codeRange(scheme);
  let least = Number.POSITIVE_INFINITY;
  let a = 1;
  let b = 1;
  for (let phase = 0; phase < 4; phase++) {
    const shares = phase < 2 ? COARSE : FINE;
    const centreA = phase < 2 ? 1 : a;
    const centreB = phase < 2 ? 1 : b;
    for (let k = phase === 0 ? -1 : 0; k < shares.length; k++) {
      const share = k < 0 ? 1 : shares[k]!;
      const triedA = phase % 2 === 0 ? a : centreA * share;
      const triedB = phase % 2 === 0 ? centreB * share : b;
      const scale = (high * triedB - low * triedA) / (qmax - qmin);
      const zero = qmin + Math.floor((-low * triedA) / scale + 0.5);
      const error = roughError(values, scale, qmin - zero, qmax - zero, least);
      if (error >= least) continue;
      least = error;
      a = triedA;
      b = triedB;
    }
  }
  best[0] = a;
  best[1] = b;
}

const MAGIC = 1.5 * 2 ** 52;

/** {@link squaredError} without its roundings to float32: to choose by. */
function roughError(values: Float32Array, scale: number, low: number, high: number, limit: number): number {
  const inverse = 1 / scale;
  const bound = limit * inverse * inverse;
  const { length } = values;
  let error = 0;
  for (let from = 0; from < length; from += 64) {
    const end = Math.min(from + 64, length);
    let even = 0;
    let odd = 0;
    let i = from;
    for (; i + 1 < end; i += 2) {
      const a = values[i]! * inverse;
      const b = values[i + 1]! * inverse;
      let codeA = a + MAGIC - MAGIC;
      let codeB = b + MAGIC - MAGIC;
      codeA = codeA < low ? low : codeA > high ? high : codeA;
      codeB = codeB < low ? low : codeB > high ? high : codeB;
      even += (a - codeA) * (a - codeA);
      odd += (b - codeB) * (b - codeB);
    }
    if (i < end) {
      const a = values[i]! * inverse;
      const code = Math.min(Math.max(a + MAGIC - MAGIC, low), high);
      even += (a - code) * (a - code);
    }
    error += even + odd;
    if (error > bound) return Number.POSITIVE_INFINITY;
  }
  return error * scale * scale;
}

/** At most 2,048 of a group's values, evenly spaced. */
function sampled(values: Float32Array): Float32Array {
  if (values.length <= SAMPLE) return values;
  const step = values.length / SAMPLE;
  for (let i = 0; i < SAMPLE; i++) sample[i] = values[Math.floor(i * step)]!;
  return sample;
}

/** Σ (x - dequantized)², with the codes that `quantize` gives; something above `limit` where it is above. */
function squaredError(values: Float32Array, { min, max }: Range, scheme: QScheme, limit: number): number {
  const { scale, zeroPoint } = chooseQParams(min, max, scheme);
  const { qmin, qmax } = codeRange(scheme);
  const low = qmin - zeroPoint;
  const high = qmax - zeroPoint;
  const inverse = 1 / scale;
  let error = 0;
  for (let from = 0; from < values.length && error <= limit; from += 256) {
    const end = Math.min(from + 256, values.length);
    for (let i = from; i < end; i++) {
      const x = values[i]!;
      let code = Math.fround(x * inverse) + MAGIC - MAGIC;
      code = code < low ? low : code > high ? high : code;
      const rest = x - Math.fround(code * scale);
      error += rest * rest;
    }
  }
  return error;
}
