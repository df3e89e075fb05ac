/**
 * @file What a model file says about itself without being run: its size, and what tells whose copy it is.
 */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { fromOnnx } from "../graph/from-onnx.ts";
import { externalLocations } from "../onnx/external-data.ts";
import { type ReadOptions, readModelFile } from "../onnx/file-node.ts";
import { constantTensor } from "../passes/hoist-constants.ts";
import { findQuantized } from "../quantize/candidates.ts";
import { messageOf } from "../util/errors.ts";

/** A kind of file by its name. */
export interface FileKind {
  readonly kind: string;
  /** Bytes of such a file against the original's. */
  readonly expected: number;
  /** Share above which it is larger than its kind: embeddings and small tensors often stay in float. */
  readonly largest: number;
}

/** Kinds by the suffix that transformers.js and optimum give them. */
const KINDS: readonly (FileKind & { readonly suffix: RegExp })[] = [
  { suffix: /_fp16$|[._-]float16$/, kind: "fp16", expected: 0.5, largest: 0.75 },
  { suffix: /_q4f16$/, kind: "q4f16", expected: 0.2, largest: 0.4 },
  { suffix: /_q4$|[._-]int4$/, kind: "q4", expected: 0.2, largest: 0.4 },
  { suffix: /_bnb4$/, kind: "bnb4", expected: 0.2, largest: 0.4 },
  {
    suffix: /_quantized$|_q8$|[._-]u?int8$|[._-]quant(ized)?$|[._-](dynamic|static|weight)[._-]int8$/,
    kind: "8 bits",
    expected: 0.25,
    largest: 0.5,
  },
];

/** The file's name without its kind's suffix: the same for an original and what was made of it. */
export function stemOf(path: string): string {
  const name = basename(path, ".onnx");
  const suffix = KINDS.find((kind) => kind.suffix.test(name))?.suffix;
  return suffix === undefined ? name : name.replace(suffix, "");
}

export function kindOf(path: string): FileKind | undefined {
  const name = basename(path, ".onnx");
  return KINDS.find(({ suffix }) => suffix.test(name));
}

export interface FileFacts {
  readonly path: string;
  readonly kind: FileKind | undefined;
  /** Bytes with external data; without, where those cannot be read. */
  readonly byteLength: number;
  /** Why it cannot be read. The other facts are then unknown. */
  readonly problem?: string;
  /** Names of inputs and outputs: equal for an original and what was made of it. */
  readonly signature?: string;
  /** Elements of all constants. */
  readonly elements?: number;
  readonly quantized?: boolean;
}

export function readFacts(path: string, options: ReadOptions = {}): FileFacts {
  const own = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const kind = kindOf(path);
  try {
    const { proto, external } = readModelFile(path, options);
    const byteLength = externalLocations(proto).reduce((sum, location) => sum + external.size(location), own);
    const model = fromOnnx(proto, external);
    let elements = 0;
    for (const graph of model.graphs()) {
      for (const value of graph.initializers) elements += value.initializer?.size ?? 0;
      for (const node of graph.nodes()) if (node.is("Constant")) elements += constantTensor(node)?.size ?? 0;
    }
    const inputs = model.graph.inputs.filter((value) => value.initializer === undefined);
    const names = [inputs, model.graph.outputs].map((values) => values.map(({ name }) => name).sort());
    const signature = JSON.stringify(names);
    return { path, kind, byteLength, signature, elements, quantized: findQuantized(model) !== undefined };
  } catch (error) {
    // The path is said where the problem is shown.
    return { path, kind, byteLength: own, problem: messageOf(error).replace(/^(?:onnx|file): /, "") };
  }
}
