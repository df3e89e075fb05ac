/**
 * @file How far the outputs of one model are from those of another on the same inputs, over any number of samples.
 */
import type { Tensors } from "../runtime/runtime.ts";
import { isFloatingPoint, type Tensor, type TensorData } from "../tensor/tensor.ts";
import { messageOf } from "../util/errors.ts";
import { argmax } from "./argmax.ts";

/** Non-finite elements, counted. */
export interface NonFinite {
  /** In the reference. */
  readonly reference: number;
  /** In the other output. */
  readonly other: number;
  /** Places where the two do not have the same: one is finite, or NaN stands against an infinity, or signs differ. */
  readonly differing: number;
}

/**
 * A floating-point output over all samples as if they were concatenated. The same NaN or infinity at the same place
 * counts as equal and takes no part in the sums. One place that differs so (`nonFinite.differing`) makes the output as
 * wrong as can be: maxAbs and relative Infinity, cosine 0, sqnr −Infinity.
 */
export interface FloatComparison {
  readonly kind: "float";
  readonly name: string;
  readonly samples: number;
  /** Number of elements. */
  readonly elements: number;
  /** Largest |reference − other|. */
  readonly maxAbs: number;
  /** maxAbs ÷ largest |reference|; 0 where both are 0, Infinity where only the reference is. */
  readonly relative: number;
  /** 1 = same direction; 1 where both are all zeros, 0 where one is. */
  readonly cosine: number;
  /** 10 · log10(Σ reference² ÷ Σ (reference − other)²), in dB; Infinity where they are equal. */
  readonly sqnr: number;
  /** Share of rows along the last axis whose largest element (the first of equals) stands at the same place. Undefined where the last axis has fewer than 2 elements. */
  readonly agreementArgmax: number | undefined;
  readonly nonFinite: NonFinite;
}

/** An output of integers, booleans or strings. */
export interface ExactComparison {
  readonly kind: "exact";
  readonly name: string;
  readonly samples: number;
  readonly elements: number;
  /** Share of equal elements; 1 where there are none. */
  readonly equal: number;
}

/** An output that could not be compared in at least one sample. */
export interface MismatchComparison {
  readonly kind: "mismatch";
  readonly name: string;
  /** The first sample it was seen in, from 0. */
  readonly sample: number;
  /** "expected float32[1,10], got float32[1,11]", "missing", "not in the original", … */
  readonly problem: string;
}

export type OutputComparison = FloatComparison | ExactComparison | MismatchComparison;

/** Compares sample after sample, keeping sums only. */
export interface Comparer {
  /** Adds the outputs of one sample: the original's and the other model's. Never throws. */
  add(reference: Tensors, other: Tensors): void;
  /** One entry per output, in the order in which they appeared. May be asked for at any time. */
  result(): readonly OutputComparison[];
}

export function createComparer(): Comparer {
  const outputs = new Map<string, Accumulator>();
  let sample = 0;
  return {
    add(reference, other) {
      for (const name of new Set([...Object.keys(reference), ...Object.keys(other)])) {
        const accumulator = outputs.get(name) ?? new Accumulator();
        outputs.set(name, accumulator);
        accumulator.add(sample, ownTensor(reference, name), ownTensor(other, name));
      }
      sample++;
    },
    result: () => [...outputs].map(([name, accumulator]) => accumulator.result(name)),
  };
}

/** {@link createComparer} for one sample. */
export function compareOutputs(reference: Tensors, other: Tensors): readonly OutputComparison[] {
  const comparer = createComparer();
  comparer.add(reference, other);
  return comparer.result();
}

function ownTensor(tensors: Tensors, name: string): Tensor | undefined {
  return Object.hasOwn(tensors, name) ? tensors[name] : undefined;
}

/** The sums of one output. */
class Accumulator {
  #kind: "float" | "exact" | undefined;
  #mismatch: { sample: number; problem: string } | undefined;
  #samples = 0;
  #elements = 0;
  #equal = 0;
  #maxAbs = 0;
  #maxReference = 0;
  #error2 = 0;
  #reference2 = 0;
  #other2 = 0;
  #dot = 0;
  #rows = 0;
  #rowsAgreeing = 0;
  #nonFinite = { reference: 0, other: 0, differing: 0 };

  add(sample: number, reference: Tensor | undefined, other: Tensor | undefined): void {
    if (this.#mismatch !== undefined) return;
    const problem = this.#add(reference, other);
    if (problem !== undefined) this.#mismatch = { sample, problem };
  }

  /** The reason why the two cannot be compared, if there is one. */
  #add(reference: Tensor | undefined, other: Tensor | undefined): string | undefined {
    if (reference === undefined) return "not in the original";
    if (other === undefined) return "missing";
    const kind = isFloatingPoint(reference.dtype) ? "float" : "exact";
    // Floats of another width are compared by value: a float16 model may well have float16 outputs.
    const comparable = kind === "float" ? isFloatingPoint(other.dtype) : other.dtype === reference.dtype;
    const sameShape =
      reference.dims.length === other.dims.length && reference.dims.every((dim, i) => dim === other.dims[i]);
    if (!comparable || !sameShape) return `expected ${reference}, got ${other}`;
    if (this.#kind !== undefined && this.#kind !== kind)
      return `expected the same type in each sample, got ${reference}`;
    try {
      if (kind === "float") this.#addFloats(elementsOf(reference), elementsOf(other), reference.dims);
      else this.#addExact(reference.strings ?? reference.data(), other.strings ?? other.data());
    } catch (error) {
      return messageOf(error); // a type whose elements cannot be read
    }
    this.#kind = kind;
    this.#samples++;
    this.#elements += reference.size;
    return undefined;
  }

  #addFloats(a: ArrayLike<number>, b: ArrayLike<number>, dims: readonly number[]): void {
    // Plain locals: a destructured `let [a, b] = [0, 0]` here was five times slower.
    let error2 = 0;
    let reference2 = 0;
    let other2 = 0;
    let dot = 0;
    let maxAbs = this.#maxAbs;
    let maxReference = this.#maxReference;
    for (let i = 0; i < a.length; i++) {
      const x = a[i]!;
      const y = b[i]!;
      const difference = x - y;
      if (x - x === 0 && y - y === 0) {
        // Both are finite.
        error2 += difference * difference;
        reference2 += x * x;
        other2 += y * y;
        dot += x * y;
        const size = Math.abs(difference);
        if (size > maxAbs) maxAbs = size;
        if (x > maxReference) maxReference = x;
        else if (-x > maxReference) maxReference = -x;
      } else {
        if (!Number.isFinite(x)) this.#nonFinite.reference++;
        if (!Number.isFinite(y)) this.#nonFinite.other++;
        if (!Object.is(x, y)) this.#nonFinite.differing++;
      }
    }
    this.#maxAbs = maxAbs;
    this.#maxReference = maxReference;
    this.#error2 += error2;
    this.#reference2 += reference2;
    this.#other2 += other2;
    this.#dot += dot;
    const width = dims.at(-1) ?? 1;
    if (width < 2) return;
    for (let start = 0; start < a.length; start += width) {
      this.#rows++;
      if (argmax(a, start, width) === argmax(b, start, width)) this.#rowsAgreeing++;
    }
  }

  #addExact(a: ArrayLike<unknown>, b: ArrayLike<unknown>): void {
    for (let i = 0; i < a.length; i++) if (a[i] === b[i]) this.#equal++;
  }

  result(name: string): OutputComparison {
    if (this.#mismatch !== undefined) return { kind: "mismatch", name, ...this.#mismatch };
    const samples = this.#samples;
    const elements = this.#elements;
    if (this.#kind === "exact") {
      return { kind: "exact", name, samples, elements, equal: elements === 0 ? 1 : this.#equal / elements };
    }
    const wrong = this.#nonFinite.differing > 0;
    const maxAbs = wrong ? Number.POSITIVE_INFINITY : this.#maxAbs;
    return {
      kind: "float",
      name,
      samples,
      elements,
      maxAbs,
      relative: maxAbs === 0 ? 0 : maxAbs / this.#maxReference,
      cosine: wrong ? 0 : this.#cosine(),
      sqnr: wrong ? Number.NEGATIVE_INFINITY : toDecibels(this.#reference2, this.#error2),
      agreementArgmax: this.#rows === 0 ? undefined : this.#rowsAgreeing / this.#rows,
      nonFinite: { ...this.#nonFinite },
    };
  }

  #cosine(): number {
    if (this.#error2 === 0) return 1;
    const lengths = Math.sqrt(this.#reference2) * Math.sqrt(this.#other2);
    return lengths === 0 ? 0 : Math.min(1, Math.max(-1, this.#dot / lengths));
  }
}

/** Signal over noise, both as sums of squares, in dB; Infinity without noise. */
export function toDecibels(signal: number, noise: number): number {
  return noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
}

/** Float elements as numbers; float64 keeps its precision. */
export function elementsOf(tensor: Tensor): ArrayLike<number> {
  return tensor.dtype === "float64"
    ? (tensor.data() as Exclude<TensorData, BigInt64Array | BigUint64Array>)
    : tensor.floats();
}
