/**
 * @file What is chosen between updates, on states that are written down here.
 */
import { describe, expect, it } from "vitest";
import { matrixView } from "../prune/pattern.ts";
import type { StateStore } from "../runtime/stateful.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { type GradientSums, gradientScores } from "./importance.ts";
import type { StateEntry } from "./program.ts";
import { type PruneInput, pruneOptions } from "./prune-options.ts";
import { lampScores, randomScores } from "./prune-scores.ts";
import { Pruner, type Pruning } from "./pruner.ts";

interface Setup {
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly kept?: Readonly<Record<string, readonly number[]>>;
  readonly dims?: readonly number[];
  readonly gradients?: Readonly<Record<string, readonly number[]>>;
  readonly movement?: Readonly<Record<string, readonly number[]>>;
}

/** One pruning at an update of 100; every weight has a moment full of 5. */
async function prune(setup: Setup, input: PruneInput, update = 100) {
  const state = new Map<string, Tensor>();
  const entries: StateEntry[] = [];
  const add = (name: string, kind: StateEntry["kind"], tensor: Tensor, parameter?: string): void => {
    state.set(name, tensor);
    entries.push({ name, kind, input: name, output: `${name}/next`, initial: tensor, ...(parameter && { parameter }) });
  };
  const names = Object.keys(setup.weights);
  for (const name of names) {
    const weights = setup.weights[name]!;
    const dims = setup.dims ?? [1, weights.length];
    const kept = Uint8Array.from(setup.kept?.[name] ?? weights.map(() => 1));
    add(name, "parameter", Tensor.float32(dims, weights));
    add(`${name}/mask`, "mask", Tensor.of("bool", dims, kept), name);
    add(`${name}/momentum`, "optimizer", Tensor.float32(dims, new Float32Array(weights.length).fill(5)), name);
    const movement = setup.movement?.[name];
    if (movement) add(`${name}/movement`, "score", Tensor.float32(dims, movement), name);
  }
  const store = {
    get: async (name: string) => state.get(name)!,
    restore: async (changes: ReadonlyMap<string, Tensor>) => {
      for (const [name, tensor] of changes) state.set(name, tensor);
    },
  } as unknown as StateStore;
  const weights = names.map((name) => ({
    name,
    view: matrixView(setup.dims ?? [1, setup.weights[name]!.length], 0),
  }));
  const pruner = new Pruner(weights, pruneOptions.parse(input), 3);
  const sums: GradientSums = {
    batches: 1,
    sum: new Map(names.map((name) => [name, Float64Array.from(setup.gradients?.[name] ?? [])])),
    squares: new Map(names.map((name) => [name, Float64Array.from(setup.gradients?.[name] ?? [], (g) => g * g)])),
  };
  const pruning: Pruning = await pruner.prune(update, 100, store, entries, async () => sums);
  const numbers = (name: string): number[] => state.get(name)!.numbers();
  return { pruning, kept: (name: string) => numbers(`${name}/mask`), numbers };
}

const once = { kind: "one-shot", begin: 1 } as const;

describe("which weights go", () => {
  it("the smallest of all, or of each layer, or by a table", async () => {
    const weights = { a: [1, -2, 3, -4], b: [10, -20, 0.5, 40] };
    const all = await prune({ weights }, { amount: 0.5, schedule: once });
    expect([all.kept("a"), all.kept("b")]).toEqual([
      [0, 0, 0, 1],
      [1, 1, 0, 1],
    ]);
    expect(all.pruning).toEqual({ sparsity: 0.5, pruned: 4, regrown: 0, weights: { a: 0.75, b: 0.25 } });
    const each = await prune({ weights }, { amount: 0.5, schedule: once, scope: "layer" });
    expect([each.kept("a"), each.kept("b")]).toEqual([
      [0, 0, 1, 1],
      [0, 1, 0, 1],
    ]);
    const table = await prune({ weights }, { amount: 0.25, schedule: once, layers: { "b*": 0.75 } });
    expect([table.kept("a"), table.kept("b")]).toEqual([
      [0, 1, 1, 1],
      [0, 0, 0, 1],
    ]);
  });

  it("none that is there twice: amounts are of all weights, what is gone counts", async () => {
    const { kept } = await prune(
      { weights: { a: [9, 1, 2, 3, 4, 5] }, kept: { a: [0, 1, 1, 1, 1, 1] } },
      { amount: 0.5, schedule: once },
    );
    expect(kept("a")).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it("rows and n:m", async () => {
    const setup = { weights: { a: [1, 9, 2, 2, 8, 1] }, dims: [3, 2] };
    const rows = await prune(setup, { amount: 1 / 3, pattern: "row", schedule: once });
    expect(rows.kept("a")).toEqual([1, 1, 0, 0, 1, 1]);
    const half = await prune(setup, { pattern: "1:2", schedule: once });
    expect(half.kept("a")).toEqual([0, 1, 1, 0, 1, 0]);
  });

  it("those that moved towards 0, with movement", async () => {
    const setup = { weights: { a: [9, 8, 1, 1] }, movement: { a: [-2, -1, 1, 2] } };
    const { kept } = await prune(setup, { amount: 0.5, criterion: "movement", schedule: once });
    expect(kept("a")).toEqual([0, 0, 1, 1]);
  });

  it("by gradients over batches, as the formulas say", () => {
    const sums = {
      batches: 2,
      sum: new Map([["a", Float64Array.of(0, 4)]]),
      squares: new Map([["a", Float64Array.of(50, 8)]]),
    };
    const weights = Float32Array.of(2, 3);
    // taylor: w² · Σg² / 2; snip: |w · Σg / 2|
    expect([...gradientScores("taylor", weights, sums, "a")]).toEqual([100, 36]);
    expect([...gradientScores("snip", weights, sums, "a")]).toEqual([0, 6]);
  });

  it("LAMP scores equal the sums of the definition, ties included", () => {
    const random = createRandom(2);
    const weights = Float32Array.from({ length: 50 }, (_item, i) =>
      i % 7 === 0 ? 0.25 : Math.fround(random.normal()),
    );
    const scores = lampScores(weights);
    weights.forEach((w, i) => {
      const square = Math.fround(w * w);
      const larger = [...weights].map((v) => Math.fround(v * v)).filter((other) => other >= square);
      // Sums of 50 float64 terms in another order, then rounded to float32.
      expect(scores[i]).toBeCloseTo(square / larger.reduce((sum, v) => sum + v, 0), 6);
    });
    expect([...lampScores(Float32Array.of(0, 0))]).toEqual([0, 0]);
    expect(randomScores(5, 1, 0)).toEqual(randomScores(5, 1, 0));
    expect(randomScores(5, 1, 0)).not.toEqual(randomScores(5, 1, 1));
  });
});

describe("what becomes of entries that change", () => {
  it("masked: the weight stays under the mask, its moment is 0, others are not touched", async () => {
    const { numbers } = await prune({ weights: { a: [1, 2, 3, 4] } }, { amount: 0.5, schedule: once });
    expect(numbers("a")).toEqual([1, 2, 3, 4]);
    expect(numbers("a/momentum")).toEqual([0, 0, 5, 5]);
  });

  it("surgery: comes back above the margin only, as it is", async () => {
    const setup = { weights: { a: [2, 1, 2.1, 3] }, kept: { a: [1, 1, 0, 0] } };
    const regrowth = { kind: "surgery", margin: 0.1 } as const;
    const { kept, numbers, pruning } = await prune(setup, { amount: 0.5, schedule: once, regrowth });
    // 3 beats 1; 2.1 · 0.9 / 1.1 does not beat 2.
    expect(kept("a")).toEqual([1, 0, 0, 1]);
    expect(pruning).toMatchObject({ pruned: 1, regrown: 1, sparsity: 0.5 });
    expect(numbers("a")[3]).toBe(3);
    expect(numbers("a/momentum")).toEqual([5, 5, 5, 5]);
  });

  it("by gradient: as many come back as were exchanged, at 0, and fewer towards the end", async () => {
    const setup = {
      weights: { a: [1, 2, 3, 4, 9, 9, 9, 9] },
      kept: { a: [1, 1, 1, 1, 0, 0, 0, 0] },
      gradients: { a: [0, 0, 0, 0, 1, -3, 2, 0] },
    };
    const options: PruneInput = {
      amount: 0.5,
      schedule: { kind: "constant", every: 50, end: 1 },
      regrowth: { kind: "gradient", share: 0.5 },
    };
    const first = await prune(setup, options, 0);
    expect(first.kept("a")).toEqual([0, 0, 1, 1, 0, 1, 1, 0]);
    expect(first.numbers("a")).toEqual([1, 2, 3, 4, 9, 0, 0, 9]);
    expect(first.numbers("a/momentum")).toEqual([0, 0, 5, 5, 5, 0, 0, 5]);
    // cos(π / 2): half as many
    const middle = await prune(setup, options, 50);
    expect(middle.kept("a")).toEqual([0, 1, 1, 1, 0, 1, 0, 0]);
    const last = await prune(setup, options, 100);
    expect(last.pruning).toMatchObject({ pruned: 0, regrown: 0 });
  });

  it("by gradient: what would go and has the largest gradient stays as it is", async () => {
    const setup = { weights: { a: [1, 2, 3, 4] }, gradients: { a: [9, 0, 0, 0] } };
    const regrowth = { kind: "gradient", share: 0.5 } as const;
    const { kept, numbers } = await prune(setup, { amount: 0.5, schedule: { kind: "constant", end: 1 }, regrowth }, 0);
    expect(kept("a")).toEqual([1, 0, 0, 1]);
    expect(numbers("a")[0]).toBe(1);
  });
});

describe("options", () => {
  it("that do not go together are refused with the reason", () => {
    const weights = [{ name: "a", view: matrixView([2, 2], 0) }];
    const make = (input: PruneInput) => () => new Pruner(weights, pruneOptions.parse(input), 0);
    expect(make({ pattern: "2:4" })).toThrow("one-shot or constant");
    expect(make({ pattern: "row", regrowth: { kind: "gradient" } })).toThrow("unstructured");
    expect(make({ criterion: "movement", schedule: { kind: "one-shot" } })).toThrow("nothing has moved");
    expect(make({ criterion: "lamp", scope: "layer" })).toThrow("lamp");
    expect(make({ layers: { "b*": 0.5 } })).toThrow('"b*"');
  });
});
