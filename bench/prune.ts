/**
 * @file The threshold of 100 M weights on one core, against sorting and against a quickselect in the same run.
 *
 *   npx tsx bench/prune.ts [--elements 100] [--write]
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { thresholdOf } from "../src/prune/threshold.ts";
import { createRandom } from "../src/util/random.ts";
import { formatTable, machine, quantile } from "./report.ts";

const { values: flags } = parseArgs({
  options: {
    /** Millions. */
    elements: { type: "string", default: "100" },
    write: { type: "boolean", default: false },
  },
});

const SEED = 1;
/** Behind one another: what quickselect leaves to be collected would be counted with the next threshold. */
const ROUNDS = { threshold: 9, quickselect: 3, sort: 1 } as const;
/** Seconds. */
const GOAL = 0.4;
const AMOUNT = 0.9;

const size = Math.round(1e6 * Number(flags.elements));
const random = createRandom(SEED);
const weights = new Float32Array(size);
// Sums of uniform numbers: bell-shaped, and cheap to make.
for (let i = 0; i < size; i++) weights[i] = random.next() + random.next() + random.next() - 1.5;
const k = Math.round(AMOUNT * size);

const WAYS = {
  threshold: () => thresholdOf(weights, k, true).value,
  quickselect: () => quickselect(weights.map(Math.abs), k),
  sort: () => weights.map(Math.abs).sort()[k - 1]!,
} as const;

/** Hoare's, with the middle of three as its pivot. */
function quickselect(values: Float32Array, nth: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const [a, b, c] = [values[low]!, values[(low + high) >> 1]!, values[high]!];
    const pivot = Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      const swapped = values[i]!;
      values[i++] = values[j]!;
      values[j--] = swapped;
    }
    if (nth - 1 <= j) high = j;
    else if (nth - 1 >= i) low = i;
    else break;
  }
  return values[nth - 1]!;
}

const times: Record<string, number[]> = {};
const found = new Set<number>();
for (const [name, way] of Object.entries(WAYS)) {
  times[name] = Array.from({ length: ROUNDS[name as keyof typeof WAYS] }, () => {
    const start = performance.now();
    found.add(way());
    return (performance.now() - start) / 1000;
  });
}
if (found.size !== 1) throw new Error(`bench: expected one threshold, got ${[...found].join(", ")}`);
const results = Object.entries(times).map(([way, own]) => ({ way, seconds: quantile(own), rounds: own.length }));
console.log(formatTable(results.map(({ way, seconds }) => ({ way, s: seconds.toFixed(2) }))));
const own = results[0]!.seconds;
console.log(`threshold of ${flags.elements} M: ${own.toFixed(2)} s, ${own <= GOAL ? "met" : "MISSED"} (${GOAL} s)`);
if (flags.write) {
  const file = fileURLToPath(new URL("./results/prune.json", import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const settings = { size, amount: AMOUNT, seed: SEED };
  writeFileSync(file, `${JSON.stringify({ bench: "prune", machine: machine(), settings, results }, null, 2)}\n`);
}
