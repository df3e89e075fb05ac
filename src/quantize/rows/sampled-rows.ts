/**
 * @file Rows of activations for layers of one model, sampled while calibration data pass: each layer's once, whoever looks
 * at them (the check of saturation, the choice among observers).
 */
import type { Value } from "../../graph/value.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import type { Candidate } from "../candidates.ts";
import { kernelLayout } from "./layout.ts";
import { type Row, type RowSampler, restoreRows, rowSampler, type SavedRows, saveRows } from "./sampler.ts";

export class SampledRows {
  readonly #samplers: Map<Candidate, RowSampler> = new Map();
  readonly #seed: number;

  constructor(seed = 0) {
    this.#seed = seed;
  }

  /** Samples rows of a layer's left operand from now on. @returns False where its kernel has no such rows (depthwise). */
  watch(candidate: Candidate): boolean {
    if (this.#samplers.has(candidate)) return true;
    const layout = kernelLayout(candidate);
    if (layout === undefined) return false;
    this.#samplers.set(candidate, rowSampler(candidate, layout, createRandom(this.#seed + this.#samplers.size)));
    return true;
  }

  /** Contents of a value. What is no left operand of a watched layer is passed over. */
  observe(point: Value, tensor: Tensor): void {
    for (const [candidate, sampler] of this.#samplers) if (candidate.x === point) sampler.observe(tensor);
  }

  /** Undefined for a layer that is not watched. */
  of(candidate: Candidate): readonly Row[] | undefined {
    return this.#samplers.get(candidate)?.rows();
  }

  /** Takes over what was sampled of another preparation of the same model, by the names of nodes. */
  adopt(other: SampledRows): void {
    const byName = new Map([...other.#samplers].map(([{ node }, sampler]) => [node.label, sampler]));
    for (const candidate of this.#samplers.keys()) {
      const sampler = byName.get(candidate.node.label);
      if (sampler !== undefined) this.#samplers.set(candidate, sampler);
    }
  }

  /** By the names of nodes. */
  save(): Map<string, SavedRows> {
    return new Map([...this.#samplers].map(([{ node }, sampler]) => [node.label, saveRows(sampler.rows())]));
  }

  /** Puts saved rows in place of sampled ones. @throws FormatError where they do not fit. */
  restore(saved: ReadonlyMap<string, SavedRows>): void {
    for (const candidate of this.#samplers.keys()) {
      const { label } = candidate.node;
      const own = saved.get(label);
      if (own === undefined) continue;
      const rows = restoreRows(own, kernelLayout(candidate)!.k, `rows of "${label}"`);
      this.#samplers.set(candidate, { observe: () => {}, rows: () => rows });
    }
  }
}
