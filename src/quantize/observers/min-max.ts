/**
 * @file Observer min-max: the smallest and the largest value that ever occurred.
 * Source: PyTorch's MinMaxObserver and PerChannelMinMaxObserver.
 */
import type { ObserverKind } from "./observer.ts";

export const minMaxKind: ObserverKind = {
  summary: "the smallest and the largest value that occurred",
  start: () => ({ add() {}, ranges: (seen) => seen, save: () => ({}) }),
};
