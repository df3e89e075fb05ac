/**
 * @file What every bench shares: the machine's description, interleaved timing, a table on stdout, a JSON file in bench/results.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  /** Load average of the last minute at the end of the run: about 1 for a bench that had the machine to itself. */
  readonly load: number;
  /** UTC, ISO 8601. */
  readonly date: string;
}

export function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform}-${process.arch}`,
    load: Number(loadavg()[0]!.toFixed(2)),
    date: new Date().toISOString(),
  };
}

/** The q-quantile (0 … 1, default the median) by linear interpolation; NaN of no values. */
export function quantile(values: readonly number[], q = 0.5): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const position = q * (sorted.length - 1);
  const below = sorted[Math.floor(position)]!;
  return below + (sorted[Math.ceil(position)]! - below) * (position % 1);
}

export interface Timing {
  /** Milliseconds per call: quartiles and the fastest round. */
  readonly median: number;
  readonly p25: number;
  readonly p75: number;
  readonly best: number;
  readonly rounds: number;
  /** Calls per round. */
  readonly calls: number;
}

/**
 * Times variants of one task in turn, round by round, so that a slow minute of the machine hits all of them. Each variant is
 * warmed up and called as often per round as fills `roundMs`; garbage is collected before each, so that none pays for another's.
 * @param options.rounds default 9; `options.roundMs` default 30 milliseconds.
 */
export function timeInterleaved<Name extends string>(
  variants: Readonly<Record<Name, () => unknown>>,
  options: { readonly rounds?: number; readonly roundMs?: number } = {},
): Record<Name, Timing> {
  const { rounds = 9, roundMs = 30 } = options;
  const names = Object.keys(variants) as Name[];
  const plan = names.map((name) => {
    const run = variants[name];
    run();
    run();
    const start = performance.now();
    run();
    const once = performance.now() - start;
    return { name, run, calls: Math.max(1, Math.ceil(roundMs / Math.max(once, 1e-3))), times: [] as number[] };
  });
  for (let round = 0; round < rounds; round++) {
    for (const { run, calls, times } of plan) {
      collectGarbage();
      const start = performance.now();
      for (let call = 0; call < calls; call++) run();
      times.push((performance.now() - start) / calls);
    }
  }
  return Object.fromEntries(
    plan.map(({ name, calls, times }) => [
      name,
      {
        median: quantile(times),
        p25: quantile(times, 0.25),
        p75: quantile(times, 0.75),
        best: Math.min(...times),
        rounds,
        calls,
      },
    ]),
  ) as Record<Name, Timing>;
}

/** Rows of equal keys as an aligned text table; numbers to the right, with as many digits as the caller left them. */
export function formatTable(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((key) => Math.max(key.length, ...rows.map((row) => String(row[key]).length)));
  const line = (cell: (key: string) => string | number): string =>
    columns
      .map((key, i) => {
        const value = cell(key);
        return typeof rows[0]?.[key] === "number"
          ? String(value).padStart(widths[i]!)
          : String(value).padEnd(widths[i]!);
      })
      .join("  ")
      .trimEnd();
  return [
    line((key) => key),
    widths.map((w) => "-".repeat(w)).join("  "),
    ...rows.map((row) => line((key) => row[key]!)),
  ].join("\n");
}

/** Prints a table and writes `bench/results/<name>.json`: `{ bench, machine, settings, results }`. */
export function report(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  table: readonly Readonly<Record<string, string | number>>[],
  results: unknown = table,
): void {
  const where = machine();
  console.log(`${name}: ${where.cpu}, ${where.cores} cores, Node ${where.node}, load ${where.load}, ${where.date}`);
  console.log(formatTable(table));
  const folder = new URL("./results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${name}.json`, folder);
  writeFileSync(file, `${JSON.stringify({ bench: name, machine: where, settings, results }, null, 2)}\n`);
  console.log(`\nwritten: bench/results/${name}.json`);
}
