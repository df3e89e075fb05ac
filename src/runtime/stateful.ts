/**
 * @file Sessions that keep state between runs: what one run makes of a tensor is what the next one gets.
 */
import { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import type { ModelSource, Port, Runtime, Session, SessionOptions, Tensors } from "./runtime.ts";

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

/** A store for a runtime, in its worker where it has one: the code that uses it is the same. */
export async function createState(runtime: Runtime, slots: readonly StateSlot[]): Promise<StateStore> {
  for (const key of ["name", "input", "output"] as const) {
    const double = slots.find((slot, i) => slots.findIndex((other) => other[key] === slot[key]) !== i);
    if (double !== undefined) throw refusal(double.name, `expected ${key}s that differ, got "${double[key]}" twice`);
  }
  return runtime.createState?.(slots) ?? new LocalStore(runtime, slots);
}

const refusal = (name: string, problem: string): InputError =>
  new InputError({ area: "runtime", subject: `state "${name}"`, problem });

/** A copy in a buffer of its own, which starts at a multiple of 16 bytes. */
function copyOf(tensor: Tensor): Tensor {
  return Tensor.of(tensor.dtype, tensor.dims, new Uint8Array(tensor.bytes()));
}

interface Held {
  /** Without the initial tensor, a part of a model's bytes perhaps, which is not held on to. */
  readonly slot: Omit<StateSlot, "initial">;
  current: Tensor;
  /** Memory for the next value, where the runtime fills what it is given; swapped with `current` after each run. */
  spare: Tensor | undefined;
}

class LocalStore implements StateStore {
  readonly #runtime: Runtime;
  readonly #held: ReadonlyMap<string, Held>;
  readonly #sessions: Set<Session> = new Set();
  #running = false;

  constructor(runtime: Runtime, slots: readonly StateSlot[]) {
    this.#runtime = runtime;
    this.#held = new Map(
      slots.map(({ initial, ...slot }) => [slot.name, { slot, current: copyOf(initial), spare: undefined }]),
    );
  }

  async get(name: string): Promise<Tensor> {
    return copyOf(this.#find(name).current);
  }

  async set(name: string, tensor: Tensor): Promise<void> {
    await this.restore(new Map([[name, tensor]]));
  }

  async snapshot(names: readonly string[] = [...this.#held.keys()]): Promise<ReadonlyMap<string, Tensor>> {
    return new Map(names.map((name) => [name, copyOf(this.#find(name).current)]));
  }

  async restore(state: ReadonlyMap<string, Tensor>): Promise<void> {
    const checked = [...state].map(([name, tensor]) => {
      const held = this.#find(name);
      if (String(tensor) !== String(held.current)) throw refusal(name, `expected ${held.current}, got ${tensor}`);
      return [held, tensor] as const;
    });
    for (const [held, tensor] of checked) held.current = copyOf(tensor);
  }

  async load(model: ModelSource, options?: SessionOptions): Promise<StatefulSession> {
    const session = await this.#runtime.load(model, options);
    this.#sessions.add(session);
    const held = [...this.#held.values()];
    const takes = held.filter(({ slot }) => session.inputs.some(({ name }) => name === slot.input));
    const gives = held.filter(({ slot }) => session.outputs.some(({ name }) => name === slot.output));
    const without = (ports: readonly Port[], names: ReadonlySet<string>): readonly Port[] =>
      ports.filter(({ name }) => !names.has(name));
    const inputs = without(session.inputs, new Set(takes.map(({ slot }) => slot.input)));
    const outputs = without(session.outputs, new Set(gives.map(({ slot }) => slot.output)));
    return {
      inputs,
      outputs,
      step: (feeds, fetch = outputs.map(({ name }) => name)) => this.#step(session, takes, gives, feeds, fetch),
      release: async () => {
        this.#sessions.delete(session);
        await session.release();
      },
    };
  }

  async release(): Promise<void> {
    for (const session of this.#sessions) await session.release();
    this.#sessions.clear();
  }

  #find(name: string): Held {
    const held = this.#held.get(name);
    if (held === undefined) throw refusal(name, `expected one of ${this.#held.size} entries, found none of this name`);
    return held;
  }

  async #step(
    session: Session,
    takes: readonly Held[],
    gives: readonly Held[],
    feeds: Tensors,
    fetch: readonly string[],
  ): Promise<Tensors> {
    if (this.#running)
      throw new InputError({ area: "runtime", subject: "state", problem: "expected one run at a time" });
    const all: Record<string, Tensor> = { ...feeds };
    for (const { slot, current } of takes) {
      if (slot.input in feeds) throw refusal(slot.name, `expected no feed of "${slot.input}", got one`);
      all[slot.input] = current;
    }
    this.#running = true;
    try {
      if (session.runInto === undefined) {
        const results = await session.run(all, [...fetch, ...gives.map(({ slot }) => slot.output)]);
        for (const held of gives) held.current = results[held.slot.output]!;
        return Object.fromEntries(fetch.map((name) => [name, results[name]!]));
      }
      const into: Record<string, Tensor> = {};
      for (const held of gives) {
        const { dtype, dims } = held.current;
        held.spare ??= Tensor.of(dtype, dims, new Uint8Array(held.current.byteLength));
        into[held.slot.output] = held.spare;
      }
      const results = await session.runInto(all, into, fetch);
      for (const held of gives) [held.current, held.spare] = [held.spare!, held.current];
      return results;
    } finally {
      this.#running = false;
    }
  }
}
