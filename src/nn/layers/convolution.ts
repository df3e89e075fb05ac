/**
 * @file Convolutions. Source: torch.nn.Conv1d, Conv2d, ConvTranspose2d.
 */
import type { Module } from "../module.ts";
import { fanInOf, fanInUniform, type WeightOptions } from "./linear.ts";
import {
  afterWindows,
  checkChannels,
  checkNotEmpty,
  perAxis,
  type Size,
  type Windows,
  windowAttributes,
} from "./spatial.ts";

export interface ConvOptions extends WeightOptions {
  /** Default 1. */
  readonly stride?: Size;
  /** Zeros on both sides. "same": as many as keep the size (stride 1 only). Default 0. */
  readonly padding?: Size | "same";
  /** Default 1. */
  readonly dilation?: Size;
  /** Default 1. */
  readonly groups?: number;
}

/** [N, in, L] → [N, out, L']. Parameters: weight [out, in / groups, k], bias [out]. */
export function conv1d(inChannels: number, outChannels: number, kernel: Size, options: ConvOptions = {}): Module {
  return convolution(1, inChannels, outChannels, kernel, options);
}

/** [N, in, H, W] → [N, out, H', W']. Parameters: weight [out, in / groups, kH, kW], bias [out]. */
export function conv2d(inChannels: number, outChannels: number, kernel: Size, options: ConvOptions = {}): Module {
  return convolution(2, inChannels, outChannels, kernel, options);
}

function convolution(rank: number, into: number, out: number, size: Size, options: ConvOptions): Module {
  const { bias = true, padding = 0, groups = 1 } = options;
  const [kernel, stride, dilation] = [size, options.stride ?? 1, options.dilation ?? 1].map((x) => perAxis(x, rank));
  return (s, x) => {
    if (into % groups !== 0 || out % groups !== 0) {
      throw s.error(`expected channels that are multiples of ${groups} groups, got ${into} → ${out}`);
    }
    if (padding === "same" && stride!.some((step) => step !== 1)) {
      throw s.error(`expected stride 1 with padding "same", got ${stride!.join(", ")}`);
    }
    checkChannels(s, x, into, rank);
    const dims = [out, into / groups, ...kernel!];
    const first = fanInUniform(fanInOf(dims));
    const weight = s.parameter("weight", dims, options.weightInit ?? first);
    const windows: Windows = {
      kernel: kernel!,
      stride: stride!,
      dilation: dilation!,
      pads: padding === "same" ? samePads(kernel!, dilation!) : twice(perAxis(padding, rank)),
    };
    const inputs = [x, weight, bias ? s.parameter("bias", [out], options.biasInit ?? first) : undefined];
    const attributes = { ...windowAttributes(windows), ...(groups !== 1 && { group: { int: groups } }) };
    return s.typed(s.b.op("Conv", inputs, attributes), checkNotEmpty(s, x, afterWindows(x, out, windows)));
  };
}

export interface ConvTransposeOptions extends Omit<ConvOptions, "padding"> {
  /** What the forward convolution would have padded. Default 0. */
  readonly padding?: Size;
  /** Added at the end of each axis of the result. Default 0. */
  readonly outputPadding?: Size;
}

/** [N, in, H, W] → [N, out, H', W']. Parameters: weight [in, out / groups, kH, kW], bias [out]. */
export function convTranspose2d(
  inChannels: number,
  outChannels: number,
  kernelSize: Size,
  options: ConvTransposeOptions = {},
): Module {
  const { bias = true, groups = 1 } = options;
  const { stride = 1, padding = 0, dilation = 1, outputPadding = 0 } = options;
  const [kernel, steps, pad, dilations, extra] = [kernelSize, stride, padding, dilation, outputPadding].map((size) =>
    perAxis(size, 2),
  ) as [readonly number[], readonly number[], readonly number[], readonly number[], readonly number[]];
  return (s, x) => {
    checkChannels(s, x, inChannels, 2);
    const dims = [inChannels, outChannels / groups, ...kernel];
    const first = fanInUniform(fanInOf(dims));
    const weight = s.parameter("weight", dims, options.weightInit ?? first);
    const inputs = [x, weight, bias ? s.parameter("bias", [outChannels], options.biasInit ?? first) : undefined];
    const y = s.b.op("ConvTranspose", inputs, {
      ...windowAttributes({ kernel, stride: steps, dilation: dilations, pads: twice(pad) }),
      ...(groups !== 1 && { group: { int: groups } }),
      ...(extra.some((size) => size !== 0) && { output_padding: { ints: extra } }),
    });
    const sizes = kernel.map((k, i) => {
      const size = x.shape?.[i + 2];
      if (typeof size !== "number") return null;
      return (size - 1) * steps[i]! - 2 * pad[i]! + dilations[i]! * (k - 1) + extra[i]! + 1;
    });
    return s.typed(y, x.shape && [x.shape[0]!, outChannels, ...sizes]);
  };
}

const twice = (pads: readonly number[]): readonly number[] => [...pads, ...pads];

/** Odd totals get the larger half behind, as in PyTorch. */
function samePads(kernel: readonly number[], dilation: readonly number[]): readonly number[] {
  const totals = kernel.map((k, i) => dilation[i]! * (k - 1));
  const begins = totals.map((total) => Math.floor(total / 2));
  return [...begins, ...totals.map((total, i) => total - begins[i]!)];
}
