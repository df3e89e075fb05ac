/**
 * @file A model: the main graph and everything around it.
 */
import type { ExternalData } from "../onnx/external-data.ts";
import type { FunctionProto, ModelProto } from "../onnx/messages.ts";
import { Graph } from "./graph.ts";
import type { Node } from "./node.ts";
import type { ParametrizationEntry } from "./parametrizations.ts";
import type { Value } from "./value.ts";

/** Fields of a ModelProto that the model does not interpret. */
export type ModelExtra = Omit<ModelProto, "irVersion" | "opsetImport" | "graph" | "metadataProps" | "functions">;

/** Hands out names that no value and no node of the model has. */
export class NamePool {
  readonly #used: Set<string> = new Set();
  readonly #next: Map<string, number> = new Map();

  add(name: string): void {
    this.#used.add(name);
  }

  unique(wish: string): string {
    let name = wish;
    if (this.#used.has(name)) {
      let count = this.#next.get(wish) ?? 1;
      do name = `${wish}_${count++}`;
      while (this.#used.has(name));
      this.#next.set(wish, count);
    }
    this.#used.add(name);
    return name;
  }
}

export class Model {
  irVersion: number | undefined;
  /** Opset versions by domain as the file spells it; "" is ONNX's own. */
  readonly opsets: Map<string, number> = new Map();
  /** The file spells ONNX's own domain as an empty string where most leave it out; kept to write the same. */
  spellsDefaultDomain = false;
  /** In the file's order. */
  readonly metadata: Map<string, string> = new Map();
  /** Model-local functions, kept as they are. */
  functions: FunctionProto[] | undefined;
  extra: ModelExtra = {};
  external: ExternalData | undefined;
  readonly names: NamePool = new NamePool();
  /** What steps registered about values: masks, fake quantizers, codebooks. Written into the metadata, by value name. */
  readonly parametrizations: Map<Value, ParametrizationEntry> = new Map();
  readonly graph: Graph = new Graph(this);

  /** Version of ONNX's own operators. */
  get opset(): number {
    return this.opsets.get("") ?? this.opsets.get("ai.onnx") ?? 1;
  }

  set opset(version: number) {
    this.opsets.set(this.opsets.has("ai.onnx") && !this.opsets.has("") ? "ai.onnx" : "", version);
  }

  /** Makes a domain's operators available; keeps a version that is there. */
  requireDomain(domain: string, version: number): void {
    if (!this.opsets.has(domain)) this.opsets.set(domain, version);
  }

  /** The main graph and all subgraphs, outer before inner. */
  *graphs(): IterableIterator<Graph> {
    yield* graphsWithin(this.graph);
  }

  /** All nodes of all graphs. */
  *allNodes(): IterableIterator<Node> {
    for (const graph of this.graphs()) yield* graph.nodes();
  }
}

function* graphsWithin(graph: Graph): IterableIterator<Graph> {
  yield graph;
  for (const node of graph.nodes()) for (const subgraph of node.subgraphs) yield* graphsWithin(subgraph);
}
