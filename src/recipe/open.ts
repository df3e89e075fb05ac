/**
 * @file Opens models and data for commands and for the API of Node.
 */
import { existsSync, realpathSync } from "node:fs";
import { candidateFeeds, generateInputs } from "../data/generate.ts";
import { loadData } from "../data/load-node.ts";
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import { externalLocations } from "../onnx/external-data.ts";
import { type ReadOptions, readModelFile } from "../onnx/file-node.ts";
import type { ModelProto } from "../onnx/messages.ts";
import type { Port, Runtime, Tensors } from "../runtime/runtime.ts";
import type { DataSource } from "../step/data.ts";
import { messageOf, OptionError } from "../util/errors.ts";

/** A model file that was read: every call of `model()` gives a fresh graph. */
export interface OpenModel {
  readonly path: string;
  readonly proto: ModelProto;
  /** Bytes of the file and its data files together. */
  readonly byteLength: number;
  /** Data files, by the location that the model gives. */
  readonly external: readonly string[];
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
    return { path, proto, byteLength, external: locations, model: () => fromOnnx(proto, external) };
  } catch (error) {
    if (error instanceof Error && !error.message.includes(path)) error.message = `${path}: ${error.message}`;
    throw error;
  }
}

/** The model's inputs without defaults, in the form in which runtimes report them. */
export function modelPorts(model: Model): Port[] {
  return model.graph.inputs
    .filter((value) => value.initializer === undefined)
    .map((value) => ({ name: value.name, dtype: value.dtype, shape: value.shape }));
}

export interface InputSpec {
  /** A path for the data loaders; "random" or undefined: generated. */
  readonly data?: string;
  readonly limit?: number;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly dims?: Readonly<Record<string, number>>;
  readonly seed?: number;
}

/** Calibration samples of a model. Without data: generated inputs of shapes that run, for what only needs shapes. */
export async function openCalibration(opened: OpenModel, spec: InputSpec, runtime: Runtime): Promise<DataSource> {
  const model = opened.model();
  const ports = modelPorts(model);
  if (spec.data !== undefined && spec.data !== "random") {
    return loadData(spec.data, { inputs: ports, limit: spec.limit, part: "calibration" });
  }
  const options = { shapes: spec.shapes, dims: spec.dims, seed: spec.seed ?? 0 };
  const session = await runtime.load({ path: opened.path });
  let last = "";
  try {
    for (const candidate of candidateFeeds(session.inputs, options)) {
      try {
        await session.run(candidate.inputs);
        return generateInputs(session.inputs, { ...options, shapes: candidate.shapes, count: spec.limit ?? 4 });
      } catch (error) {
        last = messageOf(error).split("\n")[0]!;
      }
    }
  } finally {
    await session.release();
  }
  throw new OptionError({
    area: "data",
    subject: opened.path,
    problem: `no guess of its input shapes runs (${last})`,
    help: "Give them with --shape NAME=1,3,224,224, or give samples with --data.",
  });
}

/** The first sample's inputs. */
export async function firstInputs(source: DataSource): Promise<Tensors | undefined> {
  for await (const sample of source.samples()) return sample.inputs;
  return undefined;
}

/** Whether two paths name the same existing file, through links too. */
export function sameFile(a: string, b: string): boolean {
  return existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b);
}
