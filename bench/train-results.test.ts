import { expect, it } from "vitest";
import { checkedSpeed, sentence } from "./peers/js-spec.ts";
import { mergeRows, processorRatioOf, ratioOf, type TrainRow } from "./train-results.ts";

const ORDER = { peers: ["torch", "tfjs-node"], nets: ["mlp", "lenet5"] };

const row = (net: string, threads: number, peer: string, tersor: number): TrainRow => ({
  net,
  threads,
  peer,
  runtime: "onnxruntime-node 1.30.0",
  tersor,
  modes: { eager: 2 },
  ratios: [tersor / 2],
  ratio: tersor / 2,
  versions: {},
  seconds: 1,
  rounds: 1,
  date: "2026-11-24T00:00:00.000Z",
  load: 1,
});

it("replaces rows of the same net, threads and peer, and keeps the others", () => {
  const before = [row("mlp", 1, "torch", 1), row("mlp", 2, "torch", 2), row("mlp", 1, "tfjs-node", 3)];
  const now = [row("mlp", 1, "torch", 10), row("lenet5", 1, "torch", 11), row("tiny", 1, "torch", 12)];
  const merged = mergeRows(before, now, ORDER);
  expect(merged.map(({ net, threads, peer, tersor }) => [peer, threads, net, tersor])).toEqual([
    ["torch", 1, "mlp", 10],
    ["torch", 1, "lenet5", 11],
    ["torch", 1, "tiny", 12],
    ["torch", 2, "mlp", 2],
    ["tfjs-node", 1, "mlp", 3],
  ]);
  expect(mergeRows(merged, now, ORDER)).toEqual(merged);
});

it("compares with the best mode that ran", () => {
  expect(ratioOf(6, { eager: 2, compile: 3, "eager-channels-last": "no images" })).toBe(2);
  expect(ratioOf(6, { wasm: "has one thread" })).toBeUndefined();
  expect(processorRatioOf({ tersor: 4, wasm: 10, cpu: 8 })).toBe(2);
  expect(processorRatioOf({ tersor: 4 })).toBeUndefined();
  expect(processorRatioOf({ wasm: 10 })).toBeUndefined();
});

it("says in a sentence why a peer did not run", () => {
  const missing = "Kernel 'Conv2DBackpropFilter' not registered for backend 'wasm'";
  const said = "has no kernel Conv2DBackpropFilter, which the gradient needs";
  expect(sentence(`ended with status 7: Error: ${missing}`)).toBe(said);
  expect(sentence(`page.evaluate: Error: ${missing}\n    at run`)).toBe(said);
  expect(sentence("page.evaluate: Error: out of memory\nat x")).toBe("out of memory");
});

it("takes no speed of another net, or of one that does not train", () => {
  const measured = { stepsPerSecond: 5, steps: 9, losses: [2.31, 1.2], parameters: 100 } as const;
  expect(checkedSpeed(measured, 100)).toBe(5);
  expect(checkedSpeed("took too long", 100)).toBe("took too long");
  expect(checkedSpeed(measured, 101)).toMatch(/100 parameters, expected 101/);
  expect(checkedSpeed({ ...measured, losses: [9, 1] }, 100)).toMatch(/first loss is 9/);
  expect(checkedSpeed({ ...measured, losses: [Number.NaN, 1] }, 100)).toMatch(/first loss is NaN/);
  expect(checkedSpeed({ ...measured, losses: [2.31, 2.31] }, 100)).toMatch(/does not train/);
});
