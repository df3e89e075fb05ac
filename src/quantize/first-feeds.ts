/**
 * @file The inputs of a source's first sample.
 */
import type { Tensors } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";

/** Undefined without a source, or where it is empty. */
export async function firstFeeds(source: DataSource | undefined): Promise<Tensors | undefined> {
  if (source === undefined) return undefined;
  for await (const sample of source.samples()) return sample.inputs;
  return undefined;
}
