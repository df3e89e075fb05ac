/**
 * @file What every inference runtime looks like to the rest of the package.
 */
import type { DType } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Interleave } from "./interleave.ts";
import type { StateSlot, StateStore } from "./stateful.ts";

/** Named tensors: what goes into a session, or what comes out of it. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** An input or output of a loaded model, as the runtime reports it. */
export interface Port {
  readonly name: string;
  /** Undefined where the value is not a tensor (sequence, map, optional). */
  readonly dtype: DType | undefined;
  /** A number, or the name of a symbolic dimension, or null where nothing is known. Undefined: unknown rank. */
  readonly shape: readonly (number | string | null)[] | undefined;
}

/**
 * Options of a session, in the runtimes' common form. `config` entries are ONNX Runtime's session configuration keys
 * ("session.disable_quant_qdq": "1"), written as a user must give them to either JavaScript package:
 * `{ extra: { session: { disable_quant_qdq: "1" } } }`.
 */
export interface SessionOptions {
  /** Threads within an operator. Default 1: comparable on every machine. */
  readonly threads?: number;
  /** Default "all". */
  readonly graphOptimization?: "disabled" | "basic" | "extended" | "all";
  readonly config?: Readonly<Record<string, string>>;
  /**
   * Whether memory for a whole run is planned as one block after the first run. Default true. The first run's memory is kept
   * beside it, so models with large values take up to twice as much.
   */
  readonly memoryPlan?: boolean;
  /** Default: errors only. */
  readonly logWarnings?: boolean;
}

/** A model that is loaded and can be run. Runs on one session must not overlap. */
export interface Session {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Runs the model; `fetch` limits the outputs. Outputs are fresh tensors that stay valid. */
  run(feeds: Tensors, fetch?: readonly string[]): Promise<Tensors>;
  /**
   * Only where the runtime writes outputs into given memory: runs the model and fills the tensors of `into`, by output.
   * The other outputs of `fetch` are fresh and returned.
   * @throws InputError where memory to be filled is fed, too: the runtime would read what it has half written.
   */
  runInto?(feeds: Tensors, into: Tensors, fetch: readonly string[]): Promise<Tensors>;
  release(): Promise<void>;
}

/**
 * A model for {@link Runtime.load}: bytes in one or several chunks, or a file (only where the runtime reads files);
 * `external` holds the files that external data refers to, by their location.
 */
export type ModelSource =
  | { readonly bytes: Uint8Array | readonly Uint8Array[]; readonly external?: Readonly<Record<string, Uint8Array>> }
  | { readonly path: string };

/** A GPU as WebGPU describes it; browsers leave out what would identify a user. */
export interface GpuAdapter {
  /** "nvidia", "apple", "google". */
  readonly vendor: string;
  /** "ampere", "swiftshader". */
  readonly architecture: string;
  /** Computed by the processor: right, and slow. */
  readonly software: boolean;
  /** Has shader-f16, without which models in 16-bit floats do not run on it. */
  readonly float16: boolean;
}

/** The browser that a runtime is in. */
export interface Host {
  /** "Chromium 156.0.8078.79 (headless)", "Chrome 141, Android 15, Pixel 8". */
  readonly name: string;
  readonly userAgent: string;
  /** Processors that the browser tells of; some round them down. */
  readonly cores: number;
  /** HTTPS or the device itself: elsewhere there is neither WebGPU nor more than one thread. */
  readonly secure: boolean;
  /** Cross-origin isolated: memory can be shared, so WASM may have several threads. */
  readonly isolated: boolean;
  /** Undefined where the browser has no WebGPU, or found no GPU for it. */
  readonly gpu?: GpuAdapter;
}

/** What a session left to the processor, of what its execution provider was to compute. */
export interface NodePlacement {
  readonly nodes: number;
  /** Nodes on the processor, by operator. */
  readonly onCpu: Readonly<Record<string, number>>;
}

export interface Runtime {
  /** "onnxruntime-node" or "onnxruntime-web". */
  readonly name: string;
  readonly version: string;
  /** Only of a runtime in a browser. */
  readonly host?: Host;
  load(model: ModelSource, options?: SessionOptions): Promise<Session>;
  /** Only of a runtime elsewhere (a worker, a browser): times its sessions there, without the way to it. */
  readonly interleave?: Interleave;
  /** Only of a runtime elsewhere: keeps state there. Use {@link createState}. */
  createState?(slots: readonly StateSlot[]): Promise<StateStore>;
  /** Only where another execution provider than the processor's is asked for: loads the model once more, to see. */
  placement?(model: ModelSource, options?: SessionOptions): Promise<NodePlacement | undefined>;
}
