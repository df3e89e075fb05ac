/**
 * @file THE list of observers.
 */
import { groupView } from "../granularity.ts";
import { type QParams, type QScheme, qparamsFromRanges } from "../qparams.ts";
import { minMaxObserver } from "./min-max.ts";

export const OBSERVER_NAMES = [
  "min-max",
  "moving-average-min-max",
  "percentile",
  "histogram",
  "entropy",
  "mse",
] as const;
export type ObserverName = (typeof OBSERVER_NAMES)[number];
export interface ObserverOptions {
  readonly scheme: QScheme;
  readonly axis?: number;
  readonly averagingConstant?: number;
  readonly percentile?: number;
  readonly bins?: number;
}
export interface Observer {
  readonly name: ObserverName;
  observe(data: Float32Array, dims: readonly number[]): void;
  readonly count: number;
  ranges(): { readonly min: Float64Array; readonly max: Float64Array } | undefined;
  qparams(): QParams | undefined;
}

export function createObserver(name: ObserverName, options: ObserverOptions): Observer {
  const inner = minMaxObserver();
  let count = 0;
  return {
    name,
    get count() {
      return count;
    },
    observe(data) {
      inner.observe(data);
      count++;
    },
    ranges() {
      const range = inner.range();
      return range && { min: Float64Array.of(range.min), max: Float64Array.of(range.max) };
    },
    qparams() {
      const ranges = this.ranges();
      return ranges && qparamsFromRanges(ranges, groupView([1], { kind: "per-tensor" }), options.scheme);
    },
  };
}
