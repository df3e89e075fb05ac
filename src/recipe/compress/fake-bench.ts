/**
 * @file A workbench for tests of the search: candidates are numbers, time passes when it is told to.
 */
import type { NodeSensitivity } from "../../analyze/sensitivity.ts";
import type { TargetName } from "../../runtime/targets.ts";
import { UnsupportedError } from "../../util/errors.ts";
import { type Candidate, candidateKey } from "./candidate.ts";
import type { Proof, ProxyResult } from "./choose.ts";
import type { Workbench } from "./search.ts";

/** What a candidate is like. */
export interface FakeFile {
  readonly bytes: number;
  readonly sqnr: number;
  readonly speed: number;
  /** Of the task, at the bad end of its interval: within the budget up to 0.01. */
  readonly loss: number;
  /** Equal ones are the same file. Default: one of its own. */
  readonly hash?: string;
}

export function fakeProof({ loss, speed }: Pick<FakeFile, "loss" | "speed">, target: TargetName): Proof {
  const verdict = speed < 0.98 ? "slower" : speed > 1.02 ? "faster" : "same";
  const kind = "points" as const;
  const within = { metric: "agreement", ok: loss <= 0.01, loss, bound: loss, limit: 0.01, kind, text: "" };
  const drop = { ...within, target, file: "" };
  return {
    measurement: {
      name: "file",
      latency: {
        p50: 1 / speed,
        p95: 1 / speed,
        ratio: { median: speed, low: speed, high: speed, count: 10 },
        verdict,
      },
    },
    judgement: { usable: true, agreement: "agrees", findings: [], problems: [] },
    drops: [drop],
    ok: drop.ok && verdict !== "slower",
  };
}

export class FakeBench implements Workbench {
  /** Names of calls in their order. */
  readonly calls: string[] = [];
  time = 0;
  readonly #files: (candidate: Candidate) => FakeFile | undefined;
  readonly #nodes: readonly NodeSensitivity[];
  /** What each call takes. */
  readonly #cost: number;

  constructor(
    files: (candidate: Candidate) => FakeFile | undefined,
    { nodes = [], cost = 0 }: { readonly nodes?: readonly NodeSensitivity[]; readonly cost?: number } = {},
  ) {
    this.#files = files;
    this.#nodes = nodes;
    this.#cost = cost;
  }

  #file(candidate: Candidate): FakeFile {
    const file = this.#files(candidate);
    if (file !== undefined) return file;
    throw new UnsupportedError({ area: "test", subject: candidate.scheme, problem: "is not possible" });
  }

  async proxy(candidate: Candidate): Promise<ProxyResult> {
    this.calls.push(`look ${candidateKey(candidate)}`);
    this.time += this.#cost;
    const { bytes, sqnr, speed, hash = candidateKey(candidate) } = this.#file(candidate);
    const speeds = Object.fromEntries(candidate.targets.map((target) => [target, speed]));
    return { byteLength: bytes, hash, structure: hash, sqnr, speed: speeds, samples: 1 };
  }

  async verify(
    target: TargetName,
    candidates: readonly Candidate[],
  ): Promise<readonly Proof[] | { readonly notRunHere: string }> {
    this.calls.push(`prove ${candidates.length} on ${target}`);
    this.time += this.#cost;
    if (target === "tensorrt") return { notRunHere: "it is elsewhere" };
    return candidates.map((candidate) => fakeProof(this.#file(candidate), target));
  }

  async rank(): Promise<readonly NodeSensitivity[]> {
    this.calls.push("rank");
    this.time += this.#cost;
    return this.#nodes;
  }
}
