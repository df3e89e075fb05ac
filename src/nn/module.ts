/**
 * @file What a layer is: a function of a scope and values that appends nodes and returns what they make. The scope names
 * parameters as PyTorch's state_dict does and draws their first values, each from a generator of its own.
 */
import type { Builder } from "../graph/builder.ts";
import type { Dim, Value } from "../graph/value.ts";
import { elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { GraphError } from "../util/errors.ts";
import { hashBytes } from "../util/hash.ts";
import { createRandom } from "../util/random.ts";
import type { Initializer } from "./init.ts";
import type { StateKinds } from "./state.ts";

/**
 * A layer or a container. It is called when a model is built, once per use:
 * `const twice: Module = (s, x) => s.b.add(s.child("a", linear(4, 4), x), x)`.
 */
export type Module<Inputs extends readonly unknown[] = [Value], Output = Value> = (
  scope: Scope,
  ...inputs: Inputs
) => Output;

/** What all scopes of one build share. */
export interface Build {
  readonly builder: Builder;
  readonly seed: number;
  /** By state_dict name, in the order in which they were made. */
  readonly state: Map<string, { readonly kind: StateKinds; readonly value: Value | undefined }>;
}

/** A place in the tree of modules. */
export class Scope {
  /** Appends nodes, named after the place. */
  readonly b: Builder;
  /** "layers.0"; empty at the top. */
  readonly path: string;
  readonly #build: Build;

  constructor(build: Build, path = "") {
    this.#build = build;
    this.path = path;
    // "/" keeps names of nodes and values apart from those of parameters.
    this.b = build.builder.under(`${path}/`);
  }

  /**
   * A float32 parameter of this module, named as in a state_dict. Asked for again under the same name it is the same one:
   * a module that is called twice under one name shares its weights.
   */
  parameter(name: string, dims: readonly number[], initializer: Initializer): Value {
    return this.#own(name, "parameter", dims, (full) => {
      // A generator per parameter: what one draws does not depend on which others there are.
      const seed = hashBytes(new TextEncoder().encode(`${this.#build.seed}:${full}`));
      return Tensor.float32(dims, initializer(dims, createRandom(seed)));
    });
  }

  /** A float32 tensor that belongs to the state but is not trained by gradients. */
  buffer(name: string, dims: readonly number[], fill: number): Value {
    return this.#own(name, "buffer", dims, () => Tensor.float32(dims, new Float32Array(elementCount(dims)).fill(fill)));
  }

  /** A number in PyTorch's state_dict that no node uses (num_batches_tracked). */
  counter(name: string): void {
    this.#build.state.set(this.#full(name), { kind: "counter", value: undefined });
  }

  /** What an operator wants in the place of a weight: neither trained nor a part of the state_dict. */
  constant(dims: readonly number[], fill: number): Value {
    const value = this.b.initializer(Tensor.float32(dims, new Float32Array(elementCount(dims)).fill(fill)));
    this.#build.state.set(value.name, { kind: "constant", value });
    return value;
  }

  /** Calls a module as a child of this name. */
  child<Inputs extends readonly unknown[], Output>(
    name: string,
    module: Module<Inputs, Output>,
    ...inputs: Inputs
  ): Output {
    return module(new Scope(this.#build, this.#full(name)), ...inputs);
  }

  /** Declares a float32 result's shape, where it is known: layers after it check theirs against it. */
  typed(value: Value, shape: readonly Dim[] | undefined): Value {
    if (shape !== undefined) value.setTensorType("float32", shape);
    return value;
  }

  error(problem: string, help?: string): GraphError {
    return new GraphError({ area: "nn", subject: this.path || "model", problem, help });
  }

  #full(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  #own(name: string, kind: StateKinds, dims: readonly number[], make: (full: string) => Tensor): Value {
    const { builder, state } = this.#build;
    const full = this.#full(name);
    const known = state.get(full)?.value;
    if (known !== undefined) {
      const same = known.initializer!.dims.join() === dims.join();
      if (same) return known;
      const got = `[${dims.join(", ")}]`;
      throw this.error(`expected ${name} [${known.initializer!.dims.join(", ")}], as it was made before, got ${got}`);
    }
    const value = builder.graph.addInitializer(full, make(full));
    if (value.name !== full)
      throw this.error(`expected a free name for ${name}, but a value is called "${full}" already`);
    state.set(full, { kind, value });
    return value;
  }
}

/** A module with one of its results: `pick(lstm(8, 16), "output")` has the parameters of the lstm, under the same names. */
export function pick<Inputs extends readonly unknown[], Output, Key extends keyof Output>(
  module: Module<Inputs, Output>,
  key: Key,
): Module<Inputs, Output[Key]> {
  return (scope, ...inputs) => module(scope, ...inputs)[key];
}
