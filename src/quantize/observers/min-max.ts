/**
 * @file Observer min-max: the smallest and the largest value that ever occurred. PyTorch's MinMaxObserver, per tensor.
 */
import { minMax } from "../affine.ts";
import { groupView } from "../granularity.ts";
import type { Observer } from "./observer.ts";

export function minMaxObserver(): Observer {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let samples = 0;
  return {
    observe(data) {
      samples++;
      if (data.length === 0) return;
      const range = minMax(data, groupView([data.length], { kind: "per-tensor" }, "activation"));
      min = Math.min(min, range.min[0]!);
      max = Math.max(max, range.max[0]!);
    },
    range: () => (samples > 0 && min <= max ? { min, max } : undefined),
  };
}
