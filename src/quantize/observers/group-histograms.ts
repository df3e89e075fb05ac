/**
 * @file A histogram for each group of an observer, and the bound on what they take together.
 */
import { OptionError } from "../../util/errors.ts";
import { forEachSpan } from "../granularity.ts";
import { damaged } from "./frame.ts";
import type { Collector, ObserverOptions, Ranges, SavedFields } from "./observer.ts";

export interface GroupHistogram {
  /** Makes room for values in this range, before they are counted. */
  grow(min: number, max: number): void;
  /** Counts `data[start]`, `data[start + step]`, … before `end`. */
  count(data: Float32Array, start: number, end: number, step: number): void;
  save(): SavedFields;
}

const MIN_BINS = 128;
const MAX_BINS = 4096;
/** Bins up to which the one histogram of a tensor may grow; those of channels to twice what they start with. */
const GROWN_BINS = 8192;
/** Bins of all groups of one observer together, at the start: 4 MB of counts. */
const TOTAL_BINS = 2 ** 19;

/** @throws OptionError for a number of bins that is odd or outside 128 … 4096. */
export function checkBins({ bins }: ObserverOptions): void {
  if (bins === undefined || (Number.isInteger(bins) && bins % 2 === 0 && bins >= MIN_BINS && bins <= MAX_BINS)) return;
  throw new OptionError({
    area: "quantize",
    subject: "bins",
    problem: `expected an even number in ${MIN_BINS} … ${MAX_BINS}, got ${bins}`,
  });
}

/**
 * Bins per group: those asked for, by default `standard`, halved until all groups together have at most 2^19.
 * @throws OptionError where 128 bins per group (4,096 groups) would still be more.
 */
function binsPerGroup(groups: number, options: ObserverOptions, standard: number): number {
  let bins = options.bins ?? standard;
  while (bins * groups > TOTAL_BINS && bins / 2 >= MIN_BINS) bins = 2 * Math.floor(bins / 4);
  if (bins * groups <= TOTAL_BINS) return bins;
  throw new OptionError({
    area: "quantize",
    subject: `histograms of ${groups} channels`,
    problem: `expected at most ${TOTAL_BINS / MIN_BINS} channels, got ${groups}`,
    help: "Use min-max or moving-average-min-max for this value, or observe it per tensor.",
  });
}

/**
 * A collector of one histogram per group.
 * @param make an empty histogram of this many bins that may grow to a limit, or the saved one.
 * @param search the range that a histogram's contents ask for, given their extremes.
 */
export function groupHistograms<H extends GroupHistogram>(
  groups: number,
  options: ObserverOptions,
  standard: number,
  make: (bins: number, limit: number, saved: SavedFields | undefined) => H,
  search: (histogram: H, min: number, max: number) => { readonly min: number; readonly max: number },
  saved?: SavedFields,
): Collector {
  const bins = binsPerGroup(groups, options, standard);
  const limit = groups === 1 ? GROWN_BINS : 2 * bins;
  const histograms = Array.from({ length: groups }, (_, group) => make(bins, limit, saved && fieldsOf(saved, group)));
  return {
    add(data, view, sample) {
      histograms.forEach((histogram, group) => {
        histogram.grow(sample.min[group]!, sample.max[group]!);
      });
      forEachSpan(
        view,
        (start, end, group) => histograms[group]!.count(data, start, end, 1),
        (start, rows, columns, stride, group) => {
          const length = (rows - 1) * stride + 1;
          for (let c = 0; c < columns; c++) histograms[group + c]!.count(data, start + c, start + c + length, stride);
        },
      );
    },
    ranges(seen): Ranges {
      const found = histograms.map((histogram, group) => search(histogram, seen.min[group]!, seen.max[group]!));
      return { min: Float64Array.from(found, ({ min }) => min), max: Float64Array.from(found, ({ max }) => max) };
    },
    save: () =>
      Object.fromEntries(
        histograms.flatMap((histogram, group) =>
          Object.entries(histogram.save()).map(([field, list]) => [`${field} ${group}`, list]),
        ),
      ),
  };
}

/** `{ "counts 3": … }` of all groups → `{ counts: … }` of group 3. */
function fieldsOf(saved: SavedFields, group: number): SavedFields {
  const suffix = ` ${group}`;
  const own = Object.entries(saved).filter(([field]) => field.endsWith(suffix));
  return Object.fromEntries(own.map(([field, list]) => [field.slice(0, -suffix.length), list]));
}

/** Counts with runs of n zeros as -n. */
export function packCounts(counts: Float64Array): number[] {
  const packed: number[] = [];
  let zeros = 0;
  for (const count of counts) {
    if (count === 0) zeros++;
    else {
      if (zeros > 0) packed.push(-zeros);
      zeros = 0;
      packed.push(count);
    }
  }
  if (zeros > 0) packed.push(-zeros);
  return packed;
}

/** @throws FormatError where the list is missing or does not hold an accepted number of counts. */
export function unpackCounts(saved: SavedFields, accepted: (length: number) => boolean): Float64Array {
  const list = saved["counts"] ?? [];
  let length = 0;
  for (const entry of list) length += entry < 0 ? -entry : 1;
  if (!accepted(length)) throw damaged("counts", `expected another number of bins, got ${length}`);
  const counts = new Float64Array(length);
  let at = 0;
  for (const entry of list) {
    if (!Number.isFinite(entry) || (entry < 0 && !Number.isInteger(entry))) {
      throw damaged("counts", `expected counts and runs of zeros, got ${entry}`);
    }
    if (entry < 0) at -= entry;
    else counts[at++] = entry;
  }
  return counts;
}
