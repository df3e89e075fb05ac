/**
 * @file What convolutions and pooling share: sizes per spatial axis and the dimensions of their results.
 */
import type { Attributes } from "../../graph/builder.ts";
import type { Dim, Value } from "../../graph/value.ts";
import type { Scope } from "../module.ts";

/** One number for all spatial axes, or one per axis. */
export type Size = number | readonly number[];

/** Per spatial axis. */
export const perAxis = (size: Size, rank: number): readonly number[] =>
  typeof size === "number" ? Array.from({ length: rank }, () => size) : size;

/** Windows that are slid over the spatial axes. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** Begins, then ends, as ONNX has them. */
  readonly pads: readonly number[];
  readonly ceil?: boolean;
}

/** As attributes of Conv and the pooling operators. */
export function windowAttributes({ kernel, stride, dilation, pads }: Windows): Attributes {
  return {
    kernel_shape: { ints: kernel },
    ...(stride.some((step) => step !== 1) && { strides: { ints: stride } }),
    ...(dilation.some((step) => step !== 1) && { dilations: { ints: dilation } }),
    ...(pads.some((pad) => pad !== 0) && { pads: { ints: pads } }),
  };
}

/** Dimensions after windows: [N, channels, …]; unknown ones stay unknown. */
export function afterWindows(x: Value, channels: Dim, windows: Windows): readonly Dim[] | undefined {
  const { kernel, stride, dilation, pads, ceil } = windows;
  return (
    x.shape && [
      x.shape[0]!,
      channels,
      ...kernel.map((k, i) => {
        const size = x.shape![i + 2];
        if (typeof size !== "number") return null;
        const padded = size + pads[i]! + pads[i + kernel.length]!;
        const steps = (padded - dilation[i]! * (k - 1) - 1) / stride[i]!;
        if (!ceil) return Math.floor(steps) + 1;
        // PyTorch leaves out a last window that would begin in the padding behind.
        const last = Math.ceil(steps);
        return last * stride[i]! >= size + pads[i]! ? last : last + 1;
      }),
    ]
  );
}

/** @throws GraphError where x is known not to be [N, channels, …] of this rank. */
export function checkChannels(s: Scope, x: Value, channels: number | undefined, spatial: number): void {
  if (x.shape === undefined) return;
  const wanted = channels ?? "C";
  const got = x.shape[1];
  if (x.shape.length === spatial + 2 && (channels === undefined || typeof got !== "number" || got === channels)) return;
  const axes = ["L", "H", "W"].slice(spatial === 1 ? 0 : 1, spatial === 1 ? 1 : 3);
  throw s.error(`expected [N, ${[wanted, ...axes].join(", ")}], got [${x.shape.join(", ")}]`);
}

/** @throws GraphError where nothing would be left of a spatial axis. */
export function checkNotEmpty(s: Scope, x: Value, shape: readonly Dim[] | undefined): readonly Dim[] | undefined {
  if (shape?.slice(2).some((dim) => typeof dim === "number" && dim < 1)) {
    throw s.error(`expected an input at least as large as the window, got [${x.shape!.join(", ")}]`);
  }
  return shape;
}
