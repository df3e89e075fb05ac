/**
 * @file The gradient of weights as a direct convolution in the runtime's blocked layout: x is convolved with dy, without a
 * copy of the input per tap.
 */
import { blockChannels, canBlock, convolveBlocks, gatherBlocks, unblockChannels } from "../../../graph/blocked-conv.ts";
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
 * The images of the batch are the channels, [C, N, H, W] ∗ [O, N, …output], stride and dilation in each other's place. The
 * channels of x lie one below the other, as one image, so that a kernel is read once for all of them: one convolution per
 * row of taps, whose own stride is a channel's height. Padding is made beforehand: the runtime's kernels compute what
 * reaches into it one by one.
 */
function dense(b: Builder, x: Value, dy: Value, shape: ConvShape): Value {
  const { batch, channels, filters, windows } = shape;
  const block = shape.block!;
  const { kernel, strides, dilations, begin, input, output } = windows;
  const [n, o] = [batch, filters].map((size) => Math.ceil(size / block)) as [number, number];
  const [h, w] = input as [number, number];
  const [height, width] = reachOf(windows) as [number, number];
  const whole = padAxes(b, x, 0, [0], [n * block - batch], { rank: 4 });
  // [N/b, C, H, W · b], with padding: rows are long then
  const rows = b.reshape(blockChannels(b, b.reshape(whole, [1, n * block, channels * h, w])), [
    n,
    channels,
    h,
    w * block,
  ]);
  const columns = (pad: readonly number[]): number[] => [pad[0]!, pad[1]! * block];
  const padded = padAxes(b, rows, 2, columns(begin), columns(tailOf(windows)), { rank: 4 });
  const images = b.reshape(padded, [1, n * block, channels * height, width]);
  const kernels = kernelsOf(b, dy, shape, n, o);

  const parts = Array.from({ length: kernel[0]! }, (_, tap) => {
    // Row `tap` of each channel, by padding in front: one more window then, before the first channel.
    const first = tap * dilations[0]!;
    const front = first === 0 ? 0 : height - first;
    const grown = convolveBlocks(b, images, kernels, undefined, {
      channels: n * block,
      filters: o * block,
      groups: 1,
      kernel: output,
      strides: [height, dilations[1]!],
      dilations: strides,
      pads: [front, 0, 0, 0],
    });
    const row = unblockChannels(b, grown, filters); // [1, O, C (+ 1), kW]
    const own = front === 0 ? row : b.slice(row, [1], [channels + 1], [2]);
    return b.reshape(own, [filters, channels, 1, kernel[1]!]);
  });
  return b.concat(parts, 2);
}

/** dy as weights in blocks, with images as channels: [O/b, N/b, …output, b of N, b of O]. */
function kernelsOf(b: Builder, dy: Value, { batch, filters, windows, block }: ConvShape, n: number, o: number): Value {
  const size = block!;
  const points = product(windows.output);
  const whole = padAxes(b, dy, 0, [0, 0], [n * size - batch, o * size - filters], { rank: 4 });
  // [N/b, b of N, O/b, P, b of O] to [N/b, O/b, P, b of N, b of O]
  const inner = gatherBlocks(b, b.reshape(blockChannels(b, whole), [n, 1, size, o * points * size]));
  const outer = b.transpose(b.reshape(inner, [n, o, points * size * size]), [1, 0, 2]);
  return b.reshape(outer, [o * size, n * size, ...windows.output]);
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
