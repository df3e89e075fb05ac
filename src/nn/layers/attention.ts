/**
 * @file Multi-head attention. Source: torch.nn.MultiheadAttention; Vaswani et al. 2017, section 3.2.
 */
import type { Value } from "../../graph/value.ts";
import { xavierUniform, zeros } from "../init.ts";
import type { Module, Scope } from "../module.ts";
import { dropout } from "./activation.ts";
import { affine, checkLast, fanInUniform } from "./linear.ts";

export interface AttentionOptions {
  /** Of the attention's weights. Default 0. */
  readonly dropout?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** [N, T, E] in and out. Default false: [T, N, E]. */
  readonly batchFirst?: boolean;
}

/** Where attention may not look. */
export interface AttentionMasks {
  /** Added to the scores: float32 [T, S], or whatever broadcasts to [N, heads, T, S]; −∞ where it may not look. */
  readonly attention?: Value;
  /** bool [N, S]: true for keys to leave out. */
  readonly keyPadding?: Value;
}

/** What is asked with, what is looked at, and what is taken from there; self-attention takes one value for all. */
export type AttentionInputs = [query: Value, key?: Value, value?: Value, masks?: AttentionMasks];

/**
 * softmax(Q Kᵀ / √d + mask) V in several heads, then a projection.
 * Parameters: in_proj_weight [3E, E], in_proj_bias [3E], out_proj.weight [E, E], out_proj.bias [E].
 */
export function multiheadAttention(
  embedDim: number,
  heads: number,
  options: AttentionOptions = {},
): Module<AttentionInputs> {
  const { bias = true, batchFirst = false } = options;
  const size = embedDim / heads;
  return (s, query, key = query, value = key, masks = {}) => {
    const { b } = s;
    if (!Number.isInteger(size)) throw s.error(`expected a multiple of ${heads} heads, got ${embedDim} features`);
    for (const x of [query, key, value]) {
      checkLast(s, x, embedDim);
      if (x.shape !== undefined && x.shape.length !== 3) {
        throw s.error(`expected three dimensions, got [${x.shape.join(", ")}]`);
      }
    }
    const [q, k, v] = project(s, [query, key, value], embedDim, bias);
    // [N, T, E] → [N, heads, T, d]; keys at once transposed: [N, heads, d, S]
    const split = (x: Value, transposed: boolean): Value => {
      const perm = batchFirst ? [0, 2, 1, 3] : [1, 2, 0, 3];
      const order = transposed ? [perm[0]!, perm[1]!, perm[3]!, perm[2]!] : perm;
      return b.transpose(b.reshape(x, [0, 0, heads, size]), order);
    };
    let scores = b.matmul(split(b.scale(q!, 1 / Math.sqrt(size)), false), split(k!, true)); // [N, heads, T, S]
    if (masks.attention !== undefined) scores = b.add(scores, masks.attention);
    if (masks.keyPadding !== undefined) {
      const mask = b.unsqueeze(masks.keyPadding, [1, 2]); // [N, 1, 1, S]
      scores = b.where(mask, b.scalar(Number.NEGATIVE_INFINITY), scores);
    }
    const weights = dropout(options.dropout ?? 0)(s, b.op("Softmax", [scores], { axis: { int: -1 } }));
    const mixed = b.transpose(b.matmul(weights, split(v!, false)), batchFirst ? [0, 2, 1, 3] : [2, 0, 1, 3]);
    const joined = s.typed(b.reshape(mixed, [0, 0, embedDim]), query.shape ?? [null, null, embedDim]);
    return s.child("out_proj", projection(embedDim, bias), joined);
  };
}

/** PyTorch draws its weight as a Linear's and sets its bias to 0. */
const projection =
  (dim: number, bias: boolean): Module =>
  (s, x) =>
    affine(
      s,
      x,
      s.parameter("weight", [dim, dim], fanInUniform(dim)),
      bias ? s.parameter("bias", [dim], zeros) : undefined,
    );

/** Queries, keys and values: with one product where all come from one value. */
function project(s: Scope, inputs: readonly Value[], dim: number, bias: boolean): readonly Value[] {
  const { b } = s;
  const weight = s.parameter("in_proj_weight", [3 * dim, dim], xavierUniform());
  const sum = bias ? s.parameter("in_proj_bias", [3 * dim], zeros) : undefined;
  const thirds = (x: Value, axis: number): readonly Value[] => {
    const node = b.node("Split", [x, b.ints([dim, dim, dim])], { axis: { int: axis } }, 3);
    return [0, 1, 2].map((i) => node.output(i));
  };
  const [query, key, value] = inputs;
  if (query === key && key === value) return thirds(affine(s, query!, weight, sum), -1);
  const weights = thirds(weight, 0);
  const sums = sum && thirds(sum, 0);
  return inputs.map((x, i) => {
    const product = b.matmul(x, b.transpose(weights[i]!, [1, 0]));
    return sums === undefined ? product : b.add(product, sums[i]!);
  });
}
