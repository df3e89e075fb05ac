/** @file On which figures Tersor's file is ahead of its peers' best, and on which it is behind any of them. */
import type { ChildRun } from "../child-process.ts";
import type { Estimate } from "../tasks/bootstrap.ts";
import type { FileLatency } from "../tasks/latency.ts";
import type { StaticVariant } from "./static-variants.ts";

export interface TargetRow {
  readonly target: string;
  readonly sqnr: number | undefined;
  readonly error: string | undefined;
  readonly latency: FileLatency | undefined;
  readonly figures: readonly (Estimate & {
    readonly name: string;
    readonly better: "higher" | "lower";
    readonly difference: Estimate | undefined;
  })[];
}

export interface StaticRow {
  readonly name: string;
  /** Undefined for the original, the first row; the second is Tersor's default. */
  readonly variant: StaticVariant | undefined;
  readonly bytes: number;
  readonly run: ChildRun | undefined;
  readonly targets: readonly TargetRow[];
}

interface Measure {
  readonly name: string;
  /** Higher is better. */
  of(row: StaticRow): number | undefined;
  /** Smaller differences are none. */
  slack(own: number): number;
  shown(value: number): string;
}

/** Decibels, share of a figure, share of the speed, share of the bytes. */
const SLACK = { sqnr: 0.3, figure: 0.002, speed: 0.03, bytes: 0.005 } as const;

function measures(row: StaticRow): Measure[] {
  const list: Measure[] = [
    {
      name: "bytes",
      of: (other) => -other.bytes,
      slack: (own) => SLACK.bytes * Math.abs(own),
      shown: (value) => `${(-value / 1e3).toFixed(0)} KB`,
    },
  ];
  for (const [t, { target, figures }] of row.targets.entries()) {
    list.push({
      name: `${target} SQNR`,
      of: (other) => other.targets[t]!.sqnr,
      slack: () => SLACK.sqnr,
      shown: (value) => `${value.toFixed(1)} dB`,
    });
    for (const [i, { name, better }] of figures.entries()) {
      const sign = better === "higher" ? 1 : -1;
      list.push({
        name: `${target} ${name}`,
        of: (other) => {
          const figure = other.targets[t]!.figures[i];
          return figure && sign * figure.value;
        },
        slack: () => SLACK.figure,
        shown: (value) => `${(100 * sign * value).toFixed(2)} %`,
      });
    }
    list.push({
      name: `${target} speed`,
      of: (other) => other.targets[t]!.latency?.ratio.median,
      slack: (own) => SLACK.speed * own,
      shown: (value) => `${value.toFixed(2)}x`,
    });
  }
  return list;
}

export interface Lead {
  /** Figures in which no peer comes near. */
  readonly ahead: readonly string[];
  /** Figures in which a peer's file of about the same size, or smaller, is better. */
  readonly behind: readonly string[];
  /** Figures in which only larger files are better: they have more weights in float. */
  readonly behindLarger: readonly string[];
}

/** A peer's file is larger from here on. */
const LARGER = 1.1;

/** One line per figure: Tersor's default against the best peer in that figure, whatever else that peer's file is. */
export function compareWithPeers(rows: readonly StaticRow[]): Lead {
  const [ahead, behind, behindLarger]: [string[], string[], string[]] = [[], [], []];
  const own = rows.find(({ variant }) => variant?.by === "tersor" && variant.defaults);
  const peers = rows.filter(({ variant }) => variant !== undefined && variant.by !== "tersor");
  if (own === undefined || peers.length === 0) return { ahead, behind, behindLarger };
  for (const { name, of, slack, shown } of measures(own)) {
    const mine = of(own);
    if (mine === undefined) continue;
    const best = (among: readonly StaticRow[]): { row: StaticRow; value: number } | undefined =>
      among
        .flatMap((row) => {
          const value = of(row);
          return value === undefined || Number.isNaN(value) ? [] : [{ row, value }];
        })
        .sort((a, b) => b.value - a.value)[0];
    const line = ({ row, value }: { row: StaticRow; value: number }): string =>
      `${name} ${shown(mine)}, ${row.name} ${shown(value)}${alsoOf(row, rows[0]!)}`;
    const [any, alike] = [best(peers), best(peers.filter(({ bytes }) => bytes <= LARGER * own.bytes))];
    const better = (other: typeof any): boolean => other !== undefined && other.value - mine > slack(mine);
    if (better(alike)) behind.push(line(alike!));
    else if (better(any)) behindLarger.push(line(any!));
    else if (any !== undefined && mine - any.value > slack(mine)) ahead.push(line(any));
  }
  return { ahead, behind, behindLarger };
}

/** What else a peer's file is that is ahead in one figure. */
function alsoOf({ bytes, targets }: StaticRow, original: StaticRow): string {
  const about = targets.map(
    ({ target, sqnr, latency }) =>
      `${target} ${sqnr?.toFixed(1) ?? "-"} dB, ${latency?.ratio.median.toFixed(2) ?? "-"}x`,
  );
  return ` (${(bytes / original.bytes).toFixed(3)}x bytes, ${about.join("; ")})`;
}
