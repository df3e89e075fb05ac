/**
 * @file What is in a model: operators, where the bytes are, what each scheme would do with it.
 */

import { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { WEIGHTS } from "../graph/ops/weights.ts";
import type { Value } from "../graph/value.ts";
import { findCandidates, findQuantized } from "../quantize/candidates.ts";
import { commonOptions } from "../quantize/options.ts";
import { isFloatingPoint, type Tensor } from "../tensor/tensor.ts";
import { constantsOf } from "./constants.ts";
import { groupReasons, type ReasonGroup } from "./reasons.ts";
import { type ModelZeros, zerosOf } from "./zeros.ts";

export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly byteLength: number;
  /** Share of zeros; undefined for types other than float32. */
  readonly sparsity: number | undefined;
  /** Operators that have it as an input. */
  readonly users: readonly string[];
}

export interface Inspection {
  readonly irVersion: number | undefined;
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly nodes: number;
  readonly subgraphs: number;
  readonly functions: number;
  readonly inputs: readonly PortEntry[];
  readonly outputs: readonly PortEntry[];
  /** Constants in Constant nodes, which most tools do not find. */
  readonly constantNodes: number;
  /** Operators by count, the most frequent first; constants are left out. */
  readonly ops: readonly { readonly op: string; readonly count: number; readonly weightBytes: number }[];
  readonly parameters: number;
  readonly parameterBytes: number;
  /** Largest first. */
  readonly tensors: readonly TensorEntry[];
  /** Zeros in the weights of operators, by masks or by themselves. */
  readonly zeros: ModelZeros;
  readonly quantizedBy: string | undefined;
  /** What integer kernels could compute, and why not the rest. */
  readonly integer: { readonly eligible: number; readonly declined: readonly ReasonGroup[] };
}

export interface PortEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: string;
}

/** Tensors above it are not searched for zeros. */
const SPARSITY_BYTES = 512e6;

/** @param cleaned The same model after clean-up: weights are found there that Constant nodes hide. */
export function inspectModel(model: Model, cleaned: Model): Inspection {
  const constants = constantsOf(model);
  const ops = new Map<string, { count: number; weightBytes: number }>();
  let constantNodes = 0;
  let nodes = 0;
  for (const graph of model.graphs()) {
    for (const node of graph.nodes()) {
      nodes++;
      if (node.is("Constant")) {
        constantNodes++;
        continue;
      }
      const name = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
      const entry = ops.get(name) ?? { count: 0, weightBytes: 0 };
      entry.count++;
      ops.set(name, entry);
    }
  }
  for (const { tensor, users } of constants) {
    const [user] = [...users].sort((a, b) => rank(b) - rank(a));
    const entry = user && ops.get(user.domain === "" ? user.opType : `${user.domain}.${user.opType}`);
    if (entry) entry.weightBytes += tensor.byteLength;
  }
  const quantized = findQuantized(model);
  const options = z.object(commonOptions).parse({});
  const { found, leftAlone } = findCandidates(cleaned, options);
  const { extra } = model;
  return {
    irVersion: model.irVersion,
    opsets: Object.fromEntries([...model.opsets].map(([domain, version]) => [domain || "ai.onnx", version])),
    producer: [extra.producerName, extra.producerVersion].filter(Boolean).join(" ") || undefined,
    metadata: Object.fromEntries(model.metadata),
    nodes,
    subgraphs: [...model.graphs()].length - 1,
    functions: model.functions?.length ?? 0,
    inputs: model.graph.inputs.filter((value) => value.initializer === undefined).map(describePort),
    outputs: model.graph.outputs.map(describePort),
    constantNodes,
    ops: [...ops].map(([op, entry]) => ({ op, ...entry })).sort((a, b) => b.count - a.count),
    parameters: constants
      .filter(({ tensor }) => isFloatingPoint(tensor.dtype))
      .reduce((sum, { tensor }) => sum + tensor.size, 0),
    parameterBytes: constants.reduce((sum, { tensor }) => sum + tensor.byteLength, 0),
    tensors: constants
      .map(({ tensor, name, users }) => ({
        name,
        dtype: tensor.dtype,
        dims: tensor.dims,
        byteLength: tensor.byteLength,
        sparsity: sparsityOf(tensor),
        users: users.map((user) => user.opType),
      }))
      .sort((a, b) => b.byteLength - a.byteLength),
    zeros: zerosOf(cleaned),
    quantizedBy: quantized && `${quantized.opType} (node "${quantized.label}")`,
    integer: { eligible: found.length, declined: groupReasons(leftAlone) },
  };
}

function rank(node: Node): number {
  return node.domain === "" && WEIGHTS[node.opType] ? 1 : 0;
}

function describePort(value: Value): PortEntry {
  const shape = value.shape === undefined ? "?" : `[${value.shape.map((dim) => dim ?? "?").join(", ")}]`;
  return { name: value.name, dtype: value.dtype ?? "?", shape };
}

function sparsityOf(tensor: Tensor): number | undefined {
  if (tensor.dtype !== "float32" || tensor.size === 0 || tensor.byteLength > SPARSITY_BYTES) return undefined;
  let zeros = 0;
  const data = tensor.floats();
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  return zeros / data.length;
}
