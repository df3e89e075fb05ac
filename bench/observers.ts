/**
 * @file How fast observers see float32 activations on one core, what their search for a range costs and how large they are,
 * and how fast ranges of weights are searched. Run: `npx tsx bench/observers.ts`. Floor: 300 MB/s for the histogram kinds.
 */
import { type Granularity, groupView } from "../src/quantize/granularity.ts";
import { createObserver, OBSERVER_NAMES, type ObserverName } from "../src/quantize/observers/list.ts";
import type { QScheme } from "../src/quantize/qparams.ts";
import { weightRanges } from "../src/quantize/weight-ranges.ts";
import { createRandom } from "../src/util/random.ts";
import { report, timeInterleaved } from "./report.ts";

const SEED = 1;
const ROUNDS = 7;
const random = createRandom(SEED);
/** 64 channels of 160 × 160: 6.6 MB. */
const DIMS = [1, 64, 160, 160];
const SIZE = DIMS.reduce((a, b) => a * b);
const INPUTS = {
  normal: Float32Array.from({ length: SIZE }, () => random.normal()),
  relu: Float32Array.from({ length: SIZE }, () => Math.max(random.normal(), 0)),
} as const;
const OBSERVED = {
  "uint8 per tensor": { scheme: { dtype: "uint8", symmetric: false } },
  "int8 per tensor": { scheme: { dtype: "int8", symmetric: true } },
  "int8 per channel": { scheme: { dtype: "int8", symmetric: true }, axis: 1 },
} as const satisfies Record<string, { scheme: QScheme; axis?: number }>;

const mbs = (bytes: number, milliseconds: number): number => Math.round(bytes / milliseconds / 1e3);

const table: Record<string, string | number>[] = [];
const results: unknown[] = [];
for (const [input, data] of Object.entries(INPUTS)) {
  for (const [what, options] of Object.entries(OBSERVED)) {
    const observers = Object.fromEntries(OBSERVER_NAMES.map((name) => [name, createObserver(name, options)])) as Record<
      ObserverName,
      ReturnType<typeof createObserver>
    >;
    const observe = timeInterleaved(
      Object.fromEntries(OBSERVER_NAMES.map((name) => [name, () => observers[name].observe(data, DIMS)])),
      { rounds: ROUNDS },
    );
    // Ranges are kept until the next sample: the smallest there can be.
    const oneDims = "axis" in options ? [1, 64] : [1];
    const one = data.slice(0, oneDims.at(-1));
    const search = timeInterleaved(
      Object.fromEntries(
        OBSERVER_NAMES.map((name) => [
          name,
          () => {
            observers[name].observe(one, oneDims);
            return observers[name].ranges();
          },
        ]),
      ),
      { rounds: ROUNDS },
    );
    for (const name of OBSERVER_NAMES) {
      const saved = JSON.stringify(observers[name].save()).length;
      table.push({
        input,
        scheme: what,
        observer: name,
        "MB/s": mbs(data.byteLength, observe[name]!.median),
        "search ms": search[name]!.median.toFixed(2),
        "saved kB": Math.ceil(saved / 1e3),
      });
      results.push({ input, scheme: what, observer: name, saved, observe: observe[name], search: search[name] });
    }
  }
}

const WEIGHTS: readonly (readonly [readonly number[], Granularity])[] = [
  [[1024, 1024], { kind: "per-axis", axis: 0 }],
  [[1024, 1024], { kind: "per-axis", axis: 1 }],
  [[1024, 1024], { kind: "blocked", axis: 0, blockSize: 32 }],
];
const weightSchemes: readonly QScheme[] = [
  { dtype: "int8", symmetric: true, narrowRange: true },
  { dtype: "int4", symmetric: true },
  { dtype: "uint4", symmetric: false },
];
for (const [dims, granularity] of WEIGHTS) {
  const view = groupView(dims, granularity);
  const data = Float32Array.from({ length: view.size }, () => random.normal() * 0.02);
  for (const scheme of weightSchemes) {
    const times = timeInterleaved(
      {
        "min-max": () => weightRanges(data, view, scheme, "min-max"),
        mse: () => weightRanges(data, view, scheme, "mse"),
      },
      { rounds: ROUNDS },
    );
    for (const search of ["min-max", "mse"] as const) {
      const label = `${granularity.kind} ${"axis" in granularity ? granularity.axis : ""}`.trim();
      table.push({
        input: `weights ${label}`,
        scheme: `${scheme.dtype}${scheme.symmetric ? "" : " asymmetric"}`,
        observer: `weightRanges ${search}`,
        "MB/s": mbs(data.byteLength, times[search].median),
        "search ms": "-",
        "saved kB": "-",
      });
      results.push({ input: `weights ${label}`, scheme, search, times: times[search] });
    }
  }
}

report(
  "observers",
  { seed: SEED, rounds: ROUNDS, dims: DIMS, unit: "MB/s of float32 input, median of rounds" },
  table,
  results,
);
