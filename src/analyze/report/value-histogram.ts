/**
 * @file A value of the original in numbers: how often it takes which, and what the quantized file does to it.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { RangeHistogram } from "../../quantize/observers/range-histogram.ts";
import { CODE_RANGES, type CodeDType } from "../../quantize/qparams.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** The numbers that codes stand for; others become the nearest of them. */
export interface ClippingRange {
  readonly min: number;
  readonly max: number;
  readonly dtype: CodeDType;
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface ValueHistogram {
  readonly name: string;
  /** The node that makes it, in the original. */
  readonly node: string;
  readonly opType: string;
  /** Finite elements that were counted, over all samples. */
  readonly elements: number;
  /** NaN and infinities. */
  readonly nonFinite: number;
  /** The least and the largest finite element. */
  readonly low: number;
  readonly high: number;
  /** Of equal bins from low to high. */
  readonly counts: readonly number[];
  /** Undefined: it is not quantized, or its range is found anew for each input. */
  readonly range: ClippingRange | undefined;
  /** Its range is found while the model runs. */
  readonly dynamic: boolean;
  /** Shares of the elements under and over the range; 0 without one. */
  readonly below: number;
  readonly above: number;
}

const BINS = 256;

/** Counts one value sample by sample; takes as much memory as its bins, whatever passes. */
export class HistogramCounter {
  readonly #histogram = new RangeHistogram(BINS);
  readonly #about: Pick<ValueHistogram, "name" | "node" | "opType" | "range" | "dynamic">;
  #elements = 0;
  #nonFinite = 0;
  #below = 0;
  #above = 0;

  constructor(about: Pick<ValueHistogram, "name" | "node" | "opType" | "range" | "dynamic">) {
    this.#about = about;
  }

  add(tensor: Tensor): void {
    const all = tensor.floats();
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    let below = 0;
    let above = 0;
    let nonFinite = 0;
    const { min, max } = this.#about.range ?? { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
    // What rounds to the last code is not clipped.
    const half = (this.#about.range?.scale ?? 0) / 2;
    for (let i = 0; i < all.length; i++) {
      const x = all[i]!;
      if (x - x !== 0) nonFinite++;
      else {
        if (x < low) low = x;
        if (x > high) high = x;
        if (x < min - half) below++;
        else if (x > max + half) above++;
      }
    }
    this.#elements += all.length - nonFinite;
    this.#nonFinite += nonFinite;
    this.#below += below;
    this.#above += above;
    if (low > high) return;
    const data = nonFinite === 0 ? all : all.filter(Number.isFinite);
    this.#histogram.grow(low, high);
    this.#histogram.count(data, 0, data.length, 1);
  }

  /** Undefined where there was nothing finite. */
  result(): ValueHistogram | undefined {
    if (this.#elements === 0) return undefined;
    return {
      ...this.#about,
      elements: this.#elements,
      nonFinite: this.#nonFinite,
      low: this.#histogram.low,
      high: this.#histogram.high,
      counts: [...this.#histogram.counts],
      below: this.#below / this.#elements,
      above: this.#above / this.#elements,
    };
  }
}

/** What the quantized model does to one of its values. */
export function rangeOf(value: Value): Pick<ValueHistogram, "range" | "dynamic"> {
  let dynamic = false;
  for (const user of value.users) {
    if (user.inputs[0] !== value) continue;
    if (user.opType.startsWith("DynamicQuantize")) dynamic = true;
    const range = user.opType === "QuantizeLinear" ? rangeOfNode(user) : undefined;
    if (range !== undefined) return { range, dynamic: false };
  }
  return { range: undefined, dynamic };
}

/** Undefined for a scale that is computed, or one per channel. */
function rangeOfNode(node: Node): ClippingRange | undefined {
  const [, scales, zeroPoints] = node.inputs;
  const scale = scales?.constant;
  const zero = zeroPoints?.constant;
  // A zero point that is computed, or of a type that is no integer's, says nothing.
  const dtype = zeroPoints === undefined ? "uint8" : zero?.dtype;
  if (scale?.size !== 1 || dtype === undefined || !(dtype in CODE_RANGES)) return undefined;
  const { qmin, qmax } = CODE_RANGES[dtype as CodeDType];
  const step = Number(scale.floats()[0]);
  const zeroPoint = zero === undefined ? 0 : Number(zero.numbers()[0]);
  return {
    min: (qmin - zeroPoint) * step,
    max: (qmax - zeroPoint) * step,
    dtype: dtype as CodeDType,
    scale: step,
    zeroPoint,
  };
}
