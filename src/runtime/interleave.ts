/**
 * @file Times sessions side by side, raw: the same in this process, in a worker and in a browser's page, so that what
 * carries tensors there is never timed. Statistics are measure/latency's.
 */
import type { Session, Tensors } from "./runtime.ts";

export interface InterleaveOptions {
  /** Milliseconds after which no further round is begun. */
  readonly budgetMs: number;
  /** Rounds that are run even where they take longer than the budget. */
  readonly minRounds: number;
  readonly maxRounds: number;
  /** Rounds that are not measured. */
  readonly warmup: number;
}

/** Times sessions where they are: milliseconds per session and round. */
export type Interleave = (
  sessions: readonly Session[],
  feeds: readonly Tensors[],
  options: InterleaveOptions,
) => Promise<number[][]>;

/** What a clock of coarse steps may show for a run that took no time (1 µs): keeps ratios finite. */
const SHORTEST_MS = 1e-3;

/**
 * Runs every session once per round on the same feeds, the feeds taking turns and the order of the sessions rotating so
 * that over (feeds × sessions) rounds each feed meets each order. Times are of `session.run` alone.
 * @param hooks.now the clock, in ms; default performance.now. @param hooks.signal stops between two runs.
 * @returns Milliseconds, [sessions][rounds].
 * @throws whatever a session throws; the signal's reason.
 */
export async function interleave(
  sessions: readonly Session[],
  feeds: readonly Tensors[],
  options: InterleaveOptions,
  hooks: { readonly now?: () => number; readonly signal?: AbortSignal } = {},
): Promise<number[][]> {
  const { budgetMs, minRounds, maxRounds, warmup } = options;
  const { now = () => performance.now(), signal } = hooks;
  const times = sessions.map((): number[] => []);
  const runRound = async (round: number, keep: boolean): Promise<void> => {
    const turn = round % feeds.length;
    const first = Math.floor(round / feeds.length) + turn;
    for (let i = 0; i < sessions.length; i++) {
      signal?.throwIfAborted();
      const index = (first + i) % sessions.length;
      const start = now();
      await sessions[index]!.run(feeds[turn]!);
      const elapsed = now() - start;
      if (keep) times[index]!.push(Math.max(elapsed, SHORTEST_MS));
    }
  };
  for (let round = 0; round < warmup; round++) await runRound(round, false);
  const start = now();
  let rounds = 0;
  while (rounds < minRounds || (rounds < maxRounds && now() - start < budgetMs)) await runRound(rounds++, true);
  return times;
}
