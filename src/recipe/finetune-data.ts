/**
 * @file The samples of fine-tuning: some to train on, some that are kept apart for validation and for the comparison.
 */
import type { DataSpec } from "../analyze/job.ts";
import { fromItems } from "../data/combine.ts";
import { type LoadedData, loadData } from "../data/load-node.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { openReader } from "../train/batches.ts";
import { InputError, OptionError } from "../util/errors.ts";

export interface FinetuneData {
  readonly training: DataSource;
  readonly validation: DataSource | undefined;
  /** Samples for the comparison: not trained on where there are such. */
  readonly comparison: DataSpec;
}

/**
 * @param validation A share of the samples, which are the last ones in their (seeded) order, or a path.
 * @throws OptionError, InputError for what cannot be read or split.
 */
export async function openFinetuneData(
  path: string,
  inputs: readonly Port[],
  load: LoadSpec,
  validation: string,
  samples: number,
): Promise<FinetuneData> {
  const { data, spec } = await openShuffled(path, inputs, load);
  const reader = await openReader(data);
  const whole = fromItems(data.name, reader.length, (index) => reader.at(index));
  const share = Number(validation);
  if (Number.isNaN(share) || validation.trim() === "") {
    const other = (await openShuffled(validation, inputs, load, "evaluation")).data;
    return {
      training: whole,
      validation: other,
      comparison: { kind: "path", path: validation, limit: samples, options: spec },
    };
  }
  if (share < 0 || share >= 1) {
    throw new OptionError({
      area: "finetune",
      subject: "--validation",
      problem: `expected a share from 0 to below 1, or a path, got ${validation}`,
    });
  }
  const kept = Math.round(share * reader.length);
  const count = reader.length - kept;
  if (share > 0 && (kept === 0 || count === 0)) {
    throw new InputError({
      area: "finetune",
      subject: path,
      problem: `expected enough samples to keep ${share} of them for validation, got ${reader.length}`,
      help: "Give more samples, others with --validation PATH, or --validation 0 to do without.",
    });
  }
  const part = (name: string, length: number, from: number): DataSource =>
    fromItems(`${data.name}, ${name}`, length, (index) => reader.at(from + index));
  return {
    training: kept === 0 ? whole : part(`${count} to train on`, count, 0),
    validation: kept === 0 ? undefined : part(`${kept} kept apart`, kept, count),
    comparison: { kind: "path", path, limit: samples, skip: kept === 0 ? 0 : count, options: spec },
  };
}

/** In a seeded order where the data can be read in any: files are often sorted by class. */
async function openShuffled(
  path: string,
  inputs: readonly Port[],
  load: LoadSpec,
  part: "calibration" | "evaluation" = "calibration",
): Promise<{ readonly data: LoadedData; readonly spec: LoadSpec }> {
  const plain = await loadData(path, { ...load, inputs, part });
  if (load.shuffle !== undefined || plain.at === undefined) return { data: plain, spec: load };
  const spec = { ...load, shuffle: true };
  return { data: await loadData(path, { ...spec, inputs, part }), spec };
}
