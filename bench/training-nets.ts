/**
 * @file The five nets of the training benches, and the batches that they are trained with.
 */
import { linear } from "../src/nn/layers/linear.ts";
import { transformerEncoder, transformerEncoderLayer } from "../src/nn/layers/transformer.ts";
import { lenet5, lenet300 } from "../src/nn/models/lenet.ts";
import { mobilenetV2 } from "../src/nn/models/mobilenet-v2.ts";
import { resnet20 } from "../src/nn/models/resnet.ts";
import type { Module } from "../src/nn/module.ts";

export interface Net {
  readonly module: Module;
  readonly dims: readonly number[];
}

const encoder: Module = (s, x) => {
  const layer = transformerEncoderLayer(256, 4, {
    dimFeedforward: 1024,
    dropout: 0,
    activation: "gelu",
    batchFirst: true,
  });
  const encoded = s.child("layers", transformerEncoder(layer, 2), x);
  return s.child("head", linear(256, 10), s.typed(s.b.mean(encoded, [1], false), [x.shape?.[0] ?? null, 256]));
};

/** The same nets as in peers/train_torch.py. */
export const NETS: Readonly<Record<string, Net>> = {
  mlp: { module: lenet300(), dims: [128, 1, 28, 28] },
  lenet5: { module: lenet5(), dims: [128, 1, 28, 28] },
  resnet20: { module: resnet20({ shortcut: "B" }), dims: [64, 3, 32, 32] },
  mobilenet: {
    module: mobilenetV2({
      rows: [
        [4, 24, 2, 1],
        [4, 48, 3, 2],
        [4, 80, 2, 1],
      ],
      stem: 16,
      stemStride: 2,
      dropout: 0,
    }),
    dims: [32, 3, 32, 32],
  },
  transformer: { module: encoder, dims: [32, 64, 256] },
};
