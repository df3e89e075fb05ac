/**
 * @file Sizes of a convolution, as its gradients need them.
 */
import type { Windows } from "../windows.ts";

/** y [N, O, …output] = x [N, C, …input] ∗ w [O, C/g, …kernel]. */
export interface ConvShape {
  readonly batch: number;
  /** C */
  readonly channels: number;
  /** O */
  readonly filters: number;
  /** g */
  readonly groups: number;
  readonly windows: Windows;
  /** Channels per block of the runtime's blocked layout, where it may be used. */
  readonly block: number | undefined;
}

/** One input channel per group. */
export const isDepthwise = ({ channels, groups }: ConvShape): boolean => groups > 1 && channels === groups;
