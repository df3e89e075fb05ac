/**
 * @file The arithmetic of cross-layer equalization: factors with which the weights of neighbouring layers use the same
 * range in every channel.
 *
 *   s_c = √(r1_c / r2_c)      W1 := W1 / s,  b1 := b1 / s,  W2 := W2 · s
 *
 * r1_c is the range of the weights that make channel c, r2_c of those that read it; afterwards both are √(r1_c · r2_c).
 * Chains are done pair by pair until nothing changes: their fixed point is the closed form for three layers with a
 * depthwise one in the middle, all ranges ∛(r1 · r2 · r3). Source: Nagel et al. 2019, section 4.1, equation 11.
 */
import { blockMaxima, forEachBlock, type LinearLayer } from "./linear-layer.ts";

/** Two layers and how entries of the second one's input belong to channels of the first one's output. */
export interface Pair {
  readonly first: LinearLayer;
  readonly second: LinearLayer;
  /** Entries per channel: more than one behind a Flatten. */
  readonly repeat: number;
}

export interface EqualizeOptions {
  /** Largest factor and its reciprocal the smallest. Default 1000. */
  readonly limit?: number;
  /** Ends when no factor changes by more than this part. Default 0.001. */
  readonly tolerance?: number;
  /** Default 100. */
  readonly iterations?: number;
}

export interface Equalized {
  /** Factors by pair, one for each output channel of its first layer; all are positive. */
  readonly factors: readonly Float64Array[];
  readonly iterations: number;
}

/** Channels whose weights are this much smaller than the largest are as good as dead: nothing is gained, and biases would explode. */
const DEAD = 1e-6;

/** Factors for all pairs together. A layer is the first of at most one pair and the second of at most one. */
export function equalize(pairs: readonly Pair[], options: EqualizeOptions = {}): Equalized {
  const { limit = 1000, tolerance = 1e-3, iterations = 100 } = options;
  const maxima = new Map<LinearLayer, Float32Array>();
  const factorsOf = new Map<LinearLayer, Float64Array>(); // by first layer
  const before = new Map<LinearLayer, Pair>(); // by second layer
  for (const pair of pairs) {
    for (const layer of [pair.first, pair.second]) if (!maxima.has(layer)) maxima.set(layer, blockMaxima(layer));
    factorsOf.set(pair.first, new Float64Array(pair.first.outputs).fill(1));
    before.set(pair.second, pair);
  }

  /** Ranges of a layer's channels with the factors that it has now. */
  const ranges = (layer: LinearLayer, side: "outputs" | "inputs"): Float64Array => {
    const found = new Float64Array(layer[side]);
    const own = factorsOf.get(layer);
    const previous = before.get(layer);
    const incoming = previous && factorsOf.get(previous.first)!;
    const repeat = previous?.repeat ?? 1;
    const values = maxima.get(layer)!;
    forEachBlock(layer, (block, output, input) => {
      const factor = (incoming === undefined ? 1 : incoming[Math.floor(input / repeat)]!) / (own?.[output] ?? 1);
      const channel = side === "outputs" ? output : input;
      const value = values[block]! * factor;
      if (value > found[channel]!) found[channel] = value;
    });
    return found;
  };
  const sides = ({ first, second, repeat }: Pair): readonly [Float64Array, Float64Array] => [
    ranges(first, "outputs"),
    largestOfRuns(ranges(second, "inputs"), repeat),
  ];

  const alive = pairs.map((pair) => {
    const [r1, r2] = sides(pair).map((range) => ({ range, floor: DEAD * largest(range) })) as [Floored, Floored];
    return Array.from(r1.range, (range, c) => range > r1.floor && r2.range[c]! > r2.floor);
  });
  let done = 0;
  for (let change = Number.POSITIVE_INFINITY; change > tolerance && done < iterations; done++) {
    change = 0;
    for (const [index, pair] of pairs.entries()) {
      const [r1, r2] = sides(pair);
      const factors = factorsOf.get(pair.first)!;
      for (let c = 0; c < factors.length; c++) {
        if (!alive[index]![c]) continue;
        const old = factors[c]!;
        const wanted = old * Math.sqrt(r1[c]! / r2[c]!);
        factors[c] = Math.min(Math.max(wanted, 1 / limit), limit);
        change = Math.max(change, Math.abs(Math.log(factors[c]! / old)));
      }
    }
  }
  return { factors: pairs.map(({ first }) => factorsOf.get(first)!), iterations: done };
}

interface Floored {
  readonly range: Float64Array;
  readonly floor: number;
}

function largest(values: Float64Array): number {
  return values.reduce((a, b) => Math.max(a, b), 0);
}

/** The largest of every run of `repeat` entries. */
export function largestOfRuns(values: Float64Array, repeat: number): Float64Array {
  if (repeat === 1) return values;
  const runs = new Float64Array(values.length / repeat);
  for (let i = 0; i < values.length; i++) {
    const run = Math.floor(i / repeat);
    if (values[i]! > runs[run]!) runs[run] = values[i]!;
  }
  return runs;
}

/** One factor per entry of an axis in which every channel is a run of `repeat` entries. */
export function repeated(factors: Float64Array, repeat: number): Float64Array {
  if (repeat === 1) return factors;
  return Float64Array.from({ length: factors.length * repeat }, (_, i) => factors[Math.floor(i / repeat)]!);
}
