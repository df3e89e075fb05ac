/**
 * @file Convolutions on ONNX Runtime's own blocked layout [N, C/b, H, W, b], with weights that are computed.
 *
 * For constant weights ONNX Runtime changes the layout itself and convolves directly, without columns (1.3 to 2.2 times as
 * fast where kernels have more than one tap). It leaves weights that change alone. Its operators for that layout take the
 * weights in blocks, too, and those are a reshape and a transposition away. Graphs with them run on the processor this was
 * made for, and nowhere else: they are never saved.
 * Source: onnxruntime/core/mlas/lib/reorder.cpp, core/graph/contrib_ops/nchwc_schema_defs.cc.
 */
import type { Builder } from "./builder.ts";
import type { Node } from "./node.ts";
import type { Value } from "./value.ts";

const DOMAIN = "com.microsoft.nchwc";

export interface BlockedConv {
  /** C */
  readonly channels: number;
  /** O */
  readonly filters: number;
  readonly groups: number;
  /** Two spatial axes each; pads: in front, then behind. */
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Whether there are such kernels: all channels or one per group, whole blocks of both. */
export function canBlock(
  conv: Pick<BlockedConv, "channels" | "filters" | "groups" | "kernel">,
  block: number,
): boolean {
  const { channels, filters, groups, kernel } = conv;
  const whole = channels % block === 0 && filters % block === 0;
  return whole && kernel.length === 2 && (groups === 1 || (groups === channels && groups === filters));
}

/** x [N, C, H, W] ∗ w [O, C/g, kH, kW] + bias [O], all of it and the result in ONNX's layout. */
export function blockedConv(
  b: Builder,
  x: Value,
  w: Value,
  bias: Value | undefined,
  conv: BlockedConv,
  block: number,
): Value {
  const result = convolveBlocks(b, blockChannels(b, x), blockWeights(b, w, conv, block), bias, conv);
  return unblockChannels(b, result, conv.filters);
}

/** [N, C, H, W] to blocks of channels. The shape that ONNX Runtime states stays. */
export const blockChannels = (b: Builder, x: Value): Value => b.op(`${DOMAIN}.ReorderInput`, [x]);

/** Whether a node is {@link blockChannels}. */
export const isBlocking = (node: Node): boolean =>
  node.is("ReorderInput", DOMAIN) && node.int("channels_last", 0) === 0;

/** [N, H, W, C] to blocks of channels: the runtime's fastest way to move runs of a block's length, whatever they are. */
export const gatherBlocks = (b: Builder, x: Value): Value =>
  b.op(`${DOMAIN}.ReorderInput`, [x], { channels_last: { int: 1 } });

/** The way back. */
export const unblockChannels = (b: Builder, x: Value, channels: number): Value =>
  b.op(`${DOMAIN}.ReorderOutput`, [x], { channels: { int: channels } });

/** A convolution of what is in blocks already. */
export function convolveBlocks(b: Builder, x: Value, w: Value, bias: Value | undefined, conv: BlockedConv): Value {
  const { groups, kernel, strides, dilations, pads } = conv;
  return b.op(`${DOMAIN}.Conv`, [x, w, bias], {
    group: { int: groups },
    kernel_shape: { ints: kernel },
    strides: { ints: strides },
    dilations: { ints: dilations },
    pads: { ints: pads },
  });
}

/** [O, C, k] to [O/b, C/b, k, b of C, b of O]; depthwise [C, 1, k] to [C/b, k, b]. */
function blockWeights(b: Builder, w: Value, { channels, filters, groups, kernel }: BlockedConv, block: number): Value {
  const taps = kernel.reduce((all, n) => all * n, 1);
  const outer = filters / block;
  const turned =
    groups === 1
      ? b.transpose(b.reshape(w, [outer, block, channels / block, block, taps]), [0, 2, 4, 3, 1])
      : b.transpose(b.reshape(w, [outer, block, taps]), [0, 2, 1]);
  return b.reshape(turned, [filters, channels / groups, ...kernel]);
}
