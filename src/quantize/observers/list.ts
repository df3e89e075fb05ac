/**
 * @file THE list of observers: a new one is a file and a row here.
 */
import { OptionError } from "../../util/errors.ts";
import { entropyKind } from "./entropy.ts";
import { damaged, frameObserver } from "./frame.ts";
import { histogramKind } from "./histogram.ts";
import { minMaxKind } from "./min-max.ts";
import { movingAverageKind } from "./moving-average-min-max.ts";
import { mseKind } from "./mse.ts";
import type { Observer, ObserverKind, ObserverOptions, ObserverState } from "./observer.ts";
import { percentileKind } from "./percentile.ts";

export const OBSERVER_NAMES = [
  "min-max",
  "moving-average-min-max",
  "percentile",
  "histogram",
  "entropy",
  "mse",
] as const;

export type ObserverName = (typeof OBSERVER_NAMES)[number];

export const OBSERVERS: Readonly<Record<ObserverName, ObserverKind>> = {
  "min-max": minMaxKind,
  "moving-average-min-max": movingAverageKind,
  percentile: percentileKind,
  histogram: histogramKind,
  entropy: entropyKind,
  mse: mseKind,
};

/** @throws OptionError for an unknown name, and for options that the observer or the scheme cannot work with. */
export function createObserver(name: ObserverName, options: ObserverOptions): Observer {
  if (!Object.hasOwn(OBSERVERS, name)) {
    throw new OptionError({
      area: "quantize",
      subject: "observer",
      problem: `expected one of ${OBSERVER_NAMES.join(", ")}, got ${JSON.stringify(name)}`,
    });
  }
  return frameObserver(name, OBSERVERS[name], options);
}

/** Continues from what `save` gave. @throws FormatError where the state is damaged, OptionError as {@link createObserver}. */
export function restoreObserver(state: ObserverState): Observer {
  const { name, options } = state;
  if (!Object.hasOwn(OBSERVERS, name)) throw damaged("name", `expected an observer, got ${JSON.stringify(name)}`);
  return frameObserver(name, OBSERVERS[name], options, state);
}
