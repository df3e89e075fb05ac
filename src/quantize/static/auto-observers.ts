/**
 * @file Observer `auto`: several observers watch a value, and the range is taken with which the layer that reads it computes
 * most nearly what it does in float. Where no layer's rows were sampled, `mse` decides by the value itself.
 */
import type { Value } from "../../graph/value.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import type { Candidate } from "../candidates.ts";
import { chooseObserver, type ReadingLayer } from "../corrections/choose-observer.ts";
import { createObserver, type ObserverName } from "../observers/list.ts";
import type { Observer, Ranges } from "../observers/observer.ts";
import type { QScheme } from "../qparams.ts";
import { inKernelOrder, kernelLayout } from "../saturation/layout.ts";
import { type RowSampler, rowSampler } from "../saturation/rows.ts";

/** The observer that watches in the first place, and decides where nothing else does. */
export const FIRST_CHOICE: ObserverName = "mse";
const OTHERS: readonly ObserverName[] = ["min-max", "percentile", "entropy"];

interface Watched {
  readonly others: readonly Observer[];
  readonly reader: { readonly candidate: Candidate; readonly sampler: RowSampler } | undefined;
}

export class AutoObservers {
  readonly #watched: Map<Value, Watched> = new Map();
  readonly #chosen: Map<Value, ObserverName> = new Map();

  /** How many values are watched by several observers. */
  get size(): number {
    return this.#watched.size;
  }

  /** How often each observer was chosen. */
  get counts(): ReadonlyMap<ObserverName, number> {
    const counts = new Map<ObserverName, number>();
    for (const name of this.#chosen.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  }

  /** Watches a value; `reader` is the layer whose result counts, where there is one. */
  watch(value: Value, scheme: QScheme, percentile: number, reader: Candidate | undefined): void {
    const layout = reader && kernelLayout(reader);
    // Groups read parts of the value: their rows alone do not say what a range does to all.
    const sampler =
      reader === undefined || layout === undefined || layout.groups > 1
        ? undefined
        : { candidate: reader, sampler: rowSampler(reader, layout, createRandom(this.#watched.size)) };
    const others = OTHERS.map((name) => createObserver(name, { scheme, percentile }));
    this.#watched.set(value, { others, reader: sampler });
  }

  /** @throws as observers do. */
  observe(value: Value, tensor: Tensor): void {
    const watched = this.#watched.get(value);
    if (watched === undefined) return;
    for (const observer of watched.others) observer.observe(tensor.floats(), tensor.dims);
    watched.reader?.sampler.observe(tensor);
  }

  /** The range of a value: its own observer's, where it is not watched by others. */
  ranges(value: Value, own: Observer): Ranges | undefined {
    const watched = this.#watched.get(value);
    if (watched?.reader === undefined) return own.ranges();
    const { candidate, sampler } = watched.reader;
    const layout = kernelLayout(candidate)!;
    const rows = sampler.rows();
    const candidates = [own, ...watched.others].flatMap((observer) => {
      const qparams = observer.qparams();
      return qparams === undefined ? [] : [{ name: observer.name, qparams, observer }];
    });
    if (rows.length === 0 || candidates.length === 0) return own.ranges();
    const values = new Float32Array(rows.length * layout.k);
    for (const [index, row] of rows.entries()) values.set(row.values, index * layout.k);
    const layer: ReadingLayer = {
      weight: inKernelOrder(candidate.weight.constant!.floats(), layout),
      k: layout.k,
    };
    const { observer } = candidates[chooseObserver(candidates, values, layer).index]!;
    this.#chosen.set(value, observer.name);
    return observer.ranges();
  }

  /** Takes over what another one of the same model has seen, by the names of values. Those it did not watch are returned. */
  adopt(other: AutoObservers): Value[] {
    const byName = new Map([...other.#watched].map(([value, watched]) => [value.name, watched]));
    const missing: Value[] = [];
    for (const [value, { reader }] of this.#watched) {
      const found = byName.get(value.name);
      if (found === undefined || (reader !== undefined && found.reader === undefined)) missing.push(value);
      // Weights are this model's own; what was seen is the other's.
      else {
        const sampler = reader && found.reader && { candidate: reader.candidate, sampler: found.reader.sampler };
        this.#watched.set(value, { others: found.others, reader: sampler });
      }
    }
    return missing;
  }
}
