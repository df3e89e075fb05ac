/**
 * @file The gradient of a convolution's weights: dw[o, c, t] = Σ dy[n, o, p] · x[n, c, p·stride + t·dilation − begin] over
 * the batch and all outputs p. Several ways to one result; which is fastest depends on shapes and runtime.
 */
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { padAxes, padInput, product, readTap, tailOf, tapsOf, type Windows } from "../windows.ts";
import { type ConvShape, isDepthwise } from "./shape.ts";
import { blockedWeightGradient, canBlockWeights } from "./weight-blocked.ts";

/** x [N, C, …input] and dy [N, O, …output] to dw [O, C/g, …kernel]. */
type WeightWay = (b: Builder, x: Value, dy: Value, shape: ConvShape) => Value;

const axesOf = (windows: Windows, first: number): number[] => windows.kernel.map((_, axis) => first + axis);

/**
 * A convolution of x with dy as its kernel, batch and channels in each other's place, stride and dilation too; of its
 * outputs the first …kernel are taken.
 */
const conv: WeightWay = (b, x, dy, { batch, channels, groups, windows }) => {
  const { kernel, strides, dilations, begin, input, output } = windows;
  const axes = axesOf(windows, 2);
  const perGroup = channels / groups;
  const tail = tailOf(windows);
  const padded = begin.some((n) => n < 0)
    ? padAxes(
        b,
        x,
        2,
        begin.map((n) => Math.min(n, 0)),
        kernel.map(() => 0),
        { rank: kernel.length + 2 },
      )
    : x;
  const rows = input.map((n, axis) => n + Math.min(begin[axis]!, 0));
  // [C/g, g·N, …input]
  const images =
    groups === 1
      ? b.transpose(padded, [1, 0, ...axes])
      : b.reshape(
          b.transpose(b.reshape(padded, [batch, groups, perGroup, ...rows]), [2, 1, 0, ...axesOf(windows, 3)]),
          [perGroup, groups * batch, ...rows],
        );
  const grown = b.op("Conv", [images, b.transpose(dy, [1, 0, ...axes])], {
    group: { int: groups },
    strides: { ints: dilations },
    dilations: { ints: strides },
    kernel_shape: { ints: output },
    pads: { ints: [...begin, ...tail].map((n) => Math.max(n, 0)) },
  });
  const zeros = kernel.map(() => 0);
  return b.transpose(b.slice(grown, zeros, kernel, axes), [1, 0, ...axes]);
};

/** dy as [g, O/g, N·P], or [O, N·P] where there is one group. */
function foldedGradient(b: Builder, dy: Value, { batch, filters, groups, windows }: ConvShape): Value {
  const points = product(windows.output);
  const turned = b.transpose(b.reshape(dy, [batch, filters, points]), [1, 0, 2]);
  return b.reshape(turned, groups === 1 ? [filters, batch * points] : [groups, filters / groups, batch * points]);
}

/** a · bᵀ over the last two axes. */
function timesTransposed(b: Builder, left: Value, right: Value, rank: number): Value {
  if (rank === 2) return b.op("Gemm", [left, right], { transB: { int: 1 } });
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  return b.matmul(left, b.transpose(right, [...perm.slice(0, -2), rank - 1, rank - 2]));
}

/** What each tap reads, with channels in front: [C, N, …output] each. */
function foldedTaps(b: Builder, x: Value, { windows }: ConvShape): Value[] {
  const turned = b.transpose(padInput(b, x, windows), [1, 0, ...axesOf(windows, 2)]);
  return tapsOf(windows.kernel).map((tap) => readTap(b, turned, windows, tap));
}

/** Per tap one product of matrices over batch and outputs: [O/g, N·P] · [C/g, N·P]ᵀ. */
const taps: WeightWay = (b, x, dy, shape) => {
  const { batch, channels, filters, groups, windows } = shape;
  const points = batch * product(windows.output);
  const left = foldedGradient(b, dy, shape);
  const perGroup = channels / groups;
  const parts = foldedTaps(b, x, shape).map((tap) => {
    const right = b.reshape(tap, groups === 1 ? [channels, points] : [groups, perGroup, points]);
    return b.reshape(timesTransposed(b, left, right, groups === 1 ? 2 : 3), [filters, perGroup, 1]);
  });
  return b.reshape(b.concat(parts, 2), [filters, perGroup, ...windows.kernel]);
};

/** All taps as the rows of one matrix, over batch and outputs: [O/g, N·P] · [C/g·k, N·P]ᵀ. */
const columns: WeightWay = (b, x, dy, shape) => {
  const { batch, channels, filters, groups, windows } = shape;
  const points = batch * product(windows.output);
  const count = product(windows.kernel);
  const rows = b.concat(
    foldedTaps(b, x, shape).map((tap) => b.reshape(tap, [channels, 1, points])),
    1,
  );
  const right = b.reshape(
    rows,
    groups === 1 ? [channels * count, points] : [groups, (channels / groups) * count, points],
  );
  const dw = timesTransposed(b, foldedGradient(b, dy, shape), right, groups === 1 ? 2 : 3);
  return b.reshape(dw, [filters, channels / groups, ...windows.kernel]);
};

/** The same per image, summed over the batch afterwards: [N, O/g, P] · [N, C/g·k, P]ᵀ. Nothing is transposed. */
const batched: WeightWay = (b, x, dy, shape) => {
  const { batch, channels, filters, groups, windows } = shape;
  const points = product(windows.output);
  const count = product(windows.kernel);
  const padded = padInput(b, x, windows);
  const rows = b.concat(
    tapsOf(windows.kernel).map((tap) => b.reshape(readTap(b, padded, windows, tap), [batch, channels, 1, points])),
    2,
  );
  const split = groups === 1 ? [] : [groups];
  const right = b.reshape(rows, [batch, ...split, (channels / groups) * count, points]);
  const left = b.reshape(dy, [batch, ...split, filters / groups, points]);
  const dw = b.sum(timesTransposed(b, left, right, 3 + split.length), [0], false);
  return b.reshape(dw, [filters, channels / groups, ...windows.kernel]);
};

/** All taps as the columns of one matrix, channels last: [O, N·P] · [N·P, k·C]. Taps are copied channel by channel. */
const channelsLast: WeightWay = (b, x, dy, shape) => {
  const { batch, channels, filters, windows } = shape;
  const count = product(windows.kernel);
  const points = batch * product(windows.output);
  const turned = b.transpose(padInput(b, x, windows), [0, ...axesOf(windows, 2), 1]);
  const read = tapsOf(windows.kernel).map((tap) => b.reshape(readTap(b, turned, windows, tap, 1), [points, channels]));
  const dw = b.matmul(foldedGradient(b, dy, shape), b.concat(read, 1));
  const sorted = b.transpose(b.reshape(dw, [filters, count, channels]), [0, 2, 1]);
  return b.reshape(sorted, [filters, channels, ...windows.kernel]);
};

/** Depthwise: per tap the sum of products over batch and outputs. */
const products: WeightWay = (b, x, dy, { channels, windows }) => {
  const padded = padInput(b, x, windows);
  const over = [0, ...axesOf(windows, 2)];
  const parts = tapsOf(windows.kernel).map((tap) =>
    b.reshape(b.sum(b.mul(readTap(b, padded, windows, tap), dy), over, false), [channels, 1]),
  );
  return b.reshape(b.concat(parts, 1), [channels, 1, ...windows.kernel]);
};

const WAYS = {
  conv,
  taps,
  columns,
  batched,
  "channels-last": channelsLast,
  products,
  blocked: blockedWeightGradient,
} as const satisfies Readonly<Record<string, WeightWay>>;

export type WeightWayName = keyof typeof WAYS;

/** Fewer input channels than fill the rows of a product: better all taps in one. */
const FEW_CHANNELS = 8;

/** The ways that this shape allows, the usual best first. */
export function weightWays(shape: ConvShape): readonly WeightWayName[] {
  const { channels, filters, groups, windows } = shape;
  const blocked = canBlockWeights(shape) ? (["blocked"] as const) : [];
  if (groups === 1) {
    const first: WeightWayName = product(windows.kernel) === 1 || channels < FEW_CHANNELS ? "batched" : "taps";
    const all = ["taps", "columns", "channels-last", "batched", "conv"] as const;
    return [first, ...all.filter((way) => way !== first), ...blocked];
  }
  const simple = isDepthwise(shape) && filters === channels;
  return [...(["taps", "columns", "batched", "conv"] as const), ...(simple ? (["products"] as const) : []), ...blocked];
}

/** dw of a convolution by one of {@link weightWays}. */
export function weightGradient(way: WeightWayName, b: Builder, x: Value, dy: Value, shape: ConvShape): Value {
  return WAYS[way](b, x, dy, shape);
}
