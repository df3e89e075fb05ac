/**
 * @file Samples that are used over and over: some are held to look at candidates with, all are kept where they are small.
 */
import type { DataSource, Sample } from "../../step/data.ts";

/** Samples that are held: fewer where they are large. */
const HELD_SAMPLES = 16;
const HELD_BYTES = 128e6;
/** Samples of all in all as many bytes are kept: making them may take longer than the model does. */
const KEPT_BYTES = 256e6;

/** Spread over a source of known length, else the first ones; at least one. */
export async function holdSamples(source: DataSource, count = HELD_SAMPLES): Promise<Sample[]> {
  const stride = source.length === undefined ? 1 : Math.max(1, Math.floor(source.length / count));
  const held: Sample[] = [];
  let bytes = 0;
  let index = 0;
  for await (const sample of source.samples()) {
    if (index++ % stride !== 0) continue;
    bytes += bytesOf(sample);
    if (held.length > 0 && (held.length >= count || bytes > HELD_BYTES)) break;
    held.push(sample);
  }
  return held;
}

/** A source that is read once where its samples fit into memory, and each time else. */
export function remembered(source: DataSource): DataSource {
  let kept: readonly Sample[] | undefined;
  return {
    ...source,
    async *samples() {
      if (kept !== undefined) {
        yield* kept;
        return;
      }
      let samples: Sample[] | undefined = [];
      let bytes = 0;
      for await (const sample of source.samples()) {
        bytes += bytesOf(sample);
        if (bytes > KEPT_BYTES) samples = undefined;
        samples?.push(sample);
        yield sample;
      }
      kept = samples;
    },
  };
}

function bytesOf({ inputs }: Sample): number {
  return Object.values(inputs).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
