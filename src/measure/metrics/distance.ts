/**
 * @file Distances of a result's outputs from the original's: cosine, SQNR, Kullback–Leibler divergence.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { InputError } from "../../util/errors.ts";
import { elementsOf, toDecibels } from "../compare.ts";
import { type Metric, ratioOfSums, type Truth } from "./metric.ts";
import type { MetricOptions } from "./options.ts";
import { chooseOutput } from "./outputs.ts";

interface Both {
  readonly reference: ArrayLike<number>;
  readonly other: ArrayLike<number>;
  /** Elements along the last axis. */
  readonly width: number;
}

/** The same float output of both. */
function bothOutputs(outputs: Tensors, truth: Truth, options: MetricOptions): Both {
  const original = "reference" in truth ? truth.reference : {};
  const fits = (tensor: Tensor): boolean => isFloatingPoint(tensor.dtype);
  const reference = chooseOutput(original, options, fits, "an output of floats");
  const name = Object.keys(original).find((key) => original[key] === reference)!;
  const other = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
  if (other === undefined || other.size !== reference.size || !isFloatingPoint(other.dtype)) {
    const problem = `expected ${reference}, got ${other ?? "none"}`;
    throw new InputError({ area: "metric", subject: `output "${name}"`, problem });
  }
  return { reference: elementsOf(reference), other: elementsOf(other), width: reference.dims.at(-1) ?? 1 };
}

/** Σ a·b ÷ √(Σ a² · Σ b²) of the original's and the result's elements over all samples; 1 where both are all zeros. */
export const cosine: Metric = {
  name: "cosine",
  summary: "cosine of the angle to the original's output",
  direction: "higher",
  unit: "value",
  needs: "reference",
  perfect: 1,
  contribute(outputs, truth, options) {
    const { reference, other } = bothOutputs(outputs, truth, options);
    let [dot, a2, b2] = [0, 0, 0];
    for (let i = 0; i < reference.length; i++) {
      const [a, b] = [reference[i]!, other[i]!];
      dot += a * b;
      a2 += a * a;
      b2 += b * b;
    }
    return [dot, a2, b2];
  },
  aggregate([dot = 0, a2 = 0, b2 = 0]) {
    if (a2 === 0 && b2 === 0) return 1;
    // The same vector gives 1: rounding may leave a little more.
    const lengths = Math.sqrt(a2) * Math.sqrt(b2);
    return lengths === 0 ? 0 : Math.min(1, Math.max(-1, dot / lengths));
  },
};

/** 10 · log10(Σ original² ÷ Σ (original − result)²) over all samples, in dB. */
export const sqnr: Metric = {
  name: "sqnr",
  summary: "signal-to-quantization-noise ratio of the output",
  direction: "higher",
  unit: "dB",
  needs: "reference",
  perfect: Number.POSITIVE_INFINITY,
  contribute(outputs, truth, options) {
    const { reference, other } = bothOutputs(outputs, truth, options);
    let [signal, noise] = [0, 0];
    for (let i = 0; i < reference.length; i++) {
      const [a, b] = [reference[i]!, other[i]!];
      signal += a * a;
      noise += (a - b) * (a - b);
    }
    return [signal, noise];
  },
  aggregate: ([signal = 0, noise = 0]) => toDecibels(signal, noise),
};

/**
 * Mean over rows of Σ p · ln(p ÷ q): p the original's distribution along the last axis, q the result's. Rows of scores
 * are made distributions by softmax; rows that are some already (no negative, sum 1 within 1e-3) are taken as they are.
 * Source: Kullback & Leibler, On Information and Sufficiency (1951), §2, in natural logarithms.
 */
export const kl: Metric = {
  name: "kl",
  summary: "Kullback–Leibler divergence from the original's distribution",
  direction: "lower",
  unit: "nats",
  needs: "reference",
  perfect: 0,
  contribute(outputs, truth, options) {
    const { reference, other, width } = bothOutputs(outputs, truth, options);
    const rows = reference.length / width;
    let sum = 0;
    const distributions = isDistribution(reference, width) && isDistribution(other, width);
    for (let row = 0; row < rows; row++) {
      const p = logarithms(reference, row * width, width, distributions);
      const q = logarithms(other, row * width, width, distributions);
      for (let i = 0; i < width; i++) if (p[i]! > Number.NEGATIVE_INFINITY) sum += Math.exp(p[i]!) * (p[i]! - q[i]!);
    }
    // Rounding may leave a little less than nothing.
    return [Math.max(0, sum), rows];
  },
  aggregate: ratioOfSums,
};

const SUM_TOLERANCE = 1e-3;
/** What a result may give for a class that it rules out: float32's smallest normal number, so that the divergence stays finite. */
const LEAST_PROBABILITY = 2 ** -126;

function isDistribution(values: ArrayLike<number>, width: number): boolean {
  for (let start = 0; start < values.length; start += width) {
    let sum = 0;
    for (let i = start; i < start + width; i++) {
      if (values[i]! < 0) return false;
      sum += values[i]!;
    }
    if (!(Math.abs(sum - 1) <= SUM_TOLERANCE)) return false;
  }
  return true;
}

/** Logarithms of a row's probabilities. */
function logarithms(values: ArrayLike<number>, start: number, width: number, probabilities: boolean): Float64Array {
  const row = Float64Array.from({ length: width }, (_, i) => values[start + i]!);
  if (probabilities) return row.map((value) => Math.log(Math.max(value, LEAST_PROBABILITY)));
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
  return row.map((value) => value - largest - Math.log(sum));
}
