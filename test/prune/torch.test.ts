/**
 * @file torch.nn.utils.prune's masks, bit for bit: reference data of scripts/reference/prune.py, ties included.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.ts";
import { verifyModel } from "../../src/graph/verify.ts";
import type { Amount } from "../../src/prune/amount.ts";
import { keptOf } from "../../src/prune/masks.ts";
import type { NormOrder } from "../../src/prune/structured.ts";
import {
  customFromMask,
  globalUnstructured,
  identity,
  isPruned,
  l1Unstructured,
  lnStructured,
  randomStructured,
  randomUnstructured,
  remove,
  undo,
} from "../../src/prune/torch.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { initializerOf, modelOf, reload } from "../helpers.ts";

interface Case {
  readonly dims: readonly number[];
  /** Times 4. */
  readonly weight: readonly number[];
  readonly calls: readonly (readonly [string, Options])[];
  readonly masks: readonly string[];
  readonly removed: readonly number[];
}

interface Options {
  readonly amount: Amount;
  readonly n?: NormOrder;
  readonly dim?: number;
  readonly mask?: readonly number[];
}

const reference = JSON.parse(readFileSync(new URL("../reference/prune.json", import.meta.url), "utf8")) as {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly cases: readonly Case[];
  readonly global: readonly {
    readonly weights: Readonly<Record<string, readonly number[]>>;
    readonly amounts: readonly Amount[];
    readonly masks: readonly Readonly<Record<string, string>>[];
  }[];
};

const tensorOf = (dims: readonly number[], quarters: readonly number[]): Tensor =>
  Tensor.float32(
    dims,
    quarters.map((value) => value / 4),
  );

/** A model that has these weights as parameters; what it computes does not matter here. */
function holding(weights: Readonly<Record<string, Tensor>>): Model {
  const model = modelOf("(float[1] x) => (float[1] y) { y = Identity(x) }");
  for (const [name, tensor] of Object.entries(weights)) {
    const value = model.graph.addInitializer(name, tensor);
    const used = model.graph.add("Identity", [value], { name: `use ${name}` }).output();
    model.graph.setOutputs([...model.graph.outputs, used]);
  }
  return model;
}

const bitsOf = (model: Model, name: string): string => keptOf(model, initializerOf(model, name))!.join("");

const CALLS: Readonly<Record<string, (model: Model, options: Options, dims: readonly number[]) => unknown>> = {
  l1Unstructured: (model, options) => l1Unstructured(model, "w", options),
  lnStructured: (model, options) => lnStructured(model, "w", { ...options, n: options.n! }),
  identity: (model) => identity(model, "w"),
  customFromMask: (model, { mask }, dims) => customFromMask(model, "w", Tensor.float32(dims, mask!)),
};

describe("masks as PyTorch's", () => {
  it.each(reference.cases.map((entry, i) => [i, entry] as const))(
    "case %i",
    (_i, { dims, weight, calls, masks, removed }) => {
      let model = holding({ w: tensorOf(dims, weight) });
      calls.forEach(([name, options], i) => {
        CALLS[name]!(model, options, dims);
        expect(bitsOf(model, "w"), `${name} ${JSON.stringify(options)} on [${dims}]`).toBe(masks[i]);
        // Masks and what they remember survive a file.
        model = reload(model);
      });
      verifyModel(model);
      const before = model;
      remove(model, "w");
      expect(Array.from(initializerOf(model, "w").initializer!.floats(), (value) => 4 * value + 0)).toEqual(removed);
      expect(before.parametrizations.size).toBe(0);
    },
  );

  it.each(reference.global.map((entry, i) => [i, entry] as const))("several by one threshold, %i", (_i, entry) => {
    const names = Object.keys(entry.weights);
    const model = holding(
      Object.fromEntries(names.map((name) => [name, tensorOf(reference.shapes[name]!, entry.weights[name]!)])),
    );
    entry.amounts.forEach((amount, i) => {
      globalUnstructured(model, names, { amount });
      for (const name of names) expect(bitsOf(model, name), name).toBe(entry.masks[i]![name]);
    });
  });
});

describe("what PyTorch decides by chance", () => {
  const net = (): Model =>
    holding({
      w: tensorOf(
        [6, 10],
        Array.from({ length: 60 }, (_item, i) => i + 1),
      ),
    });

  it("takes as many, other ones with another seed, the same with the same", () => {
    const masks = [1, 1, 2].map((seed) => {
      const model = net();
      expect(randomUnstructured(model, "w", { amount: 0.3, seed })).toEqual([{ name: "w", size: 60, pruned: 18 }]);
      expect(randomUnstructured(model, "w", { amount: 0.5, seed })).toEqual([{ name: "w", size: 60, pruned: 39 }]);
      return bitsOf(model, "w");
    });
    expect(masks[0]).toBe(masks[1]);
    expect(masks[0]).not.toBe(masks[2]);
  });

  it("drops whole channels", () => {
    const model = net();
    randomStructured(model, "w", { amount: { count: 2 }, dim: 0 });
    const rows = bitsOf(model, "w").match(/.{10}/g)!;
    expect(rows.filter((row) => row === "0".repeat(10))).toHaveLength(2);
    expect(rows.filter((row) => row === "1".repeat(10))).toHaveLength(4);
  });
});

describe("ends and errors", () => {
  it("undoes what is not permanent", () => {
    const quarters = [1, -2, 3, -4, 5, 6];
    const model = holding({ w: tensorOf([2, 3], quarters) });
    expect(isPruned(model)).toBe(false);
    l1Unstructured(model, "w", { amount: 0.5 });
    expect(isPruned(model, "w")).toBe(true);
    undo(model);
    expect([...initializerOf(model, "w").initializer!.floats()]).toEqual(quarters.map((value) => value / 4));
    expect(() => undo(model)).toThrow("expected weights with masks, got none");
  });

  it("refuses amounts, dims, masks and names that do not fit, and changes nothing", () => {
    const model = holding({ w: tensorOf([2, 3], [1, 2, 3, 4, 5, 6]) });
    expect(() => l1Unstructured(model, "w", { amount: 1.5 })).toThrow(
      "expected a share from 0 to 1 as amount, got 1.5",
    );
    expect(() => l1Unstructured(model, "w", { amount: { count: 7 } })).toThrow("at most the 6 units that are left");
    expect(() => lnStructured(model, "w", { amount: 0.5, n: 2, dim: 2 })).toThrow("expected a dim from -2 to 1");
    expect(() => customFromMask(model, "w", Tensor.float32([3, 2], [1, 1, 1, 1, 1, 1]))).toThrow("got one of [3,2]");
    expect(() => l1Unstructured(model, "v", { amount: 0.5 })).toThrow('found none for "v"');
    expect(model.parametrizations.size).toBe(0);
  });
});
