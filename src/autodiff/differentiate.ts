/**
 * @file Reverse-mode differentiation of a graph: appends the nodes that compute ∂loss/∂value to the graph itself.
 *
 * The walk goes once against the order of the nodes. Contributions to one value are summed here, and gradients of
 * broadcast inputs are summed to the inputs' shapes here, so that rules are the textbook formulas.
 * Source: Griewank & Walther, Evaluating Derivatives, 2nd ed., section 3.2.
 */
import { Builder } from "../graph/builder.ts";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";
import { sinceVersion } from "../graph/ops/versions.ts";
import type { Value } from "../graph/value.ts";
import { elementCount } from "../tensor/dtype.ts";
import { GraphError, UnsupportedError } from "../util/errors.ts";
import type { GradientContext, GradientRow, InputGradients } from "./rule.ts";
import { sumTo } from "./sum-to.ts";
import { gradientRow } from "./table.ts";

/** Picks one of several ways to compute a part ("dW") of a node's gradient. */
export type ChooseWay = (node: Node, part: string, ways: readonly string[]) => string;

/** The row of a node in a model of this opset; undefined where there is none. */
export type FindRow = (node: Node, opset: number) => GradientRow | undefined;

export interface DifferentiateOptions {
  /** What is differentiated: a float tensor with one element. With `seed`, of any shape. */
  readonly loss: Value;
  /** Values whose gradients are wanted: initializers, inputs, or values in the middle. */
  readonly wrt: readonly Value[];
  /** Dimensions of all values on the path, as `observeShapes` finds them. */
  readonly shapes: ReadonlyMap<Value, readonly number[]>;
  /** Gradient of `loss` itself, of its shape. Default: ones. */
  readonly seed?: Value;
  /**
   * What to do where a node on the path has no rule: an error that names it (default), or treat what it makes as
   * constant and tell so.
   */
  readonly missing?: "error" | "freeze";
  /** Default: the first way. */
  readonly choose?: ChooseWay;
  /** What `channelBlock` found of the runtime: offers ways that run only there. Default: none of these. */
  readonly block?: number | undefined;
  /** Where rows come from. Default: the table of all families. */
  readonly rules?: FindRow;
}

/** A node through which no gradient was passed, and why. */
export interface FrozenNode {
  readonly node: Node;
  readonly reason: string;
}

export interface Gradients {
  /** One gradient per asked value, of its shape: zeros where the loss does not depend on it. */
  readonly gradients: ReadonlyMap<Value, Value>;
  /** Asked values on which the loss does not depend. */
  readonly unreached: readonly Value[];
  readonly frozen: readonly FrozenNode[];
}

/**
 * Appends the backward pass to the graph of `loss`.
 * @throws UnsupportedError naming node and operator where one on the path has no rule (unless `missing` is "freeze");
 * GraphError where a shape is not known or the loss is not a float.
 */
export function differentiate(options: DifferentiateOptions): Gradients {
  return new Driver(options).run();
}

class Driver {
  readonly #options: DifferentiateOptions;
  readonly #graph: Graph;
  readonly #b: Builder;
  readonly #active: ReadonlySet<Value>;
  readonly #parts: Map<Value, Value[]> = new Map();
  readonly #sums: Map<Value, Value> = new Map();
  readonly #frozen: FrozenNode[] = [];
  readonly #row: (node: Node) => GradientRow | undefined;

  constructor(options: DifferentiateOptions) {
    this.#options = options;
    this.#graph = options.loss.graph;
    this.#b = new Builder(this.#graph, "grad/");
    const find = options.rules ?? gradientRow;
    this.#row = (node) => find(node, this.#b.opset);
    this.#active = dependents(options.wrt, find);
  }

  run(): Gradients {
    const { loss, wrt, seed } = this.#options;
    const dims = this.#dims(loss);
    if (seed === undefined && elementCount(dims) !== 1) {
      throw new GraphError({
        area: "autodiff",
        subject: `loss ${loss}`,
        problem: `expected one element, got dimensions [${dims.join(", ")}]`,
        help: "Take its mean or sum.",
      });
    }
    this.#graph.sort();
    const nodes = [...this.#graph.nodesReversed()];
    this.#contribute(loss, seed ?? this.#b.full(1, dims));
    for (const node of nodes) this.#visit(node);
    const gradients = new Map<Value, Value>();
    const unreached: Value[] = [];
    for (const value of wrt) {
      const gradient = this.#gradient(value);
      if (gradient === undefined) unreached.push(value);
      gradients.set(value, gradient ?? this.#b.full(0, this.#dims(value)));
    }
    return { gradients, unreached, frozen: this.#frozen };
  }

  #visit(node: Node): void {
    if (!node.outputs.some((value) => value !== undefined && this.#parts.has(value))) return;
    const wanted = node.inputs.map((value) => value !== undefined && this.#active.has(value));
    for (const subgraph of node.subgraphs) if (this.#reachesInto(subgraph)) wanted.push(true);
    if (!wanted.includes(true)) return;
    const row = this.#row(node);
    if (row === undefined || "never" in row) {
      this.#refuse(node, row?.never ?? `there is no gradient rule for ${describe(node, this.#b.opset)}`);
      return;
    }
    if ("zero" in row) return;
    let results: InputGradients;
    try {
      results = row.rule(this.#context(node, wanted));
    } catch (error) {
      if (!(error instanceof UnsupportedError) || this.#options.missing !== "freeze") throw error;
      this.#frozen.push({ node, reason: error.message });
      return;
    }
    results.forEach((gradient, i) => {
      const value = node.inputs[i];
      if (gradient === undefined || value === undefined || !wanted[i]) return;
      this.#contribute(
        value,
        broadcasts(row) ? sumTo(this.#b, gradient, this.#dims(node.output()), this.#dims(value)) : gradient,
      );
    });
  }

  /** Whether a subgraph uses a value that depends on what is asked for. */
  #reachesInto(graph: Graph): boolean {
    for (const node of graph.nodes()) {
      if (node.inputs.some((value) => value !== undefined && this.#active.has(value))) return true;
      if (node.subgraphs.some((inner) => this.#reachesInto(inner))) return true;
    }
    return graph.outputs.some((value) => this.#active.has(value));
  }

  #refuse(node: Node, reason: string): void {
    if (this.#options.missing === "freeze") {
      this.#frozen.push({ node, reason });
      return;
    }
    throw new UnsupportedError({
      area: "autodiff",
      subject: `node "${node.label}"`,
      problem: reason,
      help: 'Freeze what comes before it (missing: "freeze"), or train only parameters behind it.',
    });
  }

  #context(node: Node, wanted: readonly boolean[]): GradientContext {
    const unsupported = (problem: string, help?: string): UnsupportedError =>
      new UnsupportedError({
        area: "autodiff",
        subject: `node "${node.label}" (${describe(node, this.#b.opset)})`,
        problem,
        help,
      });
    return {
      node,
      b: this.#b,
      dy: (i = 0) => {
        const gradient = this.#gradient(node.output(i));
        if (gradient === undefined) throw node.error(`expected a gradient of output ${i}, found none`);
        return gradient;
      },
      has: (i) => node.outputs[i] !== undefined && this.#parts.has(node.outputs[i]),
      x: (i) => node.input(i),
      y: (i = 0) => node.output(i),
      wants: (i) => wanted[i] === true,
      dims: (value) => this.#dims(value),
      constants: (value, what) => {
        if (value === undefined) return undefined;
        const tensor =
          value.initializer ?? (value.producer?.is("Constant") ? value.producer.tensor("value") : undefined);
        if (tensor !== undefined) return tensor.numbers();
        throw unsupported(
          `expected ${what} to be constant, got a computed value`,
          "Fix the inputs' dimensions and fold constants first (specialize).",
        );
      },
      choose: (part, ways) => {
        const way = this.#options.choose?.(node, part, ways);
        return (ways as readonly string[]).includes(way ?? "") ? (way as (typeof ways)[number]) : ways[0]!;
      },
      block: this.#options.block,
      unsupported,
    };
  }

  #dims(value: Value): readonly number[] {
    const dims = this.#options.shapes.get(value) ?? value.initializer?.dims;
    if (dims !== undefined) return dims;
    throw new GraphError({
      area: "autodiff",
      subject: `${value}`,
      problem: "expected known dimensions, found none",
      help: "Pass the result of observeShapes.",
    });
  }

  #contribute(value: Value, gradient: Value): void {
    const parts = this.#parts.get(value);
    if (parts === undefined) this.#parts.set(value, [gradient]);
    else parts.push(gradient);
  }

  /** The sum of all contributions; once it was asked for, none can come any more: users were visited before. */
  #gradient(value: Value): Value | undefined {
    const parts = this.#parts.get(value);
    if (parts === undefined) return undefined;
    let sum = this.#sums.get(value);
    if (sum === undefined) {
      // ONNX Runtime computes Sum with one thread.
      sum = parts.reduce((left, right) => this.#b.add(left, right));
      this.#sums.set(value, sum);
    }
    return sum;
  }
}

const broadcasts = (row: GradientRow): boolean => "rule" in row && row.broadcasts === true;

function describe(node: Node, opset: number): string {
  const domain = node.domain === "" ? "" : `${node.domain}.`;
  return `${domain}${node.opType}-${node.domain === "" ? (sinceVersion(node.opType, opset) ?? opset) : "?"}`;
}

/**
 * All values through which gradients may flow to any of these, and these themselves: what depends on them by nodes that are not
 * piecewise constant. So integers are among them only where they stand for quantized floats. Subgraphs count as part
 * of their node.
 */
export function dependents(values: readonly Value[], rules: FindRow = gradientRow): ReadonlySet<Value> {
  const opset = values[0]?.graph.model.opset ?? 0;
  const blocked = (node: Node): boolean => "zero" in (rules(node, opset) ?? {});
  const found = new Set(values);
  const open = [...values];
  while (open.length > 0) {
    const value = open.pop()!;
    for (const user of value.users) {
      let node: Node | undefined = user;
      // A user in a subgraph makes the outputs of the node that owns the subgraph depend on it.
      while (node !== undefined && !blocked(node)) {
        for (const output of node.outputs) {
          if (output === undefined || found.has(output)) continue;
          found.add(output);
          open.push(output);
        }
        node = node.graph?.owner;
      }
    }
  }
  return found;
}
