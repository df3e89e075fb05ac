/**
 * @file Opens models and data for commands and for the API of Node.
 */
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { findRunningShapes } from "../analyze/running-shapes.ts";
import { runtimeMessage } from "../analyze/runtime-message.ts";
import { generateInputs } from "../data/generate.ts";
import { loadData } from "../data/load-node.ts";
import type { LoadSpec } from "../data/load-spec.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { externalLocations } from "../onnx/external-data.ts";
import {
  externalDataFromFolder,
  nameFile,
  type ReadOptions,
  readModelFile,
  writeModelFile,
} from "../onnx/file-node.ts";
import type { ModelProto } from "../onnx/messages.ts";
import type { Port, Runtime, Session } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { OptionError, UnsupportedError } from "../util/errors.ts";

/** A model file that was read: every call of `model()` gives a fresh graph. */
export interface OpenModel {
  readonly path: string;
  readonly proto: ModelProto;
  /** Bytes of the file and its data files together. */
  readonly byteLength: number;
  /** Data files, by the location that the model gives. */
  readonly external: readonly string[];
  /** Some of them lie outside of the model's folder: no runtime reads them there. */
  readonly outside: boolean;
  model(): Model;
}

/** @throws InputError, FormatError or GraphError naming the file. */
export function openModel(path: string, options: ReadOptions = {}): OpenModel {
  const { proto, external, bytes } = readModelFile(path, options);
  const locations = externalLocations(proto);
  try {
    const byteLength = locations.reduce((sum, location) => sum + external.size(location), bytes.byteLength);
    // Damage that only the graph shows is reported now, with the file's name.
    fromOnnx(proto, external);
    const outside = options.allowOutside === true && liesOutside(path, locations);
    return { path, proto, byteLength, external: locations, outside, model: () => fromOnnx(proto, external) };
  } catch (error) {
    throw nameFile(error, path);
  }
}

function liesOutside(path: string, locations: readonly string[]): boolean {
  const inside = externalDataFromFolder(dirname(path));
  try {
    for (const location of locations) inside.size(location);
    return false;
  } catch {
    return true;
  }
}

/**
 * The model as a file that runtimes load: itself, or a copy at `place`, where its external data lie outside of its
 * folder, which ONNX Runtime refuses.
 */
export function runnablePath(opened: OpenModel, place: () => string): string {
  if (!opened.outside) return opened.path;
  const path = place();
  writeModelFile(path, toOnnx(opened.model()));
  return path;
}

/** The model's inputs without defaults, in the form in which runtimes report them. */
export function modelPorts(model: Model): Port[] {
  return model.graph.inputs
    .filter((value) => value.initializer === undefined)
    .map((value) => ({ name: value.name, dtype: value.dtype, shape: value.shape }));
}

/** Calibration and comparison read the same samples in the same order: only so do they not overlap. */
export function loadSpecOf(
  model: string,
  options: { readonly load?: LoadSpec | undefined; readonly seed?: number | undefined },
): LoadSpec {
  return { ...options.load, model, seed: options.load?.seed ?? options.seed ?? 0 };
}

export interface InputSpec {
  /** A path for the data loaders; "random" or undefined: generated. */
  readonly data?: string;
  readonly limit?: number;
  /** How the data are read: preprocessing, tokenizer, batches, order. */
  readonly options?: LoadSpec;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly dims?: Readonly<Record<string, number>>;
  readonly seed?: number;
}

/**
 * Calibration samples of a model. Without data: generated inputs of shapes that run, for what only needs shapes.
 * @param path The model as a file that the runtime loads.
 * @throws UnsupportedError where the runtime does not load it; OptionError where no guess at its shapes runs.
 */
export async function openCalibration(
  opened: OpenModel,
  spec: InputSpec,
  runtime: Runtime,
  path = opened.path,
): Promise<DataSource> {
  const ports = modelPorts(opened.model());
  if (spec.data !== undefined && spec.data !== "random") {
    const how = { model: opened.path, seed: spec.seed, ...spec.options };
    return loadData(spec.data, { ...how, inputs: ports, limit: spec.limit, part: "calibration" });
  }
  const options = { shapes: spec.shapes, dims: spec.dims, seed: spec.seed ?? 0 };
  const session = await loadSession(opened, runtime, path);
  try {
    const found = await findRunningShapes(session, options);
    if ("problem" in found) throw new OptionError({ area: "data", subject: opened.path, ...found });
    return generateInputs(session.inputs, { ...options, shapes: found.shapes, count: spec.limit ?? 4 });
  } finally {
    await session.release();
  }
}

async function loadSession(opened: OpenModel, runtime: Runtime, path: string): Promise<Session> {
  try {
    return await runtime.load({ path });
  } catch (cause) {
    throw new UnsupportedError({
      area: "runtime",
      subject: opened.path,
      problem: `expected a model that ${runtime.name} ${runtime.version} loads, got: ${runtimeMessage(cause)}`,
      help: "Only a model that runs can be quantized and checked.",
      cause,
    });
  }
}

/** Whether two paths name the same existing file, through links of both kinds too. */
export function sameFile(a: string, b: string): boolean {
  if (!existsSync(a) || !existsSync(b)) return false;
  const [one, other] = [statSync(a, { bigint: true }), statSync(b, { bigint: true })];
  return one.ino === other.ino && one.dev === other.dev;
}
