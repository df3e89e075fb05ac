/**
 * @file Masks that changed during training, back into the model.
 */
import type { Model } from "../graph/model.ts";
import { hoistConstants } from "../passes/hoist-constants.ts";
import { type PruneEvent, setKept } from "../prune/masks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError } from "../util/errors.ts";
import type { StateEntry } from "./program.ts";

/**
 * Sets masks on the constants of these names; what they cover stays under them.
 * @param masks bool, by parameter.
 * @throws InputError where the model has no such constant.
 */
export function writeMasks(model: Model, masks: ReadonlyMap<string, Tensor>, event: PruneEvent): void {
  hoistConstants.run(model, {}, {});
  const values = new Map([...model.graph.initializers].map((value) => [value.name, value]));
  for (const [name, mask] of masks) {
    const value = values.get(name);
    if (value === undefined) {
      throw new InputError({
        area: "train",
        subject: `mask of "${name}"`,
        problem: "expected a constant of this name, found none",
      });
    }
    setKept(model, value, Uint8Array.from(mask.bytes()), event);
  }
}

/** The masks of a snapshot by parameter. */
export function masksOf(
  entries: readonly StateEntry[],
  state: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Tensor> {
  return new Map(
    entries.flatMap(({ name, kind, parameter }) => {
      const tensor = kind === "mask" ? state.get(name) : undefined;
      return tensor === undefined ? [] : [[parameter!, tensor] as const];
    }),
  );
}
