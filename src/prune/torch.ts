/**
 * @file torch.nn.utils.prune on ONNX models: the same functions, the same masks, rounding and ties included; stacked ones
 * apply to what is left. Beyond it: `undo`, and selections of several weights.
 *
 * Where PyTorch takes a module and the name of its parameter, these take the parameter's name in the file ("conv1.weight"), or
 * any other selection; of several weights each is pruned by itself, except by globalUnstructured.
 * Source: PyTorch 2.13, torch/nn/utils/prune.py.
 */
import type { Model } from "../graph/model.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OptionError } from "../util/errors.ts";
import { createRandom } from "../util/random.ts";
import type { Amount } from "./amount.ts";
import { maskedValue, type PruneEvent, setKept } from "./masks.ts";
import { type Scored, selectGlobal } from "./select.ts";
import { type NormOrder, rowNorms, selectRows } from "./structured.ts";
import { findPrunable, type PrunableWeight, type Selection } from "./weights.ts";

/** One weight as it is after pruning. */
export interface PrunedWeight {
  readonly name: string;
  /** Elements. */
  readonly size: number;
  /** Elements that the mask takes out, in all. */
  readonly pruned: number;
}

/** One score per element, in the weight's order: the lowest absolute ones go. */
export type Scores = Tensor | Float32Array | ((weight: PrunableWeight) => Float32Array);

export interface UnstructuredOptions {
  /** A share of what is left, or a count. */
  readonly amount: Amount;
}

export interface ImportanceOptions extends UnstructuredOptions {
  /** Instead of the weights themselves; PyTorch's importance_scores. */
  readonly importanceScores?: Scores | undefined;
}

export interface RandomOptions extends UnstructuredOptions {
  /** Default 0. */
  readonly seed?: number | undefined;
}

export interface StructuredOptions extends UnstructuredOptions {
  /** The axis of the channels, from the end where negative. Default −1, as PyTorch's; 0 are the outputs of Linear and Conv. */
  readonly dim?: number | undefined;
}

export interface GlobalOptions extends RandomOptions {
  /** l1 (default): the smallest absolute values go. random: by chance. */
  readonly method?: "l1" | "random" | undefined;
  /** By the weight's name. */
  readonly importanceScores?: Readonly<Record<string, Scores>> | undefined;
}

/** A mask that prunes nothing yet: for a fine-tuning or a later method to find. */
export function identity(model: Model, selection: Selection): PrunedWeight[] {
  return each(
    model,
    selection,
    { method: "identity" },
    ({ kept, tensor }) => kept ?? new Uint8Array(tensor.size).fill(1),
  );
}

/** Single weights by chance. */
export function randomUnstructured(model: Model, selection: Selection, options: RandomOptions): PrunedWeight[] {
  const { amount, seed = 0 } = options;
  const random = createRandom(seed);
  return each(model, selection, { method: "random-unstructured", amount, seed }, (weight) => {
    const scores = Float32Array.from({ length: weight.tensor.size }, () => random.next());
    return selectGlobal([scored(weight, scores)], UNSTRUCTURED, amount)[0]!;
  });
}

/** The single weights of the smallest absolute value. */
export function l1Unstructured(model: Model, selection: Selection, options: ImportanceOptions): PrunedWeight[] {
  const { amount, importanceScores } = options;
  return each(model, selection, { method: "l1-unstructured", amount }, (weight) => {
    const scores = scoresOf(weight, importanceScores).map(Math.abs);
    return selectGlobal([scored(weight, scores)], UNSTRUCTURED, amount, "torch")[0]!;
  });
}

/** Whole channels along an axis, by chance. */
export function randomStructured(
  model: Model,
  selection: Selection,
  options: StructuredOptions & RandomOptions,
): PrunedWeight[] {
  const { amount, seed = 0, dim = -1 } = options;
  const random = createRandom(seed);
  return each(model, selection, { method: "random-structured", amount, seed, dim }, (weight) =>
    selectRows(weight, dim, amount, ({ rows }) => Float32Array.from({ length: rows }, () => random.next())),
  );
}

/** The channels along an axis whose Lₙ norm is the smallest. */
export function lnStructured(
  model: Model,
  selection: Selection,
  options: StructuredOptions & ImportanceOptions & { readonly n: NormOrder },
): PrunedWeight[] {
  const { amount, n, dim = -1, importanceScores } = options;
  return each(model, selection, { method: "ln-structured", amount, n, dim }, (weight) => {
    const values = scoresOf(weight, importanceScores);
    return selectRows(weight, dim, amount, (view) => rowNorms(values, weight.kept, view, n));
  });
}

/** Single weights of several tensors by one threshold. */
export function globalUnstructured(model: Model, selection: Selection, options: GlobalOptions): PrunedWeight[] {
  const { amount, method = "l1", seed = 0, importanceScores = {} } = options;
  const weights = findPrunable(model, selection);
  const random = createRandom(seed);
  const items = weights.map((weight) => {
    if (method === "l1") return scored(weight, scoresOf(weight, importanceScores[weight.name]).map(Math.abs));
    return scored(
      weight,
      Float32Array.from({ length: weight.tensor.size }, () => random.next()),
    );
  });
  const masks = selectGlobal(items, UNSTRUCTURED, amount, "torch");
  const event = { method: "global-unstructured", amount, by: method, weights: weights.length };
  return weights.map((weight, i) => set(model, weight, masks[i]!, event));
}

/**
 * A mask of your own; what went before stays away.
 * @param kept bool, or numbers that are 0 or not, of the weight's dimensions.
 */
export function customFromMask(model: Model, selection: Selection, kept: Tensor): PrunedWeight[] {
  return each(model, selection, { method: "custom-from-mask" }, (weight) => {
    const { dims } = weight.tensor;
    if (String(kept.dims) !== String(dims)) throw refusal(weight.name, `a mask [${dims}]`, `one of [${kept.dims}]`);
    return Uint8Array.from(kept.numbers(), (keep, i) => (keep !== 0 && weight.kept?.[i] !== 0 ? 1 : 0));
  });
}

/**
 * Makes masks permanent: the weights keep their zeros, the masks and what they covered are gone.
 * @param selection Default: every weight with a mask.
 * @returns The names of the weights.
 * @throws OptionError where there is none.
 */
export function remove(model: Model, selection?: Selection): string[] {
  return end(model, selection, "commit");
}

/** Takes masks away: what they covered is there again, as it is now (PyTorch has none of this). @throws as {@link remove}. */
export function undo(model: Model, selection?: Selection): string[] {
  return end(model, selection, "remove");
}

/** Whether any weight of the selection, or of the model, has a mask. */
export function isPruned(model: Model, selection?: Selection): boolean {
  return findPrunable(model, selection).some(({ kept }) => kept !== undefined);
}

const UNSTRUCTURED = { kind: "unstructured" } as const;

const scored = ({ name, kept, view }: PrunableWeight, scores: Float32Array): Scored => ({ name, scores, kept, view });

const refusal = (subject: string, expected: string, got: string, help?: string): OptionError =>
  new OptionError({ area: "prune", subject, problem: `expected ${expected}, got ${got}`, help });

function each(
  model: Model,
  selection: Selection,
  event: PruneEvent,
  kept: (weight: PrunableWeight) => Uint8Array,
): PrunedWeight[] {
  // All masks before the first is set: an amount that does not fit one of them changes none.
  const masks = findPrunable(model, selection).map((weight) => [weight, kept(weight)] as const);
  return masks.map(([weight, own]) => set(model, weight, own, event));
}

function set(model: Model, { name, value, tensor }: PrunableWeight, kept: Uint8Array, event: PruneEvent): PrunedWeight {
  setKept(model, value, kept, event);
  return { name, size: tensor.size, pruned: kept.reduce((sum, keep) => sum + 1 - keep, 0) };
}

function scoresOf(weight: PrunableWeight, scores: Scores | undefined): Float32Array {
  if (scores === undefined) return weight.tensor.floats();
  const found = typeof scores === "function" ? scores(weight) : scores instanceof Tensor ? scores.floats() : scores;
  const { size } = weight.tensor;
  if (found.length !== size) throw refusal(weight.name, `${size} scores, one per element`, String(found.length));
  return found;
}

function end(model: Model, selection: Selection | undefined, how: "commit" | "remove"): string[] {
  const weights = findPrunable(model, selection).filter(({ kept }) => kept !== undefined);
  if (weights.length === 0) {
    const help = "Masks that were made permanent cannot be undone: take the file from before.";
    throw refusal(how === "commit" ? "remove" : "undo", "weights with masks", "none", help);
  }
  for (const { value } of weights) mask[how](model, maskedValue(model, value)!);
  return weights.map(({ name }) => name);
}
