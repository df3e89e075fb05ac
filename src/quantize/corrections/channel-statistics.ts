/**
 * @file Means of activations per channel: from batch normalizations, without any data, or from calibration data.
 *
 *   behind a batch normalization   x_c ~ N(β_c, γ_c²)
 *   clipped to [a, b]              E = γ (φ(A) − φ(B)) + β (Φ(B) − Φ(A)) + a Φ(A) + b (1 − Φ(B))
 *                                  with A = (a − β) / γ,  B = (b − β) / γ;  Relu: a = 0, b = ∞
 *
 * Source: Nagel et al. 2019, section 4.2.1 and appendix C.
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { clipBounds } from "./homogeneous.ts";

/** What a batch normalization says about the channels of its output. */
export interface ChannelStatistics {
  /** β. */
  readonly mean: Float64Array;
  /** |γ|. */
  readonly deviation: Float64Array;
}

/**
 * Statistics of all batch normalizations, by the name of their output. To be called before the clean-up, which fuses them into
 * the convolution before them; that makes the value of the same name then. Equalization and SmoothQuant change what the
 * names stand for: it holds for the model before them.
 */
export function batchNormStatistics(model: Model): Map<string, ChannelStatistics> {
  const found = new Map<string, ChannelStatistics>();
  for (const node of model.allNodes()) {
    if (!node.is("BatchNormalization")) continue;
    const [gamma, beta] = [node.inputs[1]?.constant, node.inputs[2]?.constant];
    if (gamma === undefined || beta === undefined) continue;
    found.set(node.output().name, {
      mean: Float64Array.from(beta.floats()),
      deviation: Float64Array.from(gamma.floats(), Math.abs),
    });
  }
  return found;
}

interface Moments {
  readonly mean: Float64Array;
  /** Undefined where the distribution is not normal any more. */
  readonly deviation: Float64Array | undefined;
}

/** Expected means per channel of a value, from what is known about values before it; undefined where too little is. */
export function expectedMeans(
  value: Value,
  statistics: ReadonlyMap<string, ChannelStatistics>,
): Float64Array | undefined {
  return momentsOf(value, statistics, REACH)?.mean;
}

const REACH = 16;

function momentsOf(
  value: Value,
  statistics: ReadonlyMap<string, ChannelStatistics>,
  reach: number,
): Moments | undefined {
  const known = statistics.get(value.name);
  if (known !== undefined) return known;
  const node = value.producer;
  const rule = node?.domain === "" ? RULES[node.opType] : undefined;
  if (node === undefined || rule === undefined || reach === 0) return undefined;
  const inputs = node.inputs.slice(0, rule.inputs).map((input) => input && momentsOf(input, statistics, reach - 1));
  return inputs.every((input) => input !== undefined) ? rule.apply(node, inputs) : undefined;
}

interface Rule {
  readonly inputs: number;
  apply(node: Node, inputs: readonly Moments[]): Moments | undefined;
}

function clipped(low: number, high: number): (mean: number, deviation: number) => number {
  return (mean, deviation) => clippedNormalMean(mean, deviation, low, high);
}

function each({ mean, deviation }: Moments, f: (mean: number, deviation: number) => number): Moments | undefined {
  return deviation && { mean: mean.map((m, c) => f(m, deviation[c]!)), deviation: undefined };
}

const same: Rule = { inputs: 1, apply: (_node, [x]) => x };
/** Averages keep means; what they do to the spread depends on how neighbours go together. */
const average: Rule = { inputs: 1, apply: (_node, [x]) => ({ mean: x!.mean, deviation: undefined }) };

const RULES: Readonly<Record<string, Rule>> = {
  Identity: same,
  Dropout: same,
  GlobalAveragePool: average,
  AveragePool: average,
  Relu: { inputs: 1, apply: (_node, [x]) => each(x!, clipped(0, Number.POSITIVE_INFINITY)) },
  Clip: {
    inputs: 1,
    apply: (node, [x]) => {
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = clipBounds(node);
      return Number.isNaN(min) || Number.isNaN(max) ? undefined : each(x!, clipped(min, max));
    },
  },
  // α x + (1 − α) max(0, x)
  LeakyRelu: {
    inputs: 1,
    apply: (node, [x]) => {
      const alpha = node.float("alpha", 0.01);
      const relu = clipped(0, Number.POSITIVE_INFINITY);
      return each(x!, (mean, deviation) => alpha * mean + (1 - alpha) * relu(mean, deviation));
    },
  },
  Add: {
    inputs: 2,
    apply: (_node, [a, b]) =>
      a!.mean.length === b!.mean.length
        ? { mean: a!.mean.map((m, c) => m + b!.mean[c]!), deviation: undefined }
        : undefined,
  },
};

/** E[min(max(x, low), high)] for x ~ N(mean, deviation²); bounds may be infinite. */
export function clippedNormalMean(mean: number, deviation: number, low: number, high: number): number {
  if (deviation === 0) return Math.min(Math.max(mean, low), high);
  const a = (low - mean) / deviation;
  const b = (high - mean) / deviation;
  const below = Number.isFinite(low) ? low * normalCdf(a) : 0;
  const above = Number.isFinite(high) ? high * normalCdf(-b) : 0;
  return deviation * (density(a) - density(b)) + mean * (normalCdf(b) - normalCdf(a)) + below + above;
}

function density(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

/** Φ. Chebyshev fit of erfc with a relative error under 1.2e-7 (Press et al., Numerical Recipes, section 6.2). */
function normalCdf(x: number): number {
  if (x === Number.POSITIVE_INFINITY) return 1;
  if (x === Number.NEGATIVE_INFINITY) return 0;
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + z / 2);
  let sum = 0;
  for (const coefficient of ERFC) sum = sum * t + coefficient;
  const tail = (t * Math.exp(-z * z + sum)) / 2;
  return x > 0 ? 1 - tail : tail;
}

/** Highest power first. */
const ERFC = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
  -1.26551223,
] as const;

/** Sums per channel of tensors that come one by one. */
export class ChannelMeans {
  readonly #axis: number;
  #sums: Float64Array | undefined;
  #count = 0;

  /** @param axis of the channels, from the end. */
  constructor(axis: number) {
    this.#axis = axis;
  }

  add(data: Float32Array, dims: readonly number[]): void {
    const at = dims.length + this.#axis;
    const channels = dims[at] ?? 1;
    const inner = dims.slice(at + 1).reduce((a, b) => a * b, 1);
    this.#sums ??= new Float64Array(channels);
    if (this.#sums.length !== channels || data.length === 0) return;
    for (let start = 0, row = 0; start < data.length; start += inner, row++) {
      let sum = 0;
      for (let i = start; i < start + inner; i++) sum += data[i]!;
      this.#sums[row % channels]! += sum;
    }
    this.#count += data.length / channels;
  }

  /** Undefined where nothing came. */
  means(): Float64Array | undefined {
    return this.#count === 0 ? undefined : this.#sums?.map((sum) => sum / this.#count);
  }
}
