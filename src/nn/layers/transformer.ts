/**
 * @file Transformer encoders. Source: torch.nn.TransformerEncoderLayer, TransformerEncoder; Vaswani et al. 2017.
 */
import type { Value } from "../../graph/value.ts";
import type { Module } from "../module.ts";
import { dropout, gelu, relu } from "./activation.ts";
import { type AttentionMasks, multiheadAttention } from "./attention.ts";
import { linear } from "./linear.ts";
import { layerNorm } from "./normalization.ts";

export interface EncoderLayerOptions {
  /** Default 2048. */
  readonly dimFeedforward?: number;
  /** Default 0.1. */
  readonly dropout?: number;
  /** Default "relu". */
  readonly activation?: "relu" | "gelu";
  /** Default 1e-5. */
  readonly layerNormEps?: number;
  /** [N, T, E] in and out. Default false: [T, N, E]. */
  readonly batchFirst?: boolean;
  /** Normalize before attention and feed-forward, not after. Default false. */
  readonly normFirst?: boolean;
  /** Default true. */
  readonly bias?: boolean;
}

/** A module over tokens with masks. */
export type EncoderModule = Module<[x: Value, masks?: AttentionMasks]>;

/**
 * Self-attention and a feed-forward net, each added to what came in. Parameters: self_attn.*, linear1.*, linear2.*,
 * norm1.*, norm2.*.
 */
export function transformerEncoderLayer(
  dModel: number,
  heads: number,
  options: EncoderLayerOptions = {},
): EncoderModule {
  const { dimFeedforward = 2048, dropout: p = 0.1, activation = "relu", normFirst = false, bias = true } = options;
  const attend = multiheadAttention(dModel, heads, { dropout: p, bias, batchFirst: options.batchFirst });
  const norm = layerNorm(dModel, { eps: options.layerNormEps, bias });
  return (s, x, masks) => {
    const add = (a: Value, b: Value): Value => s.typed(s.b.add(a, b), a.shape);
    const attention = (v: Value): Value =>
      s.child("dropout1", dropout(p), s.child("self_attn", attend, v, undefined, undefined, masks));
    const feedForward = (v: Value): Value => {
      const inner = s.child("linear1", linear(dModel, dimFeedforward, { bias }), v);
      const active = s.child("dropout", dropout(p), (activation === "gelu" ? gelu() : relu())(s, inner));
      return s.child("dropout2", dropout(p), s.child("linear2", linear(dimFeedforward, dModel, { bias }), active));
    };
    const [norm1, norm2] = ["norm1", "norm2"].map((name) => (v: Value) => s.child(name, norm, v));
    if (normFirst) {
      const attended = add(x, attention(norm1!(x)));
      return add(attended, feedForward(norm2!(attended)));
    }
    const attended = norm1!(add(x, attention(x)));
    return norm2!(add(attended, feedForward(attended)));
  };
}

/**
 * Layers one after the other, named layers.0, layers.1, …, and a last normalization named norm, if any. Every layer begins
 * with values of its own (PyTorch copies the first one's).
 */
export function transformerEncoder(layer: EncoderModule, numLayers: number, norm?: Module): EncoderModule {
  return (s, x, masks) => {
    let value = x;
    for (let i = 0; i < numLayers; i++) value = s.child(`layers.${i}`, layer, value, masks);
    return norm === undefined ? value : s.child("norm", norm, value);
  };
}
