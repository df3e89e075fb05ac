/**
 * @file Looks at candidates on a few samples, in this process: how far their outputs are from the original's, and how fast
 * they run beside it.
 */
import { runtimeMessage } from "../../analyze/runtime-message.ts";
import { createComparer, type OutputComparison } from "../../measure/compare.ts";
import { compareLatency } from "../../measure/latency.ts";
import { createAnyRuntime, createRuntime } from "../../runtime/create-node.ts";
import type { Runtime, Session, Tensors } from "../../runtime/runtime.ts";
import { TARGETS, type TargetName } from "../../runtime/targets.ts";
import type { Sample } from "../../step/data.ts";
import { UnsupportedError } from "../../util/errors.ts";
import { checkCancelled } from "../../util/progress.ts";
import type { ProxyResult } from "./choose.ts";
import type { WorkContext } from "./search.ts";

/** Milliseconds of timed runs for one structure and target; where there is little time, that share of it. */
const TIMING_MS = 600;
const TIMING_SHARE = 1 / 100;
const TIMED_FEEDS = 4;
const ROUNDS = 5;
interface Place {
  /** Undefined: only to compare outputs, where no target's runtime runs in this process. */
  readonly target: TargetName | undefined;
  readonly runtime: Runtime;
  readonly original: Session;
  /** Of one run of the original, in milliseconds: from the last timing. */
  latency: number;
}

type Look = Pick<ProxyResult, "sqnr" | "sameLargest" | "speed" | "samples">;

export class Looker {
  readonly #places: readonly Place[];
  readonly #samples: readonly Sample[];
  readonly #reference: readonly Tensors[];
  readonly #threads: number;
  readonly #timingMs: number;
  readonly #speeds = new Map<string, number>();

  private constructor(
    places: readonly Place[],
    samples: readonly Sample[],
    reference: Tensors[],
    threads: number,
    timeMs: number,
  ) {
    this.#places = places;
    this.#samples = samples;
    this.#reference = reference;
    this.#threads = threads;
    this.#timingMs = Math.max(1, Math.min(TIMING_MS, TIMING_SHARE * timeMs));
  }

  /** @throws UnsupportedError where a target's runtime does not load or run the original. */
  static async open(
    original: string,
    targets: readonly TargetName[],
    samples: readonly Sample[],
    threads: number,
    timeMs: number,
  ): Promise<Looker> {
    const places: Place[] = [];
    try {
      const open = async (target: TargetName | undefined, runtime: Runtime): Promise<void> => {
        places.push({ target, runtime, original: await runtime.load({ path: original }, { threads }), latency: 0 });
      };
      for (const target of targets) {
        const { runtime } = TARGETS[target];
        if (runtime !== undefined) await open(target, await createRuntime(runtime));
      }
      if (places.length === 0) await open(undefined, await createAnyRuntime());
      const reference: Tensors[] = [];
      for (const { inputs } of samples) reference.push(await places[0]!.original.run(inputs));
      return new Looker(places, samples, reference, threads, timeMs);
    } catch (error) {
      for (const place of places) await place.original.release();
      if (error instanceof Error && /^(Unsupported|Input|Option)Error$/.test(error.name)) throw error;
      throw new UnsupportedError({
        area: "runtime",
        subject: original,
        problem: `expected a model that loads and runs on the samples, got: ${runtimeMessage(error)}`,
        help: "Only a model that runs can be compressed and proven.",
        cause: error,
      });
    }
  }

  /** Milliseconds of one run of the original on all targets; 0 before anything was timed. */
  get originalMs(): number {
    return this.#places.reduce((sum, { latency }) => sum + latency, 0);
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  /**
   * @param structure candidates that have it in common run equally fast: only the first is timed.
   * @throws UnsupportedError where no runtime loads and runs it.
   */
  async look(path: string, structure: string, targets: readonly TargetName[], context: WorkContext): Promise<Look> {
    const [first] = this.#places;
    const session = await this.#load(first!, path);
    let look: Omit<Look, "speed">;
    try {
      look = await this.#compare(session, context);
      if (first!.target !== undefined && targets.includes(first!.target)) {
        await this.#time(first!, session, structure, context);
      }
    } finally {
      await session.release();
    }
    const speed: Partial<Record<TargetName, number>> = {};
    for (const place of this.#places) {
      const { target } = place;
      if (target === undefined || !targets.includes(target)) continue;
      const key = `${target} ${structure}`;
      if (!this.#speeds.has(key)) {
        const own = await this.#load(place, path);
        try {
          await this.#time(place, own, structure, context);
        } finally {
          await own.release();
        }
      }
      speed[target] = this.#speeds.get(key)!;
    }
    return { ...look, speed };
  }

  async #load({ runtime, target }: Place, path: string): Promise<Session> {
    try {
      return await runtime.load({ path }, { threads: this.#threads });
    } catch (error) {
      throw failed(target, "load", error);
    }
  }

  async #compare(session: Session, { signal, progress }: WorkContext): Promise<Omit<Look, "speed">> {
    const comparer = createComparer();
    for (const [index, { inputs }] of this.#samples.entries()) {
      checkCancelled(signal);
      progress?.("comparing", index, this.#samples.length);
      try {
        comparer.add(this.#reference[index]!, await session.run(inputs));
      } catch (error) {
        throw failed(this.#places[0]!.target, "run", error);
      }
    }
    return { ...summary(comparer.result()), samples: this.#samples.length };
  }

  /** Unless a file of the same structure was timed there. */
  async #time(place: Place, session: Session, structure: string, { signal, progress }: WorkContext): Promise<void> {
    const key = `${place.target} ${structure}`;
    if (this.#speeds.has(key)) return;
    progress?.(`timing on ${place.target}`, 0);
    const feeds = this.#samples.slice(0, TIMED_FEEDS).map(({ inputs }) => inputs);
    const { sessions } = await compareLatency(
      [
        { name: "original", session: place.original },
        { name: "candidate", session },
      ],
      feeds,
      { budgetMs: this.#timingMs, minRounds: ROUNDS, warmup: 1, signal },
    );
    place.latency = sessions[0]!.p50;
    this.#speeds.set(key, sessions[1]!.ratio!.median);
  }

  async close(): Promise<void> {
    for (const { original } of this.#places) await original.release();
  }
}

function failed(target: TargetName | undefined, stage: "load" | "run", error: unknown): UnsupportedError {
  return new UnsupportedError({
    area: "compress",
    subject: target ?? "outputs",
    problem: `does not ${stage}: ${runtimeMessage(error)}`,
    cause: error,
  });
}

/** The worst of all outputs. Those of integers count as decibels of their unequal elements. */
function summary(outputs: readonly OutputComparison[]): { readonly sqnr: number; readonly sameLargest?: number } {
  let sqnr = Number.POSITIVE_INFINITY;
  let same: number | undefined;
  for (const output of outputs) {
    if (output.kind === "mismatch") return { sqnr: Number.NEGATIVE_INFINITY };
    if (output.kind === "exact") sqnr = Math.min(sqnr, -10 * Math.log10(1 - output.equal));
    else {
      sqnr = Math.min(sqnr, output.nonFinite.differing > 0 ? Number.NEGATIVE_INFINITY : output.sqnr);
      if (output.agreementArgmax !== undefined) same = Math.min(same ?? 1, output.agreementArgmax);
    }
  }
  return { sqnr, ...(same !== undefined && { sameLargest: same }) };
}
