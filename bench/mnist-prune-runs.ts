/**
 * @file The runs of bench/mnist-prune: nets, what is compared, baselines. Everything here was written down before the run
 * that it describes; what won is chosen by the validation split.
 */

import type { Model } from "../src/graph/model.ts";
import { buildModel } from "../src/nn/build-model.ts";
import { sequential } from "../src/nn/containers.ts";
import { flatten, relu } from "../src/nn/layers/activation.ts";
import { linear } from "../src/nn/layers/linear.ts";
import { lenet5, lenet300 } from "../src/nn/models/lenet.ts";
import type { Module } from "../src/nn/module.ts";
import type { PruneInput } from "../src/train/prune-options.ts";
import type { TrainerInput } from "../src/train/trainer-options.ts";

export interface Net {
  readonly module: Module;
  /** A net of the same kind with at most so many parameters. */
  small(parameters: number): Module;
  /** Pixels of augmentation. */
  readonly shift: number;
  readonly dense: TrainerInput;
  /** Around pruning: without losses and epochs. */
  readonly pruning: Omit<TrainerInput, "losses" | "epochs">;
  readonly compareAt: number;
  readonly compareEpochs: number;
  readonly finalEpochs: number;
  readonly ratios: readonly number[];
}

const sgd = (weightDecay: number): TrainerInput["optimizer"] => ({
  kind: "sgd",
  momentum: 0.9,
  nesterov: true,
  weightDecay,
});

const dense = (epochs: number, learningRate: number, weightDecay: number): TrainerInput => ({
  losses: [{ kind: "cross-entropy" }],
  optimizer: sgd(weightDecay),
  schedule: { kind: "one-cycle" },
  batchSize: 128,
  epochs,
  learningRate,
  metric: "top-1",
});

const pruning = (learningRate: number, weightDecay: number): Net["pruning"] => ({
  optimizer: sgd(weightDecay),
  schedule: { kind: "cosine" },
  batchSize: 128,
  learningRate,
  metric: "top-1",
});

/** A hidden layer of a, one of a third of it, at least 8. */
function smallPerceptron(parameters: number): Module {
  const widths = (a: number): readonly [number, number] => [a, Math.max(8, Math.round(a / 3))];
  const count = ([a, b]: readonly [number, number]): number => 785 * a + (a + 1) * b + (b + 1) * 10;
  let a = 1;
  while (count(widths(a + 1)) <= parameters) a++;
  const [first, second] = widths(a);
  return sequential({
    flatten: flatten(),
    fc1: linear(784, first),
    relu1: relu(),
    fc2: linear(first, second),
    relu2: relu(),
    fc3: linear(second, 10),
  });
}

/** LeNet-5 with widths of one share. */
function smallLenet5(parameters: number): Module {
  const widths = (share: number): [number, number, number] => [
    Math.max(1, Math.round(20 * share)),
    Math.max(1, Math.round(50 * share)),
    Math.max(1, Math.round(500 * share)),
  ];
  const count = ([a, b, c]: [number, number, number]): number =>
    26 * a + (25 * a + 1) * b + (16 * b + 1) * c + (c + 1) * 10;
  let share = 1;
  while (share > 0.02 && count(widths(share)) > parameters) share -= 0.002;
  return lenet5({ widths: widths(share) });
}

const lenet300Net: Net = {
  module: lenet300(),
  small: smallPerceptron,
  shift: 0,
  dense: dense(20, 0.1, 5e-5),
  pruning: pruning(0.05, 5e-5),
  compareAt: 50,
  compareEpochs: 6,
  finalEpochs: 24,
  ratios: [12, 50, 100, 56],
};
const lenet5Net: Net = {
  module: lenet5(),
  small: smallLenet5,
  shift: 0,
  dense: { ...dense(10, 0.05, 5e-4), timeWays: true },
  pruning: { ...pruning(0.025, 5e-4), timeWays: true },
  compareAt: 100,
  compareEpochs: 4,
  finalEpochs: 12,
  ratios: [12, 50, 100, 111, 280],
};

export const NETS: Readonly<Record<string, Net>> = {
  lenet300: lenet300Net,
  lenet5: lenet5Net,
  "lenet300-shift": { ...lenet300Net, shift: 1, ratios: [12, 67, 100] },
  "lenet5-shift": { ...lenet5Net, shift: 1, ratios: [25, 50, 100] },
};

/** One way to prune. */
export interface Way {
  readonly prune: PruneInput;
  /** Distils from the dense net beside the labels. Default false. */
  readonly distill?: boolean;
  /** From the weights before any training. Default false: from the dense net. */
  readonly fresh?: boolean;
  /** Amounts of Deep Compression for 12×, scaled. */
  readonly table?: boolean;
}

const cubic = { kind: "cubic" } as const;

/** Each differs from the first in one thing; the last ones put several together. */
export const WAYS: Readonly<Record<string, Way>> = {
  magnitude: { prune: { schedule: cubic } },
  lamp: { prune: { schedule: cubic, criterion: "lamp" } },
  taylor: { prune: { schedule: cubic, criterion: "taylor" } },
  movement: { prune: { schedule: cubic, criterion: "movement", regrowth: { kind: "surgery", margin: 0 } } },
  random: { prune: { schedule: cubic, criterion: "random" } },
  "snip-at-start": { prune: { schedule: { kind: "one-shot" }, criterion: "snip", batches: 32 }, fresh: true },
  "one-shot": { prune: { schedule: { kind: "one-shot" } } },
  linear: { prune: { schedule: { kind: "linear" } } },
  "iterative-once": { prune: { schedule: { kind: "iterative" } } },
  "iterative-restart": { prune: { schedule: { kind: "iterative" }, rate: "restart" } },
  "layer-equal": { prune: { schedule: cubic, scope: "layer" } },
  "layer-table": { prune: { schedule: cubic }, table: true },
  surgery: { prune: { schedule: { ...cubic, every: 50 }, regrowth: { kind: "surgery" } } },
  "gradient-regrowth": { prune: { schedule: cubic, regrowth: { kind: "gradient" }, batches: 4 } },
  distill: { prune: { schedule: cubic }, distill: true },
  "lamp-distill": { prune: { schedule: cubic, criterion: "lamp" }, distill: true },
  "surgery-distill": { prune: { schedule: { ...cubic, every: 50 }, regrowth: { kind: "surgery" } }, distill: true },
  "lamp-surgery-distill": {
    prune: { schedule: { ...cubic, every: 50 }, criterion: "lamp", regrowth: { kind: "surgery" } },
    distill: true,
  },
};

/** Of the final table, beside the winner. Zhu & Gupta prune every layer alike. */
export const BASELINES = ["random", "layer-equal"] as const;

/** Shares that Deep Compression keeps at 12×. */
export const DEEP_COMPRESSION: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  lenet300: { "fc1.weight": 0.08, "fc2.weight": 0.09, "fc3.weight": 0.26 },
  lenet5: { "conv1.weight": 0.66, "conv2.weight": 0.12, "fc1.weight": 0.08, "fc2.weight": 0.19 },
};

export function build(module: Module, seed: number): Model {
  return buildModel(module, { input: { name: "x", dims: ["N", 1, 28, 28] }, output: "logits", seed });
}
