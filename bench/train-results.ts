/**
 * @file The rows of bench/results/train.json: one for each net, number of threads and peer, each with what was measured in the same run.
 */

export interface TrainRow {
  readonly net: string;
  readonly threads: number;
  readonly peer: string;
  /** What Tersor trained with. */
  readonly runtime: string;
  /** Steps per second. */
  readonly tersor: number;
  /** The peer's steps per second by mode; a sentence where there are none. */
  readonly modes: Readonly<Record<string, number | string>>;
  /** Tersor's ÷ the peer's best mode, per round; empty where no mode ran. */
  readonly ratios: readonly number[];
  readonly ratio: number | null;
  /**
   * Milliseconds of processor time per step, of Tersor and of the modes, all threads together; means of the last round. With one thread they
   * compare even on a busy machine.
   */
  readonly processorMs?: Readonly<Record<string, number>>;
  /** The least of the modes' ÷ Tersor's; with one thread only. */
  readonly processorRatio?: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly seconds: number;
  readonly rounds: number;
  /** UTC, ISO 8601. */
  readonly date: string;
  /** Load average of the last minute. */
  readonly load: number;
}

const keyOf = ({ net, threads, peer }: TrainRow): string => [net, threads, peer].join(" ");

/**
 * New rows in the place of old ones of the same net, threads and peer; the others stay. Sorted by the peers' order, then threads, then the
 * nets' order; names that are in neither come last.
 */
export function mergeRows(
  before: readonly TrainRow[],
  now: readonly TrainRow[],
  order: { readonly peers: readonly string[]; readonly nets: readonly string[] },
): readonly TrainRow[] {
  const rows = new Map([...before, ...now].map((row) => [keyOf(row), row]));
  const place = (names: readonly string[], name: string): number => (names.indexOf(name) + 1 || names.length + 1) - 1;
  return [...rows.values()].sort(
    (a, b) =>
      place(order.peers, a.peer) - place(order.peers, b.peer) ||
      a.threads - b.threads ||
      place(order.nets, a.net) - place(order.nets, b.net),
  );
}

/** The least of the modes' ÷ Tersor's. */
export function processorRatioOf({ tersor, ...modes }: Readonly<Record<string, number>>): number | undefined {
  const least = Math.min(...Object.values(modes));
  return tersor !== undefined && Number.isFinite(least) ? least / tersor : undefined;
}

/** Tersor's ÷ the best of the modes; undefined where none ran. */
export function ratioOf(tersor: number, modes: TrainRow["modes"]): number | undefined {
  const speeds = Object.values(modes).filter((speed) => typeof speed === "number");
  return speeds.length === 0 ? undefined : tersor / Math.max(...speeds);
}
