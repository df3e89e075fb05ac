/**
 * @file What observers look like: they see a value's contents sample by sample and end with a range per group.
 */
import type { GroupView } from "../granularity.ts";
import type { QParams, QScheme } from "../qparams.ts";
import type { ObserverName } from "./list.ts";

export interface ObserverOptions {
  /** What the values will be quantized to. Search observers minimize the error under it. */
  readonly scheme: QScheme;
  /** One range per index of this axis of every observed tensor; negative axes count from the end. Default: one range. */
  readonly axis?: number;
  /** moving-average-min-max: weight of each new sample, above 0 and at most 1. Default 0.01 (PyTorch's). */
  readonly averagingConstant?: number;
  /** percentile: percent of the values to be kept inside the range, above 0 and at most 100. Default 99.999 (ONNX Runtime's). */
  readonly percentile?: number;
  /** Histogram kinds: bins per group, 128 … 4096, even. Default 2048 (mse: 4096). */
  readonly bins?: number;
}

/** A range per group, in the order of the group view; float32 values. */
export interface Ranges {
  readonly min: Float64Array;
  readonly max: Float64Array;
}

export interface Observer {
  readonly name: ObserverName;
  /**
   * One sample's values, row-major. A sample without elements only counts.
   * @throws GraphError where one is NaN or infinite, or for another number of channels than before: nothing is added then.
   */
  observe(data: Float32Array, dims: readonly number[]): void;
  /** Samples seen. */
  readonly count: number;
  /** The range of each group to be represented under the scheme; undefined where nothing was seen. */
  ranges(): Ranges | undefined;
  /** Scale and zero point of {@link ranges}; undefined where nothing was seen. */
  qparams(): QParams | undefined;
  /** A copy of all that was seen, as plain JSON values, from which `restoreObserver` continues. */
  save(): ObserverState;
}

/** An observer as plain JSON values. */
export interface ObserverState {
  readonly name: ObserverName;
  readonly options: ObserverOptions;
  readonly count: number;
  /** What was seen; absent where no sample had an element. */
  readonly seen?: {
    /** Dimensions of the last sample that had elements. */
    readonly dims: readonly number[];
    /** Extremes of each group over all samples. */
    readonly min: readonly number[];
    readonly max: readonly number[];
    /** What the kind of observer keeps besides. */
    readonly fields: SavedFields;
  };
}

export type SavedFields = Readonly<Record<string, readonly number[]>>;

/** What one kind of observer keeps and does beyond the frame (frame.ts), which all share. */
export interface Collector {
  /** One sample with elements, all finite. `sample`: its extremes per group; `seen`: those of all samples, this one included. */
  add(data: Float32Array, view: GroupView, sample: Ranges): void;
  ranges(seen: Ranges): Ranges;
  save(): SavedFields;
}

export interface ObserverKind {
  /** One line for help and docs. */
  readonly summary: string;
  /** @throws OptionError for options that it cannot work with. */
  check?(options: ObserverOptions): void;
  /** Starts for a number of groups, or continues from what `save` gave. @throws FormatError where that does not fit. */
  start(groups: number, options: ObserverOptions, saved?: SavedFields): Collector;
}
