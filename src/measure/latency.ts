/**
 * @file Latency of several models side by side: interleaved, so that a busy or throttled machine hits all alike.
 */
import { type Interleave, interleave } from "../runtime/interleave.ts";
import type { Session, Tensors } from "../runtime/runtime.ts";
import { OptionError } from "../util/errors.ts";
import { type Interval, medianInterval, percentile, type SpeedVerdict, verdict } from "./interval.ts";

export interface NamedSession {
  readonly name: string;
  readonly session: Session;
}

export interface LatencyOptions {
  /** Time for the measured rounds, in ms; warm-up comes on top. Default 3000. */
  readonly budgetMs?: number;
  /** Rounds that are run even where they take longer than the budget. Default 10. */
  readonly minRounds?: number;
  /** Rounds after which more would say nothing new. Default 1000, at least `minRounds`. */
  readonly maxRounds?: number;
  /** Rounds that are not measured. Default 2. */
  readonly warmup?: number;
  /** Smallest difference of speed worth a word. Default 0.02. */
  readonly tolerance?: number;
  /** Stops between two runs: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** For the bootstrap. Default 0. */
  readonly seed?: number;
  /** Default performance.now, in ms. */
  readonly now?: () => number;
  /** Times the sessions where they live, in a browser for example; has a clock of its own. Default: from here. */
  readonly interleave?: Interleave;
}

export interface SessionLatency {
  readonly name: string;
  /** Milliseconds over all rounds, half of the runs took less. */
  readonly p50: number;
  /** Milliseconds, 95 % of the runs took less. */
  readonly p95: number;
  /** Time of the first session ÷ time of this one in the same round: above 1 = faster. Undefined for the first. */
  readonly ratio: Interval | undefined;
  readonly verdict: SpeedVerdict | undefined;
}

export interface LatencyResult {
  readonly rounds: number;
  /** In the order given. */
  readonly sessions: readonly SessionLatency[];
}

/**
 * Runs every session once per round on the same feeds: see {@link interleave}. Times are of `session.run` alone.
 * @param sessions the first is what the others are compared with.
 * @throws OptionError without sessions or feeds; whatever a session throws.
 */
export async function compareLatency(
  sessions: readonly NamedSession[],
  feeds: readonly Tensors[],
  options: LatencyOptions = {},
): Promise<LatencyResult> {
  const { budgetMs = 3000, minRounds = 10, warmup = 2, tolerance, signal, seed, now } = options;
  requireSome("sessions", sessions.length);
  requireSome("feeds", feeds.length);
  requireSome("minRounds", minRounds);
  const time = options.interleave ?? ((...args) => interleave(...args, { now, signal }));
  const times = await time(
    sessions.map(({ session }) => session),
    feeds,
    { budgetMs, minRounds, maxRounds: Math.max(options.maxRounds ?? 1000, minRounds), warmup },
  );
  signal?.throwIfAborted();
  return {
    rounds: times[0]!.length,
    sessions: sessions.map(({ name }, i) => {
      const own = times[i]!;
      const ratio =
        i === 0
          ? undefined
          : medianInterval(
              own.map((time, round) => times[0]![round]! / time),
              { seed },
            );
      return {
        name,
        p50: percentile(own, 50),
        p95: percentile(own, 95),
        ratio,
        verdict: ratio && verdict(ratio, { tolerance }),
      };
    }),
  };
}

function requireSome(subject: string, count: number): void {
  if (count >= 1) return;
  throw new OptionError({ area: "latency", subject, problem: `expected at least 1, got ${count}` });
}
