/**
 * @file What a runtime in a worker and its caller say to each other; the same for any kind of worker.
 */
import type { DType } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import {
  FormatError,
  GraphError,
  InputError,
  OptionError,
  TersorError,
  UnsupportedError,
  VerificationError,
} from "../util/errors.ts";
import type { InterleaveOptions } from "./interleave.ts";
import type { Host, ModelSource, NodePlacement, Port, SessionOptions, Tensors } from "./runtime.ts";

export type RuntimeName = "onnxruntime-node" | "onnxruntime-web";

/** The calls: what goes to the worker, what comes back. `start` is the first, once. */
export interface Calls {
  readonly start: {
    readonly request: { readonly name: RuntimeName };
    readonly result: { readonly version: string; readonly host?: Host; readonly places: boolean };
  };
  readonly load: {
    readonly request: { readonly model: ModelSource; readonly options: SessionOptions | undefined };
    readonly result: { readonly session: number; readonly inputs: readonly Port[]; readonly outputs: readonly Port[] };
  };
  readonly run: {
    readonly request: {
      readonly session: number;
      readonly feeds: PackedTensors;
      readonly fetch: readonly string[] | undefined;
    };
    readonly result: PackedTensors;
  };
  readonly interleave: {
    readonly request: {
      readonly sessions: readonly number[];
      readonly feeds: readonly PackedTensors[];
      readonly options: InterleaveOptions;
    };
    readonly result: number[][];
  };
  readonly placement: {
    readonly request: { readonly model: ModelSource; readonly options: SessionOptions | undefined };
    readonly result: NodePlacement | undefined;
  };
  readonly release: {
    readonly request: { readonly session: number };
    readonly result: undefined;
  };
  readonly createState: {
    readonly request: { readonly slots: readonly PackedSlot[] };
    readonly result: number;
  };
  readonly loadStateful: {
    readonly request: {
      readonly store: number;
      readonly model: ModelSource;
      readonly options: SessionOptions | undefined;
    };
    readonly result: { readonly session: number; readonly inputs: readonly Port[]; readonly outputs: readonly Port[] };
  };
  readonly step: {
    readonly request: {
      readonly session: number;
      readonly feeds: PackedTensors;
      readonly fetch: readonly string[] | undefined;
    };
    readonly result: PackedTensors;
  };
  readonly readState: {
    readonly request: { readonly store: number; readonly names: readonly string[] | undefined };
    readonly result: PackedTensors;
  };
  readonly writeState: {
    readonly request: { readonly store: number; readonly state: PackedTensors };
    readonly result: undefined;
  };
  readonly releaseStateful: {
    readonly request: { readonly session: number };
    readonly result: undefined;
  };
  readonly releaseState: {
    readonly request: { readonly store: number };
    readonly result: undefined;
  };
}

export type Kind = keyof Calls;

export type Request = {
  readonly [K in Kind]: { readonly id: number; readonly kind: K } & Calls[K]["request"];
}[Kind];

/** Ends the worker once the call that is under way is through; not answered. */
export interface Farewell {
  readonly kind: "close";
}

export type Reply =
  | { readonly id: number; readonly result: Calls[Kind]["result"] }
  | { readonly id: number; readonly error: PackedError };

/** A tensor without its class; `bytes` starts its own buffer, which can be transferred. */
export interface PackedTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Elements of a `string` tensor. */
  readonly strings?: readonly string[];
}

/** A slot of a state; `initial` as it is sent. */
export interface PackedSlot {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  readonly initial: PackedTensor;
}

export type PackedTensors = Readonly<Record<string, PackedTensor>>;

/**
 * Tensors ready to be sent. Only what has a buffer of its own and is `given` away is sent without a copy: a caller's
 * buffer would be empty after the transfer, and a view's whole buffer (a model file, a heap) would go with it.
 */
export function packTensors(tensors: Tensors, given: boolean): PackedTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { dtype, dims, strings } = tensor;
      const bytes = tensor.bytes();
      return [name, { dtype, dims, bytes: given ? ownBytes(bytes) : new Uint8Array(bytes), strings }];
    }),
  );
}

export function unpackTensors(packed: PackedTensors): Tensors {
  return Object.fromEntries(Object.entries(packed).map(([name, tensor]) => [name, unpackTensor(tensor)]));
}

export function unpackTensor({ dtype, dims, bytes, strings }: PackedTensor): Tensor {
  return strings === undefined ? Tensor.of(dtype, dims, bytes) : Tensor.strings(dims, strings);
}

function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const whole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength;
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

/** The buffers to transfer, each once: two outputs may share one. */
export function buffersOf(packed: PackedTensors): ArrayBuffer[] {
  return [...new Set(Object.values(packed).map(({ bytes }) => bytes.buffer))];
}

/** An error without its class. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  /** Of a TersorError. */
  readonly parts?: { readonly code: string; readonly area: string; readonly subject: string; readonly help?: string };
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  if (!(error instanceof TersorError)) return { name, message };
  const { code, area, subject, help } = error;
  return { name, message, parts: { code, area, subject, help } };
}

const CLASSES = { FormatError, GraphError, UnsupportedError, OptionError, InputError, VerificationError } as const;

/** The error again: of its own class where it is one of Tersor's. */
export function unpackError({ name, message, parts }: PackedError): Error {
  const create = CLASSES[name as keyof typeof CLASSES];
  const problem = "failed in its worker";
  let error: Error;
  if (parts === undefined) error = new Error(message);
  else if (create === undefined) error = new TersorError(parts.code, { ...parts, problem });
  else error = new create({ ...parts, problem });
  error.message = message;
  error.name = name;
  return error;
}
