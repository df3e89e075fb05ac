/**
 * @file The adjoint of summing over windows: every input of a window gets what came for its output.
 */
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { Tensor } from "../../../tensor/tensor.ts";
import { inputGradient } from "../convolution/input.ts";
import type { ConvShape } from "../convolution/shape.ts";
import { isTiled, product, tapsOf, type Windows, writeTaps } from "../windows.ts";
import { repeat } from "./max.ts";

/** dy [N, C, …output] to dx [N, C, …input]. */
type SumWay = (b: Builder, dy: Value, windows: Windows, lead: readonly [number, number]) => Value;

/** Windows side by side: repeated. */
const repeated: SumWay = (b, dy, windows) => repeat(b, dy, windows);

const taps: SumWay = (b, dy, windows, lead) =>
  writeTaps(
    b,
    tapsOf(windows.kernel).map(() => dy),
    windows,
    lead,
  );

/** As for a convolution with a kernel of ones, every channel an image of its own. */
const through =
  (way: "transpose" | "flipped"): SumWay =>
  (b, dy, windows, [n, c]) => {
    const shape: ConvShape = { batch: n * c, channels: 1, filters: 1, groups: 1, windows, block: undefined };
    const ones = new Float32Array(product(windows.kernel)).fill(1);
    const kernel = b.initializer(Tensor.float32([1, 1, ...windows.kernel], ones), "ones");
    const dx = inputGradient(way, b, b.reshape(dy, [n * c, 1, ...windows.output]), kernel, shape);
    return b.reshape(dx, [n, c, ...windows.input]);
  };

const WAYS = {
  repeated,
  taps,
  transpose: through("transpose"),
  flipped: through("flipped"),
} as const satisfies Readonly<Record<string, SumWay>>;

export type SumWayName = keyof typeof WAYS;

/** The ways that these windows allow, the usual best first. */
export function sumWays(windows: Windows): readonly SumWayName[] {
  const { strides, dilations } = windows;
  const flips = strides.every((stride, axis) => stride === 1 || dilations[axis] === 1);
  return [
    ...(isTiled(windows) ? (["repeated"] as const) : []),
    "transpose",
    ...(flips ? (["flipped"] as const) : []),
    "taps",
  ];
}

export function sumGradient(
  way: SumWayName,
  b: Builder,
  dy: Value,
  windows: Windows,
  lead: readonly [number, number],
): Value {
  return WAYS[way](b, dy, windows, lead);
}
