/**
 * @file The gradient of a maximum over windows: dy goes to the one input that won. Of equal ones that is the first in
 * row-major order, as ONNX Runtime's own indices say and as PyTorch does it.
 */
import type { Builder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/value.ts";
import { Tensor } from "../../../tensor/tensor.ts";
import { isTiled, padInput, product, readTap, tapsOf, type Windows, writeTaps } from "../windows.ts";

export interface MaxParts {
  readonly b: Builder;
  /** [N, C, …input] */
  readonly x: Value;
  /** [N, C, …output] */
  readonly y: Value;
  readonly dy: Value;
  readonly lead: readonly [number, number];
  readonly windows: Windows;
  /** A pool over the same windows: its outputs. `indices`: with the winners' places in the flat input as the second. */
  pool(x: Value, indices: boolean): readonly Value[];
}

type MaxWay = (parts: MaxParts) => Value;

/** Loses against everything: what padding holds. */
const LOSES = -Infinity;

/** ONNX Runtime tells the winners' places; dy is added there. */
const indices: MaxWay = ({ b, x, dy, lead, windows, pool }) => {
  const dims = [...lead, ...windows.input];
  const winners = pool(x, true)[1]!;
  const flat = b.full(0, [product(dims)]);
  const sum = b.op("ScatterElements", [flat, b.reshape(winners, [-1]), b.reshape(dy, [-1])], {
    axis: { int: 0 },
    reduction: { string: "add" },
  });
  return b.reshape(sum, dims);
};

/** Per tap: where x is the maximum, it takes what of dy no earlier tap took. */
const taps: MaxWay = ({ b, x, y, dy, lead, windows }) => {
  const padded = padInput(b, x, windows, LOSES);
  let rest = dy;
  const all = tapsOf(windows.kernel);
  const parts = all.map((tap, i) => {
    const wins = b.op("Equal", [readTap(b, padded, windows, tap), y]);
    const part = masked(b, wins, rest);
    if (i + 1 < all.length) rest = b.sub(rest, part);
    return part;
  });
  return writeTaps(b, parts, windows, lead);
};

/** Windows side by side: y and dy repeated over them; a second pool over ranks picks the first of equal ones. */
const repeated: MaxWay = ({ b, x, y, dy, windows, pool }) => {
  const grow = (value: Value): Value => repeat(b, value, windows);
  const ranked = masked(b, b.op("Equal", [x, grow(y)]), b.initializer(ranks(windows), "ranks"));
  const best = pool(ranked, false)[0]!;
  return masked(b, b.op("Equal", [ranked, grow(best)]), grow(dy));
};

/** The value where a condition holds, 0 elsewhere: a product, because Where takes 5 times as long on a random mask. */
const masked = (b: Builder, condition: Value, value: Value): Value => b.mul(b.indicator(condition), value);

/** Each output as many times as its window is long: nearest-neighbour resizing. */
export function repeat(b: Builder, value: Value, windows: Windows): Value {
  const scales = b.initializer(Tensor.float32([windows.kernel.length + 2], [1, 1, ...windows.kernel]), "scales");
  return b.op("Resize", [value, undefined, scales], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" },
  });
}

/** [1, 1, …input]: k for the first element of a window down to 1 for the last. */
function ranks({ kernel, input }: Windows): Tensor {
  const values = new Float32Array(product(input));
  for (const [i, place] of tapsOf(input).entries()) {
    const tap = place.reduce((all, at, axis) => all * kernel[axis]! + (at % kernel[axis]!), 0);
    values[i] = product(kernel) - tap;
  }
  return Tensor.float32([1, 1, ...input], values);
}

const WAYS = { repeated, taps, indices } as const satisfies Readonly<Record<string, MaxWay>>;

export type MaxWayName = keyof typeof WAYS;

/** ScatterElements adds from this opset on. */
const SCATTER_ADDS_SINCE = 16;

/** The ways that these windows allow, the usual best first. */
export function maxWays(windows: Windows, opset: number): readonly MaxWayName[] {
  const ways: MaxWayName[] = isTiled(windows) ? ["repeated", "taps"] : ["taps"];
  return opset >= SCATTER_ADDS_SINCE ? [...ways, "indices"] : ways;
}

/** dx of a maximum by one of {@link maxWays}. */
export function maxGradient(way: MaxWayName, parts: MaxParts): Value {
  return WAYS[way](parts);
}
