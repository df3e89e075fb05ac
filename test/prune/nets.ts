/**
 * @file Nets whose channels depend on each other in the ways that matter, small, built with nn: DenseNet (Huang et al. 2017),
 * ResNet (He et al. 2016), MobileNetV2 (Sandler et al. 2018) and V3 (Howard et al. 2019), U-Net (Ronneberger et al. 2015), a
 * transformer encoder, and an LSTM. Biases, normalizations and statistics get random values: as 0 and 1 they would hide
 * mistakes.
 */
import type { Model } from "../../src/graph/model.ts";
import * as nn from "../../src/nn.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";

export interface Net {
  /** `width` scales channels, for figures of nets of a usual size. */
  build(width: number): Model;
  /** A batch; the seed gives its contents. `large`: of other sizes, where the net takes any. */
  feeds(seed: number, large?: boolean): Tensors;
}

/** Normalization, activation, convolution: the order of DenseNet. */
const normActConv = (from: number, to: number, kernel: number): nn.Module =>
  nn.sequential(nn.batchNorm(from), nn.relu(), nn.conv2d(from, to, kernel, { padding: (kernel - 1) / 2, bias: false }));

const concat =
  (body: nn.Module): nn.Module =>
  (s, x) => {
    const y = s.child("body", body, x);
    const [a, b] = [x.shape!, y.shape!];
    return s.typed(s.b.concat([x, y], 1), [a[0]!, (a[1] as number) + (b[1] as number), a[2]!, a[3]!]);
  };

/** Blocks of three layers that each add `growth` channels to what all see; halved in between. */
function densenet(width: number): nn.Module {
  const growth = 16 * width;
  const stages: nn.Module[] = [nn.conv2d(3, 2 * growth, 3, { padding: 1, bias: false })];
  let channels = 2 * growth;
  for (let block = 0; block < 3; block++) {
    for (let layer = 0; layer < 3; layer++) {
      stages.push(concat(nn.sequential(normActConv(channels, 4 * growth, 1), normActConv(4 * growth, growth, 3))));
      channels += growth;
    }
    if (block === 2) break;
    stages.push(nn.sequential(normActConv(channels, channels / 2, 1), nn.avgPool2d(2)));
    channels /= 2;
    // 5 · growth ÷ 2 stays whole for even growth.
  }
  const head = nn.sequential(nn.batchNorm(channels), nn.relu(), nn.adaptiveAvgPool2d(1), nn.flatten());
  return nn.sequential(...stages, head, nn.linear(channels, 10));
}

/** x · hardsigmoid(conv(relu(conv(mean(x))))) */
const squeezeExcite = (channels: number, hidden: number): nn.Module => {
  const gate = nn.sequential(
    nn.adaptiveAvgPool2d(1),
    nn.conv2d(channels, hidden, 1),
    nn.relu(),
    nn.conv2d(hidden, channels, 1),
    nn.hardsigmoid(),
  );
  return (s, x) => s.typed(s.b.mul(x, s.child("gate", gate, x)), x.shape);
};

function mobilenetV3(width: number): nn.Module {
  const conv = (from: number, to: number, kernel: number, stride: number, groups: number, act?: nn.Module): nn.Module =>
    nn.sequential(
      nn.conv2d(from, to, kernel, { padding: (kernel - 1) / 2, stride, groups, bias: false }),
      nn.batchNorm(to),
      ...(act ? [act] : []),
    );
  const block = (
    from: number,
    hidden: number,
    to: number,
    kernel: number,
    stride: number,
    excite: boolean,
  ): nn.Module => {
    const act = nn.hardswish();
    const body = nn.sequential(
      conv(from, hidden, 1, 1, 1, act),
      conv(hidden, hidden, kernel, stride, hidden, act),
      ...(excite ? [squeezeExcite(hidden, hidden / 4)] : []),
      conv(hidden, to, 1, 1, 1),
    );
    return stride === 1 && from === to ? nn.residual(body) : body;
  };
  const c = 16 * width;
  return nn.sequential(
    conv(3, c, 3, 1, 1, nn.hardswish()),
    block(c, 4 * c, c, 3, 1, true),
    block(c, 4 * c, 2 * c, 5, 2, false),
    block(2 * c, 8 * c, 2 * c, 5, 1, true),
    block(2 * c, 8 * c, 4 * c, 3, 2, true),
    block(4 * c, 16 * c, 4 * c, 3, 1, true),
    conv(4 * c, 16 * c, 1, 1, 1, nn.hardswish()),
    nn.sequential(nn.adaptiveAvgPool2d(1), nn.flatten()),
    nn.sequential(nn.linear(16 * c, 8 * c), nn.hardswish(), nn.linear(8 * c, 10)),
  );
}

/** Two steps down, two up; what was seen on the way down is put beside what comes up. Gives a mask of the input's size. */
function unet(width: number): nn.Module {
  const c = 16 * width;
  const double = (from: number, to: number): nn.Module =>
    nn.sequential(
      nn.conv2d(from, to, 3, { padding: 1 }),
      nn.batchNorm(to),
      nn.relu(),
      nn.conv2d(to, to, 3, { padding: 1 }),
      nn.relu(),
    );
  const level = (from: number, to: number, below: nn.Module, channelsBelow: number): nn.Module => {
    const down = double(from, to);
    const up = nn.convTranspose2d(channelsBelow, to, 2, { stride: 2 });
    const merge = double(2 * to, to);
    return (s, x) => {
      const here = s.child("down", down, x);
      const deep = s.child("below", below, nn.maxPool2d(2)(s, here));
      const both = s.b.concat([here, s.child("up", up, deep)], 1);
      return s.child("merge", merge, s.typed(both, [here.shape![0]!, 2 * to, here.shape![2]!, here.shape![3]!]));
    };
  };
  const net = level(3, c, level(c, 2 * c, double(2 * c, 4 * c), 4 * c), 2 * c);
  return nn.sequential(net, nn.conv2d(c, 1, 1), nn.sigmoid());
}

/** [N, T, 24] → the mean over time of two directions → classes */
const tagger = (width: number): nn.Module => {
  const hidden = 32 * width;
  const layer = nn.pick(nn.lstm(24, hidden, { batchFirst: true, bidirectional: true }), "output");
  return (s, x) => {
    const mean = s.b.mean(s.child("lstm", layer, x), [1], false);
    return s.child("head", nn.sequential(nn.linear(2 * hidden, hidden), nn.relu(), nn.linear(hidden, 8)), mean);
  };
};

/** `size`: height and width of images. */
export const nets = (size: number) => {
  const image = (module: (width: number) => nn.Module, fixed: boolean): Net => ({
    build: (width) => {
      const dims = fixed ? ["N", 3, size, size] : ["N", 3, "H", "W"];
      return disturb(nn.buildModel(module(width), { input: { name: "x", dims } }));
    },
    feeds: (seed, large = false) => ({
      x: normal([large ? 3 : 2, 3, large && !fixed ? size + 8 : size, size], seed),
    }),
  });
  const transformer: Net = {
    build: (width) => {
      const options = { vocabulary: 40, tokens: 24, dModel: 64 * width, heads: 8, dropout: 0 };
      const input = { name: "x", dims: ["N", 24], dtype: "int64" } as const;
      return disturb(nn.buildModel(nn.transformerClassifier(options), { input }));
    },
    feeds: (seed, large = false) => {
      const random = createRandom(seed);
      const rows = large ? 3 : 2;
      return {
        x: Tensor.int64(
          [rows, 24],
          Array.from({ length: rows * 24 }, () => random.integer(40)),
        ),
      };
    },
  };
  const lstm: Net = {
    build: (width) => disturb(nn.buildModel(tagger(width), { input: { name: "x", dims: ["N", "T", 24] } })),
    feeds: (seed, large = false) => ({ x: normal([large ? 3 : 2, large ? 9 : 7, 24], seed) }),
  };
  return {
    densenet: image(densenet, false),
    resnet: image((width) => nn.resnet20({ widths: [16 * width, 32 * width, 64 * width] }), true),
    mobilenetV2: image((width) => nn.mobilenetV2({ width }), true),
    mobilenetV3: image(mobilenetV3, false),
    unet: image(unet, false),
    transformer,
    lstm,
  } as const;
};

/** On small images, for tests. */
export const NETS = nets(16);

function normal(dims: readonly number[], seed: number): Tensor {
  const random = createRandom(seed);
  const size = dims.reduce((a, b) => a * b, 1);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: size }, () => random.normal()),
  );
}

/** Adds noise to all vectors of parameters and statistics. */
function disturb(model: Model): Model {
  const random = createRandom(7);
  for (const value of model.graph.initializers) {
    const tensor = value.constant;
    if (tensor?.dtype !== "float32" || tensor.dims.length !== 1 || tensor.size < 2) continue;
    value.initializer = Tensor.float32(
      tensor.dims,
      tensor.floats().map((x) => x + 0.3 * random.next()),
    );
  }
  return model;
}
