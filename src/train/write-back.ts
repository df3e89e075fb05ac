/**
 * @file Trained values back into the model they came from. Masks, fake quantizers and everything else stay.
 */
import type { Model } from "../graph/model.ts";
import { constantTensor } from "../passes/hoist-constants.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import type { StateEntry } from "./program.ts";

/** A constant: an initializer, also one that is listed as an input, or a Constant node. */
export interface NamedConstant {
  readonly tensor: Tensor;
  set(tensor: Tensor): void;
}

/** The constants of a model by name, also of branches; names that several have are left out. */
export function namedConstants(model: Model): ReadonlyMap<string, NamedConstant> {
  const found = new Map<string, NamedConstant>();
  const several = new Set<string>();
  const add = (name: string, constant: NamedConstant): void => {
    if (found.has(name)) several.add(name);
    found.set(name, constant);
  };
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      if (value.initializer === undefined) continue;
      add(value.name, {
        tensor: value.initializer,
        set: (tensor) => {
          value.initializer = tensor;
        },
      });
    }
    for (const node of graph.nodes()) {
      const tensor = node.is("Constant") ? constantTensor(node) : undefined;
      if (tensor === undefined) continue;
      add(node.output().name, {
        tensor,
        set: (next) => {
          node.attributes.clear();
          node.set("value", { tensor: next });
        },
      });
    }
  }
  for (const name of several) found.delete(name);
  return found;
}

/**
 * Writes parameters and statistics into the model that was given to {@link buildTraining}.
 * @param entries The program's state.
 * @param state A snapshot of the store; only what it has is written.
 * @param averages Writes parameters' moving averages instead of themselves. Default false.
 * @returns How many constants were written.
 * @throws InputError where the model has no constant of a parameter's name, type and dimensions.
 */
export function writeBack(
  model: Model,
  entries: readonly StateEntry[],
  state: ReadonlyMap<string, Tensor>,
  { averages = false }: { readonly averages?: boolean } = {},
): number {
  const constants = namedConstants(model);
  const written = new Map<string, Tensor>();
  for (const { name, kind, parameter } of entries) {
    const tensor = state.get(name);
    if (tensor === undefined) continue;
    if (kind === "statistic" || kind === (averages ? "ema" : "parameter")) written.set(parameter ?? name, tensor);
  }
  for (const [name, tensor] of written) {
    const constant = constants.get(name);
    if (constant !== undefined && String(constant.tensor) === String(tensor)) continue;
    throw new InputError({
      area: "train",
      subject: `parameter "${name}"`,
      problem: `expected a constant ${tensor} of the model, found ${constant?.tensor ?? "none"}`,
      help: "Write into the model that the program was built from.",
    });
  }
  for (const [name, tensor] of written) {
    // The model may live longer than the snapshot's buffer is left alone.
    constants.get(name)!.set(Tensor.of(tensor.dtype, tensor.dims, new Uint8Array(tensor.bytes())));
  }
  return written.size;
}
