/**
 * @file How fast weights are quantized on one core, against a plain loop with Math.round in the same run.
 * Run: `npx tsx bench/weights.ts`. GB/s are bytes of float32 input per second. Floors (docs, DESIGN §5): int8 per channel with
 * min/max, row-wise >= 1.5 GB/s, column-wise (ONNX's [K, N]) >= 0.9 GB/s.
 */
import { type CodeArray, dequantize, minMax, quantize } from "../src/quantize/affine.ts";
import { type GroupView, groupView } from "../src/quantize/granularity.ts";
import { type QParams, type QScheme, qparamsFromRanges } from "../src/quantize/qparams.ts";
import { weightSqnr } from "../src/quantize/sqnr.ts";
import { createRandom } from "../src/util/random.ts";
import { report, timeInterleaved } from "./report.ts";

const SEED = 1;
const ROUNDS = 11;
const SCHEME: QScheme = { dtype: "int8", symmetric: true, narrowRange: true };
const CASES = [
  { layout: "row", dims: [4096, 4096], axis: 0, floor: 1.5 },
  { layout: "row", dims: [1024, 3072], axis: 0, floor: 1.5 },
  { layout: "row", dims: [512, 512, 3, 3], axis: 0, floor: 1.5 },
  { layout: "column", dims: [4096, 4096], axis: 1, floor: 0.9 },
  { layout: "column", dims: [3072, 1024], axis: 1, floor: 0.9 },
  { layout: "column", dims: [768, 3072], axis: 1, floor: 0.9 },
] as const;

/** What one writes first: per-channel extremes in one loop, Math.round in another. Ties go up, not to even. */
function naive(data: Float32Array, view: GroupView): Int8Array {
  const { length, inner } = view;
  const low = new Float32Array(length);
  const high = new Float32Array(length);
  const rows = view.outer;
  let i = 0;
  for (let o = 0; o < rows; o++) {
    for (let a = 0; a < length; a++) {
      for (let k = 0; k < inner; k++, i++) {
        low[a] = Math.min(low[a]!, data[i]!);
        high[a] = Math.max(high[a]!, data[i]!);
      }
    }
  }
  const codes = new Int8Array(data.length);
  const scale = low.map((min, a) => Math.max(-min, high[a]!) / 127);
  i = 0;
  for (let o = 0; o < rows; o++) {
    for (let a = 0; a < length; a++) {
      for (let k = 0; k < inner; k++, i++) {
        codes[i] = Math.max(-127, Math.min(127, Math.round(data[i]! / scale[a]!)));
      }
    }
  }
  return codes;
}

function tersor(data: Float32Array, view: GroupView): { codes: CodeArray; qparams: QParams } {
  const qparams = qparamsFromRanges(minMax(data, view), view, SCHEME);
  return { codes: quantize(data, view, qparams), qparams };
}

const random = createRandom(SEED);
const inputs = CASES.map((row) => {
  const view = groupView(row.dims, { kind: "per-axis", axis: row.axis });
  return { ...row, view, data: Float32Array.from({ length: view.size }, () => random.normal() * 0.02) };
});
// Every loop sees every layout before anything is timed, as in a real model: no case profits from being alone.
for (const { data, view } of inputs) {
  naive(data, view);
  tersor(data, view);
}

const results = inputs.map(({ layout, dims, view, data, floor }) => {
  const { codes, qparams } = tersor(data, view);
  const plain = naive(data, view);
  const differing = plain.reduce((count, code, i) => count + (code === codes[i] ? 0 : 1), 0);
  const times = timeInterleaved(
    {
      naive: () => naive(data, view),
      tersor: () => tersor(data, view),
      minMax: () => minMax(data, view),
      quantize: () => quantize(data, view, qparams),
      dequantize: () => dequantize(codes, view, qparams),
      weightSqnr: () => weightSqnr(data, view, qparams, codes),
    },
    { rounds: ROUNDS },
  );
  return { layout, dims, floor, differing, bytes: data.byteLength, times };
});

const gbs = (bytes: number, milliseconds: number): string => (bytes / milliseconds / 1e6).toFixed(2);
report(
  "weights",
  {
    seed: SEED,
    rounds: ROUNDS,
    scheme: SCHEME,
    unit: "GB/s of float32 input, median of rounds; naive/tersor include min/max",
  },
  results.map(({ layout, dims, floor, differing, bytes, times }) => ({
    layout,
    dims: `[${dims.join(", ")}]`,
    naive: gbs(bytes, times.naive.median),
    tersor: gbs(bytes, times.tersor.median),
    best: gbs(bytes, times.tersor.best),
    floor: floor.toFixed(1),
    ok: bytes / times.tersor.median / 1e6 >= floor ? "yes" : "NO",
    "x naive": (times.naive.median / times.tersor.median).toFixed(1),
    minMax: gbs(bytes, times.minMax.median),
    quantize: gbs(bytes, times.quantize.median),
    dequantize: gbs(bytes, times.dequantize.median),
    weightSqnr: gbs(bytes, times.weightSqnr.median),
    differing,
  })),
  results,
);
