/**
 * @file The weights of a model that can be pruned: constants that operators take as weights, and how they are chosen.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { WEIGHTS } from "../graph/ops/weights.ts";
import type { Value } from "../graph/value.ts";
import { hoistConstants } from "../passes/hoist-constants.ts";
import { isFloatingPoint, type Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { matchesName } from "../util/name-patterns.ts";
import { keptOf, maskedValue, overMask } from "./masks.ts";
import { type MatrixView, matrixView } from "./pattern.ts";

export interface PrunableWeight {
  /** Of the constant: a state_dict name in models that come from PyTorch. */
  readonly name: string;
  /** The constant, under its mask where it has one. */
  readonly value: Value;
  /** The operator whose weight it is; undefined where a parameter was named that is none (a bias, for example). */
  readonly node: Node | undefined;
  /** Axis of the outputs. */
  readonly axis: number;
  /** As a matrix [outputs, inputs]. */
  readonly view: MatrixView;
  readonly tensor: Tensor;
  /** 1: there, 0: pruned; undefined: it has no mask. */
  readonly kept: Uint8Array | undefined;
}

/**
 * What to prune: names of parameters (patterns with * and ?), or a choice by node name and operator type. All that is given must
 * hold.
 */
export type Selection =
  | string
  | readonly string[]
  | {
      readonly parameters?: readonly string[];
      readonly nodes?: readonly string[];
      readonly ops?: readonly string[];
    };

/**
 * The weights that operators have: of Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU, RNN; tables that Gather reads only where
 * they are named. Weights in Constant nodes become initializers.
 * @param selection Undefined: all of them. A parameter that is named in full, or has a mask, is found whatever it is used for.
 * @throws OptionError where a selection finds nothing.
 */
export function findPrunable(model: Model, selection?: Selection): PrunableWeight[] {
  hoistConstants.run(model, {}, {});
  const choice = choiceOf(selection);
  const found: PrunableWeight[] = [];
  const all: string[] = [];
  for (const { value, tensor } of floatConstants(model)) {
    const use = useOf(value);
    if (use !== undefined && tensor.dims.length >= 2) all.push(value.name);
    if (choice.parameters !== undefined && !matches(choice.parameters, value.name)) continue;
    // What has a mask is a weight, whatever it is used for.
    const named = (choice.parameters?.includes(value.name) ?? false) || maskedValue(model, value) !== undefined;
    if (!named && (use === undefined || tensor.dims.filter((dim) => dim > 1).length < 2)) continue;
    if (!named && use?.node.is("Gather") && choice.nodes === undefined && choice.ops === undefined) continue;
    if (choice.nodes !== undefined && !(use && matches(choice.nodes, use.node.label))) continue;
    if (choice.ops !== undefined && !(use && choice.ops.includes(use.node.opType))) continue;
    found.push(weightOf(model, value, tensor, use));
  }
  if (found.length === 0 && selection !== undefined) {
    throw new OptionError({
      area: "prune",
      subject: "selection",
      problem: `expected weights of the model, found none for ${JSON.stringify(selection)}`,
      help: `It has ${all.slice(0, 5).join(", ") || "none"}${all.length > 5 ? `, and ${all.length - 5} more` : ""}.`,
    });
  }
  return found;
}

function weightOf(model: Model, value: Value, tensor: Tensor, use: Use | undefined): PrunableWeight {
  const axis = use?.axis ?? 0;
  const kept = keptOf(model, value);
  return { name: value.name, value, node: use?.node, axis, view: matrixView(tensor.dims, axis), tensor, kept };
}

function choiceOf(selection: Selection | undefined): Exclude<Selection, string | readonly string[]> {
  if (selection === undefined) return {};
  if (typeof selection === "string") return { parameters: [selection] };
  return isList(selection) ? { parameters: selection } : selection;
}

const isList = (selection: object): selection is readonly string[] => Array.isArray(selection);

const matches = (patterns: readonly string[], label: string): boolean =>
  patterns.some((pattern) => matchesName(pattern, { label }));

/** Initializers of all graphs that hold floats and are no default of an input. */
function* floatConstants(model: Model): Generator<{ readonly value: Value; readonly tensor: Tensor }> {
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      const tensor = value.constant;
      if (tensor !== undefined && isFloatingPoint(tensor.dtype)) yield { value, tensor };
    }
  }
}

interface Use {
  readonly node: Node;
  readonly axis: number;
}

/** Operators that pass a weight on with its elements in order, or transposed. */
const PASSING: ReadonlySet<string> = new Set(["Identity", "Cast", "Transpose", "Concat", "Slice", "Split"]);
const LONGEST_CHAIN = 8;

/** The operator that has a constant as a weight, through its mask and what rearranges it. */
function useOf(value: Value, steps = LONGEST_CHAIN): Use | undefined {
  const top = overMask(value);
  for (const node of top.users) {
    const fact = node.domain === "" ? WEIGHTS[node.opType]?.find(({ input }) => node.inputs[input] === top) : undefined;
    const dims = value.shape;
    if (fact !== undefined && dims?.every((dim) => typeof dim === "number")) {
      // ConvTranspose with groups has its outputs on axis 1, too, as far as pruning is concerned.
      return { node, axis: fact.axis(node, dims) ?? (node.is("ConvTranspose") ? 1 : 0) };
    }
    if (steps === 0 || node.domain !== "" || !PASSING.has(node.opType)) continue;
    for (const output of node.outputs) {
      if (output === undefined) continue;
      const found = behind(node, output, dims?.length, steps - 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function behind(node: Node, output: Value, rank: number | undefined, steps: number): Use | undefined {
  for (const user of output.users) {
    const fact =
      user.domain === "" ? WEIGHTS[user.opType]?.find(({ input }) => user.inputs[input] === output) : undefined;
    if (fact !== undefined && rank !== undefined) {
      // Only the number of dimensions matters to the axis.
      const axis = fact.axis(user, new Array<number>(rank).fill(2)) ?? 0;
      if (!node.is("Transpose")) return { node: user, axis: Math.min(axis, rank - 1) };
      const perm = node.ints("perm") ?? Array.from({ length: rank }, (_item, i) => rank - 1 - i);
      return { node: user, axis: perm[axis] ?? 0 };
    }
    if (steps > 0 && user.domain === "" && PASSING.has(user.opType)) {
      for (const next of user.outputs) {
        const found = next && behind(node.is("Transpose") ? node : user, next, rank, steps - 1);
        if (found) return found;
      }
    }
  }
  return undefined;
}
