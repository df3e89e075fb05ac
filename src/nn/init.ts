/**
 * @file Initializers of parameters, with PyTorch's names and distributions.
 * Source: torch.nn.init; Glorot & Bengio 2010 (Xavier), He et al. 2015 (Kaiming), Saxe et al. 2014 (orthogonal).
 */
import { elementCount } from "../tensor/dtype.ts";
import { OptionError } from "../util/errors.ts";
import type { Random } from "../util/random.ts";

/** Values of a tensor of these dimensions, row-major. */
export type Initializer = (dims: readonly number[], random: Random) => Float32Array;

const fill = (dims: readonly number[], next: () => number): Float32Array =>
  Float32Array.from({ length: elementCount(dims) }, next);

/** Every element `value`. */
export const constant =
  (value: number): Initializer =>
  (dims) =>
    fill(dims, () => value);

export const zeros: Initializer = constant(0);
export const ones: Initializer = constant(1);

/** U(low, high). */
export const uniform =
  (low = 0, high = 1): Initializer =>
  (dims, random) =>
    fill(dims, () => low + (high - low) * random.next());

/** N(mean, std²). */
export const normal =
  (mean = 0, std = 1): Initializer =>
  (dims, random) =>
    fill(dims, () => mean + std * random.normal());

/**
 * N(mean, std²) cut to [low, high] (values, not numbers of standard deviations).
 * @throws OptionError for a range that begins more than 3 std from the mean, where next to nothing is.
 */
export const truncNormal =
  (mean = 0, std = 1, low = -2, high = 2): Initializer =>
  (dims, random) => {
    const nearest = Math.min(Math.max(mean, low), high);
    if (!(low < high) || !(Math.abs(nearest - mean) <= 3 * std)) {
      const problem = `expected a range within 3 std of N(${mean}, ${std}²), got [${low}, ${high}]`;
      throw new OptionError({ area: "nn", subject: "truncNormal", problem });
    }
    const density = (x: number): number => Math.exp(-((x - mean) ** 2 - (nearest - mean) ** 2) / (2 * std * std));
    // Rejection: of uniform draws where the range is narrow, of normal ones where it is wide.
    const narrow = high - low < 3 * std;
    return fill(dims, () => {
      for (;;) {
        const value = narrow ? low + (high - low) * random.next() : mean + std * random.normal();
        if (narrow ? random.next() < density(value) : value >= low && value <= high) return value;
      }
    });
  };

/** Inputs and outputs per element of a weight `[out, in, …kernel]`. @throws OptionError for fewer than two dimensions. */
export function fans(dims: readonly number[]): { readonly fanIn: number; readonly fanOut: number } {
  if (dims.length < 2) {
    const problem = `expected at least two dimensions, got [${dims.join(", ")}]`;
    throw new OptionError({ area: "nn", subject: "fan in and fan out", problem });
  }
  const field = elementCount(dims.slice(2));
  return { fanIn: dims[1]! * field, fanOut: dims[0]! * field };
}

export type Nonlinearity = "linear" | "conv2d" | "sigmoid" | "tanh" | "relu" | "leaky_relu" | "selu";

/** The factor by which a nonlinearity wants weights larger. `param`: slope of leaky_relu, default 0.01. */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  if (nonlinearity === "tanh") return 5 / 3;
  if (nonlinearity === "relu") return Math.SQRT2;
  if (nonlinearity === "leaky_relu") return Math.sqrt(2 / (1 + param * param));
  return nonlinearity === "selu" ? 3 / 4 : 1;
}

/** U(±gain √(6 / (fanIn + fanOut))). */
export const xavierUniform =
  (gain = 1): Initializer =>
  (dims, random) => {
    const { fanIn, fanOut } = fans(dims);
    const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
    return uniform(-bound, bound)(dims, random);
  };

/** N(0, gain² · 2 / (fanIn + fanOut)). */
export const xavierNormal =
  (gain = 1): Initializer =>
  (dims, random) => {
    const { fanIn, fanOut } = fans(dims);
    return normal(0, gain * Math.sqrt(2 / (fanIn + fanOut)))(dims, random);
  };

export interface KaimingOptions {
  /** Slope of leaky_relu. Default 0. */
  readonly a?: number;
  /** Default "fanIn". */
  readonly mode?: "fanIn" | "fanOut";
  /** Default "leaky_relu". */
  readonly nonlinearity?: Nonlinearity;
}

function kaimingStd(dims: readonly number[], options: KaimingOptions): number {
  const { a = 0, mode = "fanIn", nonlinearity = "leaky_relu" } = options;
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(dims)[mode]);
}

/** U(±gain √(3 / fan)). */
export const kaimingUniform =
  (options: KaimingOptions = {}): Initializer =>
  (dims, random) => {
    const bound = Math.sqrt(3) * kaimingStd(dims, options);
    return uniform(-bound, bound)(dims, random);
  };

/** N(0, gain² / fan). */
export const kaimingNormal =
  (options: KaimingOptions = {}): Initializer =>
  (dims, random) =>
    normal(0, kaimingStd(dims, options))(dims, random);

/**
 * A matrix [rows, rest] with orthonormal rows (or columns where there are more rows), uniformly distributed, times `gain`.
 * Gram–Schmidt, twice for accuracy, is the QR decomposition with a positive diagonal, which PyTorch's signs make, too.
 */
export const orthogonal =
  (gain = 1): Initializer =>
  (dims, random) => {
    fans(dims);
    const rows = dims[0]!;
    const columns = elementCount(dims.slice(1));
    const [count, length] = rows < columns ? [rows, columns] : [columns, rows];
    const basis: Float64Array[] = [];
    for (let i = 0; i < count; i++) {
      const v = Float64Array.from({ length }, () => random.normal());
      for (let pass = 0; pass < 2; pass++) {
        for (const u of basis) {
          const along = u.reduce((sum, x, j) => sum + x * v[j]!, 0);
          for (let j = 0; j < length; j++) v[j]! -= along * u[j]!;
        }
      }
      const norm = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
      basis.push(v.map((x) => x / norm));
    }
    return Float32Array.from(
      { length: rows * columns },
      (_, k) =>
        gain *
        (rows < columns
          ? basis[Math.floor(k / columns)]![k % columns]!
          : basis[k % columns]![Math.floor(k / columns)]!),
    );
  };
