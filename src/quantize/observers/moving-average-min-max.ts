/**
 * @file Observer moving-average-min-max: the first sample's extremes, then `m += c · (sample's - m)` for each further sample,
 * in float32. Source: PyTorch's MovingAverageMinMaxObserver and MovingAveragePerChannelMinMaxObserver.
 */
import { OptionError } from "../../util/errors.ts";
import { emptyRanges, savedFloats, shortest } from "./frame.ts";
import type { ObserverKind, ObserverOptions } from "./observer.ts";

const DEFAULT_CONSTANT = 0.01;

export const movingAverageKind: ObserverKind = {
  summary: "moving averages of each sample's smallest and largest value",
  check({ averagingConstant: c = DEFAULT_CONSTANT }: ObserverOptions) {
    if (c > 0 && c <= 1) return;
    throw new OptionError({
      area: "quantize",
      subject: "averagingConstant",
      problem: `expected a number above 0 and at most 1, got ${c}`,
    });
  },
  start(groups, { averagingConstant = DEFAULT_CONSTANT }, saved) {
    const c = Math.fround(averagingConstant);
    const { min, max } = saved
      ? { min: savedFloats(saved, "averageMin", groups), max: savedFloats(saved, "averageMax", groups) }
      : emptyRanges(groups);
    const approach = (average: Float64Array, sample: Float64Array): void => {
      for (let group = 0; group < groups; group++) {
        const old = average[group]!;
        const now = sample[group]!;
        if (Number.isFinite(old)) average[group] = Math.fround(old + Math.fround(c * difference(now, old)));
        else average[group] = now;
      }
    };
    return {
      add(_data, _view, sample) {
        approach(min, sample.min);
        approach(max, sample.max);
      },
      ranges: () => ({ min, max }),
      save: () => ({ averageMin: Array.from(min, shortest), averageMax: Array.from(max, shortest) }),
    };
  },
};

/** In float32; in float64 where that overflows. */
function difference(a: number, b: number): number {
  const rounded = Math.fround(a - b);
  return Number.isFinite(rounded) ? rounded : a - b;
}
