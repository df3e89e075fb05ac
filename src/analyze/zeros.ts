/**
 * @file The zeros of a model's weights, those that masks make included.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { WEIGHTS } from "../graph/ops/weights.ts";
import type { Value } from "../graph/value.ts";
import { type ZeroPattern, zeroPattern } from "../measure/zero-pattern.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";

export interface WeightZeros extends ZeroPattern {
  /** Of the constant. */
  readonly name: string;
  readonly opType: string;
  readonly masked: boolean;
}

export interface ModelZeros {
  /** Float weights of two or more dimensions, each once, in the order of their operators. */
  readonly weights: readonly WeightZeros[];
  readonly elements: number;
  readonly zeros: number;
  /** Zeros ÷ elements; 0 without weights. */
  readonly sparsity: number;
  /** "2:4" where the zeros keep such a pattern in nearly all weights that have zeros; undefined without zeros. */
  readonly pattern: string | undefined;
  readonly channels: number;
  readonly emptyChannels: number;
}

/** Share of the zeros that must lie in a pattern for it to be the model's. */
const PATTERN_SHARE = 0.9;

export function zerosOf(model: Model): ModelZeros {
  const weights: WeightZeros[] = [];
  const seen = new Set<Value>();
  for (const node of model.allNodes()) {
    for (const { input, axis } of (node.domain === "" && WEIGHTS[node.opType]) || []) {
      const value = node.inputs[input];
      if (value === undefined || seen.has(value)) continue;
      const found = readWeight(model, value);
      if (found === undefined) continue;
      seen.add(value);
      const { data, dims } = found;
      weights.push({
        ...zeroPattern(data, dims, axis(node, dims) ?? 0),
        name: found.name,
        opType: node.opType,
        masked: found.masked,
      });
    }
  }
  const sum = (of: (weight: WeightZeros) => number): number => weights.reduce((total, weight) => total + of(weight), 0);
  const [elements, zeros] = [sum((weight) => weight.elements), sum((weight) => weight.zeros)];
  return {
    weights,
    elements,
    zeros,
    sparsity: elements === 0 ? 0 : zeros / elements,
    pattern: zeros === 0 ? undefined : patternOf(weights, zeros),
    channels: sum((weight) => weight.channels),
    emptyChannels: sum((weight) => weight.emptyChannels),
  };
}

function patternOf(weights: readonly WeightZeros[], zeros: number): string {
  const shares = new Map<string, number>();
  for (const { nm, zeros: own } of weights) {
    if (nm === undefined) continue;
    const name = `${nm.n}:${nm.m}`;
    shares.set(name, (shares.get(name) ?? 0) + own);
  }
  const [best] = [...shares].sort((a, b) => b[1] - a[1]);
  return best !== undefined && best[1] >= PATTERN_SHARE * zeros ? best[0] : "unstructured";
}

interface WeightData {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
  readonly masked: boolean;
}

/** A constant float weight, or one under a mask, as its users read it. */
function readWeight(model: Model, value: Value): WeightData | undefined {
  const plain = value.constant;
  if (plain !== undefined) {
    if (plain.dims.length < 2 || !isFloatingPoint(plain.dtype)) return undefined;
    return { name: value.name, dims: plain.dims, data: plain.floats(), masked: false };
  }
  if (model.parametrizations.get(value)?.kind !== "mask") return undefined;
  const where: Node | undefined = value.producer;
  const kept = where?.inputs[0]?.constant?.bytes();
  const under = where?.inputs[1];
  const weight = under === undefined ? undefined : readWeight(model, under);
  if (kept === undefined || weight === undefined) return undefined;
  return { ...weight, data: weight.data.map((element, i) => (kept[i] === 0 ? 0 : element)), masked: true };
}
