/**
 * @file Tensor contents in files beside the model: reading references, and moving large tensors out when writing.
 * Source: onnx/docs/ExternalData.md; onnx-ml.proto, TensorProto.external_data.
 */
import { FormatError, InputError } from "../util/errors.ts";
import type { Chunk } from "./encode.ts";
import { MAX_EXTERNAL_ENTRIES } from "./limits.ts";
import {
  DATA_LOCATION,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
} from "./messages.ts";

/** The files that external data may refer to. */
export interface ExternalData {
  /** Bytes in the file, checked against the rules of where files may lie. @throws InputError where it may not be read. */
  size(location: string): number;
  /** A fresh or shared view of `length` bytes at `offset`. */
  read(location: string, offset: number, length: number): Uint8Array;
  /** SHA-1 of the whole file in lower-case hex, where the platform has it. */
  sha1?(location: string): string;
}

/** External data that are in memory already, by location: for browsers. */
export function externalDataFromMemory(files: Readonly<Record<string, Uint8Array>>): ExternalData {
  const find = (location: string): Uint8Array => {
    const bytes = files[location];
    if (bytes === undefined) {
      throw new InputError({
        area: "onnx",
        subject: `external data ${JSON.stringify(location)}`,
        problem: `expected one of ${Object.keys(files).join(", ") || "no files"}`,
        help: "Give the model's data files together with it.",
      });
    }
    return bytes;
  };
  return {
    size: (location) => find(location).byteLength,
    read: (location, offset, length) => find(location).subarray(offset, offset + length),
  };
}

/** Checks a tensor's reference and returns how to read it. */
export function externalReference(
  proto: TensorProto,
  expected: number,
  external: ExternalData | undefined,
): { readonly location: string; readonly read: () => Uint8Array } {
  const subject = `external data of tensor ${JSON.stringify(proto.name ?? "")}`;
  const fail = (problem: string, help?: string): FormatError =>
    new FormatError({ area: "onnx", subject, problem, field: "TensorProto.external_data", help });
  const entries = new Map<string, string>();
  const list = proto.externalData ?? [];
  if (list.length > MAX_EXTERNAL_ENTRIES) throw fail(`expected at most ${MAX_EXTERNAL_ENTRIES} entries`);
  for (const { key, value } of list) if (key !== undefined) entries.set(key, value ?? "");
  const location = entries.get("location");
  if (location === undefined || location === "") throw fail("expected a location, got none");
  const integer = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
      throw fail(`expected ${key} to be a number, got "${text}"`);
    return value;
  };
  const offset = integer("offset") ?? 0;
  const length = integer("length") ?? expected;
  if (length !== expected) throw fail(`expected ${expected} bytes for its type and dimensions, got ${length}`);
  if (external === undefined) {
    throw new InputError({
      area: "onnx",
      subject,
      problem: `expected the file "${location}", got a model without its data files`,
      help: "Give the model as a file path, or its data files together with it.",
    });
  }
  const size = external.size(location);
  if (offset + length > size) {
    throw fail(
      `expected ${length} bytes at ${offset} of "${location}", got a file of ${size} bytes`,
      "Is it the data file of another export, or cut off?",
    );
  }
  const checksum = entries.get("checksum")?.toLowerCase();
  if (checksum && external.sha1 !== undefined) {
    const got = external.sha1(location);
    if (got !== checksum) throw fail(`expected "${location}" to have SHA-1 ${checksum}, got ${got}`);
  }
  return { location, read: () => external.read(location, offset, length) };
}

export interface ExternalizeOptions {
  /** Name of the data file, beside the model. Further files get `_1`, `_2`, … */
  readonly location: string;
  /** Tensors below it stay in the model. Default 1,024 bytes, as in ONNX's own tool. */
  readonly threshold?: number;
  /** Largest data file; a tensor larger than that has a file of its own. Default: one file. */
  readonly maxFileBytes?: number;
}

/** One data file: its name beside the model and its contents, to be written one after another. */
export interface ExternalFile {
  readonly location: string;
  readonly byteLength: number;
  readonly chunks: readonly Chunk[];
}

/** Page size of memory-mapping runtimes: tensors start at multiples of it. */
const ALIGNMENT = 4096;

/** Moves the contents of large initializers (of subgraphs too) into data files; returns a new model and the files. */
export function externalize(
  model: ModelProto,
  options: ExternalizeOptions,
): { readonly model: ModelProto; readonly files: readonly ExternalFile[] } {
  const threshold = options.threshold ?? 1024;
  const limit = options.maxFileBytes ?? Number.POSITIVE_INFINITY;
  const files: { location: string; byteLength: number; chunks: Chunk[] }[] = [];
  const place = (tensor: TensorProto): TensorProto => {
    const { rawData } = tensor;
    if (rawData === undefined || rawData.byteLength < threshold) return tensor;
    let file = files.at(-1);
    if (file === undefined || (file.byteLength > 0 && align(file.byteLength) + rawData.byteLength > limit)) {
      const suffix = files.length === 0 ? "" : `_${files.length}`;
      file = { location: `${options.location}${suffix}`, byteLength: 0, chunks: [] };
      files.push(file);
    }
    const offset = align(file.byteLength);
    if (offset > file.byteLength) file.chunks.push(new Uint8Array(offset - file.byteLength));
    file.chunks.push(rawData);
    file.byteLength = offset + rawData.byteLength;
    const { rawData: _moved, ...rest } = tensor;
    return {
      ...rest,
      dataLocation: DATA_LOCATION.external,
      externalData: [
        { key: "location", value: file.location },
        { key: "offset", value: String(offset) },
        { key: "length", value: String(rawData.byteLength) },
      ],
    };
  };
  return { model: mapInitializers(model, place), files };
}

/** Writes the digest of each data file into the references to it. */
export function withChecksums(model: ModelProto, digests: ReadonlyMap<string, string>): ModelProto {
  return mapInitializers(model, (tensor) => {
    const location = tensor.externalData?.find((entry) => entry.key === "location")?.value;
    const value = location === undefined ? undefined : digests.get(location);
    if (value === undefined || tensor.dataLocation !== DATA_LOCATION.external) return tensor;
    return { ...tensor, externalData: [...tensor.externalData!, { key: "checksum", value }] };
  });
}

/** The data files that a model refers to, each once. */
export function externalLocations(model: ModelProto): string[] {
  const locations = new Set<string>();
  const look = (tensor: TensorProto): TensorProto => {
    const location = tensor.externalData?.find((entry) => entry.key === "location")?.value;
    if (tensor.dataLocation === DATA_LOCATION.external && location !== undefined) locations.add(location);
    return tensor;
  };
  mapInitializers(model, look, ({ values, indices }) => {
    for (const part of [values, indices]) if (part !== undefined) look(part);
  });
  return [...locations];
}

/**
 * A model with every initializer, those of subgraphs too, replaced by what `change` makes of it. Sparse ones stay; `sparse`
 * sees them.
 */
function mapInitializers(
  model: ModelProto,
  change: (tensor: TensorProto) => TensorProto,
  sparse?: (tensor: SparseTensorProto) => void,
): ModelProto {
  const inGraph = (graph: GraphProto): GraphProto => {
    if (sparse !== undefined) graph.sparseInitializer?.forEach(sparse);
    return {
      ...graph,
      ...(graph.node && { node: graph.node.map(inNode) }),
      ...(graph.initializer && { initializer: graph.initializer.map(change) }),
    };
  };
  const inNode = (node: NodeProto): NodeProto => {
    if (!node.attribute?.some((attribute) => attribute.g !== undefined || attribute.graphs !== undefined)) return node;
    return {
      ...node,
      attribute: node.attribute.map((attribute) => ({
        ...attribute,
        ...(attribute.g && { g: inGraph(attribute.g) }),
        ...(attribute.graphs && { graphs: attribute.graphs.map(inGraph) }),
      })),
    };
  };
  return { ...model, ...(model.graph && { graph: inGraph(model.graph) }) };
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}
