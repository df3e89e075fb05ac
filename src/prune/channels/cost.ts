/**
 * @file What a model costs with some of its channels gone, without removing them: MACs, parameters, and what each channel
 * alone would save.
 */
import { macTerms } from "../../graph/ops/macs.ts";
import type { Value } from "../../graph/value.ts";
import { isFloatingPoint } from "../../tensor/tensor.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Axis } from "./ids.ts";
import { keptAfter } from "./kept.ts";

export interface Cost {
  /** For the sizes that were observed. */
  readonly macs: number;
  /** Elements of float constants. */
  readonly parameters: number;
}

/** A factor of a product: a size that may change with its ids. */
interface Size {
  readonly size: number;
  readonly ids: Axis;
}

export interface CostModel {
  cost(removed: ReadonlySet<number>): Cost;
  /** MACs that go with each channel alone, by class of ids. */
  savings(): ReadonlyMap<number, number>;
}

export function createCostModel(dependencies: Dependencies): CostModel {
  const { model, axes, vectors, dimsOf, ids } = dependencies;
  const sizes = (value: Value): readonly Size[] =>
    (dimsOf(value) ?? []).map((size, axis) => ({ size, ids: axes.get(value)?.[axis] }));
  const products: (readonly Size[])[] = [];
  for (const node of model.graph.nodes()) {
    for (const term of macTerms(node, (value) => dimsOf(value)?.length)) {
      products.push(term.map(([value, axis]) => sizes(value).at(axis) ?? { size: 1, ids: undefined }));
    }
  }
  const constants: (readonly Size[])[] = [];
  const vectorAxes = new Map(vectors.map(({ value, axes: own }) => [value, own]));
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      if (!value.isConstant || !isFloatingPoint(value.dtype)) continue;
      const own = axes.get(value) ?? vectorAxes.get(value);
      constants.push(value.constant!.dims.map((size, axis) => ({ size, ids: own?.[axis] })));
    }
  }
  return {
    cost(removed) {
      const kept = keptAfter(ids, removed);
      const total = (list: readonly (readonly Size[])[]): number =>
        list.reduce(
          (sum, product) =>
            sum + product.reduce((a, { size, ids: own }) => a * (own ? kept.positions(own).length : size), 1),
          0,
        );
      return { macs: total(products), parameters: total(constants) };
    },
    savings() {
      const saved = new Map<number, number>();
      for (const product of products) {
        const macs = product.reduce((a, { size }) => a * size, 1);
        // 1 − Π (1 − share of the axis)
        const left = new Map<number, number>();
        for (const { size, ids: own } of product) {
          if (own === undefined) continue;
          const counts = new Map<number, number>();
          for (const id of own) counts.set(ids.find(id), (counts.get(ids.find(id)) ?? 0) + 1);
          for (const [channel, count] of counts) left.set(channel, (left.get(channel) ?? 1) * (1 - count / size));
        }
        for (const [channel, share] of left) saved.set(channel, (saved.get(channel) ?? 0) + macs * (1 - share));
      }
      return saved;
    },
  };
}
