/**
 * @file From a model file to its nodes ranked by what quantizing them costs: what `tersor inspect --sensitivity` does.
 */
import { type Sensitivity, type SensitivityMode, sensitivity } from "../analyze/sensitivity.ts";
import { openScheme, SENSITIVITY_SCHEMES, type SensitivitySchemeName } from "../analyze/sensitivity-schemes.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { MetricSpec } from "../measure/meter.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import { nameFile } from "../onnx/file-node.ts";
import { cleanUp } from "../passes/clean-up.ts";
import { createAnyRuntime } from "../runtime/create-node.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { OptionError } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import { type OpenModel, openCalibration, openModel } from "./open.ts";
import { SCHEME_ALIASES } from "./steps.ts";

export interface SensitivityFileOptions {
  readonly scheme: SensitivitySchemeName;
  /** Options of the scheme's step. */
  readonly step?: Readonly<Record<string, unknown>>;
  /** Default "quantize-one". */
  readonly mode?: SensitivityMode;
  /** A path for the data loaders; "random" or undefined: generated. */
  readonly data?: string;
  /** How they are read. */
  readonly load?: LoadSpec;
  /** Samples to run and calibrate on. Default 16; of generated ones 4. */
  readonly samples?: number;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly seed?: number;
  /** Default: SQNR of the output. */
  readonly metric?: MetricSpec;
  /** Milliseconds after which no further node is begun. Default: five minutes. */
  readonly budgetMs?: number;
  readonly allowOutside?: boolean;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

export interface FileSensitivity extends Sensitivity {
  readonly scheme: SensitivitySchemeName;
}

/** @throws OptionError for a scheme whose nodes cannot be chosen one by one. */
export function schemeOf(name: string): SensitivitySchemeName {
  const scheme = SCHEME_ALIASES[name] ?? name;
  if ((SENSITIVITY_SCHEMES as readonly string[]).includes(scheme)) return scheme as SensitivitySchemeName;
  throw new OptionError({
    area: "sensitivity",
    subject: "--scheme",
    problem: `expected ${SENSITIVITY_SCHEMES.join(", ")}, got ${name}`,
  });
}

/** @throws InputError, FormatError, OptionError, UnsupportedError as quantizing the file would. */
export async function sensitivityOfFile(path: string, options: SensitivityFileOptions): Promise<FileSensitivity> {
  const { scheme, step = {}, mode, metric, budgetMs = 300_000, progress, signal } = options;
  const opened = openModel(path, { allowOutside: options.allowOutside });
  const runtime = await createAnyRuntime();
  const cleaned = opened.model();
  await cleanUp(cleaned, { runtime }).catch((error) => Promise.reject(nameFile(error, path)));
  const bytes = joinChunks(encodeModel(toOnnx(cleaned)));
  const data = await held(await samplesOf(opened, options, runtime));
  const open = async () => {
    const model = opened.model();
    await cleanUp(model, { runtime });
    return model;
  };
  const context = { runtime, calibration: data, progress, signal };
  const { nodes, make } = await openScheme(scheme, open, step, context).catch((error) =>
    Promise.reject(nameFile(error, path)),
  );
  const found = await sensitivity({
    nodes,
    make,
    original: { bytes },
    runtime,
    data,
    mode,
    metric: metric?.names === undefined ? { ...metric, names: ["sqnr"] } : metric,
    score: data.score,
    budgetMs,
    progress,
    signal,
  });
  return { scheme, ...found };
}

function samplesOf(
  opened: OpenModel,
  { data, load, samples, shapes, seed }: SensitivityFileOptions,
  runtime: Parameters<typeof openCalibration>[2],
): Promise<DataSource & { readonly score?: Parameters<typeof sensitivity>[0]["score"] }> {
  const generated = data === undefined || data === "random";
  return openCalibration(
    opened,
    { data, options: load, limit: samples ?? (generated ? 4 : 16), shapes, seed },
    runtime,
  );
}

/** A few samples, read once: every model runs them. */
async function held<Source extends DataSource>(source: Source): Promise<Source> {
  const samples: Sample[] = [];
  for await (const sample of source.samples()) samples.push(sample);
  return { ...source, length: samples.length, samples: () => samples };
}
