/**
 * @file Sessions that keep state between runs: what one run makes of a tensor is what the next one gets.
 */
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelSource, Port, SessionOptions, Tensors } from "./runtime.ts";

/** One tensor of the state: the models' input and output that carry it, and what it is at first. */
export interface StateSlot {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  readonly initial: Tensor;
}

/** A session of a store: fed and fetched are only the tensors that are not state. */
export interface StatefulSession {
  /** Without the state's. */
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /**
   * Runs once and takes over the new state, all of it or, where the run fails, none.
   * @param fetch Names of outputs. Default: all that are not state.
   */
  step(feeds: Tensors, fetch?: readonly string[]): Promise<Tensors>;
  release(): Promise<void>;
}

/** The state of one training, shared by its sessions: step, accumulation, evaluation, one of each per shape. */
export interface StateStore {
  /** A copy, as it is now. */
  get(name: string): Promise<Tensor>;
  /** @throws InputError where type or dimensions differ. */
  set(name: string, tensor: Tensor): Promise<void>;
  /** Copies of these tensors, by default of all. */
  snapshot(names?: readonly string[]): Promise<ReadonlyMap<string, Tensor>>;
  /** Sets several. */
  restore(state: ReadonlyMap<string, Tensor>): Promise<void>;
  /** Loads a model whose inputs and outputs of a slot's names are the state. Runs of one store's sessions must not overlap. */
  load(model: ModelSource, options?: SessionOptions): Promise<StatefulSession>;
  /** Gives up the state and its sessions. */
  release(): Promise<void>;
}

// createState(runtime, slots): Promise<StateStore>
