/**
 * @file Observer `auto`: several observers watch a value, and the range is taken with which the layer that reads it computes
 * most nearly what it does in float. Where no layer's rows were sampled, `mse` decides by the value itself.
 */
import type { Value } from "../../graph/value.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Candidate } from "../candidates.ts";
import { chooseObserver, type ReadingLayer } from "../corrections/choose-observer.ts";
import { createObserver, type ObserverName } from "../observers/list.ts";
import type { Observer, Ranges } from "../observers/observer.ts";
import type { QScheme } from "../qparams.ts";
import { inKernelOrder, kernelLayout } from "../rows/layout.ts";
import type { SampledRows } from "../rows/sampled-rows.ts";

/** The observer that watches in the first place, and decides where nothing else does. */
export const FIRST_CHOICE: ObserverName = "mse";
const OTHERS: readonly ObserverName[] = ["min-max", "percentile", "entropy"];

interface Watched {
  readonly others: readonly Observer[];
  /** The layer whose result counts, where its rows are sampled. */
  readonly reader: Candidate | undefined;
}

export class AutoObservers {
  readonly #rows: SampledRows;
  readonly #watched: Map<Value, Watched> = new Map();
  readonly #chosen: Map<Value, ObserverName> = new Map();

  constructor(rows: SampledRows) {
    this.#rows = rows;
  }

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
    // Groups read parts of the value: their rows alone do not say what a range does to all.
    const whole = reader !== undefined && kernelLayout(reader)?.groups === 1 && this.#rows.watch(reader);
    const others = OTHERS.map((name) => createObserver(name, { scheme, percentile }));
    this.#watched.set(value, { others, reader: whole ? reader : undefined });
  }

  /** @throws as observers do. */
  observe(value: Value, tensor: Tensor): void {
    for (const observer of this.#watched.get(value)?.others ?? []) observer.observe(tensor.floats(), tensor.dims);
  }

  /** The range of a value: its own observer's, where it is not watched by others. */
  ranges(value: Value, own: Observer): Ranges | undefined {
    const watched = this.#watched.get(value);
    if (watched?.reader === undefined) return own.ranges();
    const layout = kernelLayout(watched.reader)!;
    const rows = this.#rows.of(watched.reader) ?? [];
    const candidates = [own, ...watched.others].flatMap((observer) => {
      const qparams = observer.qparams();
      return qparams === undefined ? [] : [{ name: observer.name, qparams, observer }];
    });
    if (rows.length === 0 || candidates.length === 0) return own.ranges();
    const values = new Float32Array(rows.length * layout.k);
    for (const [index, row] of rows.entries()) values.set(row.values, index * layout.k);
    const layer: ReadingLayer = {
      weight: inKernelOrder(watched.reader.weight.constant!.floats(), layout),
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
      else this.#watched.set(value, { others: found.others, reader });
    }
    return missing;
  }
}
