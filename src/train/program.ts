/**
 * @file A training program: the ONNX graphs that take a batch, the state and scalars and give the loss and the new state,
 * and the list of the state that goes from one run to the next.
 */
import type { ChooseWay } from "../autodiff/differentiate.ts";
import type { TimeWaysOptions } from "../autodiff/time-ways.ts";
import type { Model } from "../graph/model.ts";
import type { Runtime, Tensors } from "../runtime/runtime.ts";
import type { StateSlot } from "../runtime/stateful.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Progress } from "../util/progress.ts";

/**
 *  - `parameter`: a trained initializer of the model, under its name.
 *  - `optimizer`: a moment of a parameter (momentum, Adam's m and v).
 *  - `statistic`: running mean or variance of a BatchNormalization, an initializer of the model, under its name.
 *  - `ema`: the moving average of a parameter.
 *  - `counter`: updates so far, int64 [].
 *  - `accumulator`: the sum of gradients since the last update.
 *  - `mask`: what is left of a parameter, bool; no run changes it.
 *  - `score`: what a parameter's movements have added up to.
 */
export type StateKind = "parameter" | "optimizer" | "statistic" | "ema" | "counter" | "accumulator" | "mask" | "score";

/** One tensor that lives from step to step. `name` is unique, and the same in every program of the same model and options. */
export interface StateEntry extends StateSlot {
  readonly kind: StateKind;
  /** The parameter whose moment, average or gradient it is. */
  readonly parameter?: string;
}

/** A tensor that is fed with every run of the models that have an input of this name. */
export interface FedTensor {
  readonly input: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** Bytes, as far as they are known before anything runs. */
export interface MemoryEstimate {
  readonly parameters: number;
  /** Moments, averages, accumulators. */
  readonly optimizer: number;
  /** Values of the forward pass that the backward pass needs again. */
  readonly activations: number;
  /** All values that are alive at once at most while one step runs: activations, gradients, what is between them. */
  readonly working: number;
  /** The same of the forward pass alone: in validation, and for the teacher. */
  readonly forward: number;
  /** What a process grows by: the above, the state twice (the old and the new), copies of the model, targets, the runtime. */
  readonly peak: number;
}

/** What is minimized, its parts, and the gradients' norm, as outputs. */
export const LOSS = "train/loss";
export const GRADIENT_NORM = "train/gradient-norm";

/** Names of scalars: what is fed each step as float32 []. */
export const LEARNING_RATE = "train/learning-rate";
/** Factor on the gradients before clipping, 1 ÷ the number of batches accumulated; only in programs that accumulate. */
export const GRADIENT_SCALE = "train/gradient-scale";

/** The output of the graph of gradients that has a parameter's. */
export const gradientName = (parameter: string): string => `${parameter}/gradient`;

export interface TrainingProgram {
  /** Forward, loss, backward, clipping, update. Inputs: batch, targets, scalars, random, state. */
  readonly step: Model;
  /**
   * The same without the update: adds the gradients to the accumulators, which the next `step` adds to its own, scales
   * and sets to zero. Undefined where the options ask for no accumulation.
   */
  readonly accumulate?: Model;
  /** Forward and losses with the state's parameters: no gradients, no state changes, no dropout. */
  readonly evaluate: Model;
  /**
   * Forward, losses and the gradients of what masks leave of the parameters (of entries under a mask, too), by
   * {@link gradientName}. Changes no state. Undefined where the options do not ask for it.
   */
  readonly gradients?: Model;
  readonly state: readonly StateEntry[];
  readonly scalars: readonly string[];
  /** Uniform numbers in [0, 1), fresh for each run of `step` and `accumulate`, in this order. */
  readonly random: readonly FedTensor[];
  /** What a batch must have beside the model's inputs: labels, a teacher's outputs, lengths. */
  readonly targets: readonly FedTensor[];
  readonly outputs: {
    /** float32 []: what is minimized, penalties included. */
    readonly loss: string;
    /** float32 [] each: the unweighted losses, by the name that the options give them. */
    readonly parts: Readonly<Record<string, string>>;
    /** float32 []: the norm of all gradients before clipping; only where the options clip. Of `step` only. */
    readonly gradientNorm?: string;
    /** The model's own outputs, by their own names: of `evaluate` and, where `step` may be asked for them, of `step`. */
    readonly predictions: readonly string[];
  };
  readonly memory: MemoryEstimate;
  /** What was decided for the user, one line each: frozen nodes and why, logits found before a Softmax. */
  readonly notes: readonly string[];
}

export interface BuildContext {
  readonly runtime: Runtime;
  /** One batch, targets included: fixes all dimensions. */
  readonly feeds: Tensors;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
  /** Picks ways to compute gradients. Default: the first. */
  readonly choose?: ChooseWay;
  /**
   * Times the ways and takes the fastest, where `choose` is not given; convolutions run in the runtime's own layout where
   * it has one. Other ways round otherwise: a run that is to be repeated bit by bit needs the same cache.
   */
  readonly timeWays?: Pick<TimeWaysOptions, "threads" | "cache" | "budgetMs" | "now">;
}
