/**
 * @file Masks on weights: reading, setting, ending them. Where(mask, weight, 0), registered in the model (graph/parametrization-kinds).
 */
import type { Model } from "../graph/model.ts";
import { mask } from "../graph/parametrization-kinds.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Amount } from "./amount.ts";

/** One thing that was done to a weight's mask. */
export interface PruneEvent {
  /** The method's name: l1-unstructured, custom-from-mask, … */
  readonly method: string;
  readonly amount?: Amount;
  /** What else decided: n, dim, seed, pattern, scope, … */
  readonly [key: string]: unknown;
}

/** The masked value over a constant, or over a fake quantizer on it; undefined where it has no mask. */
export function maskedValue(model: Model, value: Value): Value | undefined {
  for (const node of value.users) {
    const result = node.outputs[0];
    const kind = result && model.parametrizations.get(result)?.kind;
    if (kind === "mask" && node.inputs[1] === value) return result;
    // Nodes of a fake quantizer: only the last one is registered.
    if (kind === "fake-quantize" || node.is("QuantizeLinear") || node.is("Clip")) {
      const above = result && maskedValue(model, result);
      if (above !== undefined) return above;
    }
  }
  return undefined;
}

/** What the users of a weight read. */
export function overMask(value: Value): Value {
  return maskedValue(value.graph.model, value) ?? value;
}

/** The mask on a constant: 1 there, 0 pruned; a copy. */
export function keptOf(model: Model, value: Value): Uint8Array | undefined {
  const result = maskedValue(model, value);
  const tensor = result?.producer?.input(0).constant;
  return tensor && Uint8Array.from(tensor.bytes());
}

/** Puts a mask on a constant, or new contents into the one that it has, and remembers what was done. */
export function setKept(model: Model, value: Value, kept: Uint8Array, event: PruneEvent): Value {
  const there = maskedValue(model, value);
  const tensor = Tensor.of("bool", value.shape as readonly number[], kept);
  if (there === undefined) return mask.insert(model, value, tensor, { history: [event] });
  const where = there.producer!;
  const old = where.input(0);
  if (old.initializer !== undefined && old.onlyUser !== undefined) old.initializer = tensor;
  else {
    where.setInput(0, value.graph.addInitializer(`${value.name}_mask`, tensor));
    if (old.isUnused && old.initializer !== undefined) value.graph.removeInitializer(old);
  }
  const history = [...historyOf(model, value), event];
  const entry = model.parametrizations.get(there)!;
  model.parametrizations.set(there, { ...entry, details: { ...entry.details, history } });
  return there;
}

/** What was done to a weight's mask, in order. */
export function historyOf(model: Model, value: Value): readonly PruneEvent[] {
  const there = maskedValue(model, value);
  const history = there && model.parametrizations.get(there)?.details?.["history"];
  return Array.isArray(history) ? (history as PruneEvent[]) : [];
}
