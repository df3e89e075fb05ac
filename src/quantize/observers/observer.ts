/**
 * @file What observers look like: they see a value's contents sample by sample and end with a range.
 */

export interface Observer {
  /** All elements of the value for one sample. @throws GraphError where one is NaN or infinite. */
  observe(data: Float32Array): void;
  /** The range to be represented; undefined where nothing was seen. */
  range(): { readonly min: number; readonly max: number } | undefined;
}
