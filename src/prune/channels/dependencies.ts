/**
 * @file Which channels depend on which: one walk over the graph gives every position along every axis of every value an
 * id, and joins the ids of what can only go together.
 * Source: Fang et al. 2023, "DepGraph: Towards Any Structural Pruning"; positions instead of layers make its index
 * mappings a property of the data.
 *
 * **What removing means.** Between the weights that make a channel (sources) and the weights that sum over it (sinks),
 * rules let pass only what treats each channel by itself: elementwise operators, movement, pooling, statistics per channel.
 * Anything that mixes channels in another way forbids them. So a channel reaches the outputs only through sinks, and the
 * pruned model equals the original with zeros in the sinks' slices, whatever activations do with zeros in between
 * (a sigmoid makes 0.5 of them, a bias anything): the masked model of {@link maskChannels} is defined so. Zeros in the
 * sources would not do.
 */
import type { Graph } from "../../graph/graph.ts";
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { DTYPES } from "../../tensor/dtype.ts";
import { type Axes, type Axis, ChannelIds, obstacleAt } from "./ids.ts";
import type { Kept, RuleContext } from "./rule.ts";
import { RULES } from "./rules/table.ts";

/** Sizes of a value's axes; undefined where they are not known. */
export type DimsOf = (value: Value) => readonly number[] | undefined;

/** A weight whose slices make channels. */
export interface Source {
  readonly node: Node;
  /** Position of the weight among the inputs. */
  readonly input: number;
  readonly weight: Value;
  /** Ids along the weight's axis. */
  readonly ids: Int32Array;
  /** Where the channels come out. */
  readonly output: Value;
  readonly axis: number;
}

/** Where channels are summed up. */
export interface Sink {
  readonly node: Node;
  readonly input: number;
  readonly axis: number;
  readonly ids: Int32Array;
}

/** A constant with one axis, at one place: equal ones of other places (what deduplication shares) need not go alike. */
export interface VectorUse {
  readonly value: Value;
  readonly node: Node;
  readonly input: number;
  readonly axes: Axes;
}

export interface Dependencies {
  readonly model: Model;
  readonly ids: ChannelIds;
  readonly approximate: boolean;
  readonly dimsOf: DimsOf;
  /** Of activations, and of constants with several axes. */
  readonly axes: ReadonlyMap<Value, Axes>;
  readonly vectors: readonly VectorUse[];
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly shrinkers: readonly ((kept: Kept) => void)[];
}

export interface DependencyOptions {
  /** Lets channels pass layer normalization, though its statistics change. Default false. */
  readonly approximate?: boolean;
}

/** A choice that a rule made between axes. */
interface Decision {
  readonly node: Node;
  readonly chosen: number;
  readonly count: number;
  readonly carried: Int32Array;
}

/** Rounds of trying other axes. Each moves at least one choice on. */
const ROUNDS = 32;

/** @param model Constants hoisted, opset 13 or newer. */
export function findDependencies(model: Model, dimsOf: DimsOf, options: DependencyOptions = {}): Dependencies {
  const choices = new Map<Node, number>();
  for (let round = 0; ; round++) {
    const walk = new Walk(model, dimsOf, options.approximate ?? false, choices);
    walk.run();
    const bad = walk.decisions.filter(({ chosen, count, carried }) => chosen + 1 < count && isStuck(walk.ids, carried));
    if (bad.length === 0 || round === ROUNDS) return walk;
    for (const { node, chosen } of bad) choices.set(node, chosen + 1);
  }
}

/** None of the channels may go, or all are one. */
function isStuck(ids: ChannelIds, carried: Int32Array): boolean {
  const classes = new Set(Array.from(carried, (id) => ids.find(id)));
  return classes.size < 2 || [...classes].every((id) => ids.obstacle(id) !== undefined);
}

class Walk implements Dependencies {
  readonly model: Model;
  readonly dimsOf: DimsOf;
  readonly ids: ChannelIds = new ChannelIds();
  readonly axes: Map<Value, Axes> = new Map();
  readonly vectors: VectorUse[] = [];
  readonly sources: Source[] = [];
  readonly sinks: Sink[] = [];
  readonly shrinkers: ((kept: Kept) => void)[] = [];
  readonly decisions: Decision[] = [];
  readonly approximate: boolean;
  readonly #choices: ReadonlyMap<Node, number>;
  /** Constants, and what is computed from them only. */
  readonly #weights: Set<Value> = new Set();

  constructor(model: Model, dimsOf: DimsOf, approximate: boolean, choices: ReadonlyMap<Node, number>) {
    this.model = model;
    this.dimsOf = (value) => value.initializer?.dims ?? dimsOf(value);
    this.approximate = approximate;
    this.#choices = choices;
  }

  run(): void {
    const { graph } = this.model;
    for (const node of graph.nodes()) this.#visit(node);
    for (const value of graph.outputs) {
      for (const axis of this.axes.get(value) ?? []) {
        if (axis) this.ids.forbidAll(axis, { subject: value.name, reason: "they are an output of the model" });
      }
    }
    for (const [value, axes] of this.axes) if (value.isConstant) this.#forbidInSubgraphs(value, axes, graph);
    for (const { value, axes } of this.vectors) this.#forbidInSubgraphs(value, axes, graph);
  }

  #forbidInSubgraphs(value: Value, axes: Axes, graph: Graph): void {
    const inner = [...value.users].find((user) => user.graph !== graph);
    if (inner === undefined) return;
    for (const axis of axes)
      if (axis) this.ids.forbidAll(axis, obstacleAt(inner, "it uses them inside a branch or loop"));
  }

  #visit(node: Node): void {
    const context = this.#context(node);
    const values = [...node.inputs, ...node.outputs].filter((value) => value !== undefined);
    const rule = RULES[node.domain === "" ? node.opType : `${node.domain}.${node.opType}`];
    const inputs = node.inputs.filter((value) => value !== undefined);
    if (inputs.every((value) => value.isConstant || this.#weights.has(value))) {
      for (const value of node.outputs) if (value !== undefined) this.#weights.add(value);
    }
    if (rule === undefined) context.refuse("it is an operator that channel pruning does not know");
    else if (values.some((value) => this.dimsOf(value) === undefined))
      context.refuse("it has inputs or outputs of unknown size");
    else rule(context);
    for (const value of node.outputs) {
      if (value === undefined) continue;
      let axes = this.axes.get(value);
      if (axes === undefined) {
        axes = (this.dimsOf(value) ?? []).map(() => undefined);
        this.axes.set(value, axes);
      }
      // At once: what follows would give less telling reasons.
      this.#forbidInSubgraphs(value, axes, this.model.graph);
    }
  }

  #context(node: Node): RuleContext {
    const { ids } = this;
    const vectors = new Map<number, Axes>();
    const axesAt = (index: number): Axes | undefined => {
      const value = node.inputs[index];
      if (value === undefined) return undefined;
      if (!value.isConstant) return this.axes.get(value) ?? (this.dimsOf(value) ?? []).map(() => undefined);
      if (!isVector(value)) return this.#constantAxes(value);
      let axes = vectors.get(index);
      if (axes === undefined) {
        axes = this.#freshAxes(value);
        vectors.set(index, axes);
        this.vectors.push({ value, node, input: index, axes });
      }
      return axes;
    };
    const forbid = (axis: Axis, reason: string): void => {
      if (axis !== undefined) ids.forbidAll(axis, obstacleAt(node, reason));
    };
    const dims = (value: Value | undefined): readonly number[] => (value && this.dimsOf(value)) ?? [];
    return {
      node,
      approximate: this.approximate,
      inputDims: (index) => dims(node.inputs[index]),
      outputDims: (index = 0) => dims(node.outputs[index]),
      axes: axesAt,
      constant: (index) => node.inputs[index]?.constant?.numbers(),
      isWeight: (index) => {
        const value = node.inputs[index];
        return value !== undefined && (value.isConstant || this.#weights.has(value));
      },
      setOutput: (axes, index = 0) => {
        const value = node.outputs[index];
        if (value === undefined) return;
        const sizes = dims(value);
        const alone = axes.map((axis, i) => {
          if (sizes[i] !== 1) return axis;
          // The last position of an axis cannot go.
          forbid(axis, "one channel is alone behind it");
          return undefined;
        });
        this.axes.set(value, alone);
      },
      fresh: (count) => ids.fresh(count),
      join: (a, b) => {
        if (a === undefined || b === undefined || a.length !== b.length) {
          const reason = "it joins them with an axis that has to stay";
          forbid(a, reason);
          forbid(b, reason);
          return a ?? b;
        }
        ids.unionAll(a, b);
        return a;
      },
      tie: (group) => {
        let first: number | undefined;
        for (const id of group) {
          if (first === undefined) first = id;
          else ids.union(first, id);
        }
      },
      tieEach: (axis, partner) => {
        for (let i = 0; i < (axis?.length ?? 0); i++) ids.union(axis![i]!, partner(i));
      },
      forbid,
      refuse: (reason) => {
        node.inputs.forEach((_value, index) => {
          for (const axis of axesAt(index) ?? []) forbid(axis, reason);
        });
      },
      source: (input, weightAxis, axis, output = 0) => {
        const [weight, value] = [node.inputs[input], node.outputs[output]];
        const own = axesAt(input)?.[weightAxis];
        if (weight === undefined || value === undefined || own === undefined) return;
        if (this.sources.some((source) => source.node === node && source.ids === own)) return;
        this.sources.push({ node, input, weight, ids: own, output: value, axis });
      },
      sink: (input, axis) => {
        const own = axesAt(input)?.[axis];
        if (own !== undefined) this.sinks.push({ node, input, axis, ids: own });
      },
      onShrink: (apply) => {
        this.shrinkers.push(apply);
      },
      choose: (candidates, carried) => {
        const chosen = this.#choices.get(node) ?? 0;
        this.decisions.push({ node, chosen, count: candidates.length, carried: carried(chosen) });
        return chosen;
      },
    };
  }

  #constantAxes(value: Value): Axes {
    let axes = this.axes.get(value);
    if (axes === undefined) {
      axes = this.#freshAxes(value);
      this.axes.set(value, axes);
    }
    return axes;
  }

  #freshAxes(value: Value): Axes {
    const { dims, dtype } = value.constant!;
    const axes = dims.map((size) => (size > 1 ? this.ids.fresh(size) : undefined));
    if (dtype === "string" || DTYPES[dtype].bits % 8 !== 0) {
      for (const axis of axes) {
        if (axis)
          this.ids.forbidAll(axis, { subject: value.name, reason: `elements of type ${dtype} cannot be taken out` });
      }
    }
    return axes;
  }
}

/** At most one axis has more than one position. */
const isVector = (value: Value): boolean => value.constant!.dims.filter((size) => size > 1).length < 2;
