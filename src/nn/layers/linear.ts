/**
 * @file Linear and Embedding. Source: torch.nn.Linear, torch.nn.Embedding.
 */
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { OptionError } from "../../util/errors.ts";
import { fans, type Initializer, normal, uniform } from "../init.ts";
import type { Module, Scope } from "../module.ts";

/** How a layer's parameters begin, where not as PyTorch's. */
export interface WeightOptions {
  /** Default true. */
  readonly bias?: boolean;
  readonly weightInit?: Initializer;
  readonly biasInit?: Initializer;
}

/** U(±1/√fanIn): what kaiming_uniform(a = √5) of PyTorch's layers comes to. */
export const fanInUniform = (fanIn: number): Initializer => uniform(-1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn));

/** x Wᵀ + b, of any rank; `weight` [out, in], `bias` [out]. */
export function affine(s: Scope, x: Value, weight: Value, bias: Value | undefined): Value {
  const [out, into] = weight.shape as readonly number[];
  const shape = x.shape;
  checkLast(s, x, into!);
  const result = shape && [...shape.slice(0, -1), out!];
  if (shape?.length === 2) return s.typed(s.b.op("Gemm", [x, weight, bias], { transB: { int: 1 } }), result);
  const product = s.b.matmul(x, s.b.transpose(weight, [1, 0]));
  return s.typed(bias === undefined ? product : s.b.add(product, bias), result);
}

/** @throws GraphError where the last dimension is known to be another. */
export function checkLast(s: Scope, x: Value, features: number): void {
  const last = x.shape?.at(-1);
  if (typeof last !== "number" || last === features) return;
  throw s.error(`expected ${features} features in the last dimension, got [${x.shape!.join(", ")}]`);
}

/** y = x Wᵀ + b over the last dimension. Parameters: weight [out, in], bias [out]. */
export function linear(inFeatures: number, outFeatures: number, options: WeightOptions = {}): Module {
  const first = fanInUniform(inFeatures);
  const { bias = true, weightInit = first, biasInit = first } = options;
  return (s, x) => {
    const weight = s.parameter("weight", [outFeatures, inFeatures], weightInit);
    return affine(s, x, weight, bias ? s.parameter("bias", [outFeatures], biasInit) : undefined);
  };
}

export interface EmbeddingOptions extends Pick<WeightOptions, "weightInit"> {
  /** This row is 0 at first, and gets no gradient: that of places that are only filled up. Default: none. */
  readonly paddingIdx?: number;
}

/**
 * Rows of a table by int64 (or int32) indices: […] → […, dim]. Parameter: weight [count, dim], N(0, 1).
 * Source: torch.nn.Embedding; a padding row of loaded weights that is not 0 counts as 0.
 */
export function embedding(count: number, dim: number, { weightInit, paddingIdx }: EmbeddingOptions = {}): Module {
  if (paddingIdx !== undefined && !(Number.isInteger(paddingIdx) && paddingIdx >= 0 && paddingIdx < count)) {
    throw new OptionError({
      area: "nn",
      subject: "embedding, paddingIdx",
      problem: `expected a row from 0 to ${count - 1}, got ${paddingIdx}`,
    });
  }
  const plain = weightInit ?? normal();
  const padded: Initializer = (dims, random) => {
    const values = plain(dims, random);
    if (paddingIdx !== undefined) values.fill(0, paddingIdx * dim, (paddingIdx + 1) * dim);
    return values;
  };
  return (s, indices) => {
    if (indices.dtype !== undefined && indices.dtype !== "int64" && indices.dtype !== "int32") {
      throw s.error(`expected int64 indices, got ${indices.dtype}`, 'Declare the input with dtype: "int64".');
    }
    const weight = s.parameter("weight", [count, dim], padded);
    let rows = s.b.op("Gather", [weight, indices]);
    if (paddingIdx !== undefined) {
      const index = s.b.initializer(Tensor.scalar(indices.dtype === "int32" ? "int32" : "int64", paddingIdx));
      rows = s.b.where(s.b.unsqueeze(s.b.op("Equal", [indices, index]), [-1]), s.b.scalar(0), rows);
    }
    return s.typed(rows, indices.shape && [...indices.shape, dim]);
  };
}

/** Fan in of a weight. */
export const fanInOf = (dims: readonly number[]): number => fans(dims).fanIn;
