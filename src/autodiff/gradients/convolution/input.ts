/**
 * @file The gradient of a convolution's input: dx[n, c, i] = Σ w[o, c, t] · dy[n, o, p] over all taps t and outputs p with
 * p·stride + t·dilation − begin = i. Several ways to one result; which is fastest depends on shapes and runtime.
 */
import { type BlockedConv, blockedConv, canBlock } from "../../../graph/blocked-conv.ts";
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { interleave, isOnes, padAxes, product, tailOf, tapsOf, writeTaps } from "../windows.ts";
import { type ConvShape, isDepthwise } from "./shape.ts";

/** dy [N, O, …output] and w [O, C/g, …kernel] to dx [N, C, …input]. */
type InputWay = (b: Builder, dy: Value, w: Value, shape: ConvShape) => Value;

/** The operator that is made for it: ConvTranspose, with what a stride left over as output padding. */
const transpose: InputWay = (b, dy, w, { groups, windows }) => {
  const { strides, dilations, kernel, begin } = windows;
  const tail = tailOf(windows);
  const attributes = {
    group: { int: groups },
    strides: { ints: strides },
    dilations: { ints: dilations },
    kernel_shape: { ints: kernel },
  };
  if (begin.every((n) => n >= 0) && tail.every((n, axis) => n > -strides[axis]!)) {
    return b.op("ConvTranspose", [dy, w], {
      ...attributes,
      pads: { ints: [...begin, ...tail.map((n) => Math.max(n, 0))] },
      output_padding: { ints: tail.map((n) => Math.max(-n, 0)) },
    });
  }
  const whole = b.op("ConvTranspose", [dy, w], attributes);
  const crop = (list: readonly number[]): number[] => list.map((n) => -n);
  return padAxes(b, whole, 2, crop(begin), crop(tail), { rank: kernel.length + 2 });
};

type Convolve = (b: Builder, x: Value, w: Value, conv: BlockedConv, block: number | undefined) => Value;

/**
 * A convolution of dy with the kernel turned round. With strides, one kernel per position between two outputs: they are
 * output channels, interleaved afterwards (the sub-pixel convolution of Shi et al. 2016, arXiv:1609.05158, section 3.2).
 * Per axis either the stride or the dilation must be 1.
 */
const flippedWith =
  (convolve: Convolve): InputWay =>
  (b, dy, w, shape) => {
    const { batch, channels, filters, groups, windows } = shape;
    const { kernel, strides, dilations, begin, input, output } = windows;
    const rank = kernel.length;
    const [perGroup, filtersPerGroup] = [channels / groups, filters / groups];
    const axes = kernel.map((_, axis) => axis);
    // Taps per position between outputs, the kernel padded with zeros to a multiple of the stride.
    const taps = kernel.map((k, axis) => Math.ceil(k / strides[axis]!));
    const missing = taps.map((n, axis) => n * strides[axis]! - kernel[axis]!);
    const padded = padAxes(
      b,
      w,
      2,
      kernel.map(() => 0),
      missing,
      { rank: rank + 2 },
    );
    // [g, O/g, C/g, taps₀, stride₀, taps₁, stride₁, …]
    const split = b.reshape(padded, [
      groups,
      filtersPerGroup,
      perGroup,
      ...axes.flatMap((axis) => [taps[axis]!, strides[axis]!]),
    ]);
    const turned = axes.filter((axis) => taps[axis]! > 1).map((axis) => 3 + 2 * axis);
    const flip =
      turned.length === 0
        ? split
        : b.slice(
            split,
            turned.map(() => -1),
            turned.map(() => -(2 ** 31)),
            turned,
            turned.map(() => -1),
          );
    const kernels = b.reshape(
      b.transpose(flip, [0, 2, ...axes.map((axis) => 4 + 2 * axis), 1, ...axes.map((axis) => 3 + 2 * axis)]),
      [channels * product(strides), filtersPerGroup, ...taps],
    );
    const reach = taps.map((n, axis) => (n - 1) * dilations[axis]!);
    const made: Omit<BlockedConv, "pads"> = {
      channels: filters,
      filters: channels * product(strides),
      groups,
      kernel: taps,
      strides: taps.map(() => 1),
      dilations,
    };
    const tail = tailOf(windows);
    if (isOnes(strides)) {
      const before = reach.map((n, axis) => n - begin[axis]!);
      const after = reach.map((n, axis) => n - tail[axis]!);
      if ([...before, ...after].every((n) => n >= 0)) {
        return convolve(b, dy, kernels, { ...made, pads: [...before, ...after] }, shape.block);
      }
    }
    const grids = convolve(b, dy, kernels, { ...made, pads: [...reach, ...reach] }, shape.block);
    const length = output.map((n, axis) => n + reach[axis]!);
    const whole = isOnes(strides)
      ? grids
      : interleave(
          b,
          b.reshape(grids, [batch, channels, ...strides, ...length]),
          [batch, channels],
          strides,
          length,
          "inner",
        );
    const end = input.map((n, axis) => n + begin[axis]! - length[axis]! * strides[axis]!);
    return padAxes(
      b,
      whole,
      2,
      begin.map((n) => -n),
      end,
      { rank: rank + 2 },
    );
  };

const flipped = flippedWith((b, x, w, { groups, kernel, dilations, pads }) =>
  b.op("Conv", [x, w], {
    group: { int: groups },
    dilations: { ints: dilations },
    kernel_shape: { ints: kernel },
    pads: { ints: pads },
  }),
);

const flippedBlocked = flippedWith((b, x, w, conv, block) => blockedConv(b, x, w, undefined, conv, block!));

/** One tap: a product of matrices, wᵀ [C, O] · dy [N, O, P]; strides leave zeros between. */
const matmul: InputWay = (b, dy, w, { batch, channels, filters, windows }) => {
  const flat = b.reshape(dy, [batch, filters, product(windows.output)]);
  const turned = b.transpose(b.reshape(w, [filters, channels]), [1, 0]);
  const part = b.reshape(b.matmul(turned, flat), [batch, channels, ...windows.output]);
  return writeTaps(b, [part], windows, [batch, channels]);
};

/** Depthwise: per tap dy times one weight per channel, written where the tap read. */
const taps: InputWay = (b, dy, w, { batch, channels, windows }) => {
  const { kernel } = windows;
  const ones = kernel.map(() => 1);
  const flat = b.reshape(w, [channels, product(kernel)]);
  const parts = tapsOf(kernel).map((_, i) => {
    const weight = product(kernel) === 1 ? flat : b.slice(flat, [i], [i + 1], [1]);
    return b.mul(dy, b.reshape(weight, [channels, ...ones]));
  });
  return writeTaps(b, parts, windows, [batch, channels]);
};

const WAYS = { transpose, flipped, "flipped-blocked": flippedBlocked, matmul, taps } as const satisfies Readonly<
  Record<string, InputWay>
>;

export type InputWayName = keyof typeof WAYS;

/** The ways that this shape allows, the usual best first. */
export function inputWays(shape: ConvShape): readonly InputWayName[] {
  const { channels, filters, groups, windows } = shape;
  const { kernel, strides, dilations } = windows;
  const pointwise = groups === 1 && isOnes(kernel);
  const flips = strides.every((stride, axis) => stride === 1 || dilations[axis] === 1);
  const simple = isDepthwise(shape) && filters === channels;
  const turned = { channels: filters, filters: channels * product(strides), groups, kernel };
  const blocks = flips && !pointwise && shape.block !== undefined && canBlock(turned, shape.block);
  const first: InputWayName = pointwise ? "matmul" : isDepthwise(shape) && isOnes(strides) ? "flipped" : "transpose";
  const rest: InputWayName[] = [
    "transpose",
    ...(flips ? (["flipped"] as const) : []),
    ...(blocks ? (["flipped-blocked"] as const) : []),
    ...(simple ? (["taps"] as const) : []),
  ];
  return [first, ...rest.filter((way) => way !== first)];
}

/** dx of a convolution by one of {@link inputWays}. */
export function inputGradient(way: InputWayName, b: Builder, dy: Value, w: Value, shape: ConvShape): Value {
  return WAYS[way](b, dy, w, shape);
}
