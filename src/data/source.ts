/**
 * @file Data sources over samples in memory, and the check of a sample against the inputs of a model.
 */
import type { Port, Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import type { DType } from "../tensor/dtype.ts";
import { Tensor, type TensorData } from "../tensor/tensor.ts";
import { InputError, messageOf } from "../util/errors.ts";

/** A source over samples that are in memory already. `name` is for reports. */
export function fromSamples(samples: readonly Sample[], name = `${samples.length} samples`): DataSource {
  return { name, length: samples.length, samples: () => samples };
}

/** An input as a user's module may give it; onnxruntime's own tensors have this form. */
export interface PlainTensor {
  readonly dims: readonly number[];
  /** One element per value; float16 as Uint16Array bit patterns (or Float16Array), bool as 0 and 1. */
  readonly data: ArrayBufferView | readonly string[];
  /** Default: what the array says, or what the model wants where both fit (Uint8Array for bool, Uint16Array for float16). */
  readonly type?: string;
}

/** Element types that each typed array can hold; the first is the default. */
const ARRAY_TYPES: Readonly<Record<string, readonly DType[]>> = {
  Float32Array: ["float32"],
  Float64Array: ["float64"],
  Float16Array: ["float16"],
  Int8Array: ["int8"],
  Uint8Array: ["uint8", "bool"],
  Uint8ClampedArray: ["uint8"],
  Int16Array: ["int16"],
  Uint16Array: ["uint16", "float16", "bfloat16"],
  Int32Array: ["int32"],
  Uint32Array: ["uint32"],
  BigInt64Array: ["int64"],
  BigUint64Array: ["uint64"],
};

const area = "data";

/**
 * A value of a sample as a tensor: a {@link Tensor} as it is, a {@link PlainTensor} without a copy.
 * @param expected the type the model wants, for arrays that could be several.
 * @throws InputError where it is neither, or where dims and data do not fit.
 */
export function toTensor(value: unknown, expected: DType | undefined, subject: string): Tensor {
  if (value instanceof Tensor) return value;
  const { dims, data, type } = (value ?? {}) as Partial<PlainTensor>;
  const fail = (problem: string): never => {
    const help = "Give { dims: [1, 3], data: Float32Array.of(…) }, or a Tensor.";
    throw new InputError({ area, subject, problem, help });
  };
  if (!Array.isArray(dims) || !dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    return fail(`expected dims as an array of non-negative integers, got ${describe(dims ?? value)}`);
  }
  if (Array.isArray(data) && data.every((item) => typeof item === "string")) {
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (data.length !== count) return fail(`expected ${count} strings for [${dims.join(", ")}], got ${data.length}`);
    return Tensor.strings(dims, data);
  }
  const types = ArrayBuffer.isView(data) ? ARRAY_TYPES[data.constructor.name] : undefined;
  if (types === undefined) return fail(`expected data as a typed array or strings, got ${describe(data)}`);
  const dtype = types.find((item) => item === (type ?? expected)) ?? types[0]!;
  if (type !== undefined && type !== dtype) return fail(`expected data for type ${type}, got ${describe(data)}`);
  try {
    return Tensor.of(dtype, dims, data as TensorData);
  } catch (error) {
    return fail(messageOf(error));
  }
}

function describe(value: unknown): string {
  if (value === null || typeof value !== "object") return String(value);
  return value.constructor?.name ?? "an object";
}

/**
 * The inputs of one sample, checked against the model's: no name missing or left over, element types equal, ranks and
 * fixed dimensions equal (symbolic ones take any size). Values of `inputs` may be tensors or {@link PlainTensor}s.
 * @param subject what the messages call the sample: a file, or "calibration() of data.js, sample 3".
 * @throws InputError naming the sample, the input, what was expected, what was found, and what to do.
 */
export function checkInputs(
  inputs: Readonly<Record<string, unknown>>,
  ports: readonly Port[],
  subject: string,
): Tensors {
  const missing = ports.filter((port) => !Object.hasOwn(inputs, port.name)).map((port) => port.name);
  const extra = Object.keys(inputs).filter((name) => !ports.some((port) => port.name === name));
  if (missing.length > 0 || extra.length > 0) {
    const problems = [
      missing.length > 0 ? `missing ${quoted(missing)}` : undefined,
      extra.length > 0 ? `${quoted(extra)} ${extra.length > 1 ? "are not inputs" : "is not an input"}` : undefined,
    ];
    throw new InputError({
      area,
      subject,
      problem: `expected the model's inputs, got ${quoted(Object.keys(inputs))}: ${problems.filter(Boolean).join(", ")}`,
      help: `The model takes ${ports.map(describePort).join(", ")}.`,
    });
  }
  return Object.fromEntries(
    ports.map((port) => {
      const where = `${subject}: input "${port.name}"`;
      const tensor = toTensor(inputs[port.name], port.dtype, where);
      checkType(tensor, port, where);
      checkShape(tensor, port, where);
      return [port.name, tensor];
    }),
  );
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ") || "none";

function checkType(tensor: Tensor, port: Port, subject: string): void {
  if (port.dtype === undefined || tensor.dtype === port.dtype) return;
  throw new InputError({
    area,
    subject,
    problem: `expected ${port.dtype}, got ${tensor.dtype}`,
    help: `Save as ${port.dtype}: array.astype("${port.dtype}") in NumPy.`,
  });
}

function checkShape(tensor: Tensor, port: Port, subject: string): void {
  const { shape } = port;
  const { dims } = tensor;
  if (shape === undefined) return;
  // Some exporters write -1 for "any".
  const fits = (from: number): boolean =>
    dims.length === shape.length - from &&
    dims.every((dim, i) => {
      const wanted = shape[i + from];
      return typeof wanted !== "number" || wanted < 0 || wanted === dim;
    });
  if (fits(0)) return;
  const batchMissing = fits(1) && !(typeof shape[0] === "number" && shape[0] > 1);
  throw new InputError({
    area,
    subject,
    problem: `expected shape ${describeShape(shape)}, got [${dims.join(", ")}]`,
    help: batchMissing
      ? "The batch dimension is missing: save array[numpy.newaxis]."
      : "Bring the data into the model's shape with the preprocessing that your application uses.",
  });
}

/** "pixels float32 [batch, 3, ?, ?]" */
export function describePort(port: Port): string {
  const shape = port.shape === undefined ? "" : ` ${describeShape(port.shape)}`;
  return `${port.name} (${port.dtype ?? "not a tensor"}${shape})`;
}

function describeShape(shape: NonNullable<Port["shape"]>): string {
  return `[${shape.map((dim) => (dim === null || dim === "" || (typeof dim === "number" && dim < 0) ? "?" : dim)).join(", ")}]`;
}
