/**
 * @file compress.json: what was tried with every number, and taken up again by a later run with the same settings.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { TargetMeasurement } from "../../analyze/job.ts";
import type { Budget } from "../../measure/budget.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { Sample } from "../../step/data.ts";
import { type Candidate, candidateKey } from "./candidate.ts";
import type { Entry, Proof, ProxyResult } from "./choose.ts";
import { proofOf } from "./proof.ts";
import type { KnownResult } from "./search.ts";

/** One candidate as it was tried: plain data. */
export interface Tried extends Candidate {
  readonly name: string;
  readonly proxy?: ProxyResult;
  readonly proofs: Readonly<Partial<Record<TargetName, Proof>>>;
  /** Why it was not made, not proven or not taken. */
  readonly why?: string;
}

/** What must be equal for results to be taken up again. Budget, preference and time may differ. */
export interface Settings {
  readonly tersor: string;
  /** Of the model's file and data files. */
  readonly model: string;
  readonly data: string | undefined;
  /** How the data are read. */
  readonly load: unknown;
  /** The browser that was asked for. */
  readonly browser: unknown;
  /** Of the samples that candidates are looked at with. */
  readonly fingerprint: string;
  readonly calibrationSamples: number | undefined;
  /** As asked for; undefined: as many as the time allows. */
  readonly samples: number | undefined;
  readonly targets: readonly TargetName[];
  readonly metrics: unknown;
  readonly threads: number;
  readonly seed: number;
}

export interface SearchRecord {
  readonly settings: Settings;
  /** Samples of the evaluation. */
  readonly evaluated: number | undefined;
  /** The original on each target. */
  readonly originals: readonly TargetMeasurement[];
  readonly tried: readonly Tried[];
}

export function triedOf({ candidate, name, proxy, proofs, why }: Entry): Tried {
  return {
    ...candidate,
    name,
    ...(proxy && { proxy }),
    proofs: Object.fromEntries(proofs),
    ...(why !== undefined && { why }),
  };
}

export function writeRecord(path: string, record: object): void {
  const partial = `${path}.${process.pid}.partial`;
  try {
    writeFileSync(partial, `${JSON.stringify(record, keepNumbers, 2)}\n`);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** What an earlier run with the same settings left; undefined where there is none, or it cannot be read. */
export function readRecord(path: string, settings: Settings): SearchRecord | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const record = JSON.parse(readFileSync(path, "utf8"), reviveNumbers) as SearchRecord;
    const same = JSON.stringify(record.settings) === JSON.stringify(settings);
    return same && Array.isArray(record.tried) && Array.isArray(record.originals) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** The candidates that were looked at, with their proofs judged under this budget. */
export function knownResults(record: SearchRecord, budget: Budget): Map<string, KnownResult> {
  const known = new Map<string, KnownResult>();
  for (const { proxy, proofs, ...candidate } of record.tried) {
    if (proxy === undefined) continue;
    const judged = new Map<TargetName, Proof>();
    for (const [target, proof] of Object.entries(proofs) as [TargetName, Proof][]) {
      const original = record.originals.find((result) => result.target === target);
      if (original === undefined) continue;
      // Its own round's original, not the last one's.
      const { originalMs } = proof;
      judged.set(target, { ...proofOf(original, proof.measurement, budget), originalMs });
    }
    known.set(candidateKey(candidate), { proxy, proofs: judged });
  }
  return known;
}

/** Of the inputs' bytes. */
export function fingerprint(samples: readonly Sample[]): string {
  const hash = createHash("sha256");
  for (const { inputs } of samples) {
    for (const [name, tensor] of Object.entries(inputs)) {
      hash.update(`${name} ${tensor.dtype} ${tensor.dims.join()}\n`).update(tensor.bytes());
    }
  }
  return hash.digest("hex").slice(0, 32);
}

/** JSON has no infinities. */
function keepNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

function reviveNumbers(_key: string, value: unknown): unknown {
  return value === "Infinity" || value === "-Infinity" || value === "NaN" ? Number(value) : value;
}
