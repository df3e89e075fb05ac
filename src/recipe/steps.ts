/**
 * @file THE list of steps. A step's name here is its name in the API, in recipes, on the command line and in the docs.
 */
import type { z } from "zod";
import { CLEAN_UP } from "../passes/clean-up.ts";
import { inlineIf } from "../passes/inline-if.ts";
import { unrollRecurrent } from "../passes/unroll-recurrent.ts";
import { lowRank } from "../prune/low-rank.ts";
import { prune } from "../prune/prune.ts";
import { storeSparse } from "../prune/store-sparse.ts";
import { crossLayerEqualization } from "../quantize/corrections/cross-layer-equalization.ts";
import { smoothQuant } from "../quantize/corrections/smooth-quant.ts";
import { dynamicInt8 } from "../quantize/dynamic-int8.ts";
import { staticInt8 } from "../quantize/static-int8.ts";
import { weightInt8 } from "../quantize/weight-int8.ts";
import type { Step } from "../step/step.ts";

/** A step among others: its options are checked when it runs. */
function listed<Options extends z.ZodObject>(step: Step<Options>): Step {
  return step as unknown as Step;
}

/** The schemes of `tersor quantize`. */
export const SCHEMES = {
  "dynamic-int8": listed(dynamicInt8),
  "static-int8": listed(staticInt8),
  "weight-int8": listed(weightInt8),
} as const;

export type SchemeName = keyof typeof SCHEMES;

export const SCHEME_NAMES = Object.keys(SCHEMES) as SchemeName[];

/** Names that transformers.js uses for the same thing. */
export const SCHEME_ALIASES: Readonly<Record<string, SchemeName>> = {
  q8: "dynamic-int8",
  int8: "dynamic-int8",
  quantized: "dynamic-int8",
};

/** Steps in float that make a model lose less when it is quantized; they go between clean-up and scheme. */
export const CORRECTIONS = [listed(crossLayerEqualization), listed(smoothQuant)] as const;

/** Passes that training needs: what has no gradient is written as what has one. */
export const UNFOLDING = [listed(inlineIf), listed(unrollRecurrent)] as const;

/** Steps that take weights out, or make something of it that they are gone. */
export const PRUNERS = [listed(prune), listed(lowRank), listed(storeSparse)] as const;

/** All steps by name. */
export const STEPS = new Map(
  [...CLEAN_UP, ...UNFOLDING, ...CORRECTIONS, ...PRUNERS, ...Object.values(SCHEMES)].map(
    (step) => [step.name, step] as const,
  ),
);
