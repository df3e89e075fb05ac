/**
 * @file The search: candidates are made and looked at on a few samples, those worth it are proven on each target, and nodes
 * go back to float where too much is lost; for as long as there is time.
 *
 * The first candidate is proven before anything else, whatever the time: there is always something to leave. Half of the
 * time then goes to looking at candidates. What is worth a proof is a front (choose.ts), sorted from the best to the safest;
 * rounds of proofs look for the first within the budget on each target.
 */
import type { NodeSensitivity } from "../../analyze/sensitivity.ts";
import type { TargetName } from "../../runtime/targets.ts";
import { GraphError, messageOf, UnsupportedError } from "../../util/errors.ts";
import type { Progress } from "../../util/progress.ts";
import { type Candidate, candidateKey, candidateName } from "./candidate.ts";
import {
  type Entry,
  front,
  losesTooMuch,
  nextProofs,
  objective,
  type Preference,
  type Proof,
  type ProxyResult,
  winners,
} from "./choose.ts";
import { keepFloatVariants } from "./keep-float.ts";
import { corrections, firstCandidates, forTarget, joined, laterCandidates, variants } from "./space.ts";

/** How work under a limit of time is told to stop, and says where it is. */
export interface WorkContext {
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress | undefined;
  /** Milliseconds that there are; Infinity where the work is done whatever it takes. */
  readonly limitMs: number;
}

/** Thrown by work that is sure to take longer than there is time: it is not begun. */
export class NoTimeError extends Error {}

/** What the search asks of the world. */
export interface Workbench {
  /** Makes a candidate and looks at it. @throws UnsupportedError or GraphError where the model does not allow it. */
  proxy(candidate: Candidate, context: WorkContext): Promise<ProxyResult>;
  /** Proves candidates on a target; a text says why the target is not run here. */
  verify(
    target: TargetName,
    candidates: readonly Candidate[],
    context: WorkContext,
  ): Promise<readonly Proof[] | { readonly notRunHere: string }>;
  /** The nodes of a candidate by what quantizing each costs, the worst first. */
  rank(candidate: Candidate, budgetMs: number, context: WorkContext): Promise<readonly NodeSensitivity[]>;
}

export interface SearchOptions {
  readonly targets: readonly TargetName[];
  /** Samples of the user are there: static-int8 is possible. */
  readonly calibrated: boolean;
  readonly originalBytes: number;
  readonly prefer: Preference;
  /** Milliseconds. */
  readonly timeMs: number;
  /** What an earlier run has found, by the candidates' keys. */
  readonly known?: ReadonlyMap<string, KnownResult>;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Default performance.now, in ms. */
  readonly now?: () => number;
}

export interface KnownResult {
  readonly proxy: ProxyResult;
  readonly proofs: ReadonlyMap<TargetName, Proof>;
}

export interface SearchResult {
  /** In the order in which they were tried. */
  readonly entries: readonly Entry[];
  readonly winners: ReadonlyMap<TargetName, Entry>;
  readonly notRunHere: ReadonlyMap<TargetName, string>;
  /** The ranking of nodes that was made last; undefined where none was needed, or the time was too short. */
  readonly ranking: { readonly of: Entry; readonly nodes: readonly NodeSensitivity[] } | undefined;
  /** The time was up before everything was tried. */
  readonly timeUp: boolean;
}

/** Shares of the time after which no further candidate is looked at; keep-float comes after the first proofs. */
const LOOKING = 0.5;
const KEEPING = 0.85;
/** Share of the time that one ranking of nodes may take. */
const RANKING = 0.15;
/** Files that are proven side by side: the original runs once for all. */
const PER_ROUND = 3;
/** Candidates whose nodes are ranked. */
const MOST_RANKED = 2;
const TIME_UP = "the time was up";

/** @throws what the workbench throws, but for what a model does not allow; the signal's reason. */
export function search(bench: Workbench, options: SearchOptions): Promise<SearchResult> {
  return new Search(bench, options).run();
}

class Search {
  readonly #bench: Workbench;
  readonly #options: SearchOptions;
  readonly #start: number;
  readonly #now: () => number;
  readonly #entries: Entry[] = [];
  readonly #keys = new Map<string, Entry>();
  readonly #hashes = new Map<string, Entry>();
  readonly #notRunHere = new Map<TargetName, string>();
  readonly #ranked = new Set<Entry>();
  #ranking: SearchResult["ranking"];
  /** Share of the time up to which candidates are looked at. */
  #share = LOOKING;
  /** Proofs or a ranking were left out for want of time. */
  #cut = false;
  /** Candidates that there was no time for: they may come again. */
  readonly #skipped = new Map<string, Entry>();

  constructor(bench: Workbench, options: SearchOptions) {
    this.#bench = bench;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#start = this.#now();
  }

  async run(): Promise<SearchResult> {
    const { targets, calibrated } = this.#options;
    const first = firstCandidates(calibrated, targets);
    for (const candidate of first) {
      const entry = await this.#look(candidate, Number.POSITIVE_INFINITY);
      if (entry?.proxy !== undefined) break;
    }
    await this.#prove(this.#usable().slice(0, 1), true);
    for (const share of [LOOKING, KEEPING]) {
      this.#share = share;
      await this.#lookAll(share === LOOKING ? first : [...first, ...laterCandidates(calibrated, targets)]);
      await this.#improve();
      do {
        while (await this.#round());
      } while (await this.#keepFloat());
    }
    return {
      entries: [...this.#entries, ...this.#skipped.values()],
      winners: this.#winners(),
      notRunHere: this.#notRunHere,
      ranking: this.#ranking,
      timeUp: this.#skipped.size > 0 || this.#cut,
    };
  }

  /** Corrections, alone and together, then more and less of the model in 8 bits, then one target alone. */
  async #improve(): Promise<void> {
    const { targets } = this.#options;
    const plain = this.#most(({ candidate }) => candidate.scheme === "static-int8" && !isCorrected(candidate));
    if (plain !== undefined && this.#couldWin(plain)) {
      const tried = await this.#lookAll(corrections(plain.candidate));
      const gained = tried.filter(
        ({ proxy, why }) => proxy !== undefined && why === undefined && proxy.sqnr > plain.proxy!.sqnr,
      );
      const [best, second] = gained.toSorted((a, b) => b.proxy!.sqnr - a.proxy!.sqnr);
      if (best !== undefined && second !== undefined) await this.#lookAll([joined(best.candidate, second.candidate)]);
    }
    const bases = new Set<Entry>();
    for (const target of this.#measured()) {
      const [best] = this.#front(target).filter(({ proxy }) => proxy!.sqnr >= PLAUSIBLE);
      if (best !== undefined) bases.add(best);
    }
    const all = [...bases].map(({ candidate }) => candidate);
    await this.#lookAll(all.flatMap(variants));
    if (targets.length > 1) {
      await this.#lookAll(all.flatMap((candidate) => targets.map((target) => forTarget(candidate, target))));
    }
  }

  /** Whether it would be the best file for a target if it lost nothing. */
  #couldWin(entry: Entry): boolean {
    const { originalBytes, prefer } = this.#options;
    const won = this.#winners();
    return this.#measured().some((target) => {
      const of = (one: Entry): number => objective(one, target, originalBytes, prefer);
      const own = won.get(target);
      const rivals = own === undefined ? this.#front(target).filter(({ proxy }) => proxy!.sqnr >= SAFE) : [own];
      return rivals.every((rival) => of(entry) <= of(rival) * 1.02);
    });
  }

  /** One round of proofs on all targets. False: there was nothing to prove, or no time. */
  async #round(): Promise<boolean> {
    const open = new Set<Entry>();
    for (const target of this.#measured()) {
      for (const entry of nextProofs(this.#front(target), target, PER_ROUND)) open.add(entry);
    }
    if (open.size === 0) return false;
    if (this.#left() <= 0) {
      this.#cut = true;
      return false;
    }
    return this.#prove([...open], false);
  }

  /** True where some were proven. @param always whatever the time. */
  async #prove(entries: readonly Entry[], always: boolean): Promise<boolean> {
    let proven = false;
    for (const target of this.#measured()) {
      const open = entries.filter(({ candidate, proofs }) => candidate.targets.includes(target) && !proofs.has(target));
      if (open.length === 0) continue;
      const candidates = open.map(({ candidate }) => candidate);
      const limitMs = always ? Number.POSITIVE_INFINITY : this.#left();
      const result = await this.#within(limitMs, `proving ${plural(open.length, "file")} on ${target}`, (context) =>
        this.#bench.verify(target, candidates, context),
      );
      if (result === undefined) {
        this.#cut = true;
        return proven;
      }
      if ("notRunHere" in result) {
        this.#notRunHere.set(target, result.notRunHere);
        continue;
      }
      for (const [index, proof] of result.entries()) open[index]!.proofs.set(target, proof);
      proven = true;
    }
    return proven;
  }

  /** Nodes of the best file that loses too much go back to float. False: nothing came of it. */
  async #keepFloat(): Promise<boolean> {
    const base = this.#ranked.size < MOST_RANKED ? this.#tooLossy() : undefined;
    if (base === undefined) return false;
    const { timeMs } = this.#options;
    if (this.#elapsed() > KEEPING * timeMs) {
      this.#cut = true;
      return false;
    }
    this.#ranked.add(base);
    const limit = RANKING * timeMs;
    let nodes: readonly NodeSensitivity[] | undefined;
    try {
      nodes = await this.#within(2 * limit, `ranking nodes of ${base.name}`, (context) =>
        this.#bench.rank(base.candidate, limit, context),
      );
    } catch (error) {
      if (!isImpossible(error)) throw error;
    }
    if (nodes === undefined) return true;
    this.#ranking = { of: base, nodes };
    await this.#lookAll(keepFloatVariants(base.candidate, nodes), KEEPING);
    return true;
  }

  /** The file that would be best for some target, lost too much there, and whose nodes are not ranked yet. */
  #tooLossy(): Entry | undefined {
    const { originalBytes, prefer } = this.#options;
    const won = this.#winners();
    let best: { readonly entry: Entry; readonly gain: number } | undefined;
    for (const target of this.#measured()) {
      const of = (entry: Entry): number => objective(entry, target, originalBytes, prefer);
      const own = won.get(target);
      const level = own === undefined ? 1 : of(own);
      for (const entry of this.#entries) {
        const proof = entry.proofs.get(target);
        if (proof === undefined || !losesTooMuch(proof) || this.#ranked.has(entry)) continue;
        const gain = level / of(entry);
        // A hundredth of bytes and time is not worth ranking a model's nodes.
        if (gain > 1.03 && (best === undefined || gain > best.gain)) best = { entry, gain };
      }
    }
    return best?.entry;
  }

  async #lookAll(candidates: readonly Candidate[], share = this.#share): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const candidate of candidates) {
      const entry = await this.#look(candidate, share * this.#options.timeMs - this.#elapsed());
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** Undefined where it was tried before, or there was no time. */
  async #look(candidate: Candidate, limitMs: number): Promise<Entry | undefined> {
    this.#options.signal?.throwIfAborted();
    const key = candidateKey(candidate);
    if (this.#keys.has(key)) return undefined;
    const entry: Entry = { candidate, name: candidateName(candidate, this.#options.targets), proofs: new Map() };
    const known = this.#options.known?.get(key);
    if (known !== undefined) {
      entry.proxy = known.proxy;
      for (const [target, proof] of known.proofs) entry.proofs.set(target, proof);
    } else {
      try {
        entry.proxy = await this.#within(limitMs, entry.name, (context) => this.#bench.proxy(candidate, context));
      } catch (error) {
        if (!isImpossible(error)) throw error;
        entry.why = messageOf(error);
      }
      if (entry.proxy === undefined && entry.why === undefined) {
        entry.why = TIME_UP;
        this.#skipped.set(key, entry);
        return undefined;
      }
    }
    this.#keys.set(key, entry);
    this.#skipped.delete(key);
    this.#entries.push(entry);
    if (entry.proxy === undefined) return entry;
    const same = this.#hashes.get(entry.proxy.hash);
    if (same === undefined) this.#hashes.set(entry.proxy.hash, entry);
    else entry.why = `the same file as ${same.name}`;
    return entry;
  }

  /** Work that is given up when its time is up: then undefined. */
  async #within<T>(limitMs: number, what: string, work: (context: WorkContext) => Promise<T>): Promise<T | undefined> {
    const { signal, progress } = this.#options;
    if (limitMs <= 0) return undefined;
    const timer = Number.isFinite(limitMs) ? AbortSignal.timeout(Math.ceil(limitMs)) : undefined;
    const signals = [signal, timer].filter((one) => one !== undefined);
    const limited = signals.length === 0 ? undefined : AbortSignal.any(signals);
    const named: Progress | undefined =
      progress && ((task, done, total) => progress(`${this.#clock()}  ${what}: ${task}`, done, total));
    named?.("starting", 0);
    try {
      return await work({ signal: limited, progress: named, limitMs });
    } catch (error) {
      signal?.throwIfAborted();
      if (timer?.aborted !== true && !(error instanceof NoTimeError)) throw error;
      return undefined;
    }
  }

  /** "4:05 left". */
  #clock(): string {
    const seconds = Math.max(0, Math.round(this.#left() / 1000));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  }

  #elapsed(): number {
    return this.#now() - this.#start;
  }

  #left(): number {
    return this.#options.timeMs - this.#elapsed();
  }

  #measured(): TargetName[] {
    return this.#options.targets.filter((target) => !this.#notRunHere.has(target));
  }

  #usable(): Entry[] {
    return this.#entries.filter(({ proxy, why }) => proxy !== undefined && why === undefined);
  }

  #front(target: TargetName): Entry[] {
    return front(this.#usable(), target, this.#options.originalBytes, this.#options.prefer);
  }

  #winners(): Map<TargetName, Entry> {
    const { originalBytes, prefer } = this.#options;
    return winners(this.#usable(), this.#measured(), originalBytes, prefer);
  }

  /** The entry with the best SQNR. */
  #most(which: (entry: Entry) => boolean): Entry | undefined {
    return this.#usable()
      .filter(which)
      .toSorted((a, b) => b.proxy!.sqnr - a.proxy!.sqnr)[0];
  }
}

/** Decibels below which outputs have little to do with the original's: no base for variants. */
const PLAUSIBLE = 10;

/** Decibels from which on outputs usually count as the same. */
const SAFE = 20;

function isCorrected({ step }: Candidate): boolean {
  return ["equalize", "smoothQuant", "biasCorrection"].some((key) => Object.hasOwn(step, key));
}

/** What a model cannot take is no reason to stop. */
function isImpossible(error: unknown): boolean {
  return error instanceof UnsupportedError || error instanceof GraphError;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
