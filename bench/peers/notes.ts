/**
 * @file What explains figures of bench/peers, found by looking into the files and profiles; dated, as they are about a state.
 */
import type { ModelName } from "./models.ts";

export const NOTES: Readonly<Record<ModelName, readonly string[]>> = {
  recognition: [],
  detection: [],
  direction: [],
};
