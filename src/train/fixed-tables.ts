/**
 * @file Constants that were computed and not learned, told by their values: sines and cosines (position tables, rotary
 * embeddings, Fourier bases), masks, and whole numbers (grids, anchors, strides, ranges). Weights that were trained, or drawn
 * at random, are none of these in all their elements.
 */
import type { Tensor } from "../tensor/tensor.ts";

/** Sines in float32, some computed in float16 before. */
const TOLERANCE = 2e-3;
/** Fewer elements may be anything. */
const LEAST = 4;

/** What the constant is, or undefined for what may be a weight. */
export function describeFixed(tensor: Tensor): string | undefined {
  if (tensor.size < LEAST) return undefined;
  const values = tensor.floats();
  if (isMask(values)) return "a mask: nothing but 0 and one large negative number";
  if (isSinusoid(values, tensor.dims)) return "a table of sines and cosines";
  return undefined;
}

/** Of terms of sums and products only: weights of a net without training may be a few whole numbers, too. */
export function isWholeNumbers(tensor: Tensor): boolean {
  if (tensor.size < LEAST) return false;
  const values = tensor.floats();
  // Gains that are all 1 and biases that are all 0 are how training begins.
  if (values.every((x) => x === values[0])) return false;
  // Of 0 and 1 alone: gains of which some were set to 0, or biases of gates. Both are learned.
  return values.every((x) => Number.isInteger(2 * x)) && values.some((x) => Math.abs(x) > 1);
}

/** 0 and one number so low that its exponential is nothing; infinity, too. Swin's masks have −100. */
function isMask(values: Float32Array): boolean {
  const low = values.find((x) => x !== 0);
  return low !== undefined && low <= -50 && values.every((x) => x === 0 || x === low) && values.includes(0);
}

/**
 * sin² + cos² = 1, wherever the two stand: in halves of the last axis, in neighbours, or in halves of the first (a Fourier
 * basis [2F, …, N], there times a window: the same sum for all frequencies).
 */
function isSinusoid(values: Float32Array, dims: readonly number[]): boolean {
  const columns = dims.at(-1) ?? 1;
  const half = columns / 2;
  const one = (x: number): boolean => Math.abs(x - 1) <= TOLERANCE;
  const squares = (at: number, other: number): number => values[at]! ** 2 + values[other]! ** 2;
  const all = (count: number, holds: (i: number) => boolean): boolean => {
    for (let i = 0; i < count; i++) if (!holds(i)) return false;
    return true;
  };
  if (values.length >= 8 && Number.isInteger(half)) {
    const pairs = values.length / 2;
    const halves = (i: number): boolean => {
      const at = Math.floor(i / half) * columns + (i % half);
      return one(squares(at, at + half));
    };
    if (all(pairs, halves) || all(pairs, (i) => one(squares(2 * i, 2 * i + 1)))) return true;
  }
  const rows = dims[0] ?? 1;
  const size = values.length / rows;
  if (dims.length < 2 || rows % 2 !== 0 || rows < 8 || size < 8) return false;
  const middle = values.length / 2;
  const wanted = Array.from({ length: size }, (_, i) => squares(i, middle + i));
  const most = Math.max(...wanted);
  return most > 0 && all(middle, (i) => Math.abs(squares(i, middle + i) - wanted[i % size]!) <= TOLERANCE * most);
}

/** Whether two constants are a table of cosines and one of sines, as rotary embeddings have them. */
export function areCosineAndSine(a: Tensor, b: Tensor): boolean {
  if (a.size < 8 || String(a) !== String(b)) return false;
  const [x, y] = [a.floats(), b.floats()];
  return x.every((value, i) => Math.abs(value ** 2 + y[i]! ** 2 - 1) <= TOLERANCE);
}
