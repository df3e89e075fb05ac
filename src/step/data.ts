/**
 * @file What data looks like to steps: samples, and sources that can be read again in the same order.
 */
import type { Tensors } from "../runtime/runtime.ts";

/** One set of inputs, by the model's input names, with whatever the metric compares outputs to. */
export interface Sample {
  readonly inputs: Tensors;
  readonly label?: unknown;
}

/** Samples that can be iterated again, in the same order each time. */
export interface DataSource {
  /** For messages and reports: "calib/ (200 npz files)". */
  readonly name: string;
  /** Undefined where it is not known without reading. */
  readonly length?: number;
  /** True for generated values: results are then "smoke-tested", never "proven". */
  readonly generated?: boolean;
  samples(): Iterable<Sample> | AsyncIterable<Sample>;
  /**
   * Any one of `length` samples, without reading the others: for data in files and lines. Calls may come in any order
   * but must not overlap.
   */
  readonly at?: (index: number) => Promise<Sample>;
}
