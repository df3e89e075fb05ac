/**
 * @file What is tried, best first: the order is what is known before anything is measured.
 */
import { DEFAULT_OBSERVER } from "../../quantize/static/options.ts";
import type { TargetName } from "../../runtime/targets.ts";
import { type Candidate, hasOption } from "./candidate.ts";

/**
 * Observers of static-int8, in the order in which they are tried. Those of a group watch in one calibration: the first
 * one alone, so that there soon is something to prove; observers cost more time than the model they watch.
 */
export const OBSERVER_GROUPS = [["mse"], ["min-max", "percentile"], ["auto"], ["entropy", "histogram"]] as const;

/** Weights of fewer elements are computed in 8 bits nowhere in the space: the calibration covers all of it. */
export const LEAST_ELEMENTS = 256;

const known = ({ scheme, step }: Candidate): boolean => Object.keys(step).every((key) => hasOption(scheme, key));

const observed = (groups: readonly (readonly string[])[], targets: readonly TargetName[]): Candidate[] =>
  groups.flat().map((observer) => ({
    scheme: "static-int8",
    // The default needs no flag.
    step: observer === DEFAULT_OBSERVER ? {} : { observer },
    targets,
  }));

/** The first one is proven before others are looked at. */
export function firstCandidates(calibrated: boolean, targets: readonly TargetName[]): Candidate[] {
  const free: Candidate[] = [
    { scheme: "weight-int8", step: {}, targets },
    { scheme: "dynamic-int8", step: {}, targets },
  ];
  if (!calibrated) return free;
  const [first, ...others] = observed(OBSERVER_GROUPS.slice(0, 2), targets);
  return [first!, ...free, ...others].filter(known);
}

/** What is tried where there is time left after the first proofs. */
export function laterCandidates(calibrated: boolean, targets: readonly TargetName[]): Candidate[] {
  return calibrated ? observed(OBSERVER_GROUPS.slice(2), targets).filter(known) : [];
}

/** What may win accuracy back without a byte or a moment more. */
export function corrections({ scheme, step, targets }: Candidate): Candidate[] {
  if (scheme !== "static-int8") return [];
  const changes = [{ biasCorrection: "empirical" }, { equalize: true }, { smoothQuant: "auto" }];
  return changes.map((change) => ({ scheme, step: { ...step, ...change }, targets })).filter(known);
}

/** Two corrections at once, where each won something. */
export function joined(a: Candidate, b: Candidate): Candidate {
  return { ...a, step: { ...a.step, ...b.step } };
}

/** More of the model in 8 bits, or less of it. */
export function variants({ scheme, step, targets }: Candidate): Candidate[] {
  const changes: Readonly<Record<string, unknown>>[] =
    scheme === "weight-int8"
      ? [{ minElements: 64 }, { minSqnr: 10 }]
      : [
          { minElements: LEAST_ELEMENTS },
          { minStored: 64 },
          { minElements: 8192 },
          { minElements: LEAST_ELEMENTS, minStored: 64, force: true },
          { storeRest: false },
        ];
  return changes.map((change) => ({ scheme, step: { ...step, ...change }, targets })).filter(known);
}

/** The same for one target alone: another runtime's weaknesses do not count. */
export function forTarget({ scheme, step }: Candidate, target: TargetName): Candidate {
  return { scheme, step, targets: [target] };
}
