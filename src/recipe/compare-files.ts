/**
 * @file Two model files side by side, inside: their values on the same samples, their tensors and bytes.
 */
import { compareLedgers, type Ledger, ledgerEntries } from "../analyze/ledger.ts";
import { compareTensors, type TensorComparison } from "../analyze/tensor-errors.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import type { Model } from "../graph/model.ts";
import { cleanUp } from "../passes/clean-up.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Progress } from "../util/progress.ts";
import { type OpenModel, openCalibration, openModel } from "./open.ts";

export interface CompareFilesOptions {
  /** A path for the data loaders; "random" or undefined: generated. */
  readonly data?: string;
  /** How they are read. */
  readonly load?: LoadSpec;
  /** Samples to run. Default 4; the first 16 at most: every value of both models is looked at. */
  readonly samples?: number;
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly seed?: number;
  readonly allowExternalOutside?: boolean;
}

/** Every value of both models is looked at: more would take long and say nothing new. */
export const MOST_SAMPLES = 16;

/**
 * Compares every value inside two model files, the second being made from the first: {@link compareTensors}, in this
 * process, on the first runtime that is installed.
 */
export async function compareFiles(
  original: string,
  other: string,
  options: CompareFilesOptions = {},
  { progress, signal }: { readonly progress?: Progress; readonly signal?: AbortSignal } = {},
): Promise<TensorComparison> {
  const runtime = await createAnyRuntime();
  const { opened, model } = await openCleaned(original, runtime, options.allowExternalOutside);
  const quantized = openModel(other, { allowOutside: options.allowExternalOutside }).model();
  const { data, load, shape: shapes, seed, samples = 4 } = options;
  const limit = Math.min(samples, MOST_SAMPLES);
  const source = await openCalibration(opened, { data, options: load, limit, shapes, seed }, runtime);
  return compareTensors(model, quantized, runtime, source, { samples: limit, progress, signal });
}

/** The tensors of both files. The original is cleaned up first, so that names are those that quantizers continue. */
export async function ledgerOfFiles(original: string, other: string, allowOutside?: boolean): Promise<Ledger> {
  const runtime = await createAnyRuntime().catch(() => undefined);
  const { model } = await openCleaned(original, runtime, allowOutside);
  return compareLedgers(ledgerEntries(model), ledgerEntries(openModel(other, { allowOutside }).model()));
}

/** A model as quantizers see it. */
export async function openCleaned(
  path: string,
  runtime: Runtime | undefined,
  allowOutside: boolean | undefined,
): Promise<{ readonly opened: OpenModel; readonly model: Model }> {
  const opened = openModel(path, { allowOutside });
  const model = opened.model();
  await cleanUp(model, { runtime });
  return { opened, model };
}
