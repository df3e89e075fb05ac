/**
 * @file The gradient of depthwise weights in the runtime's blocked layout: one direct convolution instead of a copy of the
 * input per tap.
 */
import { blockChannels, canBlock, convolveBlocks, unblockChannels } from "../../../graph/blocked-conv.ts";
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { padAxes, reachOf, tailOf } from "../windows.ts";
import { type ConvShape, isDepthwise } from "./shape.ts";

/** Whether {@link blockedWeightGradient} can do it. */
export function canBlockWeights(shape: ConvShape): boolean {
  const { block, channels, filters, groups, windows } = shape;
  const { kernel } = windows;
  return block !== undefined && isDepthwise(shape) && canBlock({ channels, filters, groups, kernel }, block);
}

/**
 * A convolution of x with dy as its kernel, for which all images of the batch lie one below the other, each with its
 * padding. Stride and dilation change places.
 * @returns [C, 1, kH, kW].
 */
export function blockedWeightGradient(b: Builder, x: Value, dy: Value, { batch, channels, windows }: ConvShape): Value {
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
