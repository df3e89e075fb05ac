/**
 * @file What the two ONNX Runtime packages share: their tensors and options, which differ from ours in form only.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-common";
import type { ModelProto } from "../onnx/messages.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { bytesOf, Tensor } from "../tensor/tensor.ts";
import { InputError, messageOf, OptionError, UnsupportedError } from "../util/errors.ts";
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
    readonly wasm: { numThreads?: number; wasmPaths?: string };
  };
}

/**
 * The module of an optional dependency.
 * @throws UnsupportedError where it is not installed or does not load.
 */
export async function importOrt(name: string, load: () => Promise<unknown>, install: string): Promise<OrtModule> {
  try {
    const module = (await load()) as OrtModule & { default?: OrtModule };
    return module.default ?? module;
  } catch (cause) {
    throw new UnsupportedError({
      area: "runtime",
      subject: name,
      problem: `expected the package to load, got: ${messageOf(cause).split("\n")[0]}`,
      help: `Install it: ${install}`,
      cause,
    });
  }
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

/** An unnamed unknown dimension: "" from onnxruntime-node, -1 as an unsigned number from onnxruntime-web. */
const UNKNOWN_DIMS: ReadonlySet<number | string> = new Set(["", -1, 2 ** 32 - 1]);

/**
 * Session options as the packages want them: configuration keys "a.b" become `extra: { a: { b } }`.
 * @throws OptionError for a configuration key without a dot.
 */
export function toOrtOptions(options: SessionOptions): InferenceSession.SessionOptions {
  const extra: Record<string, Record<string, string>> = {};
  for (const [key, value] of Object.entries(options.config ?? {})) {
    const dot = key.indexOf(".");
    if (dot < 1) {
      const problem = "expected the form group.name";
      const help = 'For example "session.disable_quant_qdq".';
      throw new OptionError({ area: "runtime", subject: `configuration key "${key}"`, problem, help });
    }
    const group = key.slice(0, dot);
    extra[group] = { ...extra[group], [key.slice(dot + 1)]: value };
  }
  return {
    graphOptimizationLevel: options.graphOptimization ?? "all",
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    ...(options.memoryPlan === false && { enableMemPattern: false }),
    logSeverityLevel: options.logWarnings ? 2 : 4,
    ...(Object.keys(extra).length > 0 && { extra }),
  };
}

/** What differs between the packages beside their forms. */
export interface Abilities {
  /** Outputs given to a run are filled. (onnxruntime-web 1.30 returns them as they were.) */
  readonly fillsOutputs: boolean;
}

/**
 * A session over a created one.
 * @param readModel the model that was loaded, read only where the session leaves questions.
 */
export function wrapSession(
  ort: OrtModule,
  session: InferenceSession,
  readModel: () => ModelProto,
  { fillsOutputs }: Abilities,
): Session {
  const toInputs = (feeds: Tensors): Record<string, OrtTensor> => {
    checkNames(Object.keys(feeds), session.inputNames);
    return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(ort, name, tensor)]));
  };
  return {
    // No closure here may hold `readModel`: it would keep the model's bytes as long as the session.
    inputs: toPorts(session.inputMetadata, "input", readModel),
    outputs: toPorts(session.outputMetadata, "output", readModel),
    async run(feeds: Tensors, fetch?: readonly string[]): Promise<Tensors> {
      const input = toInputs(feeds);
      const results = fetch === undefined ? await session.run(input) : await session.run(input, fetch);
      const output: Record<string, Tensor> = {};
      for (const name of fetch ?? session.outputNames) {
        const result = results[name];
        if (result !== undefined) output[name] = fromOrt(result);
      }
      return output;
    },
    ...(fillsOutputs && {
      async runInto(feeds: Tensors, into: Tensors, fetch: readonly string[]): Promise<Tensors> {
        checkApart(feeds, into);
        const wanted: Record<string, OrtTensor | null> = Object.fromEntries(fetch.map((name) => [name, null]));
        for (const [name, tensor] of Object.entries(into)) wanted[name] = toOrt(ort, name, tensor);
        const results = await session.run(toInputs(feeds), wanted);
        return Object.fromEntries(fetch.map((name) => [name, fromOrt(results[name]!)]));
      },
    }),
    release: () => session.release(),
  };
}

function toPorts(
  metadata: readonly InferenceSession.ValueMetadata[],
  side: "input" | "output",
  readModel: () => ModelProto,
): Port[] {
  // ONNX Runtime reports tensors of unknown rank as scalars; the model knows.
  const asked = metadata.some((port) => port.isTensor && port.shape.length === 0);
  const scalars = asked ? declaredShapes(side, readModel) : undefined;
  return metadata.map((port) => {
    const { name } = port;
    if (!port.isTensor) return { name, dtype: undefined, shape: undefined };
    const known = port.shape.length > 0 || scalars?.has(name);
    const shape = known ? port.shape.map((dim) => (UNKNOWN_DIMS.has(dim) ? null : dim)) : undefined;
    return { name, dtype: port.type as DType, shape };
  });
}

/** The inputs or outputs for which the model states a shape. */
function declaredShapes(side: "input" | "output", readModel: () => ModelProto): ReadonlySet<string | undefined> {
  try {
    const ports = readModel().graph?.[side] ?? [];
    return new Set(ports.filter(({ type }) => type?.tensorType?.shape !== undefined).map(({ name }) => name));
  } catch {
    // The runtime reads what Tersor does not, its own format for example. Then nothing is known.
    return new Set();
  }
}

/** onnxruntime-node ignores inputs that the model does not have: a misspelt optional one would go unnoticed. */
function checkNames(given: readonly string[], wanted: readonly string[]): void {
  const missing = wanted.filter((name) => !given.includes(name));
  const unknown = given.filter((name) => !wanted.includes(name));
  if (missing.length === 0 && unknown.length === 0) return;
  const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ") || "none";
  throw new InputError({
    area: "runtime",
    subject: "inputs",
    problem: `expected ${list(wanted)}, got ${list(given)}`,
    help: missing.length > 0 ? `Give ${list(missing)}, too.` : `The model has no ${list(unknown)}.`,
  });
}

function checkApart(feeds: Tensors, into: Tensors): void {
  const read = new Set(Object.values(feeds).map((tensor) => tensor.bytes().buffer));
  for (const [name, tensor] of Object.entries(into)) {
    if (!read.has(tensor.bytes().buffer)) continue;
    throw new InputError({
      area: "runtime",
      subject: `output "${name}"`,
      problem: "expected memory that is not fed, got that of an input",
      help: "Keep two tensors and swap them after each run.",
    });
  }
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
