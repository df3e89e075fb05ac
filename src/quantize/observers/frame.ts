/**
 * @file What all observers share: groups, counting, extremes, refusal of NaN and infinity, saving. A kind adds its collector.
 */
import { FormatError, GraphError } from "../../util/errors.ts";
import { minMax } from "../affine.ts";
import { type Granularity, type GroupView, groupView } from "../granularity.ts";
import { codeRange, type QParams, qparamsFromRanges } from "../qparams.ts";
import type { ObserverName } from "./list.ts";
import type { Collector, Observer, ObserverKind, ObserverOptions, ObserverState, Ranges } from "./observer.ts";

interface Seen {
  readonly collector: Collector;
  /** Of the last sample. */
  view: GroupView;
  readonly extremes: Ranges;
}

export function frameObserver(
  name: ObserverName,
  kind: ObserverKind,
  options: ObserverOptions,
  state?: ObserverState,
): Observer {
  codeRange(options.scheme); // refuses what the scheme cannot be
  kind.check?.(options);
  const { axis } = options;
  const granularity: Granularity = axis === undefined ? { kind: "per-tensor" } : { kind: "per-axis", axis };
  let count = state?.count ?? 0;
  let seen = state?.seen && restoreSeen(state.seen, kind, options, granularity);
  let ranges: Ranges | undefined;

  const observer: Observer = {
    name,
    get count() {
      return count;
    },
    observe(data, dims) {
      const view = groupView(dims, granularity, "sample");
      const sample = minMax(data, view);
      if (view.size > 0) {
        if (seen !== undefined && seen.view.groups !== view.groups) {
          throw new GraphError({
            area: "quantize",
            subject: `sample [${dims.join(", ")}]`,
            problem: `expected ${seen.view.groups} channels on axis ${axis}, as before, got ${view.groups}`,
            help: "Observe this value per tensor: the length of its axis depends on the sample.",
          });
        }
        const found = { min: Float64Array.from(sample.min), max: Float64Array.from(sample.max) };
        seen ??= { view, extremes: emptyRanges(view.groups), collector: kind.start(view.groups, options) };
        seen.view = view;
        widen(seen.extremes, found);
        seen.collector.add(data, view, found);
        ranges = undefined;
      }
      count++;
    },
    ranges() {
      if (seen === undefined) return undefined;
      ranges ??= seen.collector.ranges(seen.extremes);
      return { min: ranges.min.slice(), max: ranges.max.slice() };
    },
    qparams(): QParams | undefined {
      const found = observer.ranges();
      return found && qparamsFromRanges(found, seen!.view, options.scheme);
    },
    save: () => ({
      name,
      options,
      count,
      ...(seen && {
        seen: {
          dims: [...seen.view.dims],
          min: Array.from(seen.extremes.min, shortest),
          max: Array.from(seen.extremes.max, shortest),
          fields: seen.collector.save(),
        },
      }),
    }),
  };
  return observer;
}

export function emptyRanges(groups: number): Ranges {
  return {
    min: new Float64Array(groups).fill(Number.POSITIVE_INFINITY),
    max: new Float64Array(groups).fill(Number.NEGATIVE_INFINITY),
  };
}

/** Widens ranges, in place, to contain others. */
function widen(ranges: Ranges, other: Ranges): void {
  for (let group = 0; group < ranges.min.length; group++) {
    ranges.min[group] = Math.min(ranges.min[group]!, other.min[group]!);
    ranges.max[group] = Math.max(ranges.max[group]!, other.max[group]!);
  }
}

/** A number that rounds to this float32 and has few digits: 0.1 rather than 0.10000000149011612. */
export function shortest(value: number): number {
  return Number(Math.fround(value).toPrecision(9));
}

function restoreSeen(
  saved: NonNullable<ObserverState["seen"]>,
  kind: ObserverKind,
  options: ObserverOptions,
  granularity: Granularity,
): Seen {
  const view = groupView(saved.dims, granularity, "sample");
  const extremes = {
    min: savedFloats(saved, "min", view.groups),
    max: savedFloats(saved, "max", view.groups),
  };
  return { view, extremes, collector: kind.start(view.groups, options, saved.fields) };
}

/** A saved list of float32 numbers. @throws FormatError where it is missing or has another length. */
export function savedFloats(saved: object, field: string, length: number): Float64Array {
  const list = (saved as Record<string, readonly number[] | undefined>)[field];
  if (list?.length !== length || !list.every(Number.isFinite)) {
    throw damaged(field, `expected ${length} finite numbers, got ${list === undefined ? "none" : list.length}`);
  }
  return Float64Array.from(list, Math.fround);
}

export function damaged(field: string, problem: string): FormatError {
  return new FormatError({
    area: "quantize",
    subject: "saved statistics",
    field,
    problem,
    help: "Calibrate again and save the statistics anew.",
  });
}
