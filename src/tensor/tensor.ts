/**
 * @file A dense tensor: element type, dimensions and little-endian bytes that are fetched when asked for.
 */
import { GraphError } from "../util/errors.ts";
import { byteLengthOf, DTYPES, type DType, elementCount } from "./dtype.ts";
import { bfloat16ToNumber, float16ToNumber, numberToFloat16 } from "./float16.ts";

/**
 * Where a tensor's bytes come from. `bytes()` gives them in the layout of ONNX's `raw_data`: row-major, little-endian,
 * sub-byte types packed from the low bits up. A source may keep them, read them from disk or compute them each time.
 */
export interface TensorSource {
  readonly byteLength: number;
  bytes(): Uint8Array;
}

/** Typed arrays whose elements are one tensor element each. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** The typed array in which {@link Tensor.data} shows each type (16-bit floats as their bit patterns). */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const satisfies Partial<Record<DType, unknown>>;

class MemorySource implements TensorSource {
  readonly #bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  get byteLength(): number {
    return this.#bytes.byteLength;
  }
  bytes(): Uint8Array {
    return this.#bytes;
  }
}

class DeferredSource implements TensorSource {
  readonly byteLength: number;
  readonly #compute: () => Uint8Array;
  constructor(byteLength: number, compute: () => Uint8Array) {
    this.byteLength = byteLength;
    this.#compute = compute;
  }
  bytes(): Uint8Array {
    return this.#compute();
  }
}

/** The bytes under a typed array, without a copy. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Immutable by convention: a changed tensor is a new one. Dimensions are those of the ONNX tensor, `[]` for a scalar. */
export class Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly source: TensorSource;
  /** Elements of a `string` tensor; undefined for every other type. */
  readonly strings: readonly string[] | undefined;

  constructor(dtype: DType, dims: readonly number[], source: TensorSource, strings?: readonly string[]) {
    this.dtype = dtype;
    this.dims = dims;
    this.source = source;
    this.strings = strings;
  }

  /** A tensor over a typed array (not copied). `data` must have the type's array and as many elements as `dims` say. */
  static of(dtype: DType, dims: readonly number[], data: TensorData): Tensor {
    const expected = byteLengthOf(dtype, elementCount(dims));
    if (data.byteLength !== expected) {
      throw new GraphError({
        area: "tensor",
        subject: `${dtype} [${dims.join(", ")}]`,
        problem: `expected ${expected} bytes, got ${data.byteLength}`,
      });
    }
    return new Tensor(dtype, dims, new MemorySource(bytesOf(data)));
  }

  static float32(dims: readonly number[], data: Float32Array | readonly number[]): Tensor {
    return Tensor.of("float32", dims, data instanceof Float32Array ? data : Float32Array.from(data));
  }

  static int64(dims: readonly number[], data: readonly (number | bigint)[]): Tensor {
    return Tensor.of("int64", dims, BigInt64Array.from(data, BigInt));
  }

  static scalar(dtype: "float32" | "int8" | "uint8" | "int32" | "int64", value: number): Tensor {
    return Tensor.of(
      dtype,
      [],
      dtype === "int64" ? BigInt64Array.of(BigInt(value)) : (ARRAYS[dtype].of(value) as TensorData),
    );
  }

  static strings(dims: readonly number[], strings: readonly string[]): Tensor {
    return new Tensor("string", dims, new MemorySource(new Uint8Array(0)), strings);
  }

  /** Bytes computed at every call and never kept: for results that are larger together than memory. */
  static deferred(dtype: DType, dims: readonly number[], compute: () => Uint8Array): Tensor {
    return new Tensor(dtype, dims, new DeferredSource(byteLengthOf(dtype, elementCount(dims)), compute));
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.dims);
  }

  /** Bytes in `raw_data` layout. */
  get byteLength(): number {
    return this.source.byteLength;
  }

  /** Little-endian bytes in `raw_data` layout; not to be written to. */
  bytes(): Uint8Array {
    return this.source.bytes();
  }

  /**
   * The elements as a typed array of the type itself: BigInt64Array for int64, bit patterns (Uint16Array) for 16-bit
   * floats, 0/1 in a Uint8Array for bool. A view where the bytes are aligned, else a copy; not to be written to.
   * @throws GraphError for strings, complex, 8-bit floats and sub-byte types, which have no such array.
   */
  data(): TensorData {
    const ArrayType = ARRAYS[this.dtype as keyof typeof ARRAYS];
    if (ArrayType === undefined) {
      throw new GraphError({
        area: "tensor",
        subject: `${this.dtype} [${this.dims.join(", ")}]`,
        problem: `expected a type with one array element per value, got ${this.dtype}`,
      });
    }
    const bytes = this.bytes();
    const aligned =
      bytes.byteOffset % ArrayType.BYTES_PER_ELEMENT === 0 ? bytes : Uint8Array.prototype.slice.call(bytes); // a Buffer's own slice() is a view
    return new ArrayType(
      aligned.buffer as ArrayBuffer,
      aligned.byteOffset,
      aligned.byteLength / ArrayType.BYTES_PER_ELEMENT,
    );
  }

  /** The elements of a float32 tensor: a view where aligned. 16- and 64-bit floats are converted. */
  floats(): Float32Array {
    const data = this.data();
    switch (this.dtype) {
      case "float32":
        return data as Float32Array;
      case "float16":
        return Float32Array.from(data as Uint16Array, float16ToNumber);
      case "bfloat16":
        return Float32Array.from(data as Uint16Array, bfloat16ToNumber);
      case "float64":
        return Float32Array.from(data as Float64Array);
      default:
        throw new GraphError({
          area: "tensor",
          subject: `[${this.dims.join(", ")}]`,
          problem: `expected a float type, got ${this.dtype}`,
        });
    }
  }

  /** All elements as numbers (int64 beyond 2^53 loses precision): for small tensors such as axes, shapes, scales. */
  numbers(): number[] {
    if (this.dtype === "float16" || this.dtype === "bfloat16") return [...this.floats()];
    return Array.from(this.data() as ArrayLike<number | bigint>, Number);
  }

  /** A copy of the same values as float16 bits, where this is float32. */
  toFloat16(): Tensor {
    return Tensor.of("float16", this.dims, Uint16Array.from(this.floats(), numberToFloat16));
  }

  toString(): string {
    return `${this.dtype}[${this.dims.join(",")}]`;
  }
}

/** Whether {@link Tensor.floats} works for the type. */
export function isFloatingPoint(dtype: DType | undefined): boolean {
  return dtype !== undefined && DTYPES[dtype].kind === "float" && DTYPES[dtype].bits >= 16;
}
