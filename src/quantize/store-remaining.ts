/**
 * @file After integer kernels were placed: stores the float weights that are left in 8 bits, computed in float.
 */
import type { Model } from "../graph/model.ts";
import { isDepthwise } from "../graph/ops/weights.ts";
import type { LeftAlone } from "../step/step.ts";
import type { ComputedOptions } from "./options.ts";
import { findWeights, storeWeight } from "./weight-int8.ts";

/** Elements below which a weight loses much for the few bytes that it saves (silero: 5 dB for 4 % of the file). */
const LEAST_STORED = 2048;

/**
 * Stores what can be stored; what cannot keeps the reason that it has. Weights of nodes that were left alone because of
 * their loss, or by the options, and depthwise weights (few bytes, and the most sensitive of all) stay as they are.
 * @param minStored elements below which a weight stays as it is, where the options do not say.
 * @returns How many were stored.
 */
export function storeRemaining(
  model: Model,
  options: ComputedOptions,
  leftAlone: LeftAlone[],
  minStored = LEAST_STORED,
): number {
  let stored = 0;
  // Whoever computes smaller weights in 8 bits wants them stored so, too.
  const least = options.minStored ?? Math.min(options.minElements, minStored);
  for (const weight of findWeights(model)) {
    if (!options.force && [...weight.value.users].some(isDepthwise)) continue;
    if (storeWeight(weight, { ...options, minElements: least }, "cast") !== undefined) continue;
    stored++;
    const users = new Set([weight.user.label, weight.value.name]);
    for (const [index, entry] of leftAlone.entries()) {
      if (users.has(entry.subject)) {
        leftAlone[index] = { ...entry, reason: `${entry.reason}; its weight is stored in 8 bits` };
      }
    }
  }
  return stored;
}
