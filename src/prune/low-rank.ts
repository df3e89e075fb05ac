/**
 * @file Step low-rank: a Gemm, MatMul or Conv becomes two with fewer parameters and products, by SVD, where that saves.
 *
 * A weight [O, K] of rank r takes r·(O + K) parameters instead of O·K, and as many products per position. Trained weights
 * seldom have a low rank by themselves: fine-tune afterwards, or give data (`weighting: "activations"`), which keep what the
 * layer's real inputs use.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import { choiceOptions, leftOut } from "../step/choice.ts";
import { defineStep, type LeftAlone, type StepContext, type StepReport } from "../step/step.ts";
import { OptionError } from "../util/errors.ts";
import { formatCount } from "../util/format.ts";
import { checkCancelled } from "../util/progress.ts";
import {
  chooseRank,
  DEFAULT_ENERGY,
  decompose,
  type RankChoice,
  relativeError,
  type Spectrum,
  tailError,
} from "./low-rank/factors.ts";
import { type FactorLayer, factorLayer, hasFactors, isPointwise, matrixOf, splitLayer } from "./low-rank/layer.ts";
import { inputMoments } from "./low-rank/moments.ts";

export const lowRank = defineStep({
  name: "low-rank",
  summary: "Split matrix products and convolutions into two smaller ones (SVD) where that saves",
  options: z.object({
    rank: z
      .number()
      .positive()
      .optional()
      .describe("rank that stays: below 1 a share of the full rank, from 1 on a number"),
    energy: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(`least share of the squared singular values that stays (default: ${DEFAULT_ENERGY})`),
    maxError: z.number().min(0).max(1).optional().describe("largest relative error of a weight, or of its outputs"),
    weighting: z
      .enum(["none", "activations"])
      .default("none")
      .describe("what is kept: most of the weight, or most of what it makes of calibration data"),
    convolutions: z
      .enum(["1x1", "all"])
      .default("1x1")
      .describe("all: convolutions with larger kernels, too, as k×k with fewer outputs and 1×1"),
    multiple: z
      .number()
      .int()
      .min(1)
      .default(8)
      .describe("ranks found by energy or error are rounded up to a multiple of it"),
    minSaving: z.number().min(0).max(1).default(0.1).describe("share of a layer's parameters that must go"),
    minElements: z.number().int().min(1).default(4096).describe("weights with fewer elements are left alone"),
    ...choiceOptions,
  }),
  needs: [],
  async run(model, options, context): Promise<StepReport> {
    checkChoice(options);
    const leftAlone: LeftAlone[] = [];
    const layers = findLayers(model, options, leftAlone);
    const moments = options.weighting === "none" ? undefined : await momentsFor(model, layers, context);
    const changes: string[] = [];
    for (const [index, layer] of layers.entries()) {
      context.progress?.("splitting", index, layers.length);
      checkCancelled(context.signal);
      const matrix = matrixOf(layer);
      if (!matrix.every(Number.isFinite)) {
        leave(layer, "its weight has values that are not finite", leftAlone);
        continue;
      }
      const known = moments?.get(layer);
      const result = split(layer, matrix, decompose(matrix, layer.outputs, layer.inputs, known), options, known);
      if (result.changed) changes.push(result.text);
      else leave(layer, result.text, leftAlone);
    }
    context.progress?.("splitting", layers.length, layers.length);
    return { changed: changes.length, changes, leftAlone };
  },
});

type Options = z.output<(typeof lowRank)["options"]>;

function checkChoice(options: Options): void {
  const given = (["rank", "energy", "maxError"] as const).filter((key) => options[key] !== undefined);
  if (given.length > 1) {
    throw new OptionError({
      area: "step",
      subject: `low-rank, options "${given.join('" and "')}"`,
      problem: `expected at most one of rank, energy and maxError, got ${given.length}`,
    });
  }
  const { rank } = options;
  if (rank === undefined || rank < 1 || Number.isInteger(rank)) return;
  throw new OptionError({
    area: "step",
    subject: 'low-rank, option "rank"',
    problem: `expected a share below 1 or a whole number, got ${rank}`,
  });
}

function momentsFor(
  model: Model,
  layers: readonly FactorLayer[],
  { runtime, calibration, progress, signal }: StepContext,
): ReturnType<typeof inputMoments> {
  if (runtime !== undefined && calibration !== undefined) {
    return inputMoments(model, layers, { runtime, calibration, progress, signal });
  }
  throw new OptionError({
    area: "step",
    subject: 'low-rank, option "weighting"',
    problem: `expected ${calibration === undefined ? "calibration data" : "a runtime"} for activations, got none`,
    help: "Give samples with --data (API: context.calibration), or leave the option out.",
  });
}

function findLayers(model: Model, options: Options, leftAlone: LeftAlone[]): FactorLayer[] {
  const layers: FactorLayer[] = [];
  for (const node of model.allNodes()) {
    if (!hasFactors(node)) continue;
    const layer = leftOut(node, options) ?? factorLayer(node);
    if (typeof layer === "string") leftAlone.push({ subject: node.label, opType: node.opType, reason: layer });
    else {
      const reason = reasonAgainst(layer, options);
      if (reason === undefined) layers.push(layer);
      else leave(layer, reason, leftAlone);
    }
  }
  return layers;
}

function reasonAgainst(layer: FactorLayer, options: Options): string | undefined {
  const { outputs, inputs, kernel } = layer;
  const elements = outputs * inputs;
  if (elements < options.minElements) return `its weight has ${elements} elements, fewer than ${options.minElements}`;
  if (options.convolutions === "1x1" && !isPointwise(layer)) {
    return `its kernel is ${kernel!.join("×")}; convolutions all would split it, too`;
  }
  return undefined;
}

function leave({ node }: FactorLayer, reason: string, leftAlone: LeftAlone[]): void {
  leftAlone.push({ subject: node.label, opType: node.opType, reason });
}

/** Splits a layer, or says why not. */
function split(
  layer: FactorLayer,
  matrix: Float32Array,
  spectrum: Spectrum,
  options: Options,
  moments: Float64Array | undefined,
): { readonly changed: boolean; readonly text: string } {
  const { node, outputs, inputs } = layer;
  const full = Math.min(outputs, inputs);
  const rank = rankFor(spectrum, options, full);
  const [before, after] = [outputs * inputs, rank * (outputs + inputs)];
  const saved = 1 - after / before;
  if (saved < options.minSaving) {
    const what = saved <= 0 ? "nothing" : `${(100 * saved).toFixed(1)} %`;
    const needed = options.rank === undefined ? `rank ${rank} of ${full} is needed` : `rank ${rank} of ${full}`;
    return { changed: false, text: `${needed}: that saves ${what}` };
  }
  const factors = spectrum.factors(rank);
  const error = relativeError(matrix, factors, outputs, inputs).toFixed(4);
  splitLayer(layer, factors);
  const ofOutputs = moments === undefined ? "" : `, of its outputs ${tailError(spectrum, rank).toFixed(4)}`;
  return {
    changed: true,
    text:
      `${node.label} (${node.opType}): rank ${rank} of ${full}, ${formatCount(before)} → ${formatCount(after)} parameters, ` +
      `relative error ${error}${ofOutputs}`,
  };
}

/** A rank that the user gave stays as it is; one that was found is rounded up. */
function rankFor(spectrum: Spectrum, options: Options, full: number): number {
  const choice: RankChoice = {
    ...(options.rank !== undefined && { rank: options.rank }),
    ...(options.energy !== undefined && { energy: options.energy }),
    ...(options.maxError !== undefined && { maxError: options.maxError }),
  };
  const rank = Math.min(full, chooseRank(spectrum, choice));
  return options.rank === undefined ? Math.min(full, Math.ceil(rank / options.multiple) * options.multiple) : rank;
}
