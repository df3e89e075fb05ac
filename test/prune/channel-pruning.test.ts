/**
 * @file Which channels go, how many, and what is told about it: amounts, criteria, protection, costs, history.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { cloneModel } from "../../src/graph/clone.ts";
import type { Model } from "../../src/graph/model.ts";
import * as nn from "../../src/nn.ts";
import { type ChannelHistory, mergeHistories } from "../../src/prune/channels/history.ts";
import { pruneChannels, replayChannels } from "../../src/prune/channels/prune-channels.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { bytesOf, initializerOf, modelOf, runAll, runtimes } from "../helpers.ts";
import { differenceOf, pruneAndCompare, SAME, sizesOf } from "./channels.ts";
import { NETS } from "./nets.ts";

const feeds = NETS.resnet.feeds(1);

/** 3 → 32 → 24 → 10 channels on 16×16, with a batch normalization after the first. */
const net = nn.buildModel(
  nn.sequential({
    first: nn.conv2d(3, 32, 3, { padding: 1, bias: false }),
    norm: nn.batchNorm(32),
    act: nn.relu(),
    second: nn.conv2d(32, 24, 1),
    pool: nn.sequential(nn.relu(), nn.adaptiveAvgPool2d(1), nn.flatten()),
    head: nn.linear(24, 10),
  }),
  { input: { name: "x", dims: ["N", 3, 16, 16] } },
);
let shapes: ReadonlyMap<string, readonly number[]>;

beforeAll(async () => {
  shapes = await sizesOf(net, await runtimes.node(), feeds);
});

const prune = async (options: Parameters<typeof pruneChannels>[1], model: Model = cloneModel(net)) => ({
  model,
  result: await pruneChannels(model, options, { shapes }),
});

const dimsOf = (model: Model, name: string): readonly number[] => initializerOf(model, name).constant!.dims;

/** Scales a slice along the first axis. */
function scaleRows(model: Model, name: string, factor: (row: number) => number): void {
  const value = initializerOf(model, name);
  const { dims, size } = value.constant!;
  const inner = size / dims[0]!;
  value.initializer = Tensor.float32(
    dims,
    value.constant!.floats().map((x, i) => x * factor(Math.floor(i / inner))),
  );
}

describe("costs", () => {
  it("are those of the textbook", async () => {
    const { result } = await prune({ amount: 0 });
    // Two samples of 16×16: k·k·C·O per pixel; the head once per sample.
    expect(result.macsBefore).toBe(2 * (256 * (27 * 32 + 32 * 24) + 24 * 10));
    expect(result.macsAfter).toBe(result.macsBefore);
    expect(result.parametersBefore).toBe(27 * 32 + 4 * 32 + 32 * 24 + 24 + 24 * 10 + 10);
    expect(result.history.removals).toEqual([]);
    expect(result.removed).toEqual([]);
  });

  it("after pruning are those of the smaller net", async () => {
    const { model, result } = await prune({ amount: 0.5, scope: "group" });
    expect(dimsOf(model, "first.weight")).toEqual([16, 3, 3, 3]);
    expect(dimsOf(model, "second.weight")).toEqual([16, 16, 1, 1]); // 12 are no multiple of 8, 16 is as near as 8
    expect(dimsOf(model, "norm.running_var")).toEqual([16]);
    expect(dimsOf(model, "head.weight")).toEqual([10, 16]);
    expect(result.macsAfter).toBe(2 * (256 * (27 * 16 + 16 * 16) + 16 * 10));
    const again = await pruneChannels(
      cloneModel(model),
      { amount: 0 },
      { shapes: await sizesOf(model, await runtimes.node(), feeds) },
    );
    expect([again.macsBefore, again.parametersBefore]).toEqual([result.macsAfter, result.parametersAfter]);
  });
});

describe("amounts", () => {
  it.each(["macs", "parameters"] as const)("of %s are met, and by no more than a channel", async (of) => {
    const { result } = await prune({ amount: 0.4, of, multiple: 1, minimum: 1 });
    const share =
      of === "macs" ? result.macsAfter / result.macsBefore : result.parametersAfter / result.parametersBefore;
    expect(share).toBeLessThanOrEqual(0.6);
    expect(share).toBeGreaterThan(0.6 - 1 / 24);
  });

  it("leave multiples and minima", async () => {
    const { model } = await prune({ amount: 1, multiple: 4, minimum: 10, limit: 1 });
    expect(dimsOf(model, "second.weight").slice(0, 2)).toEqual([12, 12]);
  });

  it("go no further than the limit", async () => {
    const { model } = await prune({ amount: 1, multiple: 1, minimum: 1, limit: 0.75 });
    expect(dimsOf(model, "second.weight").slice(0, 2)).toEqual([6, 8]);
  });

  it("of their own for groups that patterns name; protected ones stay, with the reason", async () => {
    const { model, result } = await prune({ amount: 0.5, amounts: { "first.*": 0.25 }, protect: ["second/*"] });
    expect(dimsOf(model, "second.weight").slice(0, 2)).toEqual([24, 24]);
    expect(result.kept).toMatchObject([{ value: "second/Conv", reason: "protect names it" }]);
  });

  it("say why a narrow group stays", async () => {
    const { result } = await prune({ amount: 0.5, minimum: 24 });
    expect(result.kept).toMatchObject([{ channels: 24, reason: "fewer than 8 more than the 24 that have to be left" }]);
  });

  it("rank by what a channel saves", async () => {
    // A channel of the first saves 256 · (27 + 24) MACs, one of the second 256 · 32 + 10: at equal scores the first goes.
    const score = { score: () => 1, shapes } as const;
    const options = { amount: 0.1, multiple: 1, minimum: 1, rank: "score-per-mac" } as const;
    const result = await pruneChannels(cloneModel(net), options, score);
    expect(result.removed.map(({ value }) => value)).toEqual(["first/Conv"]);
  });
});

describe("criteria", () => {
  it.each([
    ["l1", "first.weight"],
    ["l2", "first.weight"],
    ["batch-norm", "norm.weight"],
  ] as const)("%s takes the smallest", async (criterion, weight) => {
    const model = cloneModel(net);
    const small = new Set([1, 5, 6, 7, 20, 25, 30, 31]);
    scaleRows(model, weight, (row) => (small.has(row) ? 1e-3 : 1));
    const { result } = await prune({ amount: 0.25, criterion, scope: "group", protect: ["second/*"] }, model);
    expect(result.history.removals).toEqual([{ value: "first/Conv", axis: 1, size: 32, removed: [...small] }]);
    // Without a batch normalization there is no scale.
    const other = await prune({ amount: 0.25, criterion, scope: "group" });
    const reason = criterion === "batch-norm" ? "no batch normalization scales them" : undefined;
    expect(other.result.kept.find(({ value }) => value === "second/Conv")?.reason).toBe(reason);
  });

  it("of a user: channels that nothing uses can go and the net stays what it was", async () => {
    const model = cloneModel(net);
    const unused = new Set([0, 2, 9, 11, 17, 18, 30, 31]);
    const consumer = initializerOf(model, "second.weight");
    const columns = consumer.constant!.floats().map((x, i) => (unused.has(i % 32) ? 0 : x));
    consumer.initializer = Tensor.float32([24, 32, 1, 1], columns);
    const before = await runAll(await runtimes.node(), bytesOf(model), [feeds]);
    const result = await pruneChannels(
      model,
      { amount: 0.25, scope: "group", protect: ["second/*"] },
      { shapes, score: (_slices, { positions }) => (unused.has(positions[0]!) ? 0 : 1) },
    );
    expect(result.history.removals[0]!.removed).toEqual([...unused]);
    const after = await runAll(await runtimes.node(), bytesOf(model), [feeds]);
    expect(differenceOf(before, after)).toBeLessThan(SAME);
  });

  it("that give no numbers are refused", async () => {
    const scored = pruneChannels(cloneModel(net), {}, { shapes, score: () => Number.NaN });
    await expect(scored).rejects.toThrow(/scores of "first\/Conv": expected numbers, got NaN/);
  });

  it("by chance are the same for the same seed", async () => {
    const run = async (seed: number) =>
      (await pruneChannels(cloneModel(net), { criterion: "random" }, { shapes, seed })).history;
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
  });
});

describe("history", () => {
  it("replays on the original, through JSON, to the same file", async () => {
    const { model, result } = await prune({ amount: 0.5, criterion: "random" });
    const replayed = cloneModel(net);
    await replayChannels(replayed, JSON.parse(JSON.stringify(result.history)) as ChannelHistory, { shapes });
    expect(bytesOf(replayed)).toEqual(bytesOf(model));
  });

  it("of two rounds is one, in the numbering of the original", async () => {
    const options = { amount: 0.3, multiple: 1, minimum: 1, criterion: "random" } as const;
    const { model, result } = await prune(options);
    const between = await sizesOf(model, await runtimes.node(), feeds);
    const second = await pruneChannels(model, options, { shapes: between, history: result.history, seed: 9 });
    const own = second.history.removals.find(({ value }) => value === "first/Conv")!;
    expect(own.size).toBe(32);
    expect(own.removed).toEqual(expect.arrayContaining([...result.history.removals[0]!.removed]));
    const replayed = cloneModel(net);
    await replayChannels(replayed, second.history, { shapes });
    expect(bytesOf(replayed)).toEqual(bytesOf(model));
  });

  it("that fits another file only is refused", async () => {
    const entry = { value: "first/Conv", axis: 1, size: 64, removed: [3] };
    const history = { version: 1, approximate: false, removals: [entry] } as const;
    const replay = (removals: ChannelHistory["removals"]) =>
      replayChannels(cloneModel(net), { ...history, removals }, { shapes });
    await expect(replay([entry])).rejects.toThrow(
      /axis 1 of "first\/Conv": expected 64 positions .*, found 32 positions/,
    );
    await expect(replay([{ ...entry, value: "no" }])).rejects.toThrow(/no such value/);
    await expect(replay([{ ...entry, size: 10, value: "output" }])).rejects.toThrow(/they are an output of the model/);
    expect(() => mergeHistories(history, history)).toThrow(/63 positions after the first round/);
  });
});

describe("what has to stay", () => {
  it("is listed with the node that forbids it", async () => {
    const model = NETS.transformer.build(1);
    const result = await pruneChannels(
      model,
      { amount: 0.3 },
      { runtime: await runtimes.node(), feeds: NETS.transformer.feeds(1) },
    );
    expect(result.forbidden[0]).toEqual({
      value: "embedding/Gather",
      axis: 2,
      nodes: expect.arrayContaining(["embedding/Gather_1"]) as string[],
      channels: 64,
      subject: "encoder.layers.0.norm1/LayerNormalization_1",
      opType: "LayerNormalization",
      reason: "it takes mean and variance over this axis",
    });
    expect(result.forbidden.at(-1)).toMatchObject({ subject: "output", reason: "they are an output of the model" });
    // Heads count one by one, and are eight positions in queries, keys and values.
    expect([...result.removed, ...result.kept].filter(({ unit }) => unit === 24)).toHaveLength(2);
  });

  it("goes through layer normalization when asked to, and the result runs", async () => {
    const model = NETS.transformer.build(1);
    const sample = NETS.transformer.feeds(1);
    const runtime = await runtimes.node();
    const result = await pruneChannels(
      model,
      { amount: 0.5, scope: "group", approximate: true },
      { runtime, feeds: sample },
    );
    expect(result.forbidden.map(({ value }) => value)).toEqual(["output"]);
    expect(dimsOf(model, "embedding.weight")).toEqual([40, 32]);
    expect(result.history.approximate).toBe(true);
    const [outputs] = await runAll(runtime, bytesOf(model), [sample]);
    expect(outputs!.output!.numbers().every(Number.isFinite)).toBe(true);
  });

  it("includes what a branch uses", async () => {
    const model = modelOf(`(float[1, 2] x, bool c) => (float[1, 1] y)
      <float[2, 4] a = {1, 2, 3, 4, 5, 6, 7, 8}, float[4, 1] b = {1, 2, 3, 4}> {
        h = MatMul(x, a)
        r = If <then_branch = t () => (float[1, 4] u) { u = Relu(h) },
                else_branch = e () => (float[1, 4] v) { v = Neg(h) }>(c)
        s = Add(h, r)
        y = MatMul(s, b)
      }`);
    const sample = { x: Tensor.float32([1, 2], [1, -1]), c: Tensor.of("bool", [], Uint8Array.of(1)) };
    const options = { amount: 0.5, multiple: 1, minimum: 1 };
    const { result, difference } = await pruneAndCompare(model, options, await runtimes.node(), [sample]);
    expect(difference).toBe(0);
    expect(result.forbidden[0]).toMatchObject({ value: "h", reason: "it uses them inside a branch or loop" });
  });
});
