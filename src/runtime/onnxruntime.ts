/**
 * @file What the two ONNX Runtime packages share: their tensors and options, which differ from ours in form only.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-common";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { bytesOf, Tensor } from "../tensor/tensor.ts";
import { UnsupportedError } from "../util/errors.ts";
import type { Port, Session, SessionOptions, Tensors } from "./runtime.ts";

/** The parts of onnxruntime-node's and onnxruntime-web's modules that are used. */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array | string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: OrtTensor.Type, data: OrtTensor.DataType, dims: readonly number[]) => OrtTensor;
  readonly env: {
    logLevel?: "verbose" | "info" | "warning" | "error" | "fatal";
    readonly versions: { readonly common: string; readonly node?: string; readonly web?: string };
    readonly wasm: { numThreads?: number };
  };
}

/** Types that JavaScript's ONNX Runtime takes and gives. */
const ORT_TYPES: ReadonlySet<DType> = new Set([
  "float32",
  "float64",
  "float16",
  "int8",
  "uint8",
  "int16",
  "uint16",
  "int32",
  "uint32",
  "int64",
  "uint64",
  "bool",
  "string",
]);

/** ONNX Runtime's results differ in the last bits for buffers that start elsewhere. */
const BUFFER_ALIGNMENT = 16;

/** Session options as the packages want them: configuration keys "a.b" become `extra: { a: { b } }`. */
export function toOrtOptions(options: SessionOptions): InferenceSession.SessionOptions {
  const extra: Record<string, Record<string, string>> = {};
  for (const [key, value] of Object.entries(options.config ?? {})) {
    const dot = key.indexOf(".");
    const group = key.slice(0, dot);
    extra[group] = { ...extra[group], [key.slice(dot + 1)]: value };
  }
  return {
    graphOptimizationLevel: options.graphOptimization ?? "all",
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    logSeverityLevel: options.logWarnings ? 2 : 4,
    ...(Object.keys(extra).length > 0 && { extra }),
  };
}

/** A session over a created one. */
export function wrapSession(ort: OrtModule, session: InferenceSession): Session {
  const ports = (metadata: readonly InferenceSession.ValueMetadata[]): Port[] =>
    metadata.map((port) => {
      if (!port.isTensor) return { name: port.name, dtype: undefined, shape: undefined };
      return {
        name: port.name,
        dtype: port.type as DType,
        // An unnamed unknown dimension comes as "" or as a negative number.
        shape: port.shape.map((dim) => (dim === "" || (typeof dim === "number" && dim < 0) ? null : dim)),
      };
    });
  return {
    inputs: ports(session.inputMetadata),
    outputs: ports(session.outputMetadata),
    async run(feeds: Tensors, fetch?: readonly string[]): Promise<Tensors> {
      const input: Record<string, OrtTensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) input[name] = toOrt(ort, name, tensor);
      const results = fetch === undefined ? await session.run(input) : await session.run(input, fetch);
      const output: Record<string, Tensor> = {};
      for (const name of fetch ?? session.outputNames) {
        const result = results[name];
        if (result !== undefined) output[name] = fromOrt(result);
      }
      return output;
    },
    release: () => session.release(),
  };
}

function toOrt(ort: OrtModule, name: string, tensor: Tensor): OrtTensor {
  const { dtype, dims } = tensor;
  if (!ORT_TYPES.has(dtype)) {
    throw new UnsupportedError({
      area: "runtime",
      subject: `input "${name}"`,
      problem: `expected a type that ONNX Runtime takes from JavaScript, got ${dtype}`,
      help: `It takes ${[...ORT_TYPES].join(", ")}.`,
    });
  }
  if (dtype === "string") return new ort.Tensor("string", [...(tensor.strings ?? [])], dims);
  const data = tensor.data();
  const aligned = data.byteOffset % BUFFER_ALIGNMENT === 0 ? data : data.slice();
  return new ort.Tensor(dtype as OrtTensor.Type, aligned as OrtTensor.DataType, dims);
}

function fromOrt(result: OrtTensor): Tensor {
  const dtype = result.type as DType;
  const dims = result.dims.map(Number);
  if (dtype === "string") return Tensor.strings(dims, result.data as string[]);
  if (DTYPES[dtype] === undefined) {
    // Sequences and maps come as plain objects.
    throw new UnsupportedError({ area: "runtime", subject: "an output", problem: `expected a tensor, got ${dtype}` });
  }
  // Node's Float16Array, where it exists, has the same bytes.
  const bytes = bytesOf(result.data as ArrayBufferView);
  return new Tensor(dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
}
