/**
 * @file What runtimes make of sparse weights; the figures are in sparse-facts.ts, which scripts/probe-sparse.ts writes.
 */
import { SPARSE_FORM_FACTS, ZERO_SPEED_FACTS } from "./sparse-facts.ts";
import type { TargetName } from "./targets.ts";

/** Whether a target loads and runs models with a sparse constant in this form, and gives what the dense one gives. */
export interface SparseFormFact {
  readonly target: "node-cpu" | "web-wasm" | "web-webgpu";
  readonly form: "sparse_initializer" | "sparse_value";
  readonly taken: boolean;
}

export const ZERO_PATTERNS = ["unstructured", "2:4", "stored-sparse"] as const;

/**
 * Time of dense weights over time of the same weights with zeros, one thread, same runtime: above 1 the zeros make it
 * faster. `unstructured` has 90 % zeros, `stored-sparse` the same in a sparse initializer.
 */
export interface ZeroSpeedFact {
  readonly target: "node-cpu" | "web-wasm";
  readonly zeros: (typeof ZERO_PATTERNS)[number];
  readonly op: "MatMul" | "Conv";
  readonly ratio: number;
}

/** Whether a target was seen to take sparse initializers; undefined: nobody tried. */
export function takesSparse(target: TargetName): boolean | undefined {
  return SPARSE_FORM_FACTS.find((fact) => fact.target === target && fact.form === "sparse_initializer")?.taken;
}

/** Lowest and highest measured ratio of a pattern of zeros on a target; undefined: not measured. */
export function zeroSpeed(target: TargetName, zeros: ZeroSpeedFact["zeros"]): readonly [number, number] | undefined {
  const ratios = ZERO_SPEED_FACTS.filter((fact) => fact.target === target && fact.zeros === zeros).map((f) => f.ratio);
  return ratios.length === 0 ? undefined : [Math.min(...ratios), Math.max(...ratios)];
}
