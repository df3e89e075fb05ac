/**
 * @file What only a report looks at: every value inside the two models, and histograms of those where the error enters.
 * Takes as long as it may and says what it left out.
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { DataSource, Sample } from "../../step/data.ts";
import { messageOf } from "../../util/errors.ts";
import { formatMilliseconds } from "../../util/format.ts";
import type { Progress } from "../../util/progress.ts";
import { compareTensors, type TensorComparison, worstTensors } from "../tensor-errors.ts";
import { HistogramCounter, rangeOf, type ValueHistogram } from "./value-histogram.ts";

export interface ReportDetails {
  readonly tensors?: TensorComparison;
  /** Of the values where most noise enters, the worst first. */
  readonly histograms?: readonly ValueHistogram[];
  /** Whole sentences: what is missing, and why. */
  readonly leftOut: readonly string[];
}

export interface CollectDetailsOptions {
  /** In float, cleaned up as it was before quantization. */
  readonly original: Model;
  readonly quantized: Model;
  readonly runtime: Runtime;
  readonly data: DataSource;
  /** Samples to run. Default 4. */
  readonly samples?: number;
  /** Milliseconds for all of it. Default 60,000. */
  readonly budgetMs?: number;
  /** Default 6. */
  readonly histograms?: number;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Default performance.now, in ms. */
  readonly now?: () => number;
}

/** What timers can wait for. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Runs both models on one sample and, where there is time for it, on several. Whatever fails is left out: the report is
 * about a file that was measured already.
 * @throws the signal's reason where it is aborted.
 */
export async function collectDetails(options: CollectDetailsOptions): Promise<ReportDetails> {
  const { samples = 4, budgetMs = 60_000, histograms: count = 6, signal, now = () => performance.now() } = options;
  const start = now();
  const left = (): number => budgetMs - (now() - start);
  const leftOut: string[] = [];
  /** Undefined where it takes longer than there is time, or fails. */
  const attempt = async <T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> => {
    const time = AbortSignal.timeout(Math.round(Math.max(1, Math.min(left(), LONGEST_MS))));
    try {
      return await work(signal === undefined ? time : AbortSignal.any([signal, time]));
    } catch (error) {
      signal?.throwIfAborted();
      const why = time.aborted ? `it takes longer than ${formatMilliseconds(budgetMs)}` : messageOf(error);
      leftOut.push(`${what} ${what.endsWith("s") ? "are" : "is"} left out: ${why.replace(/\.+$/, "")}.`);
      return undefined;
    }
  };

  const held = await attempt("What happens inside of the models", () => firstSamples(options.data, samples));
  if (held === undefined || held.length === 0) return { leftOut };
  const compare = (limit: number) => (aborted: AbortSignal) =>
    compareTensors(options.original, options.quantized, options.runtime, sourceOf(options.data, held), {
      samples: limit,
      progress: options.progress,
      signal: aborted,
    });
  const before = left();
  let tensors = await attempt("The comparison of values inside", compare(1));
  if (tensors === undefined) return { leftOut };
  // Histograms run the original once more: half of what a comparison takes.
  const needed = (before - left()) * held.length * 1.5;
  const enough = needed < left();
  if (enough && held.length > 1) {
    tensors = (await attempt(`More than one of ${held.length} samples`, compare(held.length))) ?? tensors;
  } else if (held.length > 1) {
    leftOut.push(
      `Values inside were compared on one sample only: ${formatMilliseconds(budgetMs)} are no time for more.`,
    );
  }
  const shown = enough ? held : held.slice(0, 1);
  const counters = chooseValues(options.original, options.quantized, tensors, count);
  const histograms =
    counters.size === 0
      ? []
      : await attempt("Histograms", async (aborted) => {
          await collect(
            options.original,
            options.runtime,
            [...counters.keys()],
            sourceOf(options.data, shown),
            (value, tensor) => counters.get(value)?.add(tensor),
            {
              signal: aborted,
              progress: (_task, done, total) => options.progress?.("counting values", done, total),
            },
          );
          return [...counters.values()].flatMap((counter) => counter.result() ?? []);
        });
  return { tensors, ...(histograms && { histograms }), leftOut };
}

async function firstSamples(data: DataSource, count: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of data.samples()) {
    samples.push(sample);
    if (samples.length >= count) break;
  }
  return samples;
}

function sourceOf(data: DataSource, samples: readonly Sample[]): DataSource {
  return { ...data, length: samples.length, samples: () => samples };
}

/** Those that clip first, by the noise that is added at them; where nothing is quantized in place, the worst of all. */
function chooseValues(
  original: Model,
  quantized: Model,
  { values }: TensorComparison,
  count: number,
): Map<Value, HistogramCounter> {
  const own = valuesByName(original);
  const theirs = valuesByName(quantized);
  const all = worstTensors(values).map(({ name, node, opType }) => {
    const other = theirs.get(name);
    const about = other === undefined ? { range: undefined, dynamic: false } : rangeOf(other);
    return { value: own.get(name), about: { name, node, opType, ...about } };
  });
  const clipping = all.filter(({ about }) => about.range !== undefined);
  const chosen = clipping.length > 0 ? clipping : all;
  return new Map(
    chosen
      .slice(0, count)
      .flatMap(({ value, about }) => (value ? [[value, new HistogramCounter(about)] as const] : [])),
  );
}

function valuesByName(model: Model): Map<string, Value> {
  const found = new Map<string, Value>();
  const add = (value: Value | undefined): void => {
    if (value !== undefined) found.set(value.name, value);
  };
  for (const node of model.graph.nodes() as Iterable<Node>) for (const value of node.outputs) add(value);
  return found;
}
