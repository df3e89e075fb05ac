/**
 * @file Pooling. Source: torch.nn.MaxPool2d, AvgPool2d, AdaptiveAvgPool2d.
 */
import { UnsupportedError } from "../../util/errors.ts";
import type { Module } from "../module.ts";
import {
  afterWindows,
  checkChannels,
  checkNotEmpty,
  perAxis,
  type Size,
  type Windows,
  windowAttributes,
} from "./spatial.ts";

export interface PoolOptions {
  /** Default: the kernel's size. */
  readonly stride?: Size;
  /** On both sides, at most half the kernel. Default 0. */
  readonly padding?: Size;
  /** Whether a last window that is not full counts. Default false. */
  readonly ceilMode?: boolean;
}

export interface MaxPoolOptions extends PoolOptions {
  /** Default 1. */
  readonly dilation?: Size;
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether zeros of the padding count as values. Default true. */
  readonly countIncludePad?: boolean;
}

/** [N, C, H, W] → [N, C, H', W'], the largest of each window. */
export function maxPool2d(kernel: Size, options: MaxPoolOptions = {}): Module {
  return pool("MaxPool", kernel, options, options.dilation ?? 1, {});
}

/** [N, C, H, W] → [N, C, H', W'], the mean of each window. */
export function avgPool2d(kernel: Size, options: AvgPoolOptions = {}): Module {
  const { countIncludePad = true } = options;
  return pool("AveragePool", kernel, options, 1, countIncludePad ? { count_include_pad: { int: 1 } } : {});
}

function pool(
  opType: string,
  size: Size,
  options: PoolOptions,
  dilation: Size,
  attributes: Readonly<Record<string, { readonly int: number }>>,
): Module {
  const { padding = 0, ceilMode = false } = options;
  const kernel = perAxis(size, 2);
  const pads = perAxis(padding, 2);
  const windows: Windows = {
    kernel,
    stride: perAxis(options.stride ?? size, 2),
    dilation: perAxis(dilation, 2),
    pads: [...pads, ...pads],
    ceil: ceilMode,
  };
  return (s, x) => {
    checkChannels(s, x, undefined, 2);
    if (pads.some((pad, i) => pad > kernel[i]! / 2)) {
      throw s.error(`expected padding of at most half the kernel ${kernel.join("×")}, got ${pads.join(", ")}`);
    }
    const y = s.b.op(opType, [x], {
      ...windowAttributes(windows),
      ...(pads.some((pad) => pad > 0) && attributes),
      ...(ceilMode && { ceil_mode: { int: 1 } }),
    });
    return s.typed(y, x.shape && checkNotEmpty(s, x, afterWindows(x, x.shape[1]!, windows)));
  };
}

/**
 * The mean over a grid of `size` cells: 1 is the mean over the whole image, of any size.
 * @throws UnsupportedError for more cells, where the image's size is not known or no multiple of them.
 */
export function adaptiveAvgPool2d(size: Size): Module {
  const cells = perAxis(size, 2);
  return (s, x) => {
    checkChannels(s, x, undefined, 2);
    if (cells.every((cell) => cell === 1)) {
      return s.typed(s.b.op("GlobalAveragePool", [x]), x.shape && [...x.shape.slice(0, 2), 1, 1]);
    }
    const kernel = cells.map((cell, i) => Number(x.shape?.[i + 2] ?? Number.NaN) / cell);
    if (!kernel.every(Number.isInteger)) {
      throw new UnsupportedError({
        area: "nn",
        subject: s.path || "adaptiveAvgPool2d",
        problem: `expected an image whose size is a multiple of ${cells.join("×")}, got [${x.shape?.join(", ") ?? "?"}]`,
        help: "Fix height and width of the input, or use adaptiveAvgPool2d(1) or avgPool2d.",
      });
    }
    return avgPool2d(kernel)(s, x);
  };
}
