/**
 * @file A value: what one node makes and others use, an input, or an initializer. Names are for files and messages.
 */
import type { DimensionProto, TypeProto, ValueInfoProto } from "../onnx/messages.ts";
import { DTYPES, type DType, dtypeFromCode } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./graph.ts";
import type { Node } from "./node.ts";

/** A dimension: a number, a symbol's name, or null where nothing is known. */
export type Dim = number | string | null;

const NO_GRAPHS: ReadonlySet<Graph> = new Set();

export class Value {
  name: string;
  /** The declared type; undefined where the file says nothing. */
  type: TypeProto | undefined;
  /** Doc string, metadata and unknown fields of the value's ValueInfoProto. */
  info: Omit<ValueInfoProto, "name" | "type"> | undefined;
  /** The graph in whose scope the value lives. */
  readonly graph: Graph;
  /** The node that makes it; undefined for inputs and initializers. Changed by nodes only. */
  producer: Node | undefined;
  /** The nodes that have it as an input, in this graph and in subgraphs. Changed by nodes only. */
  readonly users: Set<Node> = new Set();
  /** The graphs that have it as an output. Most values are none's: no Set for them. */
  #outputOf: Set<Graph> | undefined;
  /**
   * Constant contents; whether a file has them in ONNX's sparse form is the tensor's affair (`isStoredSparse`). An input
   * may have them too: then they are its default.
   */
  initializer: Tensor | undefined;

  constructor(graph: Graph, name: string) {
    this.graph = graph;
    this.name = name;
  }

  /** The graphs that have it as an output. */
  get outputOf(): ReadonlySet<Graph> {
    return this.#outputOf ?? NO_GRAPHS;
  }

  /** Says whether a graph has it as an output. Called by graphs only. */
  setOutputOf(graph: Graph, isOutput: boolean): void {
    if (isOutput) this.#outputOf ??= new Set();
    if (isOutput) this.#outputOf?.add(graph);
    else this.#outputOf?.delete(graph);
  }

  get isInput(): boolean {
    return this.graph.inputs.includes(this);
  }

  get isOutput(): boolean {
    return this.outputOf.size > 0;
  }

  /** An initializer that no caller can override (an input's default can be). */
  get isConstant(): boolean {
    return this.initializer !== undefined && !this.isInput;
  }

  /** The constant's tensor, or undefined where the value is not constant. */
  get constant(): Tensor | undefined {
    return this.isConstant ? this.initializer : undefined;
  }

  /** Neither used by a node nor an output of a graph. */
  get isUnused(): boolean {
    return this.users.size === 0 && this.outputOf.size === 0;
  }

  /** The only node that uses the value, where there is exactly one and it is no output. */
  get onlyUser(): Node | undefined {
    if (this.users.size !== 1 || this.outputOf.size > 0) return undefined;
    return this.users.values().next().value;
  }

  /** Element type of a tensor, as declared or from the initializer. */
  get dtype(): DType | undefined {
    return this.initializer?.dtype ?? dtypeFromCode(this.type?.tensorType?.elemType);
  }

  /** Declared dimensions; undefined where not even the rank is known. */
  get shape(): readonly Dim[] | undefined {
    if (this.initializer !== undefined) return this.initializer.dims;
    return this.type?.tensorType?.shape === undefined ? undefined : (this.type.tensorType.shape.dim ?? []).map(toDim);
  }

  /** Declares a tensor type; `shape` undefined: unknown rank. */
  setTensorType(dtype: DType, shape?: readonly Dim[]): void {
    this.type = tensorType(dtype, shape);
  }

  toString(): string {
    return JSON.stringify(this.name);
  }
}

function toDim(dim: DimensionProto): Dim {
  return dim.dimValue ?? (dim.dimParam === undefined || dim.dimParam === "" ? null : dim.dimParam);
}

/** The TypeProto of a tensor. */
export function tensorType(dtype: DType, shape?: readonly Dim[]): TypeProto {
  const dims = shape?.map((dim): DimensionProto => {
    if (dim === null) return {};
    return typeof dim === "number" ? { dimValue: dim } : { dimParam: dim };
  });
  return {
    tensorType: {
      elemType: DTYPES[dtype].code,
      ...(dims && { shape: dims.length > 0 ? { dim: dims } : {} }),
    },
  };
}
