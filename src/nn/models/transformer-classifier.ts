/**
 * @file A classifier of token sequences: embedding, learned positions, a transformer encoder, the mean over tokens, a Linear.
 */
import { normal } from "../init.ts";
import { dropout } from "../layers/activation.ts";
import { embedding, linear } from "../layers/linear.ts";
import { layerNorm } from "../layers/normalization.ts";
import { transformerEncoder, transformerEncoderLayer } from "../layers/transformer.ts";
import type { Module } from "../module.ts";

export interface TransformerOptions {
  /** Number of different tokens. */
  readonly vocabulary: number;
  /** Default 10. */
  readonly classes?: number;
  /** Tokens in a sequence: the input is int64 [N, tokens]. */
  readonly tokens: number;
  /** Default 256. */
  readonly dModel?: number;
  /** Default 4. */
  readonly heads?: number;
  /** Default 2. */
  readonly layers?: number;
  /** Default 4 · dModel. */
  readonly dimFeedforward?: number;
  /** Default 0.1. */
  readonly dropout?: number;
  /** Default "gelu". */
  readonly activation?: "relu" | "gelu";
  /** Default true, with a last normalization named norm. */
  readonly normFirst?: boolean;
}

/** int64 [N, tokens] → logits [N, classes]. Parameters: embedding.weight, position [tokens, d], encoder.*, head.*. */
export function transformerClassifier(options: TransformerOptions): Module {
  const { vocabulary, tokens, classes = 10, dModel = 256, heads = 4, layers = 2, normFirst = true } = options;
  const { dropout: p = 0.1, activation = "gelu", dimFeedforward = 4 * dModel } = options;
  const layer = transformerEncoderLayer(dModel, heads, {
    dimFeedforward,
    dropout: p,
    activation,
    normFirst,
    batchFirst: true,
  });
  const encoder = transformerEncoder(layer, layers, normFirst ? layerNorm(dModel) : undefined);
  return (s, ids) => {
    const embedded = s.child("embedding", embedding(vocabulary, dModel), ids);
    const position = s.parameter("position", [tokens, dModel], normal(0, 0.02));
    const x = s.typed(s.b.add(embedded, position), embedded.shape);
    const encoded = s.child("encoder", encoder, dropout(p)(s, x));
    const mean = s.typed(s.b.mean(encoded, [1], false), [ids.shape?.[0] ?? null, dModel]);
    return s.child("head", linear(dModel, classes), mean);
  };
}
