/**
 * @file The gradient of weights as a direct convolution in the runtime's blocked layout: x is convolved with dy, without a
 * copy of the input per tap.
 */
import { blockChannels, canBlock, convolveBlocks, unblockChannels } from "../../../graph/blocked-conv.ts";
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { padAxes, product, reachOf, tailOf } from "../windows.ts";
import { type ConvShape, isDepthwise } from "./shape.ts";

/** Whether {@link blockedWeightGradient} can do it. */
export function canBlockWeights(shape: ConvShape): boolean {
  const { block, channels, filters, groups, windows } = shape;
  const { kernel } = windows;
  if (block === undefined || kernel.length !== 2) return false;
  // One tap is a product of matrices already.
  if (groups === 1) return product(kernel) > 1;
  return isDepthwise(shape) && canBlock({ channels, filters, groups, kernel }, block);
}

/** dw [O, C/g, kH, kW] of x [N, C, H, W] and dy [N, O, …]. */
export function blockedWeightGradient(b: Builder, x: Value, dy: Value, shape: ConvShape): Value {
  return shape.groups === 1 ? dense(b, x, dy, shape) : depthwise(b, x, dy, shape);
}

/**
 * The images of the batch are the channels, and the channels the images: [C, N, H, W] ∗ [O, N, …output]. Stride and dilation
 * change places. Padding is made beforehand: the runtime's kernels compute what reaches into it one by one.
 */
function dense(b: Builder, x: Value, dy: Value, shape: ConvShape): Value {
  const { batch, filters, windows } = shape;
  const block = shape.block!;
  const { strides, dilations, begin, output } = windows;
  const [n, o] = [batch, filters].map((size) => Math.ceil(size / block) * block) as [number, number];
  const padded = padAxes(b, x, 0, [0, 0, ...begin], [n - batch, 0, ...tailOf(windows)], { rank: 4 });
  const images = blockChannels(b, b.transpose(padded, [1, 0, 2, 3]));
  // [N/b, b, O/b, …output, b of O] as it lies in memory, to [O/b, N/b, …output, b of N, b of O]
  const blocks = blockChannels(b, padAxes(b, dy, 0, [0, 0], [n - batch, o - filters], { rank: 4 }));
  const split = b.reshape(blocks, [n / block, block, o / block, product(output), block]);
  const kernels = b.reshape(b.transpose(split, [2, 0, 3, 1, 4]), [o, n, ...output]);
  const grown = convolveBlocks(b, images, kernels, undefined, {
    channels: n,
    filters: o,
    groups: 1,
    kernel: output,
    strides: dilations,
    dilations: strides,
    pads: [0, 0, 0, 0],
  });
  return b.transpose(unblockChannels(b, grown, filters), [1, 0, 2, 3]);
}

/** The same for one channel per group: all images of the batch lie one below the other, each with its padding. */
function depthwise(b: Builder, x: Value, dy: Value, { batch, channels, windows }: ConvShape): Value {
  const { kernel, strides, dilations, begin, output } = windows;
  const [reach, tail] = [reachOf(windows), tailOf(windows)];
  const [height, width] = output as [number, number];
  const stride = strides[0]!;
  // Rows from one image to the next: of dy, and stride times as many of x.
  const period = Math.ceil(reach[0]! / stride);
  const behind = [tail[0]! + period * stride - reach[0]!, tail[1]!];
  const stack = (value: Value, rows: number, columns: number): Value =>
    blockChannels(b, b.reshape(b.transpose(value, [1, 0, 2, 3]), [1, channels, batch * rows, columns]));
  const images = stack(padAxes(b, x, 2, begin, behind, { rank: 4 }), period * stride, reach[1]!);
  const kernels = stack(padAxes(b, dy, 2, [0, 0], [period - height, 0], { rank: 4 }), period, width);
  // Blocks of an image [1, C, H, W] lie as those of weights [C, 1, H, W] do.
  const grown = convolveBlocks(b, images, b.reshape(kernels, [channels, 1, batch * period, width]), undefined, {
    channels,
    filters: channels,
    groups: channels,
    kernel: [batch * period, width],
    strides: dilations,
    dilations: strides,
    pads: [0, 0, Math.max((kernel[0]! - 1) * dilations[0]! + 1 - stride, 0), 0],
  });
  const dw = b.slice(unblockChannels(b, grown, channels), [0, 0], kernel, [2, 3]);
  return b.reshape(dw, [channels, 1, ...kernel]);
}
