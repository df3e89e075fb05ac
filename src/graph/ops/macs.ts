/**
 * @file How many multiplications and additions (MACs) a node costs: products of sizes of axes of its inputs and outputs.
 * Only operators that sum products are counted; what works element by element is small beside them.
 * Source: ONNX operator specifications (Conv-11, ConvTranspose-11, Gemm-13, MatMul-13, Einsum-12, LSTM-14, GRU-14, RNN-14).
 */
import type { Node } from "../node.ts";
import type { Value } from "../value.ts";

/** The size of an axis of a value; negative axes count from the end. */
export type Factor = readonly [value: Value, axis: number];

/** Cost of a node: the sum of these products. Empty for operators that sum no products. */
export type MacTerms = readonly (readonly Factor[])[];

/** Ranks must be known; a value without one counts as a scalar. */
export type RankOf = (value: Value) => number | undefined;

const MACS: Readonly<Record<string, (node: Node, rankOf: RankOf) => MacTerms>> = {
  // every element of Y [N, O, …] sums I/g · k… products: W [O, I/g, k…]
  Conv: (node, rankOf) => [[...all(node.output(), rankOf), ...all(node.input(1), rankOf).slice(1)]],
  // every element of X [N, I, …] goes into O/g · k… sums: W [I, O/g, k…]
  ConvTranspose: (node, rankOf) => [[...all(node.input(0), rankOf), ...all(node.input(1), rankOf).slice(1)]],
  // every element of Y […, M, N] sums K products: A […, M, K]
  MatMul: (node, rankOf) => [[...all(node.output(), rankOf), [node.input(0), -1]]],
  Gemm: (node, rankOf) => [[...all(node.output(), rankOf), [node.input(0), node.int("transA", 0) === 0 ? 1 : 0]]],
  // all letters, each once
  Einsum: (node) => {
    const terms = node.string("equation", "").replace(/\s+/g, "").split("->")[0]!.split(",");
    const factors = new Map<string, Factor>();
    terms.forEach((term, input) => {
      if (term.includes(".")) return;
      for (const [axis, letter] of [...term].entries()) factors.set(letter, [node.input(input), axis]);
    });
    return [[...factors.values()]];
  },
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
};

/** T · N times all of W [D, g·H, I] and all of R [D, g·H, H] */
function recurrent(node: Node, rankOf: RankOf): MacTerms {
  const steps: Factor[] = [
    [node.input(0), 0],
    [node.input(0), 1],
  ];
  return [1, 2].map((input) => [...steps, ...all(node.input(input), rankOf)]);
}

const all = (value: Value, rankOf: RankOf): Factor[] =>
  Array.from({ length: rankOf(value) ?? 0 }, (_, axis): Factor => [value, axis]);

/** What a node costs, as products of sizes. */
export function macTerms(node: Node, rankOf: RankOf): MacTerms {
  const rule = node.domain === "" && Object.hasOwn(MACS, node.opType) ? MACS[node.opType] : undefined;
  return rule === undefined ? [] : rule(node, rankOf);
}
